//! Settings: everybody reads them, admins change them.

use serde_json::json;
use service::Role;

use super::fixture::Fixture;

const ALL: &str = "acceptedSoftBounces softBounceWindow { bounces ofLastSends } blockExpiryDays softBounceClasses bounceRateAlert \
    complaintRateAlert refusalRateAlert alertMinimumSample silentHours tracking escalationTasks";

async fn update(fixture: &Fixture, input: serde_json::Value) -> serde_json::Value {
    let query = format!(
        "mutation($input: SettingsInput!) {{ updateSettings(input: $input) {{ settings {{ {ALL} }} userErrors {{ code field }} }} }}"
    );
    let response = fixture.ask(Role::Admin, &query, json!({ "input": input })).await;
    assert!(response.errors.is_empty(), "{:?}", response.errors);
    response.data.into_json().expect("JSON")["updateSettings"].clone()
}

async fn read(fixture: &Fixture) -> serde_json::Value {
    let response = fixture.ask(Role::Viewer, &format!("{{ settings {{ {ALL} }} }}"), json!({})).await;
    response.data.into_json().expect("JSON")["settings"].clone()
}

#[tokio::test]
async fn settings_are_read_changed_and_switched_off_again() {
    let fixture = Fixture::with(0).await;
    let defaults = json!({
        "acceptedSoftBounces": 5, "softBounceWindow": null, "blockExpiryDays": null,
        "softBounceClasses": ["SOFT", "MAILBOX_FULL", "DNS", "UNKNOWN"], "bounceRateAlert": 0.05, "complaintRateAlert": 0.001,
        "refusalRateAlert": 0.02, "alertMinimumSample": 100, "silentHours": 6, "tracking": true, "escalationTasks": false,
    });
    fixture.statements();
    assert_eq!(read(&fixture).await, defaults);
    assert_eq!(fixture.statements(), 1);

    let window = json!({ "bounces": 3, "ofLastSends": 8 });
    let input = json!({ "softBounceWindow": window, "blockExpiryDays": 30, "bounceRateAlert": 0.1, "softBounceClasses": ["DNS"],
        "escalationTasks": true });
    let payload = update(&fixture, input).await;
    let mut expected = defaults.clone();
    expected["softBounceWindow"] = window;
    expected["blockExpiryDays"] = json!(30);
    expected["bounceRateAlert"] = json!(0.1);
    expected["softBounceClasses"] = json!(["DNS"]);
    expected["escalationTasks"] = json!(true);
    assert_eq!(payload, json!({ "settings": expected, "userErrors": [] }));

    // What is left out stays; null switches off what can be off, and leaves the rest alone.
    let payload = update(&fixture, json!({ "softBounceWindow": null, "bounceRateAlert": null })).await;
    expected["softBounceWindow"] = json!(null);
    assert_eq!(payload["settings"], expected);
    assert_eq!(read(&fixture).await, expected);
}

#[tokio::test]
async fn a_refusal_names_the_field() {
    let fixture = Fixture::with(0).await;
    for (input, field) in [
        (json!({ "acceptedSoftBounces": 0 }), json!(["acceptedSoftBounces"])),
        (json!({ "softBounceWindow": { "bounces": 9, "ofLastSends": 8 } }), json!(["softBounceWindow", "bounces"])),
        (json!({ "complaintRateAlert": 5 }), json!(["complaintRateAlert"])),
    ] {
        let payload = update(&fixture, input).await;
        assert_eq!(payload, json!({ "settings": null, "userErrors": [{ "code": "INVALID", "field": field }] }));
    }
    let change = "mutation { updateSettings(input: { tracking: false }) { userErrors { code } } }";
    assert_eq!(fixture.error(Role::Marketer, change).await, "FORBIDDEN");
}
