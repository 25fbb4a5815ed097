//! Reminders: a rule is tried out and run, and those who did not read the mail are in a campaign of their own.

use serde_json::{Value, json};

use crate::harness::{Api, Site, Source, fixture};

in_every_mode!(those_who_did_not_read);

pub const MAILGUN: Source = Source::mailgun();
/// In Unix seconds; the file of recipients was sent then.
pub const SENT: i64 = 1_772_438_400;

async fn those_who_did_not_read(site: Site) {
    let site = site.with(&[&MAILGUN]);
    site.write("spring.csv", fixture("spring.csv"));
    let _running = site.start().await;
    let sent_at = "2026-03-02T08:00:00Z";
    let import =
        ["import", "--campaign", "spring", "--name", "Spring", "--state", "sent", "--sent-at", sent_at, "--json"];
    let imported = site.run_json(import.into_iter().chain(["spring.csv"]));
    let campaign = imported["campaignId"].as_str().expect("an id");
    let api = site.client("admin");

    let rule = json!({ "name": "Unread", "campaignId": campaign, "subjectPrefix": "Again:" });
    let preview = preview(&api, &rule).await;
    assert_eq!(preview["eligible"], 7);
    assert_eq!(skipped(&preview["notEligible"]), [("NOT_SENT".to_owned(), 2)]);

    for (event, email, id) in [("opened", "ada@alpha.example", "r1"), ("complained", "bob@alpha.example", "r2")] {
        let body = json!({
            "event": event,
            "id": format!("{event}-{id}"),
            "timestamp": SENT + 60,
            "recipient": email,
            "message": { "headers": { "message-id": format!("{id}@mg.example") } },
            "user-variables": { "nachfass_campaign": "spring", "recipient_id": id },
        });
        api.report(&MAILGUN, &body).await;
    }
    api.applied().await;

    let saved = api
        .ask(
            "mutation($rule: ReminderRuleInput!) { saveReminderRule(input: $rule) { reminderRule { id afterHours audience enabled campaign { id } } userErrors { message } } }",
            json!({ "rule": rule }),
        )
        .await;
    let saved = &saved["saveReminderRule"]["reminderRule"];
    assert_eq!((&saved["afterHours"], &saved["audience"]), (&json!(72), &json!("NO_HUMAN_SIGNAL")), "{saved}");
    let id = saved["id"].as_str().expect("an id");

    let first = run(&api, id).await;
    assert_eq!(first["added"], 5, "{first}");
    let expected = [("COMPLAINED".to_owned(), 1), ("NOT_SENT".to_owned(), 2), ("RESPONDED".to_owned(), 1)];
    assert_eq!(skipped(&first["skippedByReason"]), expected);
    let again = run(&api, id).await;
    assert_eq!((&again["added"], &again["campaign"]), (&json!(0), &Value::Null), "{again}");

    let query = "query($id: ID!) { campaign(id: $id) { reminders { id name subject state parent { id }
        recipients(first: 20) { nodes { email status } } statistics { recipients } } } }";
    let data = api.ask(query, json!({ "id": campaign })).await;
    let reminders = data["campaign"]["reminders"].as_array().expect("a list");
    assert_eq!(reminders.len(), 1);
    let reminder = &reminders[0];
    assert_eq!((&reminder["name"], &reminder["state"]), (&json!("Again: Spring"), &json!("DRAFT")));
    assert_eq!((&reminder["parent"]["id"], &reminder["id"]), (&json!(campaign), &first["campaign"]["id"]));
    assert_eq!(reminder["statistics"]["recipients"], 5);
    let recipients = reminder["recipients"]["nodes"].as_array().expect("a list");
    assert_eq!(recipients.len(), 5);
    for recipient in recipients {
        assert_eq!(recipient["status"], "READY");
        let email = recipient["email"].as_str().expect("an address");
        assert!(!email.starts_with("ada@") && !email.starts_with("bob@"), "{email}");
    }
    site.assert_counted_right();
}

pub async fn preview(api: &Api, rule: &Value) -> Value {
    let query = "query($rule: ReminderRuleInput!) { reminderPreview(input: $rule) { eligible notEligible { reason count examples } sample { email } nextRunAt } }";
    api.ask(query, json!({ "rule": rule })).await["reminderPreview"].take()
}

/// Runs a rule now; what came of it.
pub async fn run(api: &Api, rule: &str) -> Value {
    let query = "mutation($id: ID!) { runReminderNow(ruleId: $id) { job { id } userErrors { message } } }";
    let data = api.ask(query, json!({ "id": rule })).await;
    let job = data["runReminderNow"]["job"]["id"].as_str().unwrap_or_else(|| panic!("{data}"));
    api.finished(job).await;
    let query = "query($id: ID!) { job(id: $id) { result { added campaign { id } selection { name } skippedByReason { reason count } } } }";
    api.ask(query, json!({ "id": job })).await["job"]["result"].take()
}

/// Reasons and how many.
fn skipped(list: &Value) -> Vec<(String, i64)> {
    let count = |skipped: &Value| {
        let reason = skipped["reason"].as_str().expect("a reason").to_owned();
        (reason, skipped["count"].as_i64().expect("a number"))
    };
    let mut counts: Vec<_> = list.as_array().expect("a list").iter().map(count).collect();
    counts.sort_unstable();
    counts
}
