use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::future::BoxFuture;

use super::source::urls;
use super::*;
use crate::http::FetchError;
use crate::providers::signature::{hex, hmac_sha1, hmac_sha256};

struct StandingClock;

impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(1_767_225_600)
    }
}

/// Answers everything, and remembers what was asked for.
#[derive(Default)]
struct FakeFetch(Mutex<Vec<String>>);

impl Fetch for FakeFetch {
    fn get<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Vec<u8>, FetchError>> {
        self.0.lock().expect("unpoisoned").push(url.to_owned());
        Box::pin(async { Ok(Vec::new()) })
    }
}

fn sources(toml: &str) -> (Sources, Arc<FakeFetch>) {
    let settings: SourceSettings = serde_json::from_str(toml).expect("settings");
    let fetch = Arc::new(FakeFetch::default());
    (Sources::new(vec![settings], "https://n.example.com", fetch.clone(), Arc::new(StandingClock)), fetch)
}

/// What came of an authentic request.
#[derive(Debug, PartialEq)]
enum Came {
    Readable,
    Unreadable,
    Handshake,
}

async fn receive(sources: &Sources, name: &str, headers: &[(String, String)], body: &[u8]) -> Result<Came, Denied> {
    let post = Post { headers: headers.to_vec(), body: body.to_vec(), hold: Box::new(()) };
    Ok(match sources.receive(name, post).await? {
        Received::Handshake => Came::Handshake,
        Received::Events { post, unreadable, .. } => {
            assert_eq!(post.body, body, "the body is stored as it came");
            if unreadable.is_some() { Came::Unreadable } else { Came::Readable }
        }
    })
}

fn basic(pair: &str) -> Vec<(String, String)> {
    vec![("authorization".into(), format!("Basic {}", STANDARD.encode(pair)))]
}

#[tokio::test]
async fn credentials_are_asked_for_besides_the_signature() {
    let (sources, _) = sources(r#"{"name":"s","provider":"postmark","basic_auth":["a:b","c:d"]}"#);
    let body = br#"{"RecordType":"Delivery","MessageID":"m","Recipient":"a@example.com","DeliveredAt":"2026-01-01T00:00:00Z"}"#;
    assert_eq!(receive(&sources, "s", &[], body).await, Err(Denied::Credentials));
    assert_eq!(receive(&sources, "s", &basic("a:wrong"), body).await, Err(Denied::Credentials));
    assert_eq!(receive(&sources, "s", &basic("c:d"), body).await, Ok(Came::Readable));
    assert_eq!(receive(&sources, "other", &basic("c:d"), body).await, Err(Denied::UnknownSource));
    assert_eq!(receive(&sources, "s", &basic("c:d"), b"rubbish").await, Ok(Came::Unreadable));
}

fn mailgun(token: &str, id: &str) -> Vec<u8> {
    let signature = hex(&hmac_sha256(b"key", &[b"1767225600", token.as_bytes()]));
    format!(
        r#"{{"signature":{{"timestamp":"1767225600","token":"{token}","signature":"{signature}"}},
        "event-data":{{"event":"delivered","id":"{id}","timestamp":1767225600.5,"recipient":"a@example.com"}}}}"#
    )
    .into_bytes()
}

#[tokio::test]
async fn a_mailgun_token_serves_one_event() {
    let (sources, _) = sources(r#"{"name":"s","provider":"mailgun","secrets":["key"]}"#);
    assert!(receive(&sources, "s", &[], &mailgun("t1", "e1")).await.is_ok());
    assert!(receive(&sources, "s", &[], &mailgun("t1", "e1")).await.is_ok(), "a retry");
    assert_eq!(receive(&sources, "s", &[], &mailgun("t1", "e2")).await, Err(Denied::Signature(Rejection::Invalid)));
    assert!(receive(&sources, "s", &[], &mailgun("t2", "e2")).await.is_ok());
}

fn confirmation(topic: &str) -> Vec<u8> {
    format!(
        r#"{{"Type":"SubscriptionConfirmation","MessageId":"m","Token":"t","TopicArn":"{topic}","Message":"…",
        "SubscribeURL":"https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={topic}&Token=t",
        "Timestamp":"2026-01-01T00:00:00.000Z","SignatureVersion":"1","Signature":"eA==",
        "SigningCertURL":"https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"}}"#
    )
    .into_bytes()
}

