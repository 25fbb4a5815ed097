//! What a user can cause is data: a mutation reports it in `userErrors`, with the field where it stands.

use serde_json::{Value, json};
use service::Role;

use super::fixture::Fixture;
use super::schema::types;
use crate::graphql::node::Key;

/// Mutations with a value that cannot be used (`BAD` stands for an id of another kind), and the field that has to be named.
const REFUSED: &[(&str, &[&str])] = &[
    ("acceptSuggestion(correctionId: BAD)", &["correctionId"]),
    ("rejectSuggestion(correctionId: BAD)", &["correctionId"]),
    ("resolveConflict(correctionId: BAD, keep: OURS)", &["correctionId"]),
    ("addToProject(input: { recipients: { ids: [BAD] }, newProject: { name: \"x\" } })", &["recipients", "ids"]),
    (
        "addToProject(input: { addresses: { emails: [\"x\"] }, newProject: { name: \"x\" } })",
        &["addresses", "emails", "0"],
    ),
    (
        "addToProject(input: { complaints: { campaignId: BAD }, newProject: { name: \"x\" } })",
        &["complaints", "campaignId"],
    ),
    ("addToProject(input: { complaints: {}, projectId: BAD })", &["projectId"]),
    ("addToSelection(input: { recipients: { ids: [BAD] }, newSelection: { name: \"x\" } })", &["recipients", "ids"]),
    (
        "addToSelection(input: { recipients: { where: { campaignId: BAD } }, newSelection: { name: \"x\" } })",
        &["recipients", "where", "campaignId"],
    ),
    (
        "addToSelection(input: { recipients: { where: { campaignId: CAMPAIGN, filter: { clickedLink: [BAD] } } }, \
         newSelection: { name: \"x\" } })",
        &["recipients", "where", "filter", "clickedLink"],
    ),
    ("addToSelection(input: { complaints: {}, selectionId: BAD })", &["selectionId"]),
    ("addToSelection(input: { complaints: {}, newSelection: { name: \" \" } })", &["newSelection", "name"]),
    (
        "removeFromSelection(input: { addresses: { emails: [\"a@b.example\", \"@\"] }, selectionId: BAD })",
        &["addresses", "emails", "1"],
    ),
    ("removeFromSelection(input: { complaints: {}, selectionId: BAD })", &["selectionId"]),
    ("addUser(input: { email: \"nobody\", role: ADMIN, password: \"correct horse battery\" })", &["email"]),
    ("addUser(input: { email: \"a@b.example\", role: ADMIN, password: \"short\" })", &["password"]),
    ("blockAddresses(input: { emails: [\"nobody\"] })", &["emails", "0"]),
    ("clearBounces(input: { emails: [\"nobody\"] })", &["emails", "0"]),
    ("deleteAddresses(input: { emails: [\"nobody\"] })", &["emails", "0"]),
    ("markFormerEmployees(input: { emails: [\"nobody\"] })", &["emails", "0"]),
    ("restoreConsent(input: { emails: [\"nobody\"] })", &["emails", "0"]),
    ("cancelCampaign(id: BAD)", &["id"]),
    ("cancelCampaign(id: NONE)", &["id"]),
    ("cancelJob(id: CAMPAIGN)", &["id"]),
    ("retryJob(id: CAMPAIGN)", &["id"]),
    ("correctAddress(input: { oldEmail: \"a@b.example\", newEmail: \"nobody\" })", &["newEmail"]),
    ("correctAddress(input: { oldEmail: \"nobody\", newEmail: \"a@b.example\" })", &["oldEmail"]),
    ("correctAddress(input: { recipientId: BAD, newEmail: \"a@b.example\" })", &["recipientId"]),
    ("correctAddress(input: { oldEmail: \"a@b.example\", newEmail: \"b@b.example\", personId: BAD })", &["personId"]),
    ("endSession(id: BAD)", &["id"]),
    ("endUserSessions(userId: BAD)", &["userId"]),
    ("createApiToken(input: { name: \"\", role: VIEWER })", &["name"]),
    ("createApiToken(input: { name: \"x\", role: VIEWER, expiresAt: \"2001-01-01T00:00:00Z\" })", &["expiresAt"]),
    ("createCampaign(input: { key: \" \", name: \"x\" })", &["key"]),
    ("createCampaign(input: { key: \"a\\nb\", name: \"x\" })", &["key"]),
    ("createCampaign(input: { key: \"x\", name: \"x\", fromAddress: \"nobody\" })", &["fromAddress"]),
    ("createFollowUps(input: { recipients: { ids: [BAD] }, title: \"x\" })", &["recipients", "ids"]),
    ("deleteReminderRule(id: BAD)", &["id"]),
    ("exportAddresses(input: { addresses: { emails: [\"nobody\"] }, format: CSV })", &["addresses", "emails", "0"]),
    ("exportClicks(input: { campaignId: BAD, format: CSV })", &["campaignId"]),
    ("exportClicks(input: { campaignId: CAMPAIGN, linkId: BAD, format: CSV })", &["linkId"]),
    ("exportComplaints(input: { filter: { campaignId: BAD }, format: CSV })", &["filter", "campaignId"]),
    ("exportRecipients(input: { recipients: { ids: [BAD] }, format: CSV })", &["recipients", "ids"]),
    ("exportRecipients(input: { recipients: { ids: [] }, format: CSV })", &["recipients", "ids"]),
    ("importCorrections(input: { uploadId: BAD })", &["uploadId"]),
    ("importRecipients(input: { campaignId: BAD, uploadId: \"x\" })", &["campaignId"]),
    ("importRecipients(input: { campaignId: CAMPAIGN, uploadId: \"x\" })", &["uploadId"]),
    ("importRecipients(input: { campaignId: CAMPAIGN, selectionIds: [BAD] })", &["selectionIds"]),
    ("importRecipients(input: { campaignId: CAMPAIGN, projectIds: [BAD] })", &["projectIds"]),
    ("importRecipients(input: { campaignId: CAMPAIGN, personIds: [BAD] })", &["personIds"]),
    ("reloadRecipients(campaignId: BAD)", &["campaignId"]),
    ("resend(input: { campaignId: BAD, onlyUpdated: true })", &["campaignId"]),
    ("resend(input: { campaignId: CAMPAIGN, recipients: { ids: [BAD] } })", &["recipients", "ids"]),
    ("revokeApiToken(id: BAD)", &["id"]),
    ("runReminderNow(ruleId: BAD)", &["ruleId"]),
    ("saveReminderRule(input: { id: BAD, name: \"x\", campaignId: CAMPAIGN })", &["id"]),
    ("saveReminderRule(input: { name: \"x\", campaignId: BAD })", &["campaignId"]),
    ("saveReminderRule(input: { name: \"x\", campaignId: CAMPAIGN, timeZone: \"Berlin\" })", &["timeZone"]),
    ("setFollowUpDone(id: BAD)", &["id"]),
    ("setUserDisabled(id: BAD, disabled: true)", &["id"]),
    ("setUserPassword(id: BAD, password: \"correct horse battery\")", &["id"]),
    ("setUserRole(id: BAD, role: ADMIN)", &["id"]),
    ("syncSelections(selectionIds: [BAD])", &["selectionIds"]),
    ("updateSettings(input: { acceptedSoftBounces: 0 })", &["acceptedSoftBounces"]),
    ("updateSettings(input: { softBounceWindow: { bounces: 5, ofLastSends: 2 } })", &["softBounceWindow", "bounces"]),
];

