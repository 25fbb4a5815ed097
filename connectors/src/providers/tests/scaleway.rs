//! The signature of `scaleway/notification.json` was made by OpenSSL, with the key to `scaleway/key.pem`.

use domain::reading::ReadError;
use serde_json::{Value, json};

use super::{Sample, assert_fixtures, assert_foreign, assert_line, assert_verdicts, fixture, with};
use crate::providers::{Handshake, Rejection, Webhook, scaleway::Scaleway};

/// A fixture as JSON, with some fields replaced.
fn altered(name: &str, fields: &Value) -> Sample {
    let body: Value = serde_json::from_slice(&fixture(&format!("scaleway/{name}.json"))).expect("JSON");
    Sample::json(with(&body, fields).to_string())
}

fn notification() -> Sample {
    altered("notification", &json!({}))
}

fn base() -> Value {
    json!({
        "event_id": "0a3ba8a4-6f2b-4e8e-9f5a-3b1f1a6f7c01", "message_id": "4e4ba8a4-0000-4e8e-9f5a-3b1f1a6f7c01",
        "recipient": "ada@example.com", "occurred_at": "2026-01-01T09:30:00.500Z", "campaign": "spring",
        "metadata": {"nachfass_campaign": "spring"},
    })
}

#[test]
fn envelopes_are_signed() {
    let [key, other] =
        ["key", "other_key"].map(|name| String::from_utf8(fixture(&format!("scaleway/{name}.pem"))).expect("UTF-8"));
    let forged = altered("notification", &json!({"Message": "{}"}));
    let unsigned = altered("notification", &json!({"Signature": null}));
    assert_verdicts(
        &Scaleway,
        &[
            ("good", notification(), &[&key], Ok(())),
            ("rotation", notification(), &[&other, &key], Ok(())),
            ("wrong key", notification(), &[&other], Err(Rejection::Invalid)),
            ("forged", forged, &[&key], Err(Rejection::Invalid)),
            ("unsigned", unsigned, &[&key], Err(Rejection::Missing("there is no Signature in the envelope"))),
            ("no envelope", Sample::json("{"), &[&key], Err(Rejection::Unreadable("no SNS envelope".into()))),
        ],
    );
}

#[test]
fn certificates_lie_with_scaleway_and_nowhere_else() {
    let url = |url: &str| Scaleway.certificate_url(&altered("notification", &json!({"SigningCertURL": url})).request());
    let own = "https://messaging.s3.fr-par.scw.cloud/fr-par/sns/certificate.pem";
    for own in [own, "https://messaging.s3.fr-par.scw.cloud/fr-par/sns/sns_certificate_1a2B-3.crt"] {
        assert_eq!(url(own), Ok(Some(own.to_owned())));
    }
    for (from, to) in [
        ("https", "http"),
        ("https://", "https://x@"),
        ("https://", "https:\\\\"),
        ("messaging", "Messaging"),
        ("messaging", "evil"),
        (".fr-par.", ".nl-ams."),
        ("/fr-par/", "/nl-ams/"),
        ("/fr-par/", "/"),
        (".cloud/", ".cloud./"),
        (".cloud/", ".cloud:443/"),
        (".cloud/", ".cloud.evil.example/"),
        ("/sns/", "/sns/../"),
        ("/sns/", "/sns/x/"),
        ("/sns/", "/sns/%2e%2e/"),
        ("/sns/", "/sns/?"),
        ("certificate", ""),
        (".pem", ".txt"),
        (".pem", ".pem?"),
        (".pem", ".pem#.pem"),
    ] {
        let foreign = own.replacen(from, to, 1);
        assert_ne!(foreign, own);
        assert!(matches!(url(&foreign), Err(Rejection::Certificate(_))), "{foreign}");
    }
    let of_topic = |topic: &str| {
        Scaleway.certificate_url(&altered("notification", &json!({"TopicArn": topic, "SigningCertURL": own})).request())
    };
    for topic in ["arn:aws:sns:fr-par:project:mails", "arn:scw:sns:nl-ams:project:mails", "arn:scw:sns:fr-par", "mails"]
    {
        assert!(matches!(of_topic(topic), Err(Rejection::Certificate(_))), "{topic}");
    }
    let foreign = [
        "http://messaging.s3.fr-par.scw.cloud/certificate.pem",
        "https://sns.eu-west-1.amazonaws.com/certificate.pem",
        "https://messaging.s3.fr-par.scw.cloud.example.com/certificate.pem",
        "https://evil.s3.fr-par.scw.cloud/certificate.pem",
    ];
    for foreign in foreign {
        assert!(matches!(url(foreign), Err(Rejection::Certificate(_))), "{foreign}");
    }
}

