//! A viewer sees no personal data anywhere: the whole schema is walked, and nothing that was seeded comes out.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entity::privacy::Privacy;
use serde_json::{Value, json};
use service::Role;

use super::fixture::{Fixture, PERSONAL, ids};
use super::schema::types;
use crate::graphql::node::Key;

const MAX_DEPTH: usize = 7;

/// The name of a field's type without its wrappers.
fn inner(mut kind: &Value) -> &str {
    while let Some(name) = kind.get("ofType").filter(|of| !of.is_null()) {
        kind = name;
    }
    kind["name"].as_str().expect("a name")
}

/// Selects every field of a type, and theirs, but nothing of a type that is being selected already.
fn select(types: &[Value], name: &str, path: &mut Vec<String>) -> String {
    let kind = types.iter().find(|kind| kind["name"] == name).expect("a type");
    if kind["kind"] == "INTERFACE" {
        return " { __typename id }".to_owned();
    }
    let Some(fields) = kind["fields"].as_array() else { return String::new() };
    let mut text = " { __typename".to_owned();
    path.push(name.to_owned());
    for field in fields {
        let target = inner(&field["type"]);
        if path.len() > MAX_DEPTH || path.iter().any(|known| known == target) {
            continue;
        }
        let has_first = field["args"].as_array().expect("args").iter().any(|arg| arg["name"] == "first");
        let args = if has_first { "(first: 2)" } else { "" };
        text += &format!(" {}{args}{}", field["name"].as_str().expect("a name"), select(types, target, path));
    }
    path.pop();
    text + " }"
}