#[tokio::test]
async fn only_allowed_topics_are_confirmed() {
    const OURS: &str = "arn:aws:sns:eu-west-1:123456789012:ours";
    let (sources, fetch) = sources(&format!(
        r#"{{"name":"s","provider":"ses","basic_auth":["a:b"],"insecure":true,"topics":["{OURS}"]}}"#
    ));
    let theirs = confirmation("arn:aws:sns:eu-west-1:999999999999:theirs");
    assert!(matches!(receive(&sources, "s", &basic("a:b"), &theirs).await, Err(Denied::Topic)));
    assert!(fetch.0.lock().expect("unpoisoned").is_empty());
    assert_eq!(receive(&sources, "s", &basic("a:b"), &confirmation(OURS)).await, Ok(Came::Handshake));
    assert_eq!(fetch.0.lock().expect("unpoisoned").len(), 1);
}

#[tokio::test]
async fn a_topic_alone_proves_nothing() {
    const OURS: &str = "arn:aws:sns:eu-west-1:123456789012:ours";
    let (sources, _) = sources(&format!(r#"{{"name":"s","provider":"ses","topics":["{OURS}"]}}"#));
    let unsigned = format!(
        r#"{{"Type":"Notification","MessageId":"m","TopicArn":"{OURS}","Message":"{{}}","Timestamp":"2026-01-01T00:00:00Z"}}"#
    );
    let raw = vec![
        ("x-amz-sns-rawdelivery".to_owned(), "true".to_owned()),
        ("x-amz-sns-topic-arn".to_owned(), OURS.to_owned()),
    ];
    for (headers, body) in [(vec![], unsigned.as_bytes()), (raw, br#"{"eventType":"Delivery","mail":{}}"#.as_slice())] {
        assert!(matches!(receive(&sources, "s", &headers, body).await, Err(Denied::Signature(_))));
    }
}

#[tokio::test]
async fn what_headers_show_is_seen_without_the_body() {
    let hex = "0".repeat(64);
    let hmac = [("x-nachfass-timestamp", "1767225600"), ("x-nachfass-signature", hex.as_str())];
    type Headers<'a> = &'a [(&'a str, &'a str)];
    let cases: [(&str, &str, Headers<'_>, bool); 27] = [
        ("postmark", r#""basic_auth":["a:b"]"#, &[], false),
        ("postmark", r#""basic_auth":["a:b"]"#, &[("authorization", "Basic YTpi")], true),
        ("postmark", r#""basic_auth":["a:b"],"secrets":["s"]"#, &[("authorization", "Basic YTpi")], false),
        ("postmark", r#""secrets":["s"]"#, &[("authorization", "Bearer x")], false),
        ("postmark", r#""secrets":["s"]"#, &[("authorization", "Bearer s")], true),
        ("brevo", r#""secrets":["s"]"#, &[("x-nachfass-secret", "s")], true),
        ("sparkpost", r#""secrets":["s"]"#, &[], false),
        ("mailjet", r#""secrets":["s"]"#, &[], false),
        ("generic", r#""secrets":["s"]"#, &hmac, true),
        ("generic", r#""secrets":["s"]"#, &[hmac[0], ("x-nachfass-signature", "sha256=00")], false),
        ("generic", r#""secrets":["s"]"#, &[("x-nachfass-timestamp", "1767225000"), hmac[1]], false),
        ("generic", r#""secrets":["s"]"#, &[hmac[0]], false),
        ("generic", r#""secrets":["s"],"insecure":true"#, &[], false),
        ("generic", r#""insecure":true"#, &[], true),
        ("mailersend", r#""secrets":["s"]"#, &[("signature", &hex)], true),
        ("mailersend", r#""secrets":["s"]"#, &[("signature", "x")], false),
        ("mailtrap", r#""secrets":["s"]"#, &[], false),
        ("mandrill", r#""secrets":["s"]"#, &[("x-mandrill-signature", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=")], true),
        ("mandrill", r#""secrets":["s"]"#, &[("x-mandrill-signature", "AAAA")], false),
        ("sendgrid", r#""secrets":["s"]"#, &[], false),
        ("postal", r#""secrets":["s"]"#, &[("x-postal-signature", "AAAA")], false),
        ("resend", r#""secrets":["s"]"#, &[("svix-id", "1")], false),
        ("mailgun", r#""secrets":["s"]"#, &[], true),
        ("unisender", r#""secrets":["s"]"#, &[], true),
        ("ses", r#""topics":["arn:aws:sns:us-east-1:1:t"]"#, &[], true),
        (
            "ses",
            r#""topics":["arn:aws:sns:us-east-1:1:t"]"#,
            &[("x-amz-sns-topic-arn", "arn:aws:sns:us-east-1:2:t")],
            false,
        ),
        ("ses", r#""secrets":["s"]"#, &[("x-amz-sns-rawdelivery", "true")], false),
    ];
    for (provider, proof, headers, admitted) in cases {
        let (sources, _) = sources(&format!(r#"{{"name":"s","provider":"{provider}",{proof}}}"#));
        let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(sources.admit("s", &headers).is_ok(), admitted, "{provider} {proof} {headers:?}");
        if !admitted {
            // Whoever is not asked before says the same later.
            let later = receive(&sources, "s", &headers, b"{}").await;
            assert_eq!(later.err(), sources.admit("s", &headers).err(), "{provider} {proof} {headers:?}");
        }
        assert_eq!(sources.admit("other", &headers), Err(Denied::UnknownSource));
    }
}

#[tokio::test]
async fn a_published_key_never_leads_to_anything_stored() {
    let (mandrill, _) = sources(r#"{"name":"s","provider":"mandrill","secrets":["key"]}"#);
    let trial = |fields: &str, body: &'static str| {
        let signed = hmac_sha1(b"test-webhook", &[b"https://n.example.com/ingest/s", fields.as_bytes()]);
        let headers = [
            ("content-type", "application/x-www-form-urlencoded".to_owned()),
            ("x-mandrill-signature", STANDARD.encode(signed)),
        ];
        (headers.map(|(name, value)| (name.to_owned(), value)), body)
    };
    let (headers, body) = trial("mandrill_events[]", "mandrill_events=%5B%5D");
    assert_eq!(receive(&mandrill, "s", &headers, body.as_bytes()).await, Ok(Came::Handshake));
    let (headers, body) = trial("acargomandrill_events[]", "a=cargo&mandrill_events=%5B%5D");
    let forged = receive(&mandrill, "s", &headers, body.as_bytes()).await;
    assert_eq!(forged, Err(Denied::Signature(Rejection::Invalid)));

    let (mailersend, _) = sources(r#"{"name":"s","provider":"mailersend","secrets":["key"]}"#);
    for (body, came) in [
        (r#"{"type":"webhook.test"}"#, Ok(Came::Handshake)),
        (r#"{"type":"webhook.test","data":{"type":"sent"}}"#, Err(Denied::Signature(Rejection::Invalid))),
    ] {
        let signature = hex(&hmac_sha256(b"test_Am3L1GuOIc4blLUuHqAPxxwkZaJyEk8G", &[body.as_bytes()]));
        let headers = [("signature".to_owned(), signature)];
        assert_eq!(receive(&mailersend, "s", &headers, body.as_bytes()).await, came);
    }
}

#[tokio::test]
async fn a_large_body_is_judged_as_a_small_one() {
    let (sources, _) = sources(r#"{"name":"s","provider":"mailgun","secrets":["key"]}"#);
    let signed = String::from_utf8(mailgun("t1", "e1")).expect("a text");
    let large = format!("{signed}{}", " ".repeat(300_000));
    assert_eq!(receive(&sources, "s", &[], large.as_bytes()).await, Ok(Came::Readable));
    let forged = large.replace("t1", "t2");
    let refused = receive(&sources, "s", &[], forged.as_bytes()).await;
    assert_eq!(refused, Err(Denied::Signature(Rejection::Invalid)));
}

#[tokio::test]
async fn a_certificate_is_fetched_for_topics_that_may_post_only() {
    const OURS: &str = "arn:aws:sns:eu-west-1:123456789012:ours";
    let (sources, fetch) = sources(&format!(r#"{{"name":"s","provider":"ses","topics":["{OURS}"]}}"#));
    let asked = || fetch.0.lock().expect("unpoisoned").len();
    let theirs = confirmation("arn:aws:sns:eu-west-1:999999999999:theirs");
    assert!(matches!(receive(&sources, "s", &[], &theirs).await, Err(Denied::Topic)));
    let elsewhere = String::from_utf8(confirmation(OURS)).expect("a text").replace("sns.eu-west-1", "sns.s3");
    assert!(matches!(receive(&sources, "s", &[], elsewhere.as_bytes()).await, Err(Denied::Signature(_))));
    assert_eq!(asked(), 0);
    // What is fetched here is no certificate.
    for _ in 0..3 {
        assert!(matches!(receive(&sources, "s", &[], &confirmation(OURS)).await, Err(Denied::Unavailable(_))));
    }
    assert_eq!(asked(), 1);
}

#[test]
fn mandrills_url_may_hold_the_credentials() {
    let settings: SourceSettings =
        serde_json::from_str(r#"{"name":"s","provider":"mandrill","basic_auth":["a:b"]}"#).expect("settings");
    assert_eq!(
        urls(&settings, "https://n.example.com/"),
        ["https://a:b@n.example.com/ingest/s", "https://n.example.com/ingest/s"]
    );
}
