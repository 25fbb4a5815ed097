//! Mailgun: its documented samples, the legacy forms, and the signature.

use domain::machine::{MachineReason, Verdict};
use domain::reading::ReadError;
use domain::{BounceClass as C, Event, EventKind as K, Timestamp};
use serde_json::{Value, json};

use super::super::signature::{hex, hmac_sha256};
use super::super::{Rejection, Webhook, mailgun::Mailgun};
use super::{Sample, fixture};

const KEY: &str = "key-55fe39b2a1c4";
const SIGNED_AT: i64 = 1_529_006_854;
const FORM: &str = "application/x-www-form-urlencoded";

fn event(name: &str) -> Event {
    Sample::json(fixture(&format!("mailgun/{name}.json"))).event(&Mailgun)
}

/// An event of these data.
fn data(data: &Value) -> Event {
    Sample::json(json!({ "signature": { "token": "t0ken" }, "event-data": data }).to_string()).event(&Mailgun)
}

fn form(fields: &[(&str, &str)]) -> Sample {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    Sample::json(body).header("content-type", FORM)
}

/// A signed body; `key` signs.
fn signed(key: &str) -> Value {
    let signature = hex(&hmac_sha256(key.as_bytes(), &[SIGNED_AT.to_string().as_bytes(), b"t0ken"]));
    json!({
        "signature": { "timestamp": SIGNED_AT.to_string(), "token": "t0ken", "signature": signature },
        "event-data": { "event": "opened" },
    })
}

fn verify(body: &Value, secrets: &[&str], after_seconds: i64) -> Result<(), Rejection> {
    let secrets: Vec<String> = secrets.iter().map(|secret| (*secret).to_owned()).collect();
    let now = Timestamp::from_seconds(SIGNED_AT + after_seconds);
    Mailgun.verify(&Sample::json(body.to_string()).request(), &secrets, now)
}

#[test]
fn every_event_is_mapped() {
    let cases = [
        ("accepted", K::Queued, None, None, None),
        ("delivered", K::Delivered, None, Some(250), None),
        ("failed-permanent", K::HardBounce, Some(C::Hard), Some(550), Some("5.1.1")),
        ("failed-temporary", K::Deferred, Some(C::Soft), Some(450), Some("4.2.0")),
        ("failed-suppressed", K::Blocked, Some(C::Block), None, None),
        ("failed-no-mx", K::Deferred, Some(C::Dns), None, None),
        ("rejected", K::Rejected, None, None, None),
        ("opened", K::Opened, None, None, None),
        ("clicked", K::Clicked, None, None, None),
        ("complained", K::Complained, None, None, None),
        ("unsubscribed", K::Unsubscribed, None, None, None),
    ];
    for (name, kind, class, smtp, enhanced) in cases {
        let event = event(name);
        let codes = (event.smtp_code, event.enhanced_code.map(|code| code.to_string()));
        assert_eq!((event.kind, event.bounce_class), (kind, class), "{name}");
        assert_eq!(codes, (smtp, enhanced.map(str::to_owned)), "{name}");
        assert_eq!(event.campaign.as_deref(), Some("spring-2018"), "{name}");
        assert_eq!(event.recipient_ref.as_deref(), Some("4711"), "{name}");
        assert_eq!(event.recipient.as_deref(), Some("alice@example.com"), "{name}");
        assert_eq!(*event.tags, ["my_tag_1", "my_tag_2"], "{name}");
    }
    assert_eq!(data(&json!({ "event": "brand_new" })).kind, K::Other);
}

