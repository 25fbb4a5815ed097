//! Importing from lists, reading them again, and sending again.

use serde_json::{Value, json};
use service::Role;

use super::fixture::{Fixture, campaign};
use crate::graphql::node::Key;

async fn ask(fixture: &Fixture, field: &str, mutation: &str, variables: Value) -> Value {
    let response = fixture.ask(Role::Marketer, mutation, variables).await;
    assert!(response.errors.is_empty(), "{:?}", response.errors);
    response.data.into_json().expect("JSON")[field].clone()
}

fn refused(code: &str, field: &[&str]) -> Value {
    json!({ "job": null, "userErrors": [{ "code": code, "field": field }] })
}

/// The campaign's id, and more.
fn with(more: &Value) -> Value {
    let mut input = json!({ "campaignId": campaign() });
    input.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    input
}

#[tokio::test]
async fn a_campaign_is_sent_again_to_exactly_one_kind_of_set() {
    let fixture = Fixture::with(3).await;
    let mutation =
        "mutation($input: ResendInput!) { resend(input: $input) { job { kind state } userErrors { code field } } }";
    let resend = async |more: Value| ask(&fixture, "resend", mutation, json!({ "input": with(&more) })).await;
    let begun = json!({ "job": { "kind": "RESEND", "state": "QUEUED" }, "userErrors": [] });
    let whole = json!({ "where": { "campaignId": campaign() } });
    for good in [json!({ "recipients": whole }), json!({ "onlyUpdated": true }), json!({ "notYetSent": true })] {
        assert_eq!(resend(good).await, begun);
    }
    for bad in [json!({}), json!({ "onlyUpdated": false }), json!({ "onlyUpdated": true, "notYetSent": true })] {
        assert_eq!(resend(bad).await, refused("INVALID", &["input"]));
    }
    let both = json!({ "recipients": whole, "onlyUpdated": true });
    assert_eq!(resend(both).await, refused("INVALID", &["input"]));
    let other = json!({ "recipients": { "where": { "campaignId": Key::Campaign(2).id().0 } } });
    assert_eq!(resend(other).await, refused("INVALID", &["recipients"]));
    assert_eq!(resend(json!({ "recipients": {} })).await, refused("INVALID", &["recipients"]));
    assert_eq!(resend(json!({ "campaignId": "x", "notYetSent": true })).await, refused("INVALID", &["campaignId"]));
}

#[tokio::test]
async fn earlier_attempts_are_read_for_all_recipients_at_once() {
    let fixture = Fixture::with(3).await;
    let query = "query($campaign: ID!) { campaign(id: $campaign) { recipients { nodes { attempts earlierAttempts { number email \
        status sentAt bounceClass bounceReason endedAt } } } } }";
    let without = fixture.data(query).await;
    assert_eq!(without["campaign"]["recipients"]["nodes"][0]["earlierAttempts"], json!([]));
    fixture.statements();
    fixture.data(query).await;
    let statements = fixture.statements();
    for number in 1..=3 {
        let sql = "INSERT INTO attempt (campaign_id, number, attempt, address_id, email_key, email, status, sent_at, failure_at, \
            failure_class, failure_smtp_code, ended_at) VALUES (1, $1, 1, 1, 'e', 'Erika@kleinfirma.example', 7, 5, 6, 4, 552, 7)";
        service::db::execute(fixture.services.db().write(), sql, [i64::from(number).into()]).await.expect("an attempt");
    }
    fixture.statements();
    let with = fixture.data(query).await;
    assert_eq!(fixture.statements(), statements, "not one for each recipient");
    let attempt = &with["campaign"]["recipients"]["nodes"][2]["earlierAttempts"][0];
    assert_eq!(attempt["number"], 1);
    assert_eq!(attempt["email"], "Erika@kleinfirma.example");
    assert_eq!(attempt["status"], "HARD_BOUNCED");
    assert_eq!(attempt["bounceReason"], "552");
    assert_eq!(attempt["endedAt"], "1970-01-01T00:00:00.000007Z");
    let seen = fixture.ask(Role::Viewer, query, json!({ "campaign": campaign() })).await;
    let seen = seen.data.into_json().expect("JSON");
    let first = &seen["campaign"]["recipients"]["nodes"][0]["earlierAttempts"][0];
    assert_eq!((&first["email"], &first["bounceReason"]), (&json!("•••"), &json!(null)));
}

#[tokio::test]
async fn lists_are_imported_and_read_again() {
    let fixture = Fixture::with(3).await;
    let sql =
        "INSERT INTO selection (id, key, name, kind, created_by, created_at) VALUES (77, 'k77', 'List', 1, 'crm', 0)";
    service::db::execute(fixture.services.db().write(), sql, []).await.expect("a selection");
    let mutation = "mutation($input: ImportRecipientsInput!) { importRecipients(input: $input) { job { kind state } \
        userErrors { code field } } }";
    let import = async |more: Value| ask(&fixture, "importRecipients", mutation, json!({ "input": with(&more) })).await;
    let begun = import(json!({ "selectionIds": [Key::Selection(77).id().0], "subscription": "News" })).await;
    assert_eq!(begun, json!({ "job": { "kind": "IMPORT_MEMBERS", "state": "QUEUED" }, "userErrors": [] }));
    for (ids, code, field) in [
        (json!({ "selectionIds": [Key::Selection(78).id().0] }), "NOT_FOUND", "selectionIds"),
        (json!({ "selectionIds": [Key::Project(77).id().0] }), "INVALID", "selectionIds"),
        (json!({ "projectIds": [Key::Project(77).id().0] }), "NOT_FOUND", "projectIds"),
        (json!({ "personIds": [Key::Person(77).id().0] }), "NOT_FOUND", "personIds"),
        (json!({ "selectionIds": [] }), "INVALID", "uploadId"),
    ] {
        assert_eq!(import(ids).await, refused(code, &[field]));
    }
    let mutation =
        "mutation($id: ID!) { reloadRecipients(campaignId: $id) { job { kind state } userErrors { code field } } }";
    let reload = async |id: String| ask(&fixture, "reloadRecipients", mutation, json!({ "id": id })).await;
    let begun = json!({ "job": { "kind": "RELOAD_RECIPIENTS", "state": "QUEUED" }, "userErrors": [] });
    assert_eq!(reload(campaign()).await, begun);
    assert_eq!(reload(Key::Campaign(99).id().0).await, refused("NOT_FOUND", &["campaignId"]));
}
