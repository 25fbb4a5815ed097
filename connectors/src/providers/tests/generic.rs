use domain::{EventKind, Provider};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Sample, assert_foreign, assert_line, assert_verdicts, fixture, with};
use crate::providers::signature::{hex, hmac_sha256};
use crate::providers::{Rejection, generic::Generic, webhook};

const NOW: i64 = 1_767_225_600;
const BODY: &[u8] = br#"{"type":"sent"}"#;
const INVALID: Result<(), Rejection> = Err(Rejection::Invalid);

fn request(signed_at: i64, signature: &str) -> Sample {
    Sample::json(BODY).header("x-nachfass-timestamp", &signed_at.to_string()).header("x-nachfass-signature", signature)
}

fn signed(signed_at: i64) -> Sample {
    request(signed_at, &hex(&hmac_sha256(b"secret", &[signed_at.to_string().as_bytes(), b".", BODY])))
}

#[test]
fn timestamp_and_body_are_signed_and_accepted_for_five_minutes() {
    // As docs/GENERIC_WEBHOOK.md has it, made by OpenSSL.
    let vector = "13aa715d04c5baeb3da5f61bb73b69f95cc5f052b646d1e381cc8323b3e38c1a";
    let mut altered = signed(NOW);
    altered.body.push(b'\n');
    let stale = Err(Rejection::Stale { window_seconds: 300 });
    let no_signature = Sample::json(BODY).header("x-nachfass-timestamp", "1767225600");
    let no_time = request(NOW, &hex(&hmac_sha256(b"secret", &[b"soon.", BODY]))).header("x-nachfass-timestamp", "soon");
    assert_verdicts(
        &Generic,
        &[
            ("documented", request(NOW, vector), &["secret"], Ok(())),
            ("with the prefix", request(NOW, &format!("sha256={vector}")), &["secret"], Ok(())),
            ("in capitals", request(NOW, &vector.to_uppercase()), &["secret"], Ok(())),
            ("rotation", signed(NOW), &["older", "secret"], Ok(())),
            ("just in time", signed(NOW - 300), &["secret"], Ok(())),
            ("stale", signed(NOW - 301), &["secret"], stale.clone()),
            ("from the future", signed(NOW + 301), &["secret"], stale),
            ("moved to now", signed(NOW - 900).header("x-nachfass-timestamp", "1767225600"), &["secret"], INVALID),
            ("body altered", altered, &["secret"], INVALID),
            ("forged", request(NOW, ""), &["secret"], INVALID),
            ("wrong key", signed(NOW), &["another"], INVALID),
            ("no time", no_time, &["secret"], INVALID),
            ("no secret", signed(NOW), &[], INVALID),
            ("no signature", no_signature, &["secret"], Err(Rejection::Missing("no X-Nachfass-Signature"))),
            ("no headers", Sample::json(BODY), &["secret"], Err(Rejection::Missing("no X-Nachfass-Timestamp"))),
        ],
    );
}

#[test]
fn every_kind_is_read() {
    let events = Sample::json(fixture("generic/kinds.json")).read(&Generic).events;
    let base = json!({"message_id": "m1@acme.example", "recipient": "ada@example.com",
                      "occurred_at": "2026-01-01T09:30:00Z", "campaign": "spring"});
    assert_eq!(events.len(), EventKind::ALL.len());
    for (event, kind) in events.iter().zip(EventKind::ALL) {
        let class = match kind {
            EventKind::Deferred | EventKind::SoftBounce => json!("SOFT"),
            EventKind::HardBounce => json!("HARD"),
            EventKind::Blocked => json!("BLOCK"),
            EventKind::AutoReply => json!("AUTO_REPLY"),
            _ => Value::Null,
        };
        assert_line(event, &with(&base, &json!({"kind": kind.as_str(), "bounce_class": class})), kind.as_str());
    }
}

#[test]
fn every_field_is_read() {
    let full = Sample::json(fixture("generic/full.json")).event(&Generic);
    let expected = json!({
        "event_id": "evt-1", "kind": "SOFT_BOUNCE", "message_id": "m1@acme.example", "recipient": "ada@example.com",
        "occurred_at": "2026-01-01T09:30:00Z", "bounce_class": "MAILBOX_FULL", "smtp_code": 452,
        "enhanced_code": "4.2.2", "diagnostic": "452 4.2.2 mailbox full", "campaign": "spring", "tags": ["news", "march"],
        "metadata": {"campaign": "another", "list": "7"},
    });
    assert_line(&full, &expected, "full");
    assert_eq!(full.recipient_ref.as_deref(), Some("r-42"));
    let clicked = Sample::json(fixture("generic/clicked.json")).event(&Generic);
    let expected = json!({"kind": "CLICKED", "recipient": "ada@example.com", "occurred_at": "2026-01-01T09:30:00.500Z",
                          "url": "https://acme.example/offer", "machine": true});
    assert_line(&clicked, &expected, "clicked");
}

#[test]
fn the_metadata_serve_where_there_is_no_field() {
    let body = json!({"type": "sent", "metadata": {"nachfass_campaign": "spring", "recipient_id": 42}});
    let event = Sample::json(body.to_string()).event(&Generic);
    assert_eq!((event.campaign.as_deref(), event.recipient_ref.as_deref()), (Some("spring"), Some("42")));
}