#[test]
fn subscriptions_are_confirmed_with_scaleway_and_nowhere_else() {
    let confirm = |fields: Value| Scaleway.handshake(&altered("confirmation", &fields).request());
    let url = "https://sns.mnq.fr-par.scaleway.com/?Action=ConfirmSubscription\
               &TopicArn=arn%3Ascw%3Asns%3Afr-par%3Aproject-2c4ba8a4%3Amails&Token=2336412f37";
    let topic = "arn:scw:sns:fr-par:project-2c4ba8a4:mails";
    let expected = Handshake::ConfirmSubscription { topic: topic.into(), url: url.into() };
    assert_eq!(confirm(json!({})), Ok(Some(expected)));
    for foreign in [
        "https://sns.fr-par.amazonaws.com/?Action=ConfirmSubscription&Token=2336412f37",
        "https://sns.mnq.nl-ams.scaleway.com/?Action=ConfirmSubscription&Token=2336412f37",
        "https://sns.mnq.fr-par.scaleway.com.evil.example/?Action=ConfirmSubscription&Token=2336412f37",
        "https://sns.mnq.fr-par.scaleway.com:443/?Action=ConfirmSubscription&Token=2336412f37",
        "https://sns.mnq.fr-par.scaleway.com/?Action=ConfirmSubscription&Token=another",
        "https://sns.mnq.fr-par.scaleway.com/?Action=DeleteTopic&Token=2336412f37",
        "no URL",
    ] {
        let error = confirm(json!({"SubscribeURL": foreign})).expect_err("a foreign URL");
        assert!(matches!(error, ReadError::NotThisProvider { .. }), "{foreign}: {error}");
    }
    assert_eq!(confirm(json!({"Type": "UnsubscribeConfirmation"})), Ok(Some(Handshake::Ping)));
    assert_eq!(Scaleway.handshake(&notification().request()), Ok(None));
    assert!(altered("confirmation", &json!({})).read(&Scaleway).events.is_empty());
}

#[test]
fn every_event_is_read() {
    let cases = [
        ("email_queued", json!({"kind": "QUEUED"})),
        (
            "email_delivered",
            json!({"kind": "DELIVERED", "smtp_code": 250, "enhanced_code": "2.0.0", "diagnostic": "2.0.0 OK"}),
        ),
        (
            "email_deferred",
            json!({"kind": "DEFERRED", "bounce_class": "BLOCK", "smtp_code": 451, "enhanced_code": "4.7.1",
                   "diagnostic": "4.7.1 greylisted"}),
        ),
        (
            "email_dropped",
            json!({"kind": "HARD_BOUNCE", "bounce_class": "HARD", "smtp_code": 550, "enhanced_code": "5.1.1",
                   "diagnostic": "5.1.1 no such user"}),
        ),
        (
            "email_mailbox_not_found",
            json!({"kind": "HARD_BOUNCE", "bounce_class": "HARD", "smtp_code": 550, "diagnostic": "mailbox not found"}),
        ),
        (
            "email_spam",
            json!({"kind": "BLOCKED", "bounce_class": "CONTENT", "smtp_code": 554, "diagnostic": "looks like spam"}),
        ),
        ("email_blocklisted", json!({"kind": "BLOCKED", "bounce_class": "BLOCK"})),
        (
            "blocklist_created",
            json!({"kind": "BLOCKED", "bounce_class": "BLOCK", "message_id": null, "recipient": null, "campaign": null,
                   "metadata": {}}),
        ),
        ("email_unknown", json!({"kind": "OTHER"})),
    ];
    assert_fixtures(&Scaleway, "scaleway", &base(), &cases);
}

#[test]
fn an_event_is_the_same_with_and_without_its_envelope() {
    let delivered = json!({"kind": "DELIVERED", "smtp_code": 250, "enhanced_code": "2.0.0", "diagnostic": "2.0.0 OK"});
    assert_line(&notification().event(&Scaleway), &with(&base(), &delivered), "enveloped");
    let raw = Sample::json(fixture("scaleway/email_delivered.json")).header("x-amz-sns-rawdelivery", "true");
    assert_line(&raw.event(&Scaleway), &with(&base(), &delivered), "raw");
}

#[test]
fn an_event_without_times_of_its_own_happened_when_it_was_published() {
    let bare = altered("notification", &json!({"Message": r#"{"id":"x","type":"email_queued"}"#})).event(&Scaleway);
    assert_eq!(bare.occurred_at.to_string(), "2026-01-01T09:30:01Z");
    let queued = Sample::json(r#"{"id":"x","type":"email_queued","email_queued_at":"2026-01-01T09:29:00Z"}"#);
    assert_eq!(queued.event(&Scaleway).occurred_at.to_string(), "2026-01-01T09:29:00Z");
}

#[test]
fn headers_may_be_an_object() {
    let sample = altered("email_queued", &json!({"email_headers": {"campaign_id": "autumn"}}));
    assert_eq!(sample.event(&Scaleway).campaign.as_deref(), Some("autumn"));
}

#[test]
fn what_is_no_event_of_a_mail_is_told_apart() {
    assert_foreign(&Scaleway, &["", "{", "{}", "[]", "7", r#"{"type":"email_queued"}"#, r#"{"id":"x"}"#]);
    let foreign = altered("notification", &json!({"Message": "hello"})).read_error(&Scaleway);
    assert!(matches!(foreign, ReadError::NotThisProvider { .. }), "{foreign}");
}
