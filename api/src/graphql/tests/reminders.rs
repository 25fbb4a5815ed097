//! Rules for reminders, and what they would do.

use serde_json::{Value, json};
use service::Role;

use super::fixture::{Fixture, campaign};
use crate::graphql::node::Key;

const SAVE: &str = "mutation($input: ReminderRuleInput!) { saveReminderRule(input: $input) { \
    reminderRule { id name campaign { name } campaignNamePattern afterHours audience maxReminders timeZone action subjectPrefix enabled \
        createdBy sendBetween { from to days } } userErrors { code field message } } }";

async fn ask(fixture: &Fixture, role: Role, query: &str, variables: Value) -> Value {
    let response = fixture.ask(role, query, variables).await;
    assert!(response.errors.is_empty(), "{query}: {:?}", response.errors);
    response.data.into_json().expect("JSON")
}

#[tokio::test]
async fn a_rule_is_saved_changed_run_and_deleted() {
    let fixture = Fixture::with(3).await;
    let input =
        json!({ "name": "Unread", "campaignId": campaign(), "sendBetween": { "from": "08:00", "to": "18:00" } });
    let saved = ask(&fixture, Role::Marketer, SAVE, json!({ "input": input })).await;
    let rule = &saved["saveReminderRule"]["reminderRule"];
    let expected = json!({
        "id": Key::ReminderRule(1).id().0, "name": "Unread", "campaign": rule["campaign"], "campaignNamePattern": null,
        "afterHours": 72, "audience": "NO_HUMAN_SIGNAL", "maxReminders": 1, "timeZone": "Europe/Berlin", "action": "NEW_CAMPAIGN",
        "subjectPrefix": null, "enabled": true, "createdBy": "token:1",
        "sendBetween": { "from": "08:00", "to": "18:00", "days": ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"] },
    });
    assert_eq!(rule, &expected);
    assert!(rule["campaign"]["name"].is_string());
    let id = rule["id"].clone();

    let input = json!({ "id": id, "name": "Unread", "campaignNamePattern": "*", "sendBetween": { "from": "08:00", "to": "09:00", "days": ["SAT"] } });
    let changed = ask(&fixture, Role::Marketer, SAVE, json!({ "input": input })).await;
    let rule = &changed["saveReminderRule"]["reminderRule"];
    assert_eq!((&rule["id"], &rule["campaign"], &rule["campaignNamePattern"]), (&id, &Value::Null, &json!("*")));
    assert_eq!(rule["sendBetween"]["days"], json!(["SAT"]));

    let list = "query($id: ID) { reminderRules(campaignId: $id) { id } }";
    let listed = ask(&fixture, Role::Viewer, list, json!({ "id": campaign() })).await;
    assert_eq!(listed, json!({ "reminderRules": [{ "id": id }] }));
    let node = "query($id: ID!) { node(id: $id) { ... on ReminderRule { name } } }";
    assert_eq!(ask(&fixture, Role::Viewer, node, json!({ "id": id })).await, json!({ "node": { "name": "Unread" } }));

    let run = "mutation($id: ID!) { runReminderNow(ruleId: $id) { job { id kind state } userErrors { code } } }";
    let job = ask(&fixture, Role::Marketer, run, json!({ "id": id })).await;
    assert_eq!(job["runReminderNow"]["job"]["kind"], "REMIND");
    assert_eq!(ask(&fixture, Role::Marketer, run, json!({ "id": id })).await, job, "it is waiting already");

    let delete = "mutation($id: ID!) { deleteReminderRule(id: $id) { deletedId userErrors { code field } } }";
    let deleted = ask(&fixture, Role::Marketer, delete, json!({ "id": id })).await;
    assert_eq!(deleted["deleteReminderRule"]["deletedId"], id);
    let again = ask(&fixture, Role::Marketer, delete, json!({ "id": id })).await;
    assert_eq!(
        again["deleteReminderRule"],
        json!({ "deletedId": null, "userErrors": [{ "code": "NOT_FOUND", "field": ["id"] }] })
    );
    let run = ask(&fixture, Role::Marketer, run, json!({ "id": id })).await;
    assert_eq!(run["runReminderNow"]["userErrors"], json!([{ "code": "NOT_FOUND" }]));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let fixture = Fixture::with(0).await;
    let preview =
        "query($input: ReminderRuleInput!) { reminderPreview(input: $input) { eligible userErrors { code field } } }";
    for (more, code, field) in [
        (json!({}), "INVALID", json!(["campaignId"])),
        (json!({ "campaignId": Key::Campaign(99).id().0 }), "NOT_FOUND", json!(["campaignId"])),
        (json!({ "campaignNamePattern": "*", "afterHours": 9000 }), "INVALID", json!(["afterHours"])),
        (json!({ "campaignNamePattern": "*", "timeZone": "Mars" }), "INVALID", json!(["timeZone"])),
        (
            json!({ "campaignNamePattern": "*", "action": "RESEND", "subjectPrefix": "Again:" }),
            "INVALID",
            json!(["subjectPrefix"]),
        ),
        (
            json!({ "campaignNamePattern": "*", "sendBetween": { "from": "20:00", "to": "08:00" } }),
            "INVALID",
            json!(["sendBetween", "to"]),
        ),
    ] {
        let mut input = more;
        input["name"] = json!("Unread");
        let answer = ask(&fixture, Role::Marketer, SAVE, json!({ "input": input })).await;
        let error = &answer["saveReminderRule"]["userErrors"][0];
        assert_eq!((&error["code"], &error["field"]), (&json!(code), &field), "{input}");
        let answer = ask(&fixture, Role::Marketer, preview, json!({ "input": input })).await;
        let refused = json!({ "eligible": 0, "userErrors": [{ "code": code, "field": field }] });
        assert_eq!(answer["reminderPreview"], refused, "{input}");
    }
}

#[tokio::test]
async fn a_preview_counts_and_names_examples() {
    let fixture = Fixture::with(3).await;
    // The recipients of this campaign bounced; an address of theirs is blocked as well.
    let query = "query($input: ReminderRuleInput!) { reminderPreview(input: $input) { eligible notEligible { reason count examples } \
        sample { email } nextRunAt } }";
    let input = json!({ "name": "Unread", "campaignId": campaign() });
    for role in [Role::Viewer, Role::Marketer] {
        let answer = ask(&fixture, role, query, json!({ "input": input })).await;
        let preview = &answer["reminderPreview"];
        assert_eq!(
            (&preview["eligible"], &preview["sample"], &preview["nextRunAt"]),
            (&json!(0), &json!([]), &Value::Null)
        );
        let total: i64 = preview["notEligible"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|skipped| skipped["count"].as_i64())
            .sum();
        assert_eq!(total, 3, "{preview}");
        let example = preview["notEligible"][0]["examples"][0].as_str().expect("an example").to_owned();
        let node =
            ask(&fixture, role, "query($id: ID!) { node(id: $id) { __typename } }", json!({ "id": example })).await;
        assert_eq!(node, json!({ "node": { "__typename": "Recipient" } }));
    }
}