#[test]
fn one_event_a_list_and_an_object_of_them_mean_the_same() {
    let event = r#"{"type":"opened","recipient":"ada@example.com","occurred_at":1767259800}"#;
    let one = Sample::json(event).read(&Generic);
    assert_eq!(one.events.len(), 1);
    for body in [format!("[{event}]"), format!(r#"{{"events":[{event}]}}"#)] {
        assert_eq!(Sample::json(body).read(&Generic), one);
    }
    for body in ["[]", r#"{"events":[]}"#] {
        let nothing = Sample::json(body).read(&Generic);
        assert!(nothing.events.is_empty() && nothing.failures.is_empty(), "{body}");
    }
}

#[test]
fn a_field_that_makes_no_sense_is_a_failure_and_holds_nothing_up() {
    let bad = [
        json!({"occurred_at": "yesterday"}),
        json!({"bounce_class": "rubbery"}),
        json!({"smtp_code": 99}),
        json!({"smtp_code": "x"}),
        json!({"enhanced_code": "9.9.9"}),
        json!({"machine": "perhaps"}),
        json!({"type": null}),
        json!({"type": ["sent"]}),
    ];
    let good = json!({"type": "teleported", "occurred_at": null, "machine": null});
    let mut elements: Vec<Value> = bad.iter().map(|field| with(&json!({"type": "opened"}), field)).collect();
    elements.extend([json!(7), good]);
    let reading = Sample::json(Value::Array(elements).to_string()).read(&Generic);
    let kinds: Vec<EventKind> = reading.events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::Other]);
    let failures: Vec<usize> = reading.failures.iter().map(|failure| failure.index).collect();
    assert_eq!(failures, (0..=bad.len()).collect::<Vec<_>>());
    assert_eq!(reading.failures[0].reason, "`occurred_at` is neither RFC 3339 nor Unix seconds");
}

#[test]
fn what_is_not_this_format_is_told_apart() {
    assert_foreign(&Generic, &["", "{", "{}", "7", r#""sent""#, r#"{"events":7}"#, r#"{"event":"open"}"#]);
}

/// JSON of any shape whose keys and texts are, by chance, those that the adapters look for.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "type",
        "event",
        "events",
        "data",
        "msg",
        "payload",
        "status",
        "events_by_user",
        "event_data",
        "email",
        "recipient",
        "to",
        "tags",
        "metadata",
        "meta",
        "morph",
        "message",
        "bounce",
        "id",
        "url",
        "timestamp",
        "ts",
        "created_at",
        "reject",
        "smtp_events",
        "delivery_info",
        "headers",
        "email_headers",
        "Message",
        "Type",
        "auth",
        "machine",
        "smtp_code",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, move |inner| {
        let entries = prop::collection::hash_map(word.clone().prop_map(str::to_owned), inner.clone(), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            entries.prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// Every way into the adapters of the providers whose tests stand in these files, with every header that they look at.
fn digest(body: &[u8], header: &str, content_type: &str) {
    const HEADERS: [&str; 10] = [
        "svix-id",
        "svix-timestamp",
        "svix-signature",
        "x-mandrill-signature",
        "signature",
        "mailtrap-signature",
        "x-postal-signature",
        "x-nachfass-timestamp",
        "x-nachfass-signature",
        "x-amz-sns-message-id",
    ];
    let sample = HEADERS.iter().fold(Sample::json(body), |sample, name| sample.header(name, header));
    let mut sample = sample.header("content-type", content_type);
    sample.urls.push(header.to_owned());
    let providers = [
        Provider::Resend,
        Provider::Mandrill,
        Provider::Mailersend,
        Provider::Mailtrap,
        Provider::Postal,
        Provider::Unisender,
        Provider::Scaleway,
        Provider::Generic,
    ];
    for provider in providers {
        let adapter = webhook(provider);
        let request = sample.request();
        let verdict = sample.verify(adapter, &["secret", "whsec_c2VjcmV0", "", header]);
        let _outcomes =
            (verdict, adapter.certificate_url(&request), adapter.handshake(&request), adapter.read(&request));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(
        body in prop::collection::vec(any::<u8>(), 0..200),
        header in "\\PC{0,40}",
        content_type in "(application/json|multipart/form-data; boundary=B|\\PC{0,30})",
    ) {
        digest(&body, &header, &content_type);
    }

    #[test]
    fn any_json_is_read_without_panic(body in any_json()) {
        let json = body.to_string();
        digest(json.as_bytes(), "1767225600", "application/json");
        let form = form_urlencoded::Serializer::new(String::new()).append_pair("mandrill_events", &json).finish();
        digest(form.as_bytes(), "v1,AAAA", "application/x-www-form-urlencoded");
        let head = "Content-Disposition: form-data; name=\"mandrill_events\"";
        let part = format!("--B\r\n{head}\r\n\r\n{json}\r\n--B--\r\n");
        digest(part.as_bytes(), "AAAA", "multipart/form-data; boundary=B");
        let mut envelope = json!({"Type": "Notification", "MessageId": "m", "TopicArn": "a", "Timestamp": "t"});
        envelope["Message"] = json.into();
        digest(envelope.to_string().as_bytes(), "m", "text/plain; charset=UTF-8");
    }
}
