use domain::reading::ReadError;
use domain::{BounceClass, EventKind, Provider};
use serde_json::{Value, json};

use super::{Sample, assert_foreign, assert_line, assert_verdicts, fixture, with};
use crate::providers::signature::{hex, hmac_sha256};
use crate::providers::{Rejection, mailtrap::Mailtrap};

fn signed(secret: &str) -> Sample {
    let body = fixture("mailtrap/events.json");
    let signature = hex(&hmac_sha256(secret.as_bytes(), &[&body]));
    Sample::json(body).header("mailtrap-signature", &signature)
}

#[test]
fn the_raw_body_is_signed() {
    let mut altered = signed("secret");
    altered.body.push(b'\n');
    assert_verdicts(
        &Mailtrap,
        &[
            ("good", signed("secret"), &["secret"], Ok(())),
            ("rotation", signed("secret"), &["older", "secret"], Ok(())),
            ("wrong key", signed("secret"), &["another"], Err(Rejection::Invalid)),
            ("forged", signed("secret").header("mailtrap-signature", ""), &["secret"], Err(Rejection::Invalid)),
            ("body altered", altered, &["secret"], Err(Rejection::Invalid)),
            ("no header", Sample::json("{}"), &["secret"], Err(Rejection::Missing("no Mailtrap-Signature"))),
        ],
    );
}

#[test]
fn every_event_is_read_in_either_format() {
    let base = |number: usize| {
        json!({
            "event_id": format!("bede7236-2284-43d6-a953-1fdcafd0fdb{number}"),
            "message_id": "1df37d17-0286-4d8b-8edf-bc4ec5be86e6", "recipient": "ada@example.com",
            "occurred_at": "2026-01-01T09:30:00Z", "campaign": "spring", "tags": ["newsletter"],
            "metadata": {"nachfass_campaign": "spring", "nachfass_recipient": "42"},
        })
    };
    let expected = [
        json!({"kind": "DELIVERED"}),
        json!({"kind": "SOFT_BOUNCE", "bounce_class": "SOFT", "smtp_code": 450, "enhanced_code": "4.2.0",
               "diagnostic": "soft bounce (450 4.2.0 (unavailable))"}),
        json!({"kind": "HARD_BOUNCE", "bounce_class": "HARD", "smtp_code": 550, "enhanced_code": "5.1.1",
               "diagnostic": "bounced (550 5.1.1 (Not authorized.))"}),
        json!({"kind": "DEFERRED", "bounce_class": "SOFT", "diagnostic": "Sending was suspended"}),
        json!({"kind": "REJECTED", "diagnostic": "The recipient is on the suppression list"}),
        json!({"kind": "OPENED", "machine": true}),
        json!({"kind": "CLICKED", "url": "https://acme.example/offer"}),
        json!({"kind": "COMPLAINED"}),
        json!({"kind": "UNSUBSCRIBED"}),
    ];
    for name in ["events.json", "events.jsonl"] {
        let reading = Sample::json(fixture(&format!("mailtrap/{name}"))).read(&Mailtrap);
        assert!(reading.failures.is_empty(), "{name}: {:?}", reading.failures);
        assert_eq!(reading.events.len(), expected.len(), "{name}");
        for (number, (event, more)) in reading.events.iter().zip(&expected).enumerate() {
            assert_line(event, &with(&base(number), more), &format!("{name} {number}"));
            assert_eq!(event.recipient_ref.as_deref(), Some("42"));
        }
    }
}

#[test]
fn categories_are_known_however_they_are_written() {
    let class = |category: &str| {
        let body = json!({"event": "soft bounce", "bounce_category": category});
        Sample::json(body.to_string()).event(&Mailtrap).bounce_class
    };
    assert_eq!(class("quota-issues"), Some(BounceClass::MailboxFull));
    assert_eq!(class("quotaissues"), Some(BounceClass::MailboxFull));
    assert_eq!(class("spam-related"), Some(BounceClass::Block));
    assert_eq!(class("Content_Related"), Some(BounceClass::Content));
    assert_eq!(class("bad-domain"), Some(BounceClass::Dns));
    assert_eq!(class("something new"), Some(BounceClass::Soft));
}

#[test]
fn a_bad_element_or_line_holds_nothing_up() {
    let list = r#"{"events":[{"event":"open"}, null, {"email":"x"}, {"event":"dance"}, {"event":"inbound.x"}]}"#;
    let lines =
        "{\"event\":\"open\"}\n{\"event\":\n{\"email\":\"x\"}\r\n\n{\"event\":\"dance\"}\n{\"event\":\"inbound.x\"}\n";
    for body in [list, lines] {
        let reading = Sample::json(body).read(&Mailtrap);
        let kinds: Vec<EventKind> = reading.events.iter().map(|event| event.kind).collect();
        let failures: Vec<usize> = reading.failures.iter().map(|failure| failure.index).collect();
        assert_eq!(
            (kinds.as_slice(), failures.as_slice()),
            ([EventKind::Opened, EventKind::Other].as_slice(), [1, 2, 4].as_slice())
        );
    }
}

#[test]
fn nothing_to_report_is_fine() {
    for body in ["{}", r#"{"events":[]}"#] {
        let reading = Sample::json(body).read(&Mailtrap);
        assert!(reading.events.is_empty() && reading.failures.is_empty(), "{body}");
    }
}

#[test]
fn what_is_no_event_of_a_mail_is_told_apart() {
    let inbound = fixture("mailtrap/inbound.json");
    let line = serde_json::from_slice::<Value>(&inbound).expect("JSON")["events"][0].to_string();
    for body in [inbound, line.into_bytes()] {
        assert_eq!(Sample::json(body).read_error(&Mailtrap), ReadError::InboundMail(Provider::Mailtrap));
    }
    assert_foreign(&Mailtrap, &["", "{", "[]", "7\n8", "no\nJSON", r#"{"events":7}"#, r#"{"type":"email.sent"}"#]);
}
