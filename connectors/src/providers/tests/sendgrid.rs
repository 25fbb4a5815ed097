//! SendGrid: a batch of its documented events, and the signature.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::machine::Verdict;
use domain::reading::ReadError;
use domain::{BounceClass as C, Event, EventKind as K, Timestamp};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::EncodePublicKey;
use serde_json::{Value, json};

use super::super::{Rejection, Webhook, sendgrid::Sendgrid};
use super::{Sample, fixture};

const SIGNATURE: &str = "x-twilio-email-event-webhook-signature";
const TIMESTAMP: &str = "x-twilio-email-event-webhook-timestamp";

fn events() -> Vec<Event> {
    let reading = Sample::json(fixture("sendgrid/events.json")).read(&Sendgrid);
    assert_eq!(reading.failures, []);
    reading.events
}

fn event(element: &Value) -> Event {
    Sample::json(json!([element]).to_string()).event(&Sendgrid)
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).expect("a scalar")
}

/// The public key as SendGrid shows it.
fn secret(seed: u8) -> String {
    STANDARD.encode(key(seed).verifying_key().to_public_key_der().expect("DER"))
}

/// A signed request; timestamps are opaque.
fn signed(body: &str, timestamp: &str) -> Sample {
    let signature: DerSignature = key(1).sign(format!("{timestamp}{body}").as_bytes());
    Sample::json(body).header(SIGNATURE, &STANDARD.encode(signature.as_bytes())).header(TIMESTAMP, timestamp)
}

fn verify(sample: &Sample, secrets: &[String]) -> Result<(), Rejection> {
    Sendgrid.verify(&sample.request(), secrets, Timestamp::default())
}

#[test]
fn every_event_is_mapped() {
    let cases = [
        (K::Queued, None, None),
        (K::Deferred, Some(C::Soft), None),
        (K::Delivered, None, Some(250)),
        (K::Opened, None, None),
        (K::Clicked, None, None),
        (K::HardBounce, Some(C::Hard), Some(500)),
        (K::Blocked, Some(C::Block), Some(550)),
        (K::Rejected, None, None),
        (K::Complained, None, None),
        (K::Unsubscribed, None, None),
        (K::Unsubscribed, None, None),
        (K::Subscribed, None, None),
        (K::Other, None, None),
    ];
    let events = events();
    assert_eq!(events.len(), cases.len());
    for (event, (kind, class, smtp)) in events.iter().zip(cases) {
        assert_eq!((event.kind, event.bounce_class), (kind, class), "{event:?}");
        assert_eq!(event.smtp_code.filter(|_| smtp.is_some()), smtp, "{event:?}");
        assert_eq!(
            (event.recipient.as_deref(), event.recipient_ref.as_deref()),
            (Some("example@test.com"), Some("4711"))
        );
        assert_eq!(event.campaign.as_deref(), Some("spring"));
        assert_eq!(*event.tags, ["cat facts"]);
        assert!(event.event_id.ends_with("=="));
    }
    assert_eq!(events[4].url.as_deref(), Some("http://www.sendgrid.com/"));
    assert_eq!(events[10].url, None);
    assert_eq!(events[3].verdict, Some(Verdict::Human));
    assert_eq!(events[5].diagnostic.as_deref(), Some("500 unknown recipient"));
    assert_eq!(events[2].occurred_at, Timestamp::from_seconds(1_513_299_571));
}

#[test]
fn arguments_are_told_from_sendgrids_own_keys() {
    for event in events() {
        assert_eq!(event.metadata.keys().collect::<Vec<_>>(), ["nachfass_campaign", "nachfass_recipient"]);
    }
}

#[test]
fn the_message_id_is_what_sending_answered() {
    let cases = [
        (json!({ "sg_message_id": "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0" }), Some("14c5d75ce93")),
        (json!({ "sg_message_id": "filter0093p1las1.9128.5B0E8A3A.0" }), None),
        (json!({ "sg_message_id": "filter0093p1las1.9128", "smtp-id": "<a@example.com>" }), Some("a@example.com")),
        (json!({ "smtp-id": "<a@example.com>" }), Some("a@example.com")),
        (json!({}), None),
    ];
    for (mut element, expected) in cases {
        element["event"] = json!("dropped");
        assert_eq!(event(&element).message_id.as_deref(), expected, "{element}");
    }
}

#[test]
fn categories_are_a_text_or_a_list_and_a_status_may_be_missing() {
    assert_eq!(*event(&json!({ "event": "open", "category": ["a", "b"] })).tags, ["a", "b"]);
    let bounce = event(&json!({ "event": "bounce", "type": "bounce" }));
    assert_eq!((bounce.kind, bounce.bounce_class), (K::HardBounce, Some(C::Hard)));
    assert!(event(&json!({ "event": "open", "sg_machine_open": true })).verdict.is_some_and(Verdict::is_machine));
}

#[test]
fn a_bad_element_holds_no_other_up() {
    let reading = Sample::json(r#"[{"event": "open"}, 7, {"email": "x"}, {"event": "click"}]"#).read(&Sendgrid);
    assert_eq!(reading.events.len(), 2);
    assert_eq!(reading.failures.iter().map(|failure| failure.index).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(Sample::json("[]").read(&Sendgrid), domain::reading::Reading::default());
}

#[test]
fn foreign_bodies_are_refused() {
    for body in ["{", "7", "{}", r#"[{"msys": {}}]"#] {
        let result = Sendgrid.read(&Sample::json(body).request());
        assert!(matches!(result, Err(ReadError::NotThisProvider { .. })), "{body}");
    }
    let inbound = Sample::json("--b").header("content-type", "multipart/form-data; boundary=b");
    assert!(matches!(Sendgrid.read(&inbound.request()), Err(ReadError::InboundMail(_))));
}

#[test]
fn a_signature_fits_one_of_the_keys() {
    let armoured = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", secret(1));
    let cases = [
        (vec![secret(1)], Ok(())),
        (vec![secret(2), secret(1)], Ok(())),
        (vec![armoured], Ok(())),
        (vec![secret(2)], Err(Rejection::Invalid)),
        (vec![], Err(Rejection::Invalid)),
    ];
    for (secrets, expected) in cases {
        assert_eq!(verify(&signed("[]", "1588788367"), &secrets), expected);
    }
    assert!(matches!(verify(&signed("[]", "1"), &["no key".to_owned()]), Err(Rejection::Secret(_))));
}

#[test]
fn the_timestamp_is_opaque_and_signed() {
    assert_eq!(verify(&signed("[]", "not a number"), &[secret(1)]), Ok(()));
    let forged = [
        signed("[]", "1588788367").header(TIMESTAMP, "1588788368"),
        Sample { body: b"[ ]".to_vec(), ..signed("[]", "1588788367") },
        signed("[]", "1588788367").header(SIGNATURE, "AAAA"),
        signed("[]", "1588788367").header(SIGNATURE, "no base64!"),
    ];
    for sample in forged {
        assert_eq!(verify(&sample, &[secret(1)]), Err(Rejection::Invalid));
    }
}

#[test]
fn missing_and_empty_headers_fail() {
    for name in [SIGNATURE, TIMESTAMP] {
        let mut sample = signed("[]", "1588788367");
        sample.headers.retain(|(key, _)| key != name);
        assert!(matches!(verify(&sample, &[secret(1)]), Err(Rejection::Missing(_))), "{name}");
        let empty = signed("[]", "").header(name, "");
        assert!(matches!(verify(&empty, &[secret(1)]), Err(Rejection::Missing(_))), "{name}");
    }
}
