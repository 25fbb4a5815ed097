//! The keys and signatures of `postal/signatures.json` were made by OpenSSL, over `postal/sent.json`.

use domain::reading::ReadError;
use domain::{EventKind, Provider};
use serde_json::{Value, json};

use super::{Sample, assert_fixtures, assert_foreign, assert_verdicts, fixture};
use crate::providers::{Rejection, postal::Postal};

const INVALID: Result<(), Rejection> = Err(Rejection::Invalid);

/// A request with `sent.json` as its body and signatures in the two headers.
fn request(sha1: Option<&str>, sha256: Option<&str>) -> Sample {
    let named = [("x-postal-signature", sha1), ("x-postal-signature-256", sha256)];
    let given = named.into_iter().filter_map(|(name, signature)| Some((name, signature?)));
    given.fold(Sample::json(fixture("postal/sent.json")), |sample, (name, signature)| sample.header(name, signature))
}

#[test]
fn the_raw_body_is_signed_with_the_servers_key() {
    let made: Value = serde_json::from_slice(&fixture("postal/signatures.json")).expect("JSON");
    let text = |name: &str| made[name].as_str().expect("a text").to_owned();
    let [small, big, other] = ["key_1024", "key_2048", "other_key"].map(text);
    let [sha1_small, sha1, sha256] = ["sha1_1024", "sha1_2048", "sha256_2048"].map(text);
    let mut altered = request(Some(&sha1), None);
    altered.body.push(b'\n');
    let (first, rest) = big.split_at(64);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{first}\n{rest}\n-----END PUBLIC KEY-----\n");
    let missing = Err(Rejection::Missing("neither X-Postal-Signature-256 nor X-Postal-Signature"));
    let unusable = Err(Rejection::Secret("a public key is base64 of its DER form".into()));
    assert_verdicts(
        &Postal,
        &[
            ("SHA-1", request(Some(&sha1), None), &[&big], Ok(())),
            ("SHA-1, 1024 bits", request(Some(&sha1_small), None), &[&small], Ok(())),
            ("SHA-256", request(None, Some(&sha256)), &[&big], Ok(())),
            ("both", request(Some(&sha1), Some(&sha256)), &[&big], Ok(())),
            ("PEM", request(Some(&sha1), None), &[&pem], Ok(())),
            ("rotation", request(Some(&sha1), None), &[&other, &small, &big], Ok(())),
            ("beside an unusable key", request(Some(&sha1), None), &["!", &big], Ok(())),
            ("the better one is wrong", request(Some(&sha1), Some(&sha1)), &[&big], INVALID),
            ("of the other hash", request(Some(&sha256), None), &[&big], INVALID),
            ("wrong key", request(Some(&sha1), None), &[&other], INVALID),
            ("key of another length", request(Some(&sha1), None), &[&small], INVALID),
            ("body altered", altered, &[&big], INVALID),
            ("forged", request(Some("AAAA"), None), &[&big], INVALID),
            ("no base64", request(Some("!"), None), &[&big], INVALID),
            ("no key", request(Some(&sha1), None), &[], INVALID),
            ("no header", request(None, None), &[&big], missing),
            ("unusable key", request(Some(&sha1), None), &["!"], unusable),
        ],
    );
    let no_rsa = request(Some(&sha1), None).verify(&Postal, &["AAAA"]);
    assert!(matches!(no_rsa, Err(Rejection::Secret(_))), "{no_rsa:?}");
}

#[test]
fn every_event_is_read_by_its_payload() {
    let base = json!({
        "event_id": "dc5fdf5a-6b1c-4fea-8ac5-1e4b7fd2b0b1", "message_id": "4713", "recipient": "ada@example.com",
        "occurred_at": "2026-01-01T09:30:00.250Z", "tags": ["spring"],
    });
    let cases = [
        (
            "sent",
            json!({"kind": "DELIVERED", "smtp_code": 250, "enhanced_code": "2.0.0", "diagnostic": "250 2.0.0 OK"}),
        ),
        (
            "soft_fail",
            json!({"kind": "DEFERRED", "bounce_class": "BLOCK", "smtp_code": 421, "enhanced_code": "4.7.0",
                   "diagnostic": "421 4.7.0 try again later"}),
        ),
        (
            "hard_fail",
            json!({"kind": "HARD_BOUNCE", "bounce_class": "HARD", "smtp_code": 550, "enhanced_code": "5.1.1",
                   "diagnostic": "550 5.1.1 no such user here"}),
        ),
        (
            "hard_fail_without_answer",
            json!({"kind": "FAILED", "diagnostic": "Maximum number of delivery attempts (18) has been reached"}),
        ),
        ("held", json!({"kind": "QUEUED"})),
        (
            "bounced",
            json!({"kind": "HARD_BOUNCE", "bounce_class": "UNKNOWN",
                   "diagnostic": "Mail delivery failed: returning message to sender"}),
        ),
        ("clicked", json!({"kind": "CLICKED", "url": "https://acme.example/offer"})),
        ("loaded", json!({"kind": "OPENED", "machine": true})),
        ("domain_error", json!({"kind": "OTHER", "message_id": null, "recipient": null, "tags": []})),
    ];
    assert_fixtures(&Postal, "postal", &base, &cases);
}

#[test]
fn the_name_of_an_event_does_not_outweigh_its_payload() {
    let mut body: Value = serde_json::from_slice(&fixture("postal/bounced.json")).expect("JSON");
    body["event"] = json!("MessageDelayed");
    assert_eq!(Sample::json(body.to_string()).event(&Postal).kind, EventKind::HardBounce);
}

#[test]
fn the_message_id_is_a_number_and_a_text_only_without_it() {
    let id = |message: Value| {
        let body = json!({"event": "MessageLoaded", "payload": {"message": message}});
        Sample::json(body.to_string()).event(&Postal).message_id
    };
    assert_eq!(id(json!({"id": 9_007_199_254_740_993_u64, "message_id": "a@b"})).as_deref(), Some("9007199254740993"));
    assert_eq!(id(json!({"message_id": "<a@b>"})).as_deref(), Some("a@b"));
}

#[test]
fn what_is_no_event_of_an_outgoing_mail_is_told_apart() {
    let incoming = Sample::json(fixture("postal/incoming.json")).read(&Postal);
    assert!(incoming.events.is_empty() && incoming.failures.is_empty());
    let inbound = Sample::json(fixture("postal/inbound.json")).read_error(&Postal);
    assert_eq!(inbound, ReadError::InboundMail(Provider::Postal));
    let unknown = Sample::json(r#"{"event":"MessageSent","payload":{"status":"Lost"}}"#).event(&Postal);
    assert_eq!(unknown.kind, EventKind::Other);
    assert_foreign(&Postal, &["", "{", "{}", "[]", "7", r#"{"event":"open"}"#, r#"{"event":"open","payload":[]}"#]);
}
