//! Reminders that are members of a selection of the CRM, or the same campaign again.

use crm_testing::superoffice::SuperOffice;
use domain::crm::ListKind;
use serde_json::{Value, json};

use crate::harness::{Api, Site, eventually};
use crate::reminders::{MAILGUN, SENT, preview, run};

in_every_mode!(a_reminder_may_be_a_selection_or_the_campaign_again);

async fn a_reminder_may_be_a_selection_or_the_campaign_again(site: Site) {
    let crm = SuperOffice::start();
    crm.generate(4);
    let site = site.with(&[&MAILGUN]).with_more(&crm.toml(200));
    site.write(
        "autumn.csv",
        "email,crm id\nperson1@example.com,1\nperson2@example.com,2\nperson3@example.com,3\nx@y.example,\n",
    );
    let _running = site.start().await;
    let api = site.client("admin");
    site.run(["crm", "sync"]);
    let sent_at = "2026-03-02T08:00:00Z";
    let import =
        ["import", "--campaign", "autumn", "--name", "Autumn", "--state", "sent", "--sent-at", sent_at, "--json"];
    let imported = site.run_json(import.into_iter().chain(["autumn.csv"]));
    let campaign = imported["campaignId"].as_str().expect("an id");
    report_read(&api, 3, "autumn").await;

    let mut rule = json!({ "name": "Call them", "campaignId": campaign, "action": "SELECTION" });
    let called = run(&api, &save(&api, &rule).await).await;
    assert_eq!((&called["added"], &called["selection"]["name"]), (&json!(3), &json!("Reminder: Autumn")), "{called}");
    let members = eventually("they are members in the CRM", async || {
        let lists = crm.lists(ListKind::Selection);
        let (id, _) = lists.iter().find(|(_, name)| name == "Reminder: Autumn")?;
        let members: Vec<i64> = crm.members(ListKind::Selection, *id).into_iter().map(|(person, _)| person).collect();
        (!members.is_empty()).then_some(members)
    })
    .await;
    assert_eq!(members, [1, 2], "3 has read it, and one is not in the CRM");

    rule["action"] = json!("RESEND");
    let preview = preview(&api, &rule).await;
    assert_eq!(preview["eligible"], 3, "another rule, and nobody was sent anything");
    let again = run(&api, &save(&api, &rule).await).await;
    assert_eq!((&again["added"], &again["campaign"]["id"]), (&json!(3), &json!(campaign)), "{again}");
    assert_eq!(standing(&api, campaign).await, (json!("SENDING"), json!({ "ready": 3, "opened": 1 })));
    let cancel = "mutation($id: ID!) { cancelCampaign(id: $id) { campaign { state } userErrors { message } } }";
    let canceled = api.ask(cancel, json!({ "id": campaign })).await;
    assert_eq!(canceled["cancelCampaign"]["campaign"]["state"], "SENT", "{canceled}");
    assert_eq!(standing(&api, campaign).await, (json!("SENT"), json!({ "ready": 0, "opened": 1 })));
    site.assert_counted_right();
}

/// One of the CRM's persons has read the mail.
async fn report_read(api: &Api, person: i64, campaign: &str) {
    let body = json!({
        "event": "opened",
        "id": format!("read-{person}"),
        "timestamp": SENT + 60,
        "recipient": format!("person{person}@example.com"),
        "user-variables": { "nachfass_campaign": campaign },
    });
    api.report(&MAILGUN, &body).await;
    api.applied().await;
}

/// The state of a campaign, and figures.
async fn standing(api: &Api, campaign: &str) -> (Value, Value) {
    let query = "query($id: ID!) { campaign(id: $id) { state statusBreakdown { status count } } }";
    let mut data = api.ask(query, json!({ "id": campaign })).await;
    let campaign = &mut data["campaign"];
    let count = |status: &str| {
        let all = campaign["statusBreakdown"].as_array().expect("a list");
        all.iter().find(|row| row["status"] == status).map_or(json!(0), |row| row["count"].clone())
    };
    let figures = json!({ "ready": count("READY"), "opened": count("READ") });
    (campaign["state"].take(), figures)
}

/// Saves a rule; its id.
async fn save(api: &Api, rule: &Value) -> String {
    let query = "mutation($rule: ReminderRuleInput!) { saveReminderRule(input: $rule) { reminderRule { id } userErrors { message } } }";
    let saved = api.ask(query, json!({ "rule": rule })).await;
    saved["saveReminderRule"]["reminderRule"]["id"].as_str().unwrap_or_else(|| panic!("{saved}")).to_owned()
}
