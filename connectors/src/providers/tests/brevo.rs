//! Brevo: its documented events, one by one and batched.

use domain::machine::Verdict;
use domain::reading::{ReadError, Reading};
use domain::{BounceClass as C, Event, EventKind as K, Timestamp};
use serde_json::{Value, json};

use super::super::{Webhook, brevo::Brevo};
use super::{Sample, fixture};

fn of(mut element: Value) -> Event {
    if element.get("event").is_none() {
        element["event"] = json!("opened");
    }
    Sample::json(element.to_string()).event(&Brevo)
}

#[test]
fn every_event_is_mapped() {
    let cases = [
        (K::Queued, None),
        (K::Delivered, None),
        (K::Deferred, Some(C::Block)),
        (K::SoftBounce, Some(C::Soft)),
        (K::HardBounce, Some(C::Hard)),
        (K::HardBounce, Some(C::Hard)),
        (K::Blocked, Some(C::Block)),
        (K::Failed, None),
        (K::Complained, None),
        (K::Complained, None),
        (K::Unsubscribed, None),
        (K::Clicked, None),
        (K::Opened, None),
        (K::Opened, None),
        (K::Subscribed, None),
        (K::Other, None),
    ];
    let events = Sample::json(fixture("brevo/events.json")).read(&Brevo).events;
    assert_eq!(events.iter().map(|event| (event.kind, event.bounce_class)).collect::<Vec<_>>(), cases);
    for event in &events {
        assert_eq!(event.message_id.as_deref(), Some("201798300811.5787683@smtp-relay.mailin.fr"));
        assert_eq!(event.occurred_at, Timestamp::from_millis(1_604_933_623_711));
        assert_eq!((event.campaign.as_deref(), event.recipient_ref.as_deref()), (Some("spring"), Some("4711")));
        assert_eq!(*event.tags, ["transactional", "spring"]);
    }
    assert_eq!(events[11].url.as_deref(), Some("https://example.com/offer"));
}

#[test]
fn a_deferral_with_a_permanent_status_is_a_bounce() {
    let event = of(json!({ "event": "deferred", "reason": "550 5.1.1 user unknown" }));
    assert_eq!((event.kind, event.smtp_code), (K::HardBounce, Some(550)));
}

#[test]
fn a_proxys_open_is_a_machines() {
    let proxy = Sample::json(fixture("brevo/proxy-open.json")).event(&Brevo);
    assert!(proxy.kind == K::Opened && proxy.verdict.is_some_and(Verdict::is_machine));
    assert_eq!(*proxy.tags, ["transactional"]);
    assert_eq!(proxy.occurred_at, Timestamp::from_seconds(1_604_933_619));
    assert!(of(json!({ "event": "proxy_open" })).verdict.is_some_and(Verdict::is_machine));
    assert_eq!(of(json!({ "event": "opened" })).verdict, Some(Verdict::Human));
}

#[test]
fn the_epoch_is_in_milliseconds_or_seconds_and_no_other_time_is_read() {
    let cases = [
        (json!({ "ts_epoch": 1_604_933_623 }), 1_604_933_623),
        (json!({ "ts_epoch": 1_604_933_623_000_i64 }), 1_604_933_623),
        (json!({ "ts": 1, "ts_event": 2, "date": "2020-10-09 00:00:00" }), 1_767_225_600),
    ];
    for (element, seconds) in cases {
        assert_eq!(of(element).occurred_at, Timestamp::from_seconds(seconds));
    }
}

#[test]
fn tags_and_metadata_come_in_every_form() {
    let tags = [
        (json!({ "tag": "Welcome" }), vec!["Welcome"]),
        (json!({ "tag": "[\"a\",\"b\"]" }), vec!["a", "b"]),
        (json!({ "tag": ["a"] }), vec!["a"]),
        (json!({ "tag": "x", "tags": ["a", "b"] }), vec!["a", "b"]),
        (json!({ "tag": "" }), vec![]),
    ];
    for (element, expected) in tags {
        assert_eq!(*of(element.clone()).tags, expected, "{element}");
    }
    assert_eq!(of(json!({ "X-Mailin-custom": "free text" })).metadata["X-Mailin-custom"], "free text");
    assert_eq!(of(json!({ "X-Mailin-custom": { "campaign": "spring" } })).campaign.as_deref(), Some("spring"));
    assert_eq!(of(json!({ "message-id": "bare@example.com" })).message_id.as_deref(), Some("bare@example.com"));
}

#[test]
fn the_webhooks_id_is_not_the_events() {
    let opened = |time: i64| of(json!({ "id": 26224, "email": "A@example.com", "ts_epoch": time })).event_id;
    assert_eq!(opened(1_604_933_623_711), opened(1_604_933_623_711));
    assert_ne!(opened(1_604_933_623_711), opened(1_604_933_623_712));
}

#[test]
fn bad_elements_inbound_mails_and_foreign_bodies() {
    let reading = Sample::json(r#"[{"event": "opened"}, null]"#).read(&Brevo);
    assert_eq!((reading.events.len(), reading.failures[0].index), (1, 1));
    assert_eq!(Sample::json("[]").read(&Brevo), Reading::default());
    let inbound = Brevo.read(&Sample::json(fixture("brevo/inbound.json")).request());
    assert!(matches!(inbound, Err(ReadError::InboundMail(_))));
    for body in ["{", "7", "{}"] {
        assert!(matches!(Brevo.read(&Sample::json(body).request()), Err(ReadError::NotThisProvider { .. })), "{body}");
    }
}
