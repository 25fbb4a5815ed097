//! Mailjet: its documented events, grouped and bare.

use domain::machine::{MachineReason, Verdict};
use domain::reading::{ReadError, Reading};
use domain::{BounceClass as C, Event, EventKind as K, Timestamp};
use serde_json::{Value, json};

use super::super::{Webhook, mailjet::Mailjet};
use super::{Sample, fixture};

fn of(element: &Value) -> Event {
    Sample::json(element.to_string()).event(&Mailjet)
}

#[test]
fn every_event_is_mapped() {
    let cases = [
        (K::Delivered, None),
        (K::Opened, None),
        (K::Clicked, None),
        (K::HardBounce, Some(C::Hard)),
        (K::SoftBounce, Some(C::MailboxFull)),
        (K::Deferred, Some(C::Soft)),
        (K::Blocked, Some(C::Content)),
        (K::Rejected, None),
        (K::Complained, None),
        (K::Unsubscribed, None),
        (K::Other, None),
    ];
    let events = Sample::json(fixture("mailjet/events.json")).read(&Mailjet).events;
    assert_eq!(events.iter().map(|event| (event.kind, event.bounce_class)).collect::<Vec<_>>(), cases);
    for event in &events {
        assert_eq!(event.recipient.as_deref(), Some("api@mailjet.com"));
        assert_eq!((event.campaign.as_deref(), event.recipient_ref.as_deref()), (Some("spring"), Some("4711")));
        assert_eq!(
            (event.tags.as_ref(), event.metadata["CustomID"].as_str()),
            (&["spring".to_owned()][..], "helloworld")
        );
    }
    assert_eq!(events[0].occurred_at, Timestamp::from_seconds(1_433_333_949));
    assert_eq!((events[0].smtp_code, events[0].enhanced_code), (Some(250), "2.0.0".parse().ok()));
    assert_eq!(events[1].verdict, Some(Verdict::Machine(MachineReason::KnownProxy)));
    assert_eq!(events[2].url.as_deref(), Some("https://mailjet.com"));
    assert_eq!(events[4].diagnostic.as_deref(), Some("quota exceeded"));
}

#[test]
fn a_message_id_keeps_every_digit() {
    let bare = Sample::json(fixture("mailjet/bare.json")).event(&Mailjet);
    assert_eq!(bare.message_id.as_deref(), Some("19421777835146491"));
    for id in ["9007199254740993", "18446744073709551615"] {
        let body = format!(r#"{{"event": "open", "MessageID": {id}}}"#);
        assert_eq!(Sample::json(body).event(&Mailjet).message_id.as_deref(), Some(id));
    }
    let sent = of(&json!({ "event": "sent", "MessageID": 0, "mj_message_id": "123" }));
    assert_eq!(sent.message_id.as_deref(), Some("123"));
}

#[test]
fn empty_and_zero_stand_for_nothing() {
    let bare = Sample::json(fixture("mailjet/bare.json")).event(&Mailjet);
    assert_eq!((bare.campaign, bare.tags.len()), (None, 0));
    assert_eq!(bare.metadata.keys().collect::<Vec<_>>(), ["CustomID"]);
    assert_eq!(of(&json!({ "event": "open", "mj_campaign_id": 7257 })).campaign.as_deref(), Some("7257"));
    assert_eq!(of(&json!({ "event": "open", "Payload": "free text" })).metadata["Payload"], "free text");
}

#[test]
fn every_error_has_its_class() {
    let cases = [
        ("user unknown", "recipient", C::Hard),
        ("mailbox inactive", "recipient", C::Hard),
        ("quota exceeded", "recipient", C::MailboxFull),
        ("blacklisted", "recipient", C::Block),
        ("spam reporter", "recipient", C::Block),
        ("invalid domain", "domain", C::Hard),
        ("no mail host", "domain", C::Dns),
        ("relay/access denied", "domain", C::Block),
        ("typofix", "domain", C::Hard),
        ("sender blocked", "spam", C::Block),
        ("content blocked", "spam", C::Content),
        ("policy issue", "spam", C::Block),
        ("brand new", "content", C::Content),
        ("brand new", "spam", C::Block),
        ("brand new", "system", C::Unknown),
    ];
    for (error, related, class) in cases {
        let event = of(&json!({ "event": "bounce", "hard_bounce": true, "error": error, "error_related_to": related }));
        assert_eq!((event.kind, event.bounce_class), (K::HardBounce, Some(class)), "{error}");
    }
    assert_eq!(of(&json!({ "event": "bounce", "hard_bounce": true, "error": "greylisted" })).kind, K::HardBounce);
    for error in ["preblocked", "duplicate in campaign"] {
        assert_eq!(of(&json!({ "event": "blocked", "error": error })).kind, K::Rejected, "{error}");
    }
}

#[test]
fn bad_elements_inbound_mails_and_foreign_bodies() {
    let reading = Sample::json(r#"[{"event": "open"}, {"email": "x"}]"#).read(&Mailjet);
    assert_eq!((reading.events.len(), reading.failures[0].index), (1, 1));
    assert_eq!(Sample::json("[]").read(&Mailjet), Reading::default());
    let inbound = Sample::json(r#"{"Sender": "a@example.com", "Headers": {}, "Parts": []}"#);
    assert!(matches!(Mailjet.read(&inbound.request()), Err(ReadError::InboundMail(_))));
    for body in ["{", "7", "{}"] {
        assert!(
            matches!(Mailjet.read(&Sample::json(body).request()), Err(ReadError::NotThisProvider { .. })),
            "{body}"
        );
    }
}
