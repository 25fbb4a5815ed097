use domain::{BounceClass, EventKind};
use md5::{Digest, Md5};
use serde_json::json;

use super::{Sample, assert_foreign, assert_line, assert_verdicts, fixture, with};
use crate::providers::signature::hex;
use crate::providers::{Rejection, unisender::Unisender};

const INVALID: Result<(), Rejection> = Err(Rejection::Invalid);

/// A body with its `auth`, as the vendor makes it: `AUTH` gives way to the key, is hashed, and gives way to the hash.
fn signed(template: &str, key: &str) -> Sample {
    let auth = hex(&Md5::digest(template.replace("AUTH", key)));
    Sample::json(template.replace("AUTH", &auth))
}

fn auth(value: &str) -> Sample {
    Sample::json(format!(r#"{{"auth":{value},"status":"sent"}}"#))
}

#[test]
fn the_body_with_the_key_in_it_is_hashed() {
    // The vendor writes no spaces, but whatever it writes is what counts.
    let template = "{ \"events_by_user\":[],\n\"auth\" : \"AUTH\", \"ä\":1.0}";
    let mut altered = signed(template, "key");
    altered.body.push(b' ');
    let zeros = "0".repeat(32);
    let twice = Sample::json(format!(r#"{{"auth":"{zeros}","comment":"{zeros}"}}"#));
    let escaped = auth(&format!(r#""\u0030{}""#, "0".repeat(31)));
    assert_verdicts(
        &Unisender,
        &[
            ("good", signed(template, "key"), &["key"], Ok(())),
            ("rotation", signed(template, "key"), &["older", "key"], Ok(())),
            ("wrong key", signed(template, "key"), &["another"], INVALID),
            ("empty key", signed(template, ""), &[""], INVALID),
            ("body altered", altered, &["key"], INVALID),
            ("forged", auth(&format!("\"{zeros}\"")), &["key"], INVALID),
            ("in two places", twice, &["key"], INVALID),
            ("in no place", escaped, &["key"], INVALID),
            ("empty", auth("\"\""), &["key"], INVALID),
            ("short", auth("\"a\""), &["key"], INVALID),
            ("no text", auth("7"), &["key"], INVALID),
            ("null", auth("null"), &["key"], INVALID),
            ("not hexadecimal", auth(&format!("\"{}\"", "x".repeat(32))), &["key"], INVALID),
            ("no auth", Sample::json("{}"), &["key"], Err(Rejection::Missing("no `auth` in the body"))),
        ],
    );
    let unreadable = Sample::json("{").verify(&Unisender, &["key"]);
    assert!(matches!(unreadable, Err(Rejection::Unreadable(_))), "{unreadable:?}");
}

#[test]
fn every_event_is_read_and_others_are_passed_over() {
    let base = json!({
        "message_id": "1a3Q2V-0000OZ-S0", "recipient": "ada@example.com", "occurred_at": "2026-01-01T09:30:00Z",
        "campaign": "spring", "metadata": {"nachfass_campaign": "spring", "key1": "val1"},
    });
    let hard = json!({"kind": "HARD_BOUNCE", "bounce_class": "HARD", "smtp_code": 550, "enhanced_code": "5.1.1",
                      "diagnostic": "550 5.1.1 no such user"});
    let expected = [
        json!({"kind": "SENT"}),
        json!({"kind": "DELIVERED", "smtp_code": 250, "diagnostic": "250 OK"}),
        json!({"kind": "DEFERRED", "bounce_class": "BLOCK", "smtp_code": 451, "enhanced_code": "4.7.1",
               "diagnostic": "451 4.7.1 greylisted"}),
        hard.clone(),
        json!({"kind": "COMPLAINED"}),
        json!({"kind": "UNSUBSCRIBED"}),
        json!({"kind": "SUBSCRIBED"}),
        json!({"kind": "OPENED", "machine": true}),
        json!({"kind": "CLICKED", "url": "https://acme.example/offer"}),
    ];
    let reading = Sample::json(fixture("unisender/events.json")).read(&Unisender);
    assert!(reading.failures.is_empty(), "{:?}", reading.failures);
    assert_eq!(reading.events.len(), expected.len());
    for (event, more) in reading.events.iter().zip(&expected) {
        assert_line(event, &with(&base, more), event.kind.as_str());
    }
    let single = Sample::json(fixture("unisender/single.json")).event(&Unisender);
    assert_line(&single, &with(&base, &hard), "single");
    assert_eq!(single.event_id, reading.events[3].event_id, "both forms of an event have the same key");
}

#[test]
fn the_extended_status_says_what_a_bounce_is() {
    use BounceClass as C;
    use EventKind as K;
    let meaning = |status: &str, delivery_status: &str| {
        let data = json!({"status": status, "delivery_info": {"delivery_status": delivery_status}});
        let event = Sample::json(json!({"event_data": data}).to_string()).event(&Unisender);
        (event.kind, event.bounce_class)
    };
    let cases = [
        ("hard_bounced", "err_user_inactive", K::HardBounce, Some(C::Hard)),
        ("hard_bounced", "err_domain_inactive", K::HardBounce, Some(C::Dns)),
        ("hard_bounced", "err_unreachable", K::HardBounce, Some(C::Hard)),
        ("hard_bounced", "err_delivery_failed", K::HardBounce, Some(C::Unknown)),
        ("hard_bounced", "", K::HardBounce, Some(C::Hard)),
        ("hard_bounced", "err_mailbox_full", K::SoftBounce, Some(C::MailboxFull)),
        ("hard_bounced", "err_destination_misconfigured", K::SoftBounce, Some(C::Dns)),
        ("hard_bounced", "err_spam_rejected", K::Blocked, Some(C::Content)),
        ("hard_bounced", "err_too_large", K::Blocked, Some(C::Content)),
        ("hard_bounced", "err_blacklisted", K::Blocked, Some(C::Block)),
        ("hard_bounced", "err_unsubscribed", K::Rejected, None),
        ("hard_bounced", "skip_dup_unreachable", K::Rejected, Some(C::Hard)),
        ("hard_bounced", "skip_dup_mailbox_full", K::Rejected, Some(C::MailboxFull)),
        ("hard_bounced", "err_spam_skipped", K::Rejected, Some(C::Content)),
        ("hard_bounced", "err_lost", K::Failed, None),
        ("soft_bounced", "err_will_retry", K::Deferred, Some(C::Soft)),
        ("soft_bounced", "", K::SoftBounce, Some(C::Soft)),
        ("soft_bounced", "err_new", K::SoftBounce, Some(C::Unknown)),
        ("teleported", "err_lost", K::Other, None),
    ];
    for (status, delivery_status, kind, class) in cases {
        assert_eq!(meaning(status, delivery_status), (kind, class), "{status} {delivery_status}");
    }
}

#[test]
fn an_event_without_a_time_happened_when_it_was_received() {
    let sample = Sample::json(r#"{"status":"sent","job_id":"j","email":"ada@example.com"}"#);
    assert_eq!(sample.event(&Unisender).occurred_at, sample.request().received_at);
}

#[test]
fn a_bad_element_holds_nothing_up() {
    let events = json!([{"event_data": {"status": "sent"}}, 7, {"event_data": {}}]);
    let body = json!({"events_by_user": [{"events": events}, {"user_id": 1}]});
    let reading = Sample::json(body.to_string()).read(&Unisender);
    let failures: Vec<usize> = reading.failures.iter().map(|failure| failure.index).collect();
    assert_eq!((reading.events.len(), failures), (1, vec![1, 2, 3]));
}

#[test]
fn what_is_no_event_of_a_mail_is_told_apart() {
    let nothing = Sample::json(r#"{"events_by_user":[]}"#).read(&Unisender);
    assert!(nothing.events.is_empty() && nothing.failures.is_empty());
    assert_foreign(&Unisender, &["", "{", "{}", "[]", "7", r#"{"events_by_user":7}"#, r#"{"event":"open"}"#]);
}
