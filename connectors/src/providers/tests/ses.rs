//! Amazon SES: its documented events, in the envelope of SNS and by raw delivery.

use domain::reading::{ReadError, Reading};
use domain::{BounceClass as C, EventKind as K, Timestamp};
use serde_json::{Value, json};

use super::super::{Handshake, Webhook, ses::Ses};
use super::{Sample, fixture};

const ID: &str = "19ba9823-d7f2-53c1-860e-cb10e0d13dfc";

/// A message in an envelope.
fn enveloped(message: &str) -> Sample {
    let envelope = json!({
        "Type": "Notification", "MessageId": ID, "TopicArn": "arn:aws:sns:us-east-1:123456789012:SES_Events",
        "Timestamp": "2018-05-24T21:40:35.190Z", "Message": message,
    });
    Sample::json(envelope.to_string()).header("content-type", "text/plain; charset=UTF-8")
}

fn sample(name: &str) -> Sample {
    enveloped(&String::from_utf8(fixture(&format!("ses/{name}.json"))).expect("JSON"))
}

/// A fixture's message, changed.
fn changed(name: &str, change: impl Fn(&mut Value)) -> Reading {
    let mut message: Value = serde_json::from_slice(&fixture(&format!("ses/{name}.json"))).expect("JSON");
    change(&mut message);
    enveloped(&message.to_string()).read(&Ses)
}

#[test]
fn every_event_is_mapped() {
    let published = "2018-05-24T21:40:35.190Z";
    let cases = [
        ("send", K::Sent, None, "2016-10-14T05:02:16.645Z"),
        ("delivery", K::Delivered, None, "2016-10-19T23:21:04.133Z"),
        ("bounce-suppressed", K::Blocked, Some(C::Block), "2017-08-05T00:41:02.669Z"),
        ("bounce-mailbox-full", K::SoftBounce, Some(C::MailboxFull), "2017-08-05T00:41:02.669Z"),
        ("complaint", K::Complained, None, "2017-08-05T00:41:02.669Z"),
        ("reject", K::Rejected, None, published),
        ("open", K::Opened, None, "2017-08-09T22:00:19.652Z"),
        ("click", K::Clicked, None, "2017-08-09T23:51:25.570Z"),
        ("rendering-failure", K::Failed, None, published),
        ("delivery-delay", K::Deferred, Some(C::Dns), "2020-06-16T00:25:40.095Z"),
        ("subscription", K::Unsubscribed, None, "2022-01-12T01:00:17.910Z"),
    ];
    for (name, kind, class, time) in cases {
        let event = sample(name).event(&Ses);
        assert_eq!((event.kind, event.bounce_class), (kind, class), "{name}");
        assert_eq!(event.occurred_at, time.parse::<Timestamp>().expect("a time"), "{name}");
        assert_eq!(event.event_id, format!("{ID}:recipient@example.com"), "{name}");
        assert_eq!(
            event.message_id.as_deref(),
            Some("7c191be45-e9aedb9a-02f9-4d12-a87d-dd0099a07f8a-000000"),
            "{name}"
        );
        assert_eq!(event.campaign.as_deref(), Some("spring"), "{name}");
        assert_eq!(event.recipient_ref.as_deref(), Some("4711"), "{name}");
        assert_eq!(event.metadata.get("ses:configuration-set").map(String::as_str), Some("ConfigSet"), "{name}");
        assert_eq!(*event.tags, ["newsletter", "spring"], "{name}");
    }
}

#[test]
fn words_and_links_are_kept() {
    let words = |name| sample(name).event(&Ses).diagnostic;
    assert_eq!(words("delivery").as_deref(), Some("250 2.6.0 Message received"));
    assert_eq!(words("reject").as_deref(), Some("Bad content"));
    assert!(words("rendering-failure").is_some_and(|words| words.starts_with("Attribute 'attributeName'")));
    assert!(sample("click").event(&Ses).url.is_some_and(|url| url.ends_with("send-email-smtp.html")));
}