#[test]
fn ids_times_and_words_are_kept() {
    let delivered = event("delivered");
    assert_eq!(delivered.event_id, "CPgfbmQMTCKtHW6uIWtuVe@1521472262.908181");
    assert_eq!(delivered.message_id.as_deref(), Some("20130503182626.18666.16540@sandbox.mailgun.org"));
    assert_eq!(delivered.occurred_at, Timestamp::from_micros(1_521_472_262_908_181));
    let words = [
        ("failed-suppressed", "Not delivering to previously bounced address"),
        ("failed-no-mx", "No MX for example.com"),
        ("failed-temporary", "450 4.2.0 Recipient address rejected: Greylisted"),
    ];
    for (name, words) in words {
        assert_eq!(event(name).diagnostic.as_deref(), Some(words));
    }
    assert!(event("rejected").diagnostic.is_some_and(|words| words.starts_with("Sandbox subdomains")));
}

#[test]
fn the_bot_flag_is_the_verdict() {
    assert_eq!(event("opened").verdict, Some(Verdict::Human));
    assert_eq!(event("opened-bot").verdict, Some(Verdict::Machine(MachineReason::ProviderFlag)));
    assert_eq!(event("clicked").verdict, None);
}

#[test]
fn what_is_missing_is_done_without() {
    let clicked = event("clicked");
    assert_eq!((clicked.message_id, clicked.url.as_deref()), (None, Some("https://example.com/offer?a=1&b=2")));
    let bare = data(&json!({ "event": "failed", "delivery-status": null, "message": null }));
    assert_eq!((bare.kind, bare.event_id.as_str()), (K::SoftBounce, "t0ken"));
    assert_eq!(bare.occurred_at, Timestamp::from_seconds(1_767_225_600));
}

#[test]
fn mailguns_own_codes_are_no_smtp_codes() {
    for code in [498, 499, 605, 607] {
        let event = data(&json!({ "event": "failed", "severity": "permanent", "delivery-status": { "code": code } }));
        assert_eq!(event.smtp_code, None, "{code}");
    }
}