/// Mutations that no value can be wrong of, and those of the own account, which are tried with a session (`tests/account.rs`).
const ELSEWHERE: &[&str] =
    &["suggestCorrections", "changePassword", "enableTotp", "confirmTotp", "renewRecoveryCodes", "disableTotp"];

async fn refusal(fixture: &Fixture, operation: &str, call: &str) -> Value {
    let quoted = |key: Key| format!("{:?}", key.id().as_str());
    let call = call.replace("CAMPAIGN", &quoted(Key::Campaign(1)));
    let call = call.replace("BAD", &quoted(Key::Job(1))).replace("NONE", &quoted(Key::Campaign(99)));
    let query = format!("{operation} {{ refused: {call} {{ userErrors {{ code field message }} }} }}");
    let response = fixture.ask(Role::Admin, &query, json!({})).await;
    assert!(response.errors.is_empty(), "{call}: {:?}", response.errors);
    let mut data = response.data.into_json().expect("JSON");
    let errors = data["refused"]["userErrors"].take();
    assert_eq!(errors.as_array().map(Vec::len), Some(1), "{call}: {errors}");
    errors[0].clone()
}

#[tokio::test]
async fn every_mutation_names_the_field_that_is_wrong() {
    let fixture = Fixture::with(1).await;
    for (call, field) in REFUSED {
        let error = refusal(&fixture, "mutation", call).await;
        assert_eq!(error["field"], json!(field), "{call}: {error}");
        assert!(error["message"].as_str().is_some_and(|message| message.len() > 10), "{call}: {error}");
    }
    // Whoever adds a mutation adds what can be wrong of it.
    let types = types(&fixture).await;
    let mutation = types.iter().find(|kind| kind["name"] == "Mutation").expect("mutations");
    let names =
        mutation["fields"].as_array().expect("fields").iter().map(|field| field["name"].as_str().expect("a name"));
    let is_tried = |name: &str| REFUSED.iter().any(|(call, _)| call.split('(').next() == Some(name));
    let missing: Vec<&str> = names.filter(|name| !is_tried(name) && !ELSEWHERE.contains(name)).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[tokio::test]
async fn a_preview_reports_what_saving_would_refuse() {
    let fixture = Fixture::with(1).await;
    for (rule, field) in [
        ("{ name: \"x\", campaignId: BAD }", json!(["campaignId"])),
        ("{ name: \"x\", campaignId: NONE }", json!(["campaignId"])),
        ("{ id: BAD, name: \"x\", campaignId: CAMPAIGN }", json!(["id"])),
        ("{ name: \"x\", campaignId: CAMPAIGN, afterHours: -1 }", json!(["afterHours"])),
        (
            "{ name: \"x\" , campaignId: CAMPAIGN, sendBetween: { from: \"8\", to: \"18:00\" } }",
            json!(["sendBetween", "from"]),
        ),
    ] {
        let previewed = refusal(&fixture, "query", &format!("reminderPreview(input: {rule})")).await;
        let saved = refusal(&fixture, "mutation", &format!("saveReminderRule(input: {rule})")).await;
        assert_eq!((&previewed["field"], &previewed), (&field, &saved), "{rule}");
    }
}

#[tokio::test]
async fn a_limit_states_the_value_the_limit_and_the_remedy() {
    let fixture = Fixture::with(1).await;
    let message = async |call: &str| refusal(&fixture, "mutation", call).await["message"].to_string();
    let long = "x".repeat(201);
    let said = message(&format!("createCampaign(input: {{ key: \"{long}\", name: \"x\" }})")).await;
    assert!(said.contains("201 characters") && said.contains("200 are allowed") && said.contains("shorten"), "{said}");
    let wide = "{ campaigns(first: 100) { nodes { recipients(first: 100) { nodes { id email } } } } }";
    let response = fixture.ask(Role::Admin, wide, json!({})).await;
    let error = serde_json::to_value(&response.errors[0]).expect("JSON");
    assert_eq!(error["extensions"]["code"], "TOO_COMPLEX");
    let said = error["message"].as_str().expect("a text");
    let digits: Vec<usize> = said.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect();
    assert!(digits.len() == 2 && digits[0] > digits[1] && digits[1] == 20_000 && said.contains("fewer rows"), "{said}");
}