/// A document for each way into the schema.
fn documents(types: &[Value]) -> Vec<String> {
    let mut documents = Vec::new();
    for (name, id) in ids() {
        let mut letters = name.chars();
        let first = letters.next().into_iter().flat_map(char::to_uppercase);
        let title: String = first.chain(letters).collect();
        let selection = select(types, &title, &mut Vec::new());
        documents.push(format!("{{ node(id: \"{}\") {{ __typename ... on {title}{selection} }} }}", id.0));
        if name != "address" {
            documents.push(format!("{{ {name}(id: \"{}\"){selection} }}", id.0));
        }
    }
    for (field, connection) in [
        ("campaigns", "CampaignConnection"),
        ("blockedAddresses", "AddressConnection"),
        ("jobs", "JobConnection"),
        ("corrections", "CorrectionConnection"),
        ("complaints", "ComplaintConnection"),
        ("auditLog", "AuditConnection"),
        ("unmatchedEvents", "EventConnection"),
        ("deliveries", "DeliveryConnection"),
    ] {
        documents.push(format!("{{ {field}(first: 2){} }}", select(types, connection, &mut Vec::new())));
    }
    for (field, kind) in [("sources", "Source"), ("unknownSourceRequests", "RefusedCount")] {
        documents.push(format!("{{ {field}{} }}", select(types, kind, &mut Vec::new())));
    }
    // Campaigns are walked through above, and twenty of them would be too complex.
    let without_campaigns = || vec!["Campaign".to_owned()];
    let rules = select(types, "ReminderRule", &mut without_campaigns());
    documents.push(format!("{{ reminderRules{rules} }}"));
    let preview = select(types, "ReminderPreview", &mut without_campaigns());
    documents.push(format!("{{ reminderPreview(input: {{ name: \"x\", campaignNamePattern: \"*\" }}){preview} }}"));
    let address = select(types, "Address", &mut Vec::new());
    documents.push(format!("{{ address(email: \"Erika.Muster@kleinfirma.example\"){address} }}"));
    let campaign = &ids()[0].1.0;
    for arguments in [
        "search: \"erika\"",
        "orderBy: { field: EMAIL }",
        "filter: { domain: [\"kleinfirma.example\"] }",
        "filter: { not: { owner: [\"Betreuerin\"] } }",
        "after: \"kaputt\"",
    ] {
        documents.push(format!("{{ campaign(id: \"{campaign}\") {{ recipients({arguments}) {{ nodes {{ id }} totalCount {{ value }} }} }} }}"));
    }
    documents.push("{ blockedAddresses(filter: { domain: [\"kleinfirma.example\"] }) { nodes { id } } }".to_owned());
    documents.push("{ blockedAddresses(orderBy: { field: EMAIL }) { nodes { id } } }".to_owned());
    documents.push("{ blockedAddresses(filter: { search: \"erika\" }) { nodes { id } } }".to_owned());
    documents.push("{ complaints(filter: { domain: [\"kleinfirma.example\"] }) { nodes { id } } }".to_owned());
    documents.push("{ corrections(filter: { search: \"erika\" }) { nodes { id } } }".to_owned());
    documents.push(format!("{{ correctionIssues(jobId: \"{}\") {{ line text reason }} }}", Key::Job(1).id().0));
    let correction = select(types, "Correction", &mut Vec::new());
    for id in [1, 2] {
        let id = Key::Correction(id).id().0;
        documents.push(format!("{{ node(id: \"{id}\") {{ __typename ... on Correction{correction} }} }}"));
    }
    // Recipients are walked through above.
    let without_recipients = || vec!["Recipient".to_owned()];
    for (field, connection) in
        [("selections", "SelectionConnection"), ("projects", "ProjectConnection"), ("followUps", "FollowUpConnection")]
    {
        documents.push(format!("{{ {field}(first: 2){} }}", select(types, connection, &mut without_recipients())));
    }
    for (kind, key) in [
        ("Person", Key::Person(1)),
        ("Selection", Key::Selection(1)),
        ("Project", Key::Project(1)),
        ("FollowUp", Key::FollowUp(1)),
    ] {
        let selection = select(types, kind, &mut without_recipients());
        documents.push(format!("{{ node(id: \"{}\") {{ __typename ... on {kind}{selection} }} }}", key.id().0));
    }
    for key in ["DOMAIN", "REASON", "OWNER", "MONTH"] {
        documents.push(format!("{{ blockedAddressGroups(by: {key}) {{ key count }} }}"));
    }
    documents.push(format!("{{ crm{} }}", select(types, "Crm", &mut Vec::new())));
    documents.push(format!("{{ settings{} }}", select(types, "Settings", &mut Vec::new())));
    documents.push(format!("{{ viewer{} }}", select(types, "Viewer", &mut Vec::new())));
    documents.push(format!("{{ apiTokens{} }}", select(types, "ApiToken", &mut Vec::new())));
    documents.push(format!("{{ users{} }}", select(types, "User", &mut Vec::new())));
    documents
}

