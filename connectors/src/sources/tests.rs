use std::sync::Mutex;

use futures::future::BoxFuture;

use super::*;
use crate::http::FetchError;
use crate::providers::signature::{hex, hmac_sha256};

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

fn basic(pair: &str) -> Vec<(String, String)> {
    vec![("authorization".into(), format!("Basic {}", STANDARD.encode(pair)))]
}

#[tokio::test]
async fn credentials_are_asked_for_besides_the_signature() {
    let (sources, _) = sources(r#"{"name":"s","provider":"postmark","basic_auth":["a:b","c:d"]}"#);
    let body = br#"{"RecordType":"Delivery","MessageID":"m","Recipient":"a@example.com","DeliveredAt":"2026-01-01T00:00:00Z"}"#;
    assert_eq!(sources.receive("s", &[], body).await, Err(Denied::Credentials));
    assert_eq!(sources.receive("s", &basic("a:wrong"), body).await, Err(Denied::Credentials));
    assert!(matches!(sources.receive("s", &basic("c:d"), body).await, Ok(Received::Events { unreadable: None, .. })));
    assert_eq!(sources.receive("other", &basic("c:d"), body).await, Err(Denied::UnknownSource));
    let unreadable = sources.receive("s", &basic("c:d"), b"rubbish").await.expect("authentic");
    assert!(matches!(unreadable, Received::Events { unreadable: Some(_), .. }));
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
    assert!(sources.receive("s", &[], &mailgun("t1", "e1")).await.is_ok());
    assert!(sources.receive("s", &[], &mailgun("t1", "e1")).await.is_ok(), "a retry");
    assert_eq!(sources.receive("s", &[], &mailgun("t1", "e2")).await, Err(Denied::Signature(Rejection::Invalid)));
    assert!(sources.receive("s", &[], &mailgun("t2", "e2")).await.is_ok());
}

fn confirmation(topic: &str) -> Vec<u8> {
    format!(
        r#"{{"Type":"SubscriptionConfirmation","MessageId":"m","Token":"t","TopicArn":"{topic}","Message":"…",
        "SubscribeURL":"https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={topic}&Token=t",
        "Timestamp":"2026-01-01T00:00:00.000Z","SignatureVersion":"1","Signature":"eA==",
        "SigningCertURL":"https://sns.eu-west-1.amazonaws.com/x.pem"}}"#
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
    assert!(matches!(sources.receive("s", &basic("a:b"), &theirs).await, Err(Denied::Signature(_))));
    assert!(fetch.0.lock().expect("unpoisoned").is_empty());
    assert_eq!(sources.receive("s", &basic("a:b"), &confirmation(OURS)).await, Ok(Received::Handshake));
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
        assert!(matches!(sources.receive("s", &headers, body).await, Err(Denied::Signature(_))));
    }
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
