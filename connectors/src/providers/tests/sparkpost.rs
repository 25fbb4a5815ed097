//! SparkPost: a batch of its documented events.

use domain::machine::Verdict;
use domain::reading::{ReadError, Reading};
use domain::{BounceClass as C, Event, EventKind as K, Timestamp};
use serde_json::{Value, json};

use super::super::{Handshake, Webhook, sparkpost::Sparkpost};
use super::{Sample, fixture};

fn of(event: &Value) -> Event {
    Sample::json(json!([{ "msys": { "message_event": event } }]).to_string()).event(&Sparkpost)
}

#[test]
fn every_event_is_mapped() {
    let cases = [
        (K::Queued, None),
        (K::Delivered, None),
        (K::Deferred, Some(C::Soft)),
        (K::HardBounce, Some(C::Hard)),
        (K::HardBounce, Some(C::Hard)),
        (K::Rejected, Some(C::Block)),
        (K::Complained, None),
        (K::Rejected, None),
        (K::Failed, None),
        (K::Opened, None),
        (K::Other, None),
        (K::Clicked, None),
        (K::Opened, None),
        (K::Other, None),
        (K::Clicked, None),
        (K::Unsubscribed, None),
        (K::Unsubscribed, None),
        (K::Other, None),
    ];
    let events = Sample::json(fixture("sparkpost/events.json")).read(&Sparkpost).events;
    assert_eq!(events.iter().map(|event| (event.kind, event.bounce_class)).collect::<Vec<_>>(), cases);
    for event in &events {
        assert!(event.event_id.starts_with("925490468879319"));
        assert_eq!(event.message_id.as_deref(), Some("65832150921904138"));
        assert_eq!(event.recipient.as_deref(), Some("Recipient@example.com"));
        assert_eq!(
            (event.campaign.as_deref(), event.recipient_ref.as_deref()),
            (Some("Example Campaign Name"), Some("4711"))
        );
        assert_eq!(*event.tags, ["Example Campaign Name", "male", "US"]);
    }
    assert_eq!((events[3].smtp_code, events[3].enhanced_code), (Some(550), "5.1.1".parse().ok()));
    assert_eq!(events[3].diagnostic.as_deref(), Some("550 5.1.1 <Recipient@example.com> unknown"));
    assert_eq!(events[11].url.as_deref(), Some("https://example.com/offer"));
    assert_eq!(events[9].verdict, Some(Verdict::Human));
    assert!(events[12].verdict.is_some_and(Verdict::is_machine));
}

#[test]
fn times_are_seconds_in_a_text_or_iso() {
    let events = Sample::json(fixture("sparkpost/events.json")).read(&Sparkpost).events;
    assert_eq!(events[0].occurred_at, Timestamp::from_seconds(1_460_989_507));
    assert_eq!(events[8].occurred_at, Timestamp::from_seconds(1_460_989_507));
    assert_eq!(of(&json!({ "type": "open" })).occurred_at, Timestamp::from_seconds(1_767_225_600));
}

#[test]
fn every_bounce_class_is_mapped() {
    let cases = [
        ("1", K::SoftBounce, Some(C::Unknown)),
        ("10", K::HardBounce, Some(C::Hard)),
        ("20", K::SoftBounce, Some(C::Soft)),
        ("21", K::SoftBounce, Some(C::Dns)),
        ("22", K::SoftBounce, Some(C::MailboxFull)),
        ("23", K::SoftBounce, Some(C::Content)),
        ("24", K::SoftBounce, Some(C::Soft)),
        ("25", K::Blocked, Some(C::Block)),
        ("30", K::HardBounce, Some(C::Hard)),
        ("40", K::SoftBounce, Some(C::Soft)),
        ("50", K::Blocked, Some(C::Block)),
        ("51", K::Blocked, Some(C::Block)),
        ("52", K::Blocked, Some(C::Content)),
        ("53", K::Blocked, Some(C::Content)),
        ("54", K::Blocked, Some(C::Block)),
        ("60", K::AutoReply, Some(C::AutoReply)),
        ("70", K::SoftBounce, Some(C::Soft)),
        ("80", K::Subscribed, None),
        ("90", K::Unsubscribed, None),
        ("100", K::AutoReply, Some(C::AutoReply)),
        ("999", K::SoftBounce, Some(C::Unknown)),
    ];
    for (class, kind, expected) in cases {
        for reported in ["bounce", "out_of_band"] {
            let event = of(&json!({ "type": reported, "bounce_class": class }));
            assert_eq!((event.kind, event.bounce_class), (kind, expected), "{reported} {class}");
        }
    }
}

#[test]
fn without_an_id_one_is_made() {
    assert!(of(&json!({ "type": "delivery", "rcpt_to": "a@example.com" })).event_id.starts_with("h-"));
}

#[test]
fn a_ping_is_answered_and_holds_no_events() {
    let ping = Sample::json(fixture("sparkpost/ping.json"));
    assert_eq!(Sparkpost.handshake(&ping.request()), Ok(Some(Handshake::Ping)));
    assert_eq!(ping.read(&Sparkpost), Reading::default());
    for body in ["[]", r#"[{"msys": {"message_event": {"type": "delivery"}}}]"#] {
        assert_eq!(Sparkpost.handshake(&Sample::json(body).request()), Ok(None), "{body}");
    }
}

#[test]
fn bad_elements_inbound_mails_and_foreign_bodies() {
    let reading =
        Sample::json(r#"[{"msys": {"message_event": {"type": "delivery"}}}, {"msys": 7}, {"msys": {"x": {}}}]"#);
    let reading = reading.read(&Sparkpost);
    assert_eq!(reading.events.len(), 1);
    assert_eq!(reading.failures.iter().map(|failure| failure.index).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(Sample::json("[]").read(&Sparkpost), Reading::default());
    let inbound = Sparkpost.read(&Sample::json(fixture("sparkpost/inbound.json")).request());
    assert!(matches!(inbound, Err(ReadError::InboundMail(_))));
    for body in ["{", "7", "{}", r#"[{"event": "open"}]"#] {
        assert!(
            matches!(Sparkpost.read(&Sample::json(body).request()), Err(ReadError::NotThisProvider { .. })),
            "{body}"
        );
    }
}
