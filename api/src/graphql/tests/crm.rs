//! The CRM, and what came of reading it.

use serde_json::{Value, json};
use service::Role;

use super::fixture::Fixture;
use crate::graphql::node::Key;

async fn ask(fixture: &Fixture, query: &str) -> Value {
    let response = fixture.ask(Role::Viewer, query, json!({})).await;
    assert!(response.errors.is_empty(), "{query}: {:?}", response.errors);
    response.data.into_json().expect("JSON")
}

async fn run(fixture: &Fixture, sql: &str) {
    service::db::execute(fixture.services.db().write(), sql, []).await.expect(sql);
}

#[tokio::test]
async fn how_far_the_crm_was_read_can_be_asked() {
    const CRM: &str = "{ crm { name isBuiltIn readings { subject readUntil completeAt triedAt error jobId } } }";
    let fixture = Fixture::with(0).await;
    assert_eq!(ask(&fixture, CRM).await, json!({ "crm": { "name": "built-in", "isBuiltIn": true, "readings": [] } }));
    run(&fixture, "INSERT INTO crm_sync (subject, last_job) VALUES ('reading', 3)").await;
    run(
        &fixture,
        "INSERT INTO crm_sync (subject, last_job, last_error, last_at) VALUES ('selections', 3, 'it is closed', 1767225600000000)",
    )
    .await;
    run(
        &fixture,
        "INSERT INTO crm_sync (subject, read_until, complete_at, last_job, last_at) \
         VALUES ('persons', 1767225600000000, 1767225601000000, 2, 1767225602000000)",
    )
    .await;
    // What the CRM said may name persons.
    let hidden = &ask(&fixture, CRM).await["crm"]["readings"][1]["error"];
    assert_eq!(hidden, "•••");
    let readings = &fixture.data(CRM).await["crm"]["readings"];
    assert_eq!(
        readings,
        &json!([
            {
                "subject": "PERSONS", "readUntil": "2026-01-01T00:00:00.000000Z", "completeAt": "2026-01-01T00:00:01.000000Z",
                "triedAt": "2026-01-01T00:00:02.000000Z", "error": null, "jobId": Key::Job(2).id().0,
            },
            {
                "subject": "SELECTIONS", "readUntil": null, "completeAt": null, "triedAt": "2026-01-01T00:00:00.000000Z",
                "error": "it is closed", "jobId": Key::Job(3).id().0,
            },
        ])
    );
}

#[tokio::test]
async fn whom_the_crm_refuses_is_an_example_in_the_result_of_the_job() {
    let fixture = Fixture::with(0).await;
    run(
        &fixture,
        "INSERT INTO job (id, kind, queue, payload, state, run_at, result, created_by, created_at) VALUES (3, 17, 3, '{}', 3, 1, \
         '{\"list\":\"SELECTION\",\"listId\":1,\"added\":1,\"unchanged\":0,\
           \"skippedByReason\":[{\"reason\":\"REFUSED_BY_CRM\",\"count\":1,\"examples\":[\"person:1\"]}]}', 'user:1', 1)",
    )
    .await;
    let query =
        format!("{{ job(id: \"{}\") {{ result {{ skippedByReason {{ reason examples }} }} }} }}", Key::Job(3).id().0);
    let skipped = &ask(&fixture, &query).await["job"]["result"]["skippedByReason"];
    let person = Key::Person(1).id().0;
    assert_eq!(skipped, &json!([{ "reason": "REFUSED_BY_CRM", "examples": [person] }]));
    let node = format!("{{ node(id: \"{person}\") {{ ... on Person {{ crmId }} }} }}");
    assert_eq!(ask(&fixture, &node).await, json!({ "node": { "crmId": "•••" } }));
}

#[tokio::test]
async fn what_could_not_be_read_is_in_the_result_of_the_job() {
    let fixture = Fixture::with(0).await;
    run(
        &fixture,
        "INSERT INTO job (id, kind, queue, payload, state, run_at, result, created_by, created_at) VALUES (3, 16, 3, '{}', 3, 1, \
         '{\"persons\":10,\"changed\":3,\"gone\":2,\"lists\":1,\"failed\":1,\
           \"notRead\":[{\"reason\":\"SELECTION_NOT_READ\",\"count\":1,\"examples\":[\"selection:1\"]}]}', 'user:1', 1)",
    )
    .await;
    let query = format!(
        "{{ job(id: \"{}\") {{ result {{ updated unchanged skipped skippedByReason {{ reason count examples }} }} }} }}",
        Key::Job(3).id().0
    );
    let result = &ask(&fixture, &query).await["job"]["result"];
    let skipped = json!([{ "reason": "SELECTION_NOT_READ", "count": 1, "examples": [Key::Selection(1).id().0] }]);
    assert_eq!(result, &json!({ "updated": 5, "unchanged": 7, "skipped": 1, "skippedByReason": skipped }));
}