#[test]
fn each_bounced_recipient_is_an_event_and_no_other_is() {
    for path in ["sns/notification-v1.json", "sns/notification-v2.json"] {
        let events = Sample::json(fixture(path)).read(&Ses).events;
        let found: Vec<_> = events.iter().map(|event| (event.event_id.as_str(), event.recipient.as_deref())).collect();
        let (one, two) = (format!("{ID}:one@example.com"), format!("{ID}:two@example.com"));
        assert_eq!(found, [(one.as_str(), Some("One@Example.com")), (two.as_str(), Some("two@example.com"))]);
        assert_eq!(events.iter().map(|event| event.smtp_code).collect::<Vec<_>>(), [Some(550), None]);
        assert!(events.iter().all(|event| event.kind == K::HardBounce));
    }
}

#[test]
fn who_opened_is_not_guessed_among_several() {
    let several = |message: &mut Value| message["mail"]["destination"] = json!(["a@example.com", "b@example.com"]);
    for name in ["open", "click"] {
        let reading = changed(name, several);
        assert_eq!(reading.events.len(), 1, "{name}");
        assert_eq!((reading.events[0].recipient.as_deref(), reading.events[0].event_id.as_str()), (None, ID), "{name}");
    }
    assert_eq!(changed("reject", several).events.len(), 2);
}

#[test]
fn what_is_missing_is_done_without() {
    let reading = enveloped(r#"{"eventType": "Bounce"}"#).read(&Ses);
    assert_eq!((reading.events[0].kind, reading.events[0].bounce_class), (K::SoftBounce, Some(C::Unknown)));
    assert_eq!(reading.events[0].recipient, None);
    let listless = changed("bounce-suppressed", |message| message["bounce"]["bouncedRecipients"] = Value::Null);
    assert_eq!(listless.events[0].recipient.as_deref(), Some("recipient@example.com"));
    let headerless = changed("open", |message| message["mail"]["headers"] = Value::Null);
    assert!(headerless.events[0].tags.is_empty());
    let empty = enveloped("{}\n").read(&Ses);
    assert_eq!((empty.events.len(), empty.failures.len()), (0, 1));
}

#[test]
fn a_type_that_is_not_known_is_kept() {
    let reading = changed("open", |message| message["eventType"] = json!("BrandNew"));
    assert_eq!(reading.events[0].kind, K::Other);
}

#[test]
fn raw_delivery_is_the_event_itself() {
    let raw = |name: &str| Sample::json(fixture(name)).header("x-amz-sns-rawdelivery", "true");
    let with_id = raw("ses/open.json").header("x-amz-sns-message-id", ID).event(&Ses);
    assert_eq!(with_id.event_id, format!("{ID}:recipient@example.com"));
    assert!(raw("ses/open.json").event(&Ses).event_id.starts_with("h-"));
}

#[test]
fn a_validated_topic_and_an_ended_subscription_are_accepted_silently() {
    for path in ["sns/topic-validated.json", "sns/unsubscribe-confirmation.json"] {
        let sample = Sample::json(fixture(path));
        assert_eq!(Ses.handshake(&sample.request()), Ok(Some(Handshake::Ping)), "{path}");
        assert_eq!(sample.read(&Ses), Reading::default(), "{path}");
    }
    let confirmation = Sample::json(fixture("sns/subscription-confirmation.json"));
    assert!(matches!(Ses.handshake(&confirmation.request()), Ok(Some(Handshake::ConfirmSubscription { .. }))));
    assert_eq!(Ses.handshake(&sample("open").request()), Ok(None));
    let succeeded = enveloped(r#"{"notificationType": "AmazonSnsSubscriptionSucceeded", "message": "…"}"#);
    assert_eq!(succeeded.read(&Ses), Reading::default());
}

#[test]
fn inbound_mails_and_foreign_bodies_are_refused() {
    assert!(matches!(Ses.read(&sample("received").request()), Err(ReadError::InboundMail(_))));
    for sample in [Sample::json("{"), Sample::json("[]"), Sample::json("{}"), enveloped("hello"), enveloped("[]")] {
        assert!(matches!(Ses.read(&sample.request()), Err(ReadError::NotThisProvider { .. })));
    }
}
