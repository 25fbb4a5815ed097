//! Postmark: its documented records; and the bearer token of all providers that sign nothing.

use domain::reading::ReadError;
use domain::{BounceClass as C, Event, EventKind as K, Provider, Timestamp};
use serde_json::{Value, json};

use super::super::{Rejection, Webhook, postmark::Postmark, webhook};
use super::{Sample, fixture};

fn event(name: &str) -> Event {
    Sample::json(fixture(&format!("postmark/{name}.json"))).event(&Postmark)
}

fn of(element: &Value) -> Event {
    Sample::json(element.to_string()).event(&Postmark)
}

#[test]
fn every_record_is_mapped() {
    let cases = [
        ("delivery", K::Delivered, None, "2019-11-05T16:33:54.907025Z"),
        ("bounce", K::HardBounce, Some(C::Hard), "2019-11-05T20:33:54.907025Z"),
        ("spam-complaint", K::Complained, None, "2019-11-05T16:33:54.907025Z"),
        ("open", K::Opened, None, "2019-11-05T16:33:54.907025Z"),
        ("click", K::Clicked, None, "2017-10-25T15:21:11.906561Z"),
        ("subscription-change", K::HardBounce, Some(C::Hard), "2020-02-01T10:53:34.416071Z"),
    ];
    for (name, kind, class, time) in cases {
        let event = event(name);
        assert_eq!((event.kind, event.bounce_class), (kind, class), "{name}");
        assert_eq!(event.occurred_at.to_string(), time, "{name}");
        assert_eq!(event.message_id.as_deref(), Some("883953f4-6105-42a2-a16a-77a8eac79483"), "{name}");
        assert_eq!(
            (event.campaign.as_deref(), event.recipient_ref.as_deref()),
            (Some("spring"), Some("4711")),
            "{name}"
        );
        assert_eq!(*event.tags, ["welcome-email"], "{name}");
        assert!(event.recipient.is_some(), "{name}");
    }
    let bounce = event("bounce");
    assert_eq!(bounce.event_id, "4323372036854775807");
    assert_eq!((bounce.smtp_code, bounce.enhanced_code), (Some(550), "5.1.1".parse().ok()));
    assert!(event("open").event_id.starts_with("h-"));
    assert_eq!(event("click").url.as_deref(), Some("https://example.com/offer"));
    assert_eq!(of(&json!({ "RecordType": "BrandNew" })).kind, K::Other);
}

#[test]
fn not_every_bounce_is_one() {
    let cases = [
        ("SoftBounce", K::SoftBounce),
        ("Transient", K::Deferred),
        ("DnsError", K::Deferred),
        ("OpenRelayTest", K::Deferred),
        ("Blocked", K::Rejected),
        ("DMARCPolicy", K::Rejected),
        ("ManuallyDeactivated", K::Rejected),
        ("Unconfirmed", K::Rejected),
        ("BadEmailAddress", K::Rejected),
        ("VirusNotification", K::SoftBounce),
        ("SpamNotification", K::Complained),
        ("SpamComplaint", K::Complained),
        ("Unsubscribe", K::Unsubscribed),
        ("Subscribe", K::Subscribed),
        ("AutoResponder", K::AutoReply),
        ("AddressChange", K::AutoReply),
        ("ChallengeVerification", K::AutoReply),
        ("SMTPApiError", K::Failed),
        ("TemplateRenderingFailed", K::Failed),
        ("InboundError", K::Other),
        ("Unknown", K::SoftBounce),
        ("ManualSuppression", K::Unsubscribed),
        ("BrandNew", K::Other),
    ];
    for (kind, expected) in cases {
        let event = of(&json!({ "RecordType": "Bounce", "ID": 1, "Type": kind, "Details": "free text" }));
        assert_eq!(event.kind, expected, "{kind}");
        assert_eq!(event.recipient, None, "{kind}");
    }
}

#[test]
fn a_suppression_has_a_reason_or_is_lifted() {
    let cases = [
        (json!(true), json!("HardBounce"), K::HardBounce),
        (json!(true), json!("SpamComplaint"), K::Complained),
        (json!(true), json!("ManualSuppression"), K::Unsubscribed),
        (json!(true), json!("BrandNew"), K::Other),
        (json!(false), Value::Null, K::Subscribed),
    ];
    for (suppressed, reason, expected) in cases {
        let element =
            json!({ "RecordType": "SubscriptionChange", "SuppressSending": suppressed, "SuppressionReason": reason });
        assert_eq!(of(&element).kind, expected, "{element}");
    }
}

#[test]
fn what_is_missing_is_done_without() {
    let open = of(&json!({ "RecordType": "Open", "Tag": "", "Geo": {}, "Metadata": null }));
    assert_eq!((open.occurred_at, open.tags.len()), (Timestamp::from_seconds(1_767_225_600), 0));
}

#[test]
fn inbound_mails_and_foreign_bodies_are_refused() {
    let inbound = [fixture("postmark/inbound.json"), br#"{"RecordType": "Inbound"}"#.to_vec()];
    for body in inbound {
        assert!(matches!(Postmark.read(&Sample::json(body).request()), Err(ReadError::InboundMail(_))));
    }
    for body in ["{", "{}", "[]", "7"] {
        let result = Postmark.read(&Sample::json(body).request());
        assert!(matches!(result, Err(ReadError::NotThisProvider { .. })), "{body}");
    }
}

#[test]
fn providers_that_sign_nothing_are_known_by_a_bearer_token() {
    let secrets = ["old".to_owned(), "new".to_owned()];
    let cases = [
        ("authorization", "Bearer new", Ok(())),
        ("authorization", "bearer old", Ok(())),
        ("x-nachfass-secret", "new", Ok(())),
        ("authorization", "Bearer forged", Err(Rejection::Invalid)),
    ];
    for provider in [Provider::Postmark, Provider::Brevo, Provider::Sparkpost, Provider::Mailjet] {
        let verify = |sample: &Sample| webhook(provider).verify(&sample.request(), &secrets, Timestamp::default());
        for (name, value, expected) in &cases {
            assert_eq!(verify(&Sample::json("{}").header(name, value)), *expected, "{provider:?} {value}");
        }
        for sample in [Sample::json("{}"), Sample::json("{}").header("authorization", "Basic bmV3")] {
            assert!(matches!(verify(&sample), Err(Rejection::Missing(_))), "{provider:?}");
        }
    }
}