#[test]
fn a_bad_element_is_a_failure_and_a_foreign_body_an_error() {
    let reading = Sample::json(r#"{"event-data": {"id": "x"}}"#).read(&Mailgun);
    assert_eq!((reading.events.len(), reading.failures.len()), (0, 1));
    let inbound = [Sample::json(r#"{"sender": "a@example.com"}"#), form(&[("sender", "a@example.com")])];
    for sample in inbound {
        assert!(matches!(Mailgun.read(&sample.request()), Err(ReadError::InboundMail(_))));
    }
    let broken_form = Sample::json("x").header("content-type", "multipart/form-data; boundary=b");
    for sample in [Sample::json("{"), Sample::json("[]"), Sample::json("{}"), form(&[("a", "b")]), broken_form] {
        assert!(matches!(Mailgun.read(&sample.request()), Err(ReadError::NotThisProvider { .. })));
    }
}

#[test]
fn legacy_forms_are_read_like_todays_events() {
    let cases = [
        ("delivered", "", K::Delivered, None, None),
        ("dropped", "605", K::Rejected, None, None),
        ("bounced", "550", K::HardBounce, Some(C::Hard), Some(550)),
        ("bounced", "5.1.1", K::HardBounce, Some(C::Hard), None),
        ("bounced", "452", K::SoftBounce, Some(C::MailboxFull), Some(452)),
        ("bounced", "499", K::HardBounce, Some(C::Dns), None),
        ("bounced", "607", K::Blocked, Some(C::Block), None),
        ("complained", "", K::Complained, None, None),
        ("unsubscribed", "", K::Unsubscribed, None, None),
        ("opened", "", K::Opened, None, None),
        ("clicked", "", K::Clicked, None, None),
    ];
    for (name, code, kind, class, smtp) in cases {
        let event = form(&[("event", name), ("code", code), ("recipient", "a@example.com")]).event(&Mailgun);
        assert_eq!((event.kind, event.bounce_class, event.smtp_code), (kind, class, smtp), "{name} {code}");
    }
}

#[test]
fn in_legacy_forms_the_last_value_is_signed_and_the_first_is_the_events() {
    let signature = signed(KEY)["signature"]["signature"].as_str().expect("a text").to_owned();
    let signed_at = SIGNED_AT.to_string();
    let fields = [
        ("timestamp", "mine"),
        ("token", "mine"),
        ("signature", "mine"),
        ("event", "clicked"),
        ("event", "mine"),
        ("recipient", "a@example.com"),
        ("recipient", "mine"),
        ("Message-Id", "<1@example.com>"),
        ("tag", "one"),
        ("X-Mailgun-Tag", "two"),
        ("message-headers", r#"[["X-Mailgun-Tag", "three"], ["X-Mailgun-Variables", "{\"campaign\": \"spring\"}"]]"#),
        ("my-var", "1"),
        ("timestamp", &signed_at),
        ("token", "t0ken"),
        ("signature", &signature),
    ];
    let sample = form(&fields);
    let now = Timestamp::from_seconds(SIGNED_AT);
    assert_eq!(Mailgun.verify(&sample.request(), &[KEY.to_owned()], now), Ok(()));
    let event = sample.event(&Mailgun);
    assert_eq!((event.kind, event.recipient.as_deref()), (K::Clicked, Some("a@example.com")));
    assert_eq!((event.event_id.as_str(), event.occurred_at), ("t0ken", now));
    assert_eq!(event.message_id.as_deref(), Some("1@example.com"));
    assert_eq!(*event.tags, ["one", "two", "three"]);
    assert_eq!(event.campaign.as_deref(), Some("spring"));
    assert_eq!(event.metadata.keys().collect::<Vec<_>>(), ["campaign", "my-var"]);
}

#[test]
fn a_multipart_form_is_read_as_well() {
    let part =
        |name: &str, value: &str| format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let body = format!("{}{}--b--\r\n", part("event", "opened"), part("recipient", "a@example.com"));
    let event = Sample::json(body).header("content-type", "multipart/form-data; boundary=b").event(&Mailgun);
    assert_eq!((event.kind, event.recipient.as_deref()), (K::Opened, Some("a@example.com")));
}

#[test]
fn a_signature_fits_one_of_the_keys() {
    let body = signed(KEY);
    let cases = [
        (vec![KEY], Ok(())),
        (vec!["new-key", KEY], Ok(())),
        (vec!["new-key"], Err(Rejection::Invalid)),
        (vec![""], Err(Rejection::Invalid)),
        (vec![], Err(Rejection::Invalid)),
    ];
    for (secrets, expected) in cases {
        assert_eq!(verify(&body, &secrets, 60), expected, "{secrets:?}");
    }
    for name in ["timestamp", "token"] {
        let mut forged = body.clone();
        forged["signature"][name] = json!("1529006855");
        assert_eq!(verify(&forged, &[KEY], 60), Err(Rejection::Invalid), "{name}");
    }
}

#[test]
fn a_replayed_triple_is_stale_after_twelve_hours() {
    let body = signed(KEY);
    for (after, fresh) in [(0, true), (8 * 3600, true), (12 * 3600 + 1, false), (-13 * 3600, false)] {
        assert_eq!(verify(&body, &[KEY], after).is_ok(), fresh, "{after}");
    }
    assert_eq!(verify(&body, &[KEY], 50_000), Err(Rejection::Stale { window_seconds: 43_200 }));
    assert_eq!(verify(&body, &["wrong"], 50_000), Err(Rejection::Invalid));
}

#[test]
fn a_missing_signature_and_a_broken_body_are_told_apart() {
    for name in ["timestamp", "token", "signature"] {
        let mut body = signed(KEY);
        body["signature"][name] = Value::Null;
        assert!(matches!(verify(&body, &[KEY], 0), Err(Rejection::Missing(_))), "{name}");
    }
    let broken = Mailgun.verify(&Sample::json("{").request(), &[KEY.to_owned()], Timestamp::default());
    assert!(matches!(broken, Err(Rejection::Unreadable(_))));
}
