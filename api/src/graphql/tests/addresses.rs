//! Addresses: why one is blocked, groups, complaints, and sets of them that something is done with.

use serde_json::json;
use service::Role;

use super::fixture::{Fixture, ids};

#[tokio::test]
async fn why_an_address_is_blocked_can_be_read_down_to_the_event() {
    let fixture = Fixture::with(3).await;
    let query = "{ address(email: \"Erika.Muster@kleinfirma.example\") { blockReason blockNote consentWithdrawn \
        blockEvent { kind diagnostic recipient { email } } } }";
    let address = &fixture.data(query).await["address"];
    assert_eq!(address["blockReason"], "HARD_BOUNCE");
    assert_eq!(address["blockEvent"]["kind"], "HARD_BOUNCE");
    assert_eq!(address["blockEvent"]["recipient"]["email"], "Erika.Muster@kleinfirma.example");
    let address = &ids()[2].1.0;
    let query = format!(
        "{{ auditLog(filter: {{ objectId: \"{address}\", action: \"address.\" }}) {{ nodes {{ action objectId }} totalCount {{ value }} }} }}"
    );
    let response = fixture.ask(Role::Admin, &query, json!({})).await;
    assert!(response.errors.is_empty(), "{:?}", response.errors);
    let log = &response.data.into_json().expect("JSON")["auditLog"];
    assert_eq!(log["nodes"], json!([{ "action": "address.blocked", "objectId": address }]));
    assert_eq!(log["totalCount"]["value"], 1);
}

#[tokio::test]
async fn groups_and_complaints_are_listed() {
    let fixture = Fixture::with(3).await;
    let data = fixture.data("{ blockedAddressGroups(by: DOMAIN) { key count } }").await;
    assert_eq!(data["blockedAddressGroups"], json!([{ "key": "kleinfirma.example", "count": 1 }]));
    let data = fixture.data("{ complaints { nodes { complainedAt recipient { email } address { email } } totalCount { value exact } } }").await;
    let complaints = &data["complaints"];
    assert_eq!(complaints["totalCount"], json!({ "value": 1, "exact": true }));
    assert_eq!(complaints["nodes"][0]["address"]["email"], "erika.muster@kleinfirma.example");
}

#[tokio::test]
async fn a_set_becomes_a_job_or_is_refused() {
    let fixture = Fixture::with(3).await;
    let mutation = "mutation($input: AddressSet!) { clearBounces(input: $input) { job { kind state total } userErrors { code field } } }";
    let ask = async |input: serde_json::Value| {
        let response = fixture.ask(Role::Marketer, mutation, json!({ "input": input })).await;
        assert!(response.errors.is_empty(), "{:?}", response.errors);
        response.data.into_json().expect("JSON")["clearBounces"].clone()
    };
    let begun = ask(json!({ "where": { "domain": ["kleinfirma.example"] } })).await;
    assert_eq!(begun["job"], json!({ "kind": "CLEAR_BOUNCES", "state": "QUEUED", "total": null }));
    for input in [json!({}), json!({ "emails": [], "where": {} })] {
        let refused = ask(input).await;
        assert_eq!(refused["job"], json!(null));
        assert_eq!(refused["userErrors"], json!([{ "code": "INVALID", "field": ["input"] }]));
    }
    let refused = ask(json!({ "emails": [] })).await;
    assert_eq!(refused["userErrors"], json!([{ "code": "INVALID", "field": ["emails"] }]));
}
