//! The envelope of SNS: envelopes that OpenSSL signed, and every way to tamper with them.

use domain::reading::ReadError;
use domain::{Provider, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{Handshake, Rejection, Webhook, sns, webhook};
use super::{Sample, fixture};

/// A moment at which the certificates of the fixtures are valid.
const NOW: Timestamp = Timestamp::from_seconds(1_893_456_000);

const NOTIFICATIONS: [&str; 2] = ["sns/notification-v1.json", "sns/notification-v2.json"];
const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:SES_Events";

fn sample(path: &str) -> Sample {
    let mut sample = Sample::json(fixture(path)).header("content-type", "text/plain; charset=UTF-8");
    sample.certificate = Some(fixture("sns/certificate.pem"));
    sample
}

/// The envelope of a fixture with some fields replaced; null removes.
fn changed(path: &str, changes: &Value) -> Sample {
    let mut sample = sample(path);
    let mut envelope: Value = serde_json::from_slice(&sample.body).expect("an envelope");
    for (name, value) in changes.as_object().expect("an object") {
        envelope[name] = value.clone();
    }
    sample.body = envelope.to_string().into_bytes();
    sample
}

fn secret(path: &str) -> String {
    String::from_utf8(fixture(path)).expect("PEM")
}

#[test]
fn every_kind_of_envelope_in_both_versions_is_verified() {
    let confirmations = ["sns/subscription-confirmation.json", "sns/unsubscribe-confirmation.json"];
    for path in NOTIFICATIONS.into_iter().chain(confirmations) {
        assert_eq!(sns::verify(&sample(path).request(), &[], NOW), Ok(()), "{path}");
    }
}

#[test]
fn a_key_comes_as_certificate_or_public_key_and_secrets_rotate() {
    let (own, other, bare) = ("sns/certificate.pem", "sns/other.pem", "sns/public-key.pem");
    let cases = [
        (vec![own], Ok(())),
        (vec![bare], Ok(())),
        (vec![other, bare], Ok(())),
        (vec![own, other], Ok(())),
        (vec![other], Err(Rejection::Invalid)),
    ];
    for (paths, expected) in cases {
        let secrets: Vec<String> = paths.iter().map(|path| secret(path)).collect();
        assert_eq!(sns::verify(&sample(NOTIFICATIONS[0]).request(), &secrets, NOW), expected, "{paths:?}");
    }
    let mut der = sample(NOTIFICATIONS[1]);
    der.certificate = Some(fixture("sns/certificate.der"));
    assert_eq!(sns::verify(&der.request(), &[], NOW), Ok(()));
}

#[test]
fn an_unusable_secret_says_so_and_holds_no_other_up() {
    let request = sample(NOTIFICATIONS[0]);
    let unusable = "not a key".to_owned();
    assert!(matches!(sns::verify(&request.request(), std::slice::from_ref(&unusable), NOW), Err(Rejection::Secret(_))));
    assert_eq!(sns::verify(&request.request(), &[unusable, secret("sns/public-key.pem")], NOW), Ok(()));
}

#[test]
fn a_certificate_counts_while_it_is_valid_only() {
    let request = sample(NOTIFICATIONS[0]);
    for year in [1_577_836_800, 2_366_841_600] {
        let result = sns::verify(&request.request(), &[], Timestamp::from_seconds(year));
        assert!(matches!(result, Err(Rejection::Certificate(_))), "{year}: {result:?}");
    }
    for certificate in [None, Some(b"-----BEGIN CERTIFICATE-----\nx".to_vec()), Some(b"nonsense".to_vec())] {
        let mut request = sample(NOTIFICATIONS[0]);
        request.certificate = certificate;
        assert!(matches!(sns::verify(&request.request(), &[], NOW), Err(Rejection::Certificate(_))));
    }
}

#[test]
fn whatever_is_signed_cannot_be_changed() {
    let cases = [
        json!({ "Message": "{}" }),
        json!({ "MessageId": "another" }),
        json!({ "Subject": null }),
        json!({ "Timestamp": "2018-05-24T21:40:35.191Z" }),
        json!({ "TopicArn": "arn:aws:sns:us-east-1:123456789012:Another" }),
        json!({ "Signature": "AAAA" }),
        json!({ "Signature": "no base64!" }),
        json!({ "SignatureVersion": "2" }),
        json!({ "SignatureVersion": "3" }),
        json!({ "SignatureVersion": null }),
    ];
    for changes in cases {
        let request = changed(NOTIFICATIONS[0], &changes);
        assert_eq!(sns::verify(&request.request(), &[], NOW), Err(Rejection::Invalid), "{changes}");
    }
}

#[test]
fn a_subject_is_signed_where_there_is_one_only() {
    let signed = |path| sns::Envelope::parse(&fixture(path)).expect("an envelope").string_to_sign();
    assert!(signed(NOTIFICATIONS[0]).contains("\nSubject\nAmazon SES Email Event Notification\nTimestamp\n"));
    assert!(!signed(NOTIFICATIONS[1]).contains("\nSubject\n"));
    assert!(signed("sns/subscription-confirmation.json").contains("\nSubscribeURL\nhttps://"));
}

#[test]
fn headers_must_say_what_the_body_says() {
    let cases = [
        ("x-amz-sns-message-type", "Notification", Ok(())),
        ("x-amz-sns-message-type", "SubscriptionConfirmation", Err(Rejection::Invalid)),
        ("x-amz-sns-message-id", "19ba9823-d7f2-53c1-860e-cb10e0d13dfc", Ok(())),
        ("x-amz-sns-message-id", "another", Err(Rejection::Invalid)),
    ];
    for (name, value, expected) in cases {
        let request = sample(NOTIFICATIONS[0]).header(name, value);
        assert_eq!(sns::verify(&request.request(), &[], NOW), expected, "{name}: {value}");
    }
}

#[test]
fn without_a_signature_nothing_is_authentic() {
    let raw = sample(NOTIFICATIONS[0]).header("x-amz-sns-rawdelivery", "true");
    let unsigned = changed(NOTIFICATIONS[0], &json!({ "Signature": null }));
    for request in [raw, unsigned] {
        assert!(matches!(sns::verify(&request.request(), &[], NOW), Err(Rejection::Missing(_))));
        assert_eq!(sns::AMAZON.certificate_url(&request.request()), Ok(None));
    }
    assert!(matches!(sns::verify(&Sample::json("{").request(), &[], NOW), Err(Rejection::Unreadable(_))));
    assert!(matches!(
        sns::verify(&changed(NOTIFICATIONS[0], &json!({ "Type": "Gossip" })).request(), &[], NOW),
        Err(Rejection::Unreadable(_))
    ));
}

const CERTIFICATE: &str = "SimpleNotificationService-ac565b8b1a6c5d002d285f9598aa1d9b.pem";

fn certificate_url(topic: &str, url: &str) -> Result<Option<String>, Rejection> {
    let sample = changed(NOTIFICATIONS[0], &json!({ "TopicArn": topic, "SigningCertURL": url }));
    sns::AMAZON.certificate_url(&sample.request())
}

#[test]
fn certificates_come_from_amazon_in_the_region_of_the_topic() {
    for (partition, region, domain) in [
        ("aws", "us-east-1", "amazonaws.com"),
        ("aws", "ap-southeast-2", "amazonaws.com"),
        ("aws", "il-central-1", "amazonaws.com"),
        ("aws-us-gov", "us-gov-west-1", "amazonaws.com"),
        ("aws-cn", "cn-north-1", "amazonaws.com.cn"),
    ] {
        let topic = format!("arn:{partition}:sns:{region}:123456789012:SES_Events");
        let url = format!("https://sns.{region}.{domain}/{CERTIFICATE}");
        assert_eq!(certificate_url(&topic, &url), Ok(Some(url.clone())));
    }
    let absent = changed(NOTIFICATIONS[0], &json!({ "SigningCertURL": null }));
    assert!(matches!(sns::AMAZON.certificate_url(&absent.request()), Err(Rejection::Missing(_))));
}

#[test]
fn no_other_url_is_one_of_a_certificate() {
    let good = format!("https://sns.us-east-1.amazonaws.com/{CERTIFICATE}");
    for (from, to) in [
        ("https", "http"),
        ("https", "HTTPS"),
        ("https://", "https:\\\\"),
        ("https://", "https:///"),
        ("https://", " https://"),
        ("https://", "https://user:pass@"),
        ("https://", "https://@"),
        ("https://", "https://evil.example/#"),
        ("https://", "https://evil.example\\@"),
        ("sns.us-east-1", "sns.s3"),
        ("sns.us-east-1", "sns.s3-us-east-1"),
        ("sns.us-east-1", "sns.s3.us-east-1"),
        ("sns.us-east-1", "sns.us-east-1.s3"),
        ("sns.us-east-1", "sns.bucket.s3"),
        ("sns.us-east-1", "sns."),
        ("sns.us-east-1", "SNS.us-east-1"),
        ("sns.us-east-1", "sns.us-eas\tt-1"),
        ("sns.us-east-1", "sns%2eus-east-1"),
        ("sns.us-east-1", "sns.eu-west-1"),
        ("sns.us-east-1", "evil"),
        (".com/", ".com./"),
        (".com/", ".com.cn/"),
        (".com/", ".com:443/"),
        (".com/", ".com:8443/"),
        (".com/", ".com:/"),
        (".com/", ".com.evil.example/"),
        (".com/", ".com//"),
        (".com/", ".com/x/"),
        (".com/", ".com/../"),
        (".com/", ".com/%2e/"),
        (".com/", ".com/?"),
        (".pem", ".txt"),
        (".pem", ".pem?x"),
        (".pem", ".pem#x"),
        (".pem", "%2epem"),
        (".pem", ".pem/"),
        (".pem", ".pem\n"),
        ("-ac565b", "-AC565B"),
        ("-ac565b", "-xc565b"),
        ("-ac565b8b1a", "-"),
        ("-ac565b", "-../ac565b"),
        ("SimpleNotificationService-", ""),
    ] {
        let url = good.replacen(from, to, 1);
        assert_ne!(url, good);
        assert!(matches!(certificate_url(TOPIC, &url), Err(Rejection::Certificate(_))), "{url}");
    }
    assert!(matches!(certificate_url(TOPIC, "no url"), Err(Rejection::Certificate(_))));
}

#[test]
fn a_topic_without_a_region_of_amazons_has_no_certificate() {
    for (topic, host) in [
        ("arn:aws:sns:s3:1:t", "sns.s3.amazonaws.com"),
        ("arn:aws:sns:s3-eu-west-1:1:t", "sns.s3-eu-west-1.amazonaws.com"),
        ("arn:aws:sns:compute-1:1:t", "sns.compute-1.amazonaws.com"),
        ("arn:aws:sns:us-east:1:t", "sns.us-east.amazonaws.com"),
        ("arn:aws:sns:us--1:1:t", "sns.us--1.amazonaws.com"),
        ("arn:aws:sns:us-east-1a:1:t", "sns.us-east-1a.amazonaws.com"),
        ("arn:aws:sns:us-east-1.x:1:t", "sns.us-east-1.x.amazonaws.com"),
        ("arn:aws:sns:us-east-1@x:1:t", "sns.us-east-1@x.amazonaws.com"),
        ("arn:aws:sns:US-EAST-1:1:t", "sns.US-EAST-1.amazonaws.com"),
        ("arn:aws:sns::1:t", "sns..amazonaws.com"),
        ("arn:aws:sqs:us-east-1:1:t", "sns.us-east-1.amazonaws.com"),
        ("arn:aws:sns:us-east-1", "sns.us-east-1.amazonaws.com"),
        ("arn:aws:sns:us-east-1:1:", "sns.us-east-1.amazonaws.com"),
        ("arn:aws:sns:cn-north-1:1:t", "sns.cn-north-1.amazonaws.com"),
        ("arn:aws:sns:cn-north-1:1:t", "sns.cn-north-1.amazonaws.com.cn"),
        ("arn:aws-cn:sns:cn-north-1:1:t", "sns.cn-north-1.amazonaws.com"),
        ("arn:aws-cn:sns:us-east-1:1:t", "sns.us-east-1.amazonaws.com.cn"),
        ("arn:scw:sns:us-east-1:1:t", "sns.us-east-1.amazonaws.com"),
        ("us-east-1", "sns.us-east-1.amazonaws.com"),
        ("", "sns.us-east-1.amazonaws.com"),
    ] {
        let url = format!("https://{host}/{CERTIFICATE}");
        assert!(matches!(certificate_url(topic, &url), Err(Rejection::Certificate(_))), "{topic} {url}");
    }
}

#[test]
fn a_subscription_is_confirmed_in_its_topics_region_only() {
    let confirm = |url: &str| {
        let sample = changed("sns/subscription-confirmation.json", &json!({ "SubscribeURL": url, "Token": "2336" }));
        sns::AMAZON.handshake(Provider::Ses, &sample.request())
    };
    let url = format!("https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336");
    // Put together anew, and so written in the one way that there is.
    let asked = url.replace(':', "%3A").replace("https%3A", "https:");
    for written in [&url, &asked] {
        let confirmed = Handshake::ConfirmSubscription { topic: TOPIC.into(), url: asked.clone() };
        assert_eq!(confirm(written), Ok(Some(confirmed)));
    }
    for (from, to) in [
        ("us-east-1.amazonaws", "eu-west-1.amazonaws"),
        ("us-east-1.amazonaws", "s3.amazonaws"),
        ("https", "http"),
        ("sns.us-east-1.amazonaws.com", "evil.example"),
        ("https://", "https://x@"),
        (".com/", ".com./"),
        (".com/", ".com:443/"),
        (".com/?", ".com/x?"),
        ("SES_Events", "Another"),
        ("Token=2336", "Token=2337"),
        ("ConfirmSubscription", "DeleteTopic"),
        ("Action=ConfirmSubscription&", ""),
        ("Token", "Action=ConfirmSubscription&Token"),
        ("Token", "Action=DeleteTopic&Token"),
        ("Token", "Attribute=x&Token"),
    ] {
        let url = url.replacen(from, to, 1);
        assert!(matches!(confirm(&url), Err(ReadError::NotThisProvider { .. })), "{url}");
    }
    assert!(confirm("").is_err());
    let tokenless = changed("sns/subscription-confirmation.json", &json!({ "SubscribeURL": url, "Token": null }));
    assert!(sns::AMAZON.handshake(Provider::Ses, &tokenless.request()).is_err());
}

#[test]
fn the_end_of_a_subscription_is_acknowledged_only() {
    let request = sample("sns/unsubscribe-confirmation.json");
    assert_eq!(sns::AMAZON.handshake(Provider::Ses, &request.request()), Ok(Some(Handshake::Ping)));
}

#[test]
fn the_topic_is_that_of_the_envelope_or_of_raw_deliverys_header() {
    assert_eq!(sns::topic(&sample(NOTIFICATIONS[0]).request()).as_deref(), Some(TOPIC));
    let disguised = sample(NOTIFICATIONS[0]).header("x-amz-sns-topic-arn", "another");
    assert_eq!(sns::topic(&disguised.request()).as_deref(), Some(TOPIC));
    let raw = Sample::json("{}").header("x-amz-sns-rawdelivery", "true").header("x-amz-sns-topic-arn", TOPIC);
    assert_eq!(sns::topic(&raw.request()).as_deref(), Some(TOPIC));
    assert_eq!(sns::topic(&Sample::json("[]").request()), None);
}

/// Any JSON, with a liking for names and values that the adapters look for.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        prop::sample::select(vec!["bounce", "failed", "Bounce", "open", "Notification", "<", "a <b"])
            .prop_map(Value::from),
    ];
    let names = prop::sample::select(vec![
        "event",
        "event-data",
        "signature",
        "message",
        "headers",
        "delivery-status",
        "timestamp",
        "Type",
        "Message",
        "mail",
        "destination",
        "bounce",
        "bouncedRecipients",
        "eventType",
        "msys",
        "message_event",
        "type",
        "RecordType",
        "Tag",
        "tag",
        "Metadata",
        "rcpt_meta",
        "category",
        "Payload",
        "MessageId",
        "TopicArn",
        "Timestamp",
        "SubscribeURL",
        "ts_epoch",
    ]);
    leaf.prop_recursive(5, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(names.clone().prop_map(str::to_owned), inner, 0..8)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// Calls everything that the adapters of this provider family do with a request.
fn exercise(sample: &Sample) {
    use Provider::{Brevo, Mailgun, Mailjet, Postmark, Sendgrid, Ses, Sparkpost};
    for provider in [Mailgun, Sendgrid, Ses, Postmark, Brevo, Sparkpost, Mailjet] {
        let adapter: &dyn Webhook = webhook(provider);
        let request = sample.request();
        let verified = adapter.verify(&request, &["secret".to_owned()], NOW);
        assert!(verified.is_err(), "{provider:?} believes anything");
        let _results = (adapter.certificate_url(&request), adapter.handshake(&request), adapter.read(&request));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(
        body in prop::collection::vec(any::<u8>(), 0..200),
        media_type in prop::sample::select(vec![
            "application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", "",
        ]),
    ) {
        exercise(&Sample::json(body).header("content-type", media_type));
    }

    #[test]
    fn any_json_is_read_without_panic(body in any_json()) {
        let message = json!({
            "Type": "Notification", "MessageId": "1", "TopicArn": TOPIC, "Timestamp": "", "Message": body.to_string(),
        });
        exercise(&Sample::json(body.to_string()));
        exercise(&Sample::json(message.to_string()));
    }
}
