use domain::reading::ReadError;
use domain::{EventKind, Provider};
use serde_json::json;

use super::{Sample, assert_fixtures, assert_foreign, assert_verdicts, fixture};
use crate::providers::signature::{hex, hmac_sha256};
use crate::providers::{Handshake, Rejection, Webhook, mailersend::Mailersend};

const PING_SECRET: &str = "test_Am3L1GuOIc4blLUuHqAPxxwkZaJyEk8G";

fn signed(name: &str, secret: &str) -> Sample {
    let body = fixture(&format!("mailersend/{name}.json"));
    let signature = hex(&hmac_sha256(secret.as_bytes(), &[&body]));
    Sample::json(body).header("signature", &signature)
}

#[test]
fn the_raw_body_is_signed() {
    let mut altered = signed("sent", "secret");
    altered.body.push(b'\n');
    assert_verdicts(
        &Mailersend,
        &[
            ("good", signed("sent", "secret"), &["secret"], Ok(())),
            ("rotation", signed("sent", "secret"), &["older", "secret"], Ok(())),
            ("wrong key", signed("sent", "secret"), &["another"], Err(Rejection::Invalid)),
            ("forged", signed("sent", "secret").header("signature", "00"), &["secret"], Err(Rejection::Invalid)),
            ("body altered", altered, &["secret"], Err(Rejection::Invalid)),
            ("no secret", signed("sent", ""), &[""], Err(Rejection::Invalid)),
            ("no header", Sample::json("{}"), &["secret"], Err(Rejection::Missing("no Signature"))),
        ],
    );
}

#[test]
fn the_published_secret_authorises_the_ping_and_nothing_else() {
    assert_verdicts(
        &Mailersend,
        &[
            ("published", signed("ping", PING_SECRET), &["secret"], Ok(())),
            ("own", signed("ping", "secret"), &["secret"], Ok(())),
            ("forged", signed("ping", "forged"), &["secret"], Err(Rejection::Invalid)),
            ("an event", signed("sent", PING_SECRET), &["secret"], Err(Rejection::Invalid)),
        ],
    );
    let ping = signed("ping", PING_SECRET);
    assert_eq!(Mailersend.handshake(&ping.request()), Ok(Some(Handshake::Ping)));
    assert!(ping.read(&Mailersend).events.is_empty());
    assert_eq!(Mailersend.handshake(&signed("sent", "secret").request()), Ok(None));
}

#[test]
fn a_ping_that_carries_something_is_not_authorised_by_the_published_secret() {
    let ping = |body: String| {
        let signature = hex(&hmac_sha256(PING_SECRET.as_bytes(), &[body.as_bytes()]));
        Sample::json(body).header("signature", &signature).verify(&Mailersend, &["secret"])
    };
    let event = r#"{"type":"hard_bounced","email":"ada@example.com"}"#;
    assert_eq!(ping(r#"{"type":"webhook.test"}"#.into()), Ok(()));
    for body in [
        format!(r#"{{"type":"webhook.test","data":{event}}}"#),
        format!(r#"{{"type":"webhook.test","message":"{}"}}"#, "x".repeat(2_000)),
        r#"{"type":"webhook.test","type":"activity.sent","message":""}"#.to_owned(),
        r#"{"data":{"type":"webhook.test"}}"#.to_owned(),
        r#"[{"type":"webhook.test"}]"#.to_owned(),
        "webhook.test".to_owned(),
    ] {
        assert_eq!(ping(body.clone()), Err(Rejection::Invalid), "{body}");
    }
}

#[test]
fn every_event_of_the_first_version_is_read() {
    let base = json!({
        "event_id": "62f114f8165fe0d8db0288e3", "message_id": "62fb66bef54a112e920b5493",
        "recipient": "ada@example.com", "occurred_at": "2026-01-01T09:30:00Z", "tags": ["spring"],
    });
    let clicked = json!({"kind": "CLICKED", "url": "https://acme.example/offer"});
    let cases = [
        ("sent", json!({"kind": "SENT"})),
        ("delivered", json!({"kind": "DELIVERED"})),
        ("deferred", json!({"kind": "DEFERRED", "bounce_class": "SOFT"})),
        ("soft_bounced", json!({"kind": "SOFT_BOUNCE", "bounce_class": "SOFT", "diagnostic": "Mailbox full"})),
        (
            "hard_bounced",
            json!({"kind": "HARD_BOUNCE", "bounce_class": "HARD", "diagnostic": "Host or domain name not found"}),
        ),
        ("opened", json!({"kind": "OPENED"})),
        ("opened_unique", json!({"kind": "OPENED"})),
        ("clicked", clicked.clone()),
        ("clicked_unique", clicked),
        ("unsubscribed", json!({"kind": "UNSUBSCRIBED"})),
        ("spam_complaint", json!({"kind": "COMPLAINED"})),
        ("survey_opened", json!({"kind": "OTHER"})),
    ];
    assert_fixtures(&Mailersend, "mailersend", &base, &cases);
}

#[test]
fn the_flat_second_version_is_read_as_well() {
    let base = json!({
        "event_id": "6892766a5b66e2daf3dc9155", "message_id": "6892766ae78995a317577aa1",
        "recipient": "ada@example.com", "occurred_at": "2026-01-01T09:30:00Z", "tags": ["spring"],
    });
    let cases = [
        ("flat_sent", json!({"kind": "SENT"})),
        (
            "flat_hard_bounced",
            json!({"kind": "HARD_BOUNCE", "bounce_class": "HARD", "smtp_code": 550, "enhanced_code": "5.1.1",
                   "diagnostic": "5.1.1 user unknown"}),
        ),
        ("flat_clicked", json!({"kind": "CLICKED", "url": "https://acme.example/offer"})),
        ("flat_suppressed", json!({"kind": "REJECTED", "diagnostic": "hard bounce"})),
        ("flat_spam_complaints", json!({"kind": "COMPLAINED"})),
    ];
    assert_fixtures(&Mailersend, "mailersend", &base, &cases);
}

#[test]
fn the_flat_version_may_write_email_for_recipient() {
    let body = r#"{"type":"activity.sent","data":{"type":"sent","email":"ada@example.com"}}"#;
    assert_eq!(Sample::json(body).event(&Mailersend).recipient.as_deref(), Some("ada@example.com"));
}

#[test]
fn the_root_may_lack_its_type_and_tags_may_be_null() {
    let body = json!({"data": {"type": "hard_bounced", "email": {"tags": null, "status": "rejected"}, "morph": null}});
    let event = Sample::json(body.to_string()).event(&Mailersend);
    assert_eq!((event.kind, event.tags.len()), (EventKind::HardBounce, 0));
}

#[test]
fn a_status_that_stands_below_another_root_is_no_event() {
    let expected = json!({"event_id": "6892766a5b66e2daf3dc9156", "kind": "OTHER", "recipient": "ada@example.com",
                          "occurred_at": "2026-01-01T09:30:00Z"});
    assert_fixtures(&Mailersend, "mailersend", &expected, &[("on_hold", json!({}))]);
}

#[test]
fn what_is_no_event_of_a_mail_is_told_apart() {
    let inbound = Sample::json(fixture("mailersend/inbound.json")).read_error(&Mailersend);
    assert_eq!(inbound, ReadError::InboundMail(Provider::Mailersend));
    assert_foreign(&Mailersend, &["", "{", "{}", "[]", "7", r#"{"type":"activity.sent"}"#, r#"{"data":{}}"#]);
}