/// Those of the personal strings that a text holds, plain or in base64.
fn found(value: &Value, personal: &[&'static str]) -> Vec<&'static str> {
    match value {
        Value::Array(list) => list.iter().flat_map(|value| found(value, personal)).collect(),
        Value::Object(map) => map.values().flat_map(|value| found(value, personal)).collect(),
        Value::String(text) => {
            let decoded = URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
            let texts = [text.to_lowercase(), String::from_utf8_lossy(&decoded).to_lowercase()];
            personal.iter().copied().filter(|personal| texts.iter().any(|text| text.contains(personal))).collect()
        }
        _ => Vec::new(),
    }
}

/// Asks everything as a viewer, who must see none of the personal strings, and as an admin; those that admins saw.
async fn walk(fixture: &Fixture, personal: &[&'static str]) -> Vec<&'static str> {
    let mut seen_by_admins = Vec::new();
    for document in &documents(&types(fixture).await) {
        for role in [Role::Viewer, Role::Admin] {
            let response = fixture.ask(role, document, json!({})).await;
            let errors: Vec<String> = response.errors.iter().map(|error| error.message.clone()).collect();
            assert!(
                !errors.iter().any(|error| error == "internal error" || error.contains("complex")),
                "{document}: {errors:?}"
            );
            let answer = serde_json::to_value(&response).expect("JSON");
            match role {
                Role::Viewer => assert_eq!(found(&answer, personal), Vec::<&str>::new(), "{document}: {answer}"),
                _ => seen_by_admins.extend(found(&answer, personal)),
            }
        }
    }
    seen_by_admins
}

const RULE: &str = "mutation { saveReminderRule(input: { name: \"x\", campaignNamePattern: \"*\", afterHours: 0 }) { userErrors { code } } }";

#[tokio::test]
async fn a_viewer_sees_no_personal_data_anywhere() {
    let fixture = Fixture::with(3).await;
    fixture.ask(Role::Marketer, RULE, json!({})).await;
    let seen_by_admins = walk(&fixture, PERSONAL).await;
    for personal in PERSONAL {
        assert!(seen_by_admins.contains(personal), "nobody sees {personal}: the test does not look where it is");
    }
}

/// Columns whose texts are read as something, and those whose rows are found by them.
const STRUCTURED: &[&str] =
    &["job.payload", "job.result", "job.position", "delivery.headers", "user_account.email_key"];

/// What stands in a column, by its kind: rows that must differ do.
fn marker(table: &str, column: &str, privacy: Privacy) -> String {
    let address = "'erika.marker' || rowid || '@geheim.example'";
    match (table, column, privacy) {
        ("recipient", "attributes", _) => format!("'{{\"x\":\"' || {address} || '\"}}'"),
        ("tracked_link" | "event", "url", _) => format!("'https://haus.example/u/' || {address} || '/b'"),
        (_, _, Privacy::Named) => format!("'Geheim für ' || {address}"),
        _ => address.to_owned(),
    }
}

/// Whatever may be personal by its column holds a marker, and no viewer sees it.
#[tokio::test]
async fn a_viewer_sees_no_text_of_a_personal_column() {
    let fixture = Fixture::with(3).await;
    fixture.ask(Role::Marketer, RULE, json!({})).await;
    let run = async |sql: &str| {
        service::db::execute(fixture.services.db().write(), sql, [])
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
    };
    for sql in [
        "INSERT INTO crm_sync (subject, last_at, last_error) VALUES ('persons', 1, 'x')",
        "INSERT INTO attempt (campaign_id, number, attempt, address_id, email_key, email, status, failure_at, failure_diagnostic, ended_at) \
            VALUES (1, 1, 1, 1, 'x', 'x', 6, 5, 'x', 80)",
        "UPDATE selection SET description = 'x', sync_error = 'x'",
        "UPDATE project SET description = 'x', sync_error = 'x'",
        "UPDATE follow_up SET error = 'x', crm_id = 'x'",
        "UPDATE correction SET push_error = 'x' WHERE id = 2",
        "UPDATE reminder_rule SET subject_prefix = 'x'",
        "UPDATE link_statistics SET clickers = 500",
    ] {
        run(sql).await;
    }
    let mut marked = 0;
    for (table, column, privacy) in entity::privacy::texts() {
        if privacy != Privacy::Plain && !STRUCTURED.contains(&format!("{table}.{column}").as_str()) {
            let marker = marker(table, column, privacy);
            // Where nothing stands, something may; a null in a key of its own stays.
            run(&format!(
                "UPDATE {table} SET {column} = {marker} WHERE {column} IS NOT NULL OR '{table}' = 'recipient'"
            ))
            .await;
            marked += 1;
        }
    }
    assert!(marked > 75, "{marked} columns hold a marker");
    let seen_by_admins = walk(&fixture, &["marker", "geheim"]).await;
    assert!(seen_by_admins.len() > 100, "admins see it: {}", seen_by_admins.len());
}

#[tokio::test]
async fn every_query_is_asked() {
    let fixture = Fixture::with(0).await;
    let types = types(&fixture).await;
    let documents = documents(&types);
    let query = types.iter().find(|kind| kind["name"] == "Query").expect("the queries");
    for field in query["fields"].as_array().expect("fields") {
        let name = field["name"].as_str().expect("a name");
        let is_asked = |document: &String| {
            document.starts_with(&format!("{{ {name} ")) || document.starts_with(&format!("{{ {name}("))
        };
        assert!(documents.iter().any(is_asked), "{name}: add a document that asks for it");
    }
}

#[tokio::test]
async fn a_link_that_many_have_clicked_is_shown_whole_unless_it_names_somebody() {
    let fixture = Fixture::with(1).await;
    let links = format!("{{ campaign(id: \"{}\") {{ links {{ url clickers }} }} }}", ids()[0].1.0);
    for (url, clickers, shown) in [
        ("https://haus.example/angebot?id=4711", 19, "https://haus.example"),
        ("https://haus.example/angebot?id=4711", 20, "https://haus.example/angebot?id=4711"),
        ("https://haus.example/u/erika@x.example", 20, "https://haus.example"),
        ("https://haus.example/u/erika%2540x.example", 20, "https://haus.example"),
        ("https://haus.example/u/ZXJpa2FAeC5leGFtcGxl", 20, "https://haus.example"),
        ("mailto:erika@x.example", 20, "mailto:"),
    ] {
        let sql = "UPDATE tracked_link SET url = $1";
        service::db::execute(fixture.services.db().write(), sql, [url.into()]).await.expect("written");
        let sql = "UPDATE link_statistics SET clickers = $1";
        service::db::execute(fixture.services.db().write(), sql, [i64::from(clickers).into()]).await.expect("written");
        for (role, wanted) in [(Role::Viewer, shown), (Role::Marketer, url)] {
            let response = fixture.ask(role, &links, json!({})).await;
            let data = response.data.into_json().expect("JSON");
            assert_eq!(data["campaign"]["links"][0]["url"], wanted, "{clickers} {role:?}");
        }
    }
}

#[tokio::test]
async fn a_viewer_does_not_find_by_what_is_not_shown() {
    let fixture = Fixture::with(0).await;
    for sql in [
        "UPDATE campaign SET name = 'An erika@x.example' WHERE id = 1",
        "UPDATE selection SET name = 'An erika@x.example'",
    ] {
        service::db::execute(fixture.services.db().write(), sql, []).await.expect("written");
    }
    for (query, path) in [
        ("{ campaigns(filter: { search: \"erika\" }) { nodes { id } totalCount { value } } }", "campaigns"),
        ("{ selections(search: \"erika\") { nodes { id } totalCount { value } } }", "selections"),
    ] {
        for (role, count) in [(Role::Viewer, 0), (Role::Marketer, 1)] {
            let data = fixture.ask(role, query, json!({})).await.data.into_json().expect("JSON");
            assert_eq!(data[path]["nodes"].as_array().map(Vec::len), Some(count), "{query} {role:?}");
            assert_eq!(data[path]["totalCount"]["value"], count, "{query} {role:?}");
        }
    }
}

#[tokio::test]
async fn what_a_viewer_may_not_ask_is_forbidden() {
    let fixture = Fixture::with(3).await;
    for query in [
        "{ address(email: \"erika.muster@kleinfirma.example\") { id } }",
        "query($campaign: ID!) { campaign(id: $campaign) { recipients(search: \"erika\") { nodes { id } } } }",
        "query($campaign: ID!) { campaign(id: $campaign) { recipients(orderBy: { field: EMAIL }) { nodes { id } } } }",
        "query($campaign: ID!) { campaign(id: $campaign) { recipients(filter: { domain: [\"a.example\"] }) { nodes { id } } } }",
        "{ blockedAddresses(orderBy: { field: EMAIL }) { nodes { id } } }",
        "{ blockedAddresses(filter: { search: \"erika\" }) { nodes { id } } }",
        "{ blockedAddressGroups(by: DOMAIN) { key } }",
        "{ blockedAddressGroups(by: OWNER) { key } }",
        "{ complaints(filter: { domain: [\"a.example\"] }) { nodes { id } } }",
        "{ corrections(filter: { search: \"erika\" }) { nodes { id } } }",
        "{ correctionIssues(jobId: \"x\") { line } }",
        "mutation { correctAddress(input: { oldEmail: \"a@x.example\", newEmail: \"b@x.example\" }) { userErrors { code } } }",
        "mutation { importCorrections(input: { uploadId: \"x\" }) { userErrors { code } } }",
        "mutation { acceptSuggestion(correctionId: \"x\") { userErrors { code } } }",
        "mutation { rejectSuggestion(correctionId: \"x\") { userErrors { code } } }",
        "mutation { resolveConflict(correctionId: \"x\", keep: OURS) { userErrors { code } } }",
        "mutation { suggestCorrections { userErrors { code } } }",
        "{ auditLog { nodes { id } } }",
        "{ deliveries { nodes { id } } }",
        "{ apiTokens { id } }",
        "{ sources { name } }",
        "{ unknownSourceRequests { count } }",
        "mutation { createCampaign(input: { key: \"x\", name: \"X\" }) { userErrors { code } } }",
        "mutation($campaign: ID!) { cancelCampaign(id: $campaign) { userErrors { code } } }",
        "mutation($campaign: ID!) { importRecipients(input: { campaignId: $campaign, uploadId: \"x\" }) { userErrors { code } } }",
        "mutation { clearBounces(input: { where: {} }) { userErrors { code } } }",
        "mutation { blockAddresses(input: { where: {} }) { userErrors { code } } }",
        "mutation { deleteAddresses(input: { where: {} }) { userErrors { code } } }",
        "mutation { markFormerEmployees(input: { where: {} }) { userErrors { code } } }",
        "mutation { restoreConsent(input: { where: {} }) { userErrors { code } } }",
        "mutation($campaign: ID!) { exportRecipients(input: { recipients: { where: { campaignId: $campaign } }, format: CSV }) { userErrors { code } } }",
        "mutation($campaign: ID!) { exportClicks(input: { campaignId: $campaign, format: CSV }) { userErrors { code } } }",
        "mutation { exportAddresses(input: { format: CSV }) { userErrors { code } } }",
        "mutation { exportComplaints(input: { format: CSV }) { userErrors { code } } }",
        "mutation { saveReminderRule(input: { name: \"x\", campaignNamePattern: \"*\" }) { userErrors { code } } }",
        "mutation { deleteReminderRule(id: \"x\") { userErrors { code } } }",
        "mutation { runReminderNow(ruleId: \"x\") { userErrors { code } } }",
        "mutation($campaign: ID!) { resend(input: { campaignId: $campaign, notYetSent: true }) { userErrors { code } } }",
        "mutation($campaign: ID!) { reloadRecipients(campaignId: $campaign) { userErrors { code } } }",
        "mutation($campaign: ID!) { addToSelection(input: { recipients: { where: { campaignId: $campaign } }, newSelection: { name: \"x\" } }) { userErrors { code } } }",
        "mutation { removeFromSelection(input: { addresses: { where: {} }, selectionId: \"x\" }) { userErrors { code } } }",
        "mutation { addToProject(input: { addresses: { where: {} }, newProject: { name: \"x\" } }) { userErrors { code } } }",
        "mutation($campaign: ID!) { createFollowUps(input: { recipients: { where: { campaignId: $campaign } }, title: \"x\" }) { userErrors { code } } }",
        "mutation { setFollowUpDone(id: \"x\") { userErrors { code } } }",
        "mutation { syncSelections { userErrors { code } } }",
        "{ followUps(filter: { owner: \"x\" }) { nodes { id } } }",
        "mutation { createApiToken(input: { name: \"x\", role: ADMIN }) { secret } }",
        "mutation { updateSettings(input: { tracking: false }) { userErrors { code } } }",
    ] {
        assert_eq!(fixture.error(Role::Viewer, query).await, "FORBIDDEN", "{query}");
    }
}
