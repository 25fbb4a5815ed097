use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::reading::ReadError;
use domain::{EventKind, Provider};
use serde_json::{Value, json};

use super::{Sample, assert_foreign, assert_line, assert_verdicts, fixture, with};
use crate::providers::signature::hmac_sha1;
use crate::providers::{Handshake, Rejection, Webhook, mandrill::Mandrill};

const URL: &str = "https://user:pass@nachfass.example/ingest/m?x=1";
const INVALID: Result<(), Rejection> = Err(Rejection::Invalid);

fn form(fields: &[(&str, &str)]) -> Sample {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let mut sample = Sample::json(body).header("content-type", "application/x-www-form-urlencoded; charset=utf-8");
    sample.urls = vec!["https://nachfass.example/ingest/m?x=1".into(), URL.into()];
    sample
}

fn multipart(fields: &[(&str, &str)]) -> Sample {
    let part = |(name, value): &(&str, &str)| {
        format!("--BOUNDARY\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let mut sample = form(&[]).header("content-type", "multipart/form-data; boundary=BOUNDARY");
    sample.body = format!("{}--BOUNDARY--\r\n", fields.iter().map(part).collect::<String>()).into_bytes();
    sample
}

fn events(events: &str) -> Sample {
    form(&[("mandrill_events", events)])
}

fn signed(sample: Sample, key: &str, url: &str, sorted: &str) -> Sample {
    let signature = STANDARD.encode(hmac_sha1(key.as_bytes(), &[url.as_bytes(), sorted.as_bytes()]));
    sample.header("x-mandrill-signature", &signature)
}

#[test]
fn url_and_sorted_fields_are_signed() {
    let fields = [("mandrill_events", r#"[{"event":"send"}]"#), ("a_field", "ä & b"), ("a", "")];
    let sorted = r#"aa_fieldä & bmandrill_events[{"event":"send"}]"#;
    let good = |key| signed(form(&fields), key, URL, sorted);
    let mut elsewhere = good("key");
    elsewhere.urls = vec!["https://nachfass.example/ingest/other".into()];
    let mut altered = good("key");
    altered.body.extend(b"&b=1");
    let broken =
        multipart(&fields).header("content-type", "multipart/form-data").header("x-mandrill-signature", "AAAA");
    let unreadable = Err(Rejection::Unreadable("the multipart form has no boundary".into()));
    assert_verdicts(
        &Mandrill,
        &[
            ("good", good("key"), &["key"], Ok(())),
            ("multipart", signed(multipart(&fields), "key", URL, sorted), &["key"], Ok(())),
            (
                "without the credentials",
                signed(form(&fields), "key", "https://nachfass.example/ingest/m?x=1", sorted),
                &["key"],
                Ok(()),
            ),
            ("rotation", good("key"), &["older", "key"], Ok(())),
            ("wrong key", good("key"), &["another"], INVALID),
            ("forged", good("key").header("x-mandrill-signature", "AAAA"), &["key"], INVALID),
            ("of another URL", elsewhere, &["key"], INVALID),
            ("field added", altered, &["key"], INVALID),
            ("not sorted", signed(form(&fields), "key", URL, "mandrill_eventsa"), &["key"], INVALID),
            ("no key", good("key"), &[], INVALID),
            ("no signature", form(&fields), &["key"], Err(Rejection::Missing("no X-Mandrill-Signature"))),
            ("no boundary", broken, &["key"], unreadable),
        ],
    );
}

#[test]
fn the_trial_key_authorises_the_empty_batch_and_nothing_else() {
    let trial = |batch: &str| signed(events(batch), "test-webhook", URL, &format!("mandrill_events{batch}"));
    assert_verdicts(
        &Mandrill,
        &[
            ("empty", trial("[]"), &["key"], Ok(())),
            ("empty, no key yet", trial("[]"), &[], Ok(())),
            ("with spaces", trial(" [ ] "), &["key"], Ok(())),
            ("an event", trial(r#"[{"event":"spam"}]"#), &["key"], INVALID),
            ("no list", trial("{}"), &["key"], INVALID),
            ("null", trial("[null]"), &["key"], INVALID),
            ("two lists", trial("[][]"), &["key"], INVALID),
            ("nothing", trial(""), &["key"], INVALID),
        ],
    );
}

#[test]
fn a_trial_that_carries_something_else_is_none() {
    let more: [&[(&str, &str)]; 5] = [
        &[("a", "cargo"), ("mandrill_events", "[]")],
        &[("mandrill_events", "[]"), ("mandrill_events", "[]")],
        &[("", ""), ("mandrill_events", "[]")],
        &[("mandrill_event", "[]")],
        &[("MANDRILL_EVENTS", "[]")],
    ];
    for fields in more {
        let sorted: String = fields.iter().flat_map(|(name, value)| [*name, *value]).collect();
        for sample in [form(fields), multipart(fields)] {
            let sample = signed(sample, "test-webhook", URL, &sorted);
            assert_eq!(sample.verify(&Mandrill, &["key"]), INVALID, "{fields:?}");
            assert_eq!(Mandrill.handshake(&sample.request()), Ok(None), "{fields:?}");
        }
    }
}

#[test]
fn an_empty_batch_is_a_ping_whoever_signed_it() {
    for key in ["test-webhook", "key"] {
        for sample in [events("[]"), multipart(&[("mandrill_events", "[]")])] {
            let sample = signed(sample, key, URL, "mandrill_events[]");
            assert_eq!(sample.verify(&Mandrill, &["key"]), Ok(()));
            assert_eq!(Mandrill.handshake(&sample.request()), Ok(Some(Handshake::Ping)));
        }
    }
    assert_eq!(Mandrill.handshake(&events(r#"[{"event":"send"}]"#).request()), Ok(None));
}

#[test]
fn every_event_is_read() {
    let base = json!({
        "message_id": "abcdef0123456789abcdef0123456789", "recipient": "ada@example.com",
        "occurred_at": "2026-01-01T10:00:00Z", "campaign": "spring", "tags": ["webhook-example"],
        "metadata": {"nachfass_campaign": "spring", "user_id": "111"},
    });
    let unknown = "smtp;550 5.1.1 The email account that you tried to reach does not exist.";
    let expected = [
        json!({"kind": "SENT"}),
        json!({"kind": "DELIVERED"}),
        json!({"kind": "DEFERRED", "bounce_class": "SOFT", "smtp_code": 451, "enhanced_code": "4.3.5",
               "diagnostic": "451 4.3.5 Temporarily unavailable, try again later."}),
        json!({"kind": "SOFT_BOUNCE", "bounce_class": "MAILBOX_FULL", "smtp_code": 552, "enhanced_code": "5.2.2",
               "diagnostic": "smtp;552 5.2.2 Over Quota"}),
        json!({"kind": "HARD_BOUNCE", "bounce_class": "HARD", "smtp_code": 550, "enhanced_code": "5.1.1",
               "diagnostic": unknown}),
        json!({"kind": "REJECTED"}),
        json!({"kind": "OPENED", "machine": true}),
        json!({"kind": "CLICKED", "url": "https://acme.example/offer"}),
        json!({"kind": "COMPLAINED"}),
        json!({"kind": "UNSUBSCRIBED"}),
    ];
    let body = String::from_utf8(fixture("mandrill/events.json")).expect("UTF-8");
    for sample in [events(&body), multipart(&[("mandrill_events", &body)])] {
        let reading = sample.read(&Mandrill);
        assert!(reading.failures.is_empty(), "{:?}", reading.failures);
        assert_eq!(reading.events.len(), expected.len());
        for (event, more) in reading.events.iter().zip(&expected) {
            assert_line(event, &with(&base, more), event.kind.as_str());
        }
    }
}

#[test]
fn events_of_one_message_have_different_keys_which_stay_the_same() {
    let body = String::from_utf8(fixture("mandrill/events.json")).expect("UTF-8");
    let keys = || events(&body).read(&Mandrill).events.into_iter().map(|event| event.event_id);
    let distinct: std::collections::BTreeSet<String> = keys().collect();
    assert_eq!(distinct.len(), 10);
    assert!(keys().eq(keys()));
}

#[test]
fn sync_events_take_their_time_from_what_they_have() {
    let body = String::from_utf8(fixture("mandrill/sync.json")).expect("UTF-8");
    let reading = events(&body).read(&Mandrill);
    let [added, removed] = reading.events.as_slice() else { panic!("two events") };
    let expected = json!({"kind": "OTHER", "recipient": "ada@example.com", "occurred_at": "2026-01-01T08:43:56Z",
                          "metadata": {"subaccount": "acme"}});
    assert_line(added, &expected, "blacklist");
    let expected = json!({"kind": "OTHER", "recipient": "ada@example.com", "occurred_at": "2026-01-01T10:00:00Z"});
    assert_line(removed, &expected, "whitelist");
}

#[test]
fn the_classifiers_codes_and_names_are_known() {
    let meaning = |msg: Value| {
        let event = events(&json!([{"event": "soft_bounce", "msg": msg}]).to_string()).event(&Mandrill);
        (event.kind.as_str(), event.bounce_class.map_or("", domain::BounceClass::as_str))
    };
    let cases = [
        (json!({"bgtools_code": 21, "bounce_description": "invalid_domain"}), ("SOFT_BOUNCE", "DNS")),
        (json!({"bounce_description": "invalid_domain"}), ("SOFT_BOUNCE", "DNS")),
        (json!({"bounce_description": "mailbox_full"}), ("SOFT_BOUNCE", "MAILBOX_FULL")),
        (json!({"bgtools_code": 23}), ("SOFT_BOUNCE", "CONTENT")),
        (json!({"bgtools_code": 51}), ("SOFT_BOUNCE", "BLOCK")),
        (json!({"bgtools_code": 40}), ("SOFT_BOUNCE", "SOFT")),
        (json!({"bgtools_code": 60}), ("AUTO_REPLY", "AUTO_REPLY")),
        (json!({}), ("SOFT_BOUNCE", "SOFT")),
    ];
    for (msg, expected) in cases {
        assert_eq!(meaning(msg.clone()), expected, "{msg}");
    }
}

#[test]
fn a_bad_element_holds_nothing_up() {
    let reading =
        events(r#"[{"event":"send"}, 7, {"_id":"x"}, {"event":"inbound"}, {"event":"dance"}]"#).read(&Mandrill);
    let kinds: Vec<EventKind> = reading.events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::Sent, EventKind::Other]);
    let failures: Vec<usize> = reading.failures.iter().map(|failure| failure.index).collect();
    assert_eq!(failures, [1, 2, 3]);
}

#[test]
fn what_is_no_event_of_a_mail_is_told_apart() {
    let nothing = events("[]").read(&Mandrill);
    assert!(nothing.events.is_empty() && nothing.failures.is_empty());
    let inbound = String::from_utf8(fixture("mandrill/inbound.json")).expect("UTF-8");
    assert_eq!(events(&inbound).read_error(&Mandrill), ReadError::InboundMail(Provider::Mandrill));
    assert_foreign(
        &Mandrill,
        &["", "mandrill_events=", "mandrill_events=%5B", "mandrill_events={}", r#"{"event":"send"}"#],
    );
    let unreadable = multipart(&[]).header("content-type", "multipart/form-data").read_error(&Mandrill);
    assert!(matches!(unreadable, ReadError::NotThisProvider { .. }), "{unreadable}");
}
