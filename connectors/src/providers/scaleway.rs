//! Scaleway Transactional Email: one event per message of a topic of Scaleway's Topics and Events, which speaks SNS.
//!
//! Documented: the fields and types of an event; that topics work as Amazon's do, with an envelope, a signature and a
//! subscription to confirm. Observed: the hosts of the certificates and of the confirmation, and topics named
//! `arn:scw:sns:…`. Not seen yet: `email_headers` in a recorded event; objects and lists of names and values are both
//! read.
//!
//! `email_spam` is a mail that the recipient's server took for spam, not a complaint. There are no opens and no clicks.

use std::collections::BTreeMap;

use domain::reading::{ReadError, Reading};
use domain::{BounceClass, Event, EventKind, Provider, Timestamp};
use serde_json::Value;

use super::sns::{self, MessageType, Service};
use super::{EventBuilder, Handshake, Rejection, Request, Webhook, json};

/// Scaleway's topics. Each region has a bucket with the certificates.
const TOPICS: Service = Service { certificates, is_certificate, confirmations };

fn certificates(partition: &str, region: &str) -> Option<String> {
    is_place(partition, region).then(|| format!("https://messaging.s3.{region}.scw.cloud/{region}/sns/"))
}

/// `certificate.pem`, or a name with an id; both extensions have been observed.
fn is_certificate(path: &str) -> bool {
    let name = path.strip_suffix(".pem").or_else(|| path.strip_suffix(".crt"));
    name.is_some_and(|name| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=128).contains(&name.len()) && name.bytes().all(plain)
    })
}

fn confirmations(partition: &str, region: &str) -> Option<String> {
    is_place(partition, region).then(|| format!("https://sns.mnq.{region}.scaleway.com/"))
}

/// Whether these are Scaleway's partition and a region such as `fr-par`.
fn is_place(partition: &str, region: &str) -> bool {
    let letters = |word: &str, length| word.len() == length && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let words = region.split_once('-');
    partition == "scw" && words.is_some_and(|(country, city)| letters(country, 2) && letters(city, 3))
}

/// Scaleway Transactional Email.
#[derive(Clone, Copy, Debug)]
pub struct Scaleway;

impl Webhook for Scaleway {
    fn kept_headers(&self) -> &'static [&'static str] {
        sns::HEADERS
    }

    fn has_certificates(&self) -> bool {
        true
    }

    fn certificate_url(&self, request: &Request<'_>) -> Result<Option<String>, Rejection> {
        TOPICS.certificate_url(request)
    }

    fn precheck(&self, head: &Request<'_>, _secrets: &[String], _now: Timestamp) -> Result<(), Rejection> {
        sns::precheck(head)
    }

    fn verify(&self, request: &Request<'_>, secrets: &[String], now: Timestamp) -> Result<(), Rejection> {
        sns::verify(request, secrets, now)
    }

    fn handshake(&self, request: &Request<'_>) -> Result<Option<Handshake>, ReadError> {
        TOPICS.handshake(Provider::Scaleway, request)
    }

    fn read(&self, request: &Request<'_>) -> Result<Reading, ReadError> {
        let envelope = sns::enveloped(request);
        let message = match &envelope {
            Some(envelope) if envelope.kind != MessageType::Notification => return Ok(Reading::default()),
            Some(envelope) => envelope.message.as_bytes(),
            None => request.body,
        };
        let element = json::parse(Provider::Scaleway, message)?;
        let reported = json::text(&element, &["type"]).filter(|_| json::text(&element, &["id"]).is_some());
        let reported = reported.ok_or_else(|| json::not_from(Provider::Scaleway, "no object with `id` and `type`"))?;
        let published = envelope.and_then(|envelope| envelope.timestamp.parse().ok());
        json::single(Ok(event(&reported, &element, published, request)))
    }
}

fn event(reported: &str, element: &Value, published: Option<Timestamp>, request: &Request<'_>) -> Event {
    let text = |name| json::text(element, &[name]);
    let time = |name: &&str| json::time(element, &[*name]);
    let mut event = EventBuilder::new(Provider::Scaleway, reported, EventKind::Other);
    (event.kind, event.bounce_class) = meaning(reported);
    event.event_id = text("id");
    event.message_id = text("email_id");
    event.recipient = text("email_to");
    event.occurred_at = ["created_at", "email_sent_at", "email_queued_at"].iter().find_map(time).or(published);
    event.smtp_code = json::integer(element, &["email_response_code"]).and_then(|code| code.try_into().ok());
    event.diagnostic = text("email_response_message").or_else(|| text("email_error"));
    event.metadata = headers(element.get("email_headers")).into();
    event.build(request)
}

fn meaning(reported: &str) -> (EventKind, Option<BounceClass>) {
    match reported {
        "email_queued" => (EventKind::Queued, None),
        "email_delivered" => (EventKind::Delivered, None),
        "email_deferred" => (EventKind::Deferred, None),
        "email_dropped" => (EventKind::HardBounce, None),
        "email_mailbox_not_found" => (EventKind::HardBounce, Some(BounceClass::Hard)),
        "email_spam" => (EventKind::Blocked, Some(BounceClass::Content)),
        "email_blocklisted" | "blocklist_created" => (EventKind::Blocked, Some(BounceClass::Block)),
        _ => (EventKind::Other, None),
    }
}

/// The headers that the mail was sent with: the only place for the sender's own ids.
fn headers(value: Option<&Value>) -> BTreeMap<String, String> {
    let Some(Value::Array(entries)) = value else { return json::metadata(value) };
    let entry = |entry: &Value| {
        let name = json::text(entry, &["key"]).or_else(|| json::text(entry, &["name"]))?;
        Some((name, json::text(entry, &["value"])?))
    };
    entries.iter().filter_map(entry).collect()
}
