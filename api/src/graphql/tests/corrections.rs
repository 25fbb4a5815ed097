//! Corrections: what is asked for, refused and shown.

use serde_json::{Value, json};
use service::Role;
use service::recipients::RecipientKey;

use super::fixture::Fixture;
use crate::graphql::node::Key;

async fn ask(fixture: &Fixture, role: Role, query: &str, variables: Value) -> Value {
    let response = fixture.ask(role, query, variables).await;
    assert!(response.errors.is_empty(), "{query}: {:?}", response.errors);
    response.data.into_json().expect("JSON")
}

const CORRECT: &str = "mutation($input: CorrectAddressInput!) { correctAddress(input: $input) { \
    correction { id oldEmail newEmail state source push reason createdBy decidedBy } userErrors { code field } } }";

#[tokio::test]
async fn an_address_is_corrected_or_that_is_refused() {
    let fixture = Fixture::with(3).await;
    let input = json!({ "oldEmail": "Erika.Muster@kleinfirma.example", "newEmail": "e@kleinfirma.example", "reason": "vertippt" });
    let answer = ask(&fixture, Role::Marketer, CORRECT, json!({ "input": input })).await;
    let correction = &answer["correctAddress"]["correction"];
    assert_eq!(answer["correctAddress"]["userErrors"], json!([]));
    assert_eq!(correction["newEmail"], "e@kleinfirma.example");
    assert_eq!((&correction["state"], &correction["source"]), (&json!("APPLIED"), &json!("MANUAL")));
    assert_eq!((&correction["createdBy"], &correction["reason"]), (&json!("token:1"), &json!("vertippt")));
    let node = "query($id: ID!) { node(id: $id) { ... on Correction { oldEmail newEmail reason person { name } } } }";
    let shown = ask(&fixture, Role::Viewer, node, json!({ "id": correction["id"] })).await;
    assert_eq!(shown["node"]["oldEmail"], "•••");
    assert_eq!((&shown["node"]["newEmail"], &shown["node"]["reason"]), (&json!("•••"), &Value::Null));
    let audited = "query($id: ID!) { auditLog(filter: { objectId: $id }) { nodes { action objectId } } }";
    let log = ask(&fixture, Role::Admin, audited, json!({ "id": correction["id"] })).await;
    assert_eq!(log["auditLog"]["nodes"], json!([{ "action": "address.corrected", "objectId": correction["id"] }]));

    for (old, new, person, code, field) in [
        ("a@x.example", "b@x.example", Value::Null, "NOT_FOUND", "oldEmail"),
        ("e@kleinfirma.example", "E@kleinfirma.example", Value::Null, "INVALID", "newEmail"),
        ("e@kleinfirma.example", "erika.muster@kleinfirma.example", Value::Null, "CONFLICT", "newEmail"),
        ("e@kleinfirma.example", "b@x.example", json!(Key::Person(99).id().0), "NOT_FOUND", "personId"),
        ("e@kleinfirma.example", "b@x.example", json!(Key::Job(1).id().0), "INVALID", "personId"),
    ] {
        let input = json!({ "oldEmail": old, "newEmail": new, "personId": person });
        let answer = ask(&fixture, Role::Marketer, CORRECT, json!({ "input": input })).await;
        assert_eq!(
            answer["correctAddress"],
            json!({ "correction": null, "userErrors": [{ "code": code, "field": [field] }] }),
            "{old} {new}"
        );
    }
    // Also by the recipient, whose address may be none at all.
    let recipient = Key::Recipient(RecipientKey { campaign: 1, number: 2 }).id().0;
    let input = json!({ "recipientId": recipient, "newEmail": "zwei@kleinfirma.example" });
    let answer = ask(&fixture, Role::Marketer, CORRECT, json!({ "input": input })).await;
    assert_eq!(answer["correctAddress"]["correction"]["newEmail"], "zwei@kleinfirma.example", "{answer}");
    let unknown = Key::Recipient(RecipientKey { campaign: 1, number: 99 }).id().0;
    for (input, code, field) in [
        (json!({ "recipientId": unknown, "newEmail": "b@x.example" }), "NOT_FOUND", "recipientId"),
        (json!({ "recipientId": Key::Job(1).id().0, "newEmail": "b@x.example" }), "INVALID", "recipientId"),
        (
            json!({ "recipientId": unknown, "oldEmail": "a@x.example", "newEmail": "b@x.example" }),
            "INVALID",
            "oldEmail",
        ),
        (json!({ "newEmail": "b@x.example" }), "INVALID", "oldEmail"),
    ] {
        let answer = ask(&fixture, Role::Marketer, CORRECT, json!({ "input": input })).await;
        assert_eq!(answer["correctAddress"]["userErrors"], json!([{ "code": code, "field": [field] }]), "{input}");
    }
    let pushed = "{ corrections(filter: { push: [FAILED] }) { nodes { id } } }";
    assert_eq!(ask(&fixture, Role::Marketer, pushed, json!({})).await["corrections"]["nodes"], json!([]));
    // What is no address is said to whoever wrote it, by its field.
    let input = json!({ "oldEmail": "e@kleinfirma.example", "newEmail": "kaputt-0815" });
    let answer = ask(&fixture, Role::Marketer, CORRECT, json!({ "input": input })).await;
    assert_eq!(answer["correctAddress"]["userErrors"], json!([{ "code": "INVALID", "field": ["newEmail"] }]));
}

#[tokio::test]
async fn suggestions_and_conflicts_are_decided_on_once() {
    let fixture = Fixture::with(3).await;
    let (suggestion, conflict) = (Key::Correction(1).id().0, Key::Correction(2).id().0);
    let list = "{ corrections(filter: { state: [SUGGESTED], reason: [TYPO_DOMAIN] }) { nodes { id suggestion confidence } totalCount { value } } }";
    let listed = ask(&fixture, Role::Viewer, list, json!({})).await;
    let expected = json!({ "nodes": [{ "id": suggestion, "suggestion": "TYPO_DOMAIN", "confidence": 87 }], "totalCount": { "value": 1 } });
    assert_eq!(listed["corrections"], expected);

    let reject =
        "mutation($id: ID!) { rejectSuggestion(correctionId: $id) { correction { state } userErrors { code field } } }";
    let rejected = ask(&fixture, Role::Marketer, reject, json!({ "id": suggestion })).await;
    assert_eq!(rejected["rejectSuggestion"], json!({ "correction": { "state": "REJECTED" }, "userErrors": [] }));
    let accept =
        "mutation($id: ID!) { acceptSuggestion(correctionId: $id) { correction { state } userErrors { code field } } }";
    for (id, code, field) in [
        (&suggestion, "CONFLICT", Value::Null),
        (&conflict, "CONFLICT", Value::Null),
        (&Key::Correction(99).id().0, "NOT_FOUND", json!(["correctionId"])),
        (&Key::Job(1).id().0, "INVALID", json!(["correctionId"])),
    ] {
        let answer = ask(&fixture, Role::Marketer, accept, json!({ "id": id })).await;
        assert_eq!(
            answer["acceptSuggestion"],
            json!({ "correction": null, "userErrors": [{ "code": code, "field": field }] })
        );
    }
    let resolve = "mutation($id: ID!, $keep: ConflictSide!) { resolveConflict(correctionId: $id, keep: $keep) { \
        correction { state push newEmail crmEmail } userErrors { code } } }";
    let solved = ask(&fixture, Role::Marketer, resolve, json!({ "id": conflict, "keep": "CRM" })).await;
    let expected = json!({ "state": "APPLIED", "push": "PUSHED", "newEmail": "muster@crm.example", "crmEmail": null });
    assert_eq!(solved["resolveConflict"], json!({ "correction": expected, "userErrors": [] }));
    let again = ask(&fixture, Role::Marketer, resolve, json!({ "id": conflict, "keep": "OURS" })).await;
    assert_eq!(again["resolveConflict"], json!({ "correction": null, "userErrors": [{ "code": "CONFLICT" }] }));
}

#[tokio::test]
async fn files_and_searches_become_jobs() {
    let fixture = Fixture::with(0).await;
    let import = "mutation { importCorrections(input: { uploadId: \"x\" }) { job { id } userErrors { code field } } }";
    let refused = ask(&fixture, Role::Marketer, import, json!({})).await;
    assert_eq!(
        refused["importCorrections"],
        json!({ "job": null, "userErrors": [{ "code": "NOT_FOUND", "field": ["uploadId"] }] })
    );
    let suggest = "mutation { suggestCorrections { job { id kind state } userErrors { code } } }";
    let job = ask(&fixture, Role::Marketer, suggest, json!({})).await;
    assert_eq!(job["suggestCorrections"]["job"]["kind"], "SUGGEST_CORRECTIONS");
    assert_eq!(ask(&fixture, Role::Marketer, suggest, json!({})).await, job, "one at a time");
    let issues = "query($id: ID!) { correctionIssues(jobId: $id) { line text reason } }";
    let shown = ask(&fixture, Role::Marketer, issues, json!({ "id": Key::Job(1).id().0 })).await;
    assert_eq!(
        shown["correctionIssues"],
        json!([{ "line": 3, "text": "erika.muster,x", "reason": "the new address cannot be used" }])
    );
}
