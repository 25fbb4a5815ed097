//! Resend: one event per request, JSON `{type, created_at, data}`, delivered by Svix.
//!
//! Documented: the scheme of the signature (that of Standard Webhooks; the headers come as `svix-*` or `webhook-*`),
//! that the id in the headers stays the same over retries while the timestamp does not, the event types, that `data.to`
//! lists all recipients and nothing says which of them an event is about, and that `data.tags` is an object. Observed:
//! tags as a list of names and values, `email.delivered_delayed` for `email.delivery_delayed`, bounces that have no
//! `type` and `subType`, only a sentence. There are no SMTP codes, no flag for machines, and no event for those who
//! unsubscribe from a mail.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_PAD_INDIFFERENT;
use domain::reading::{ReadError, Reading};
use domain::{BounceClass, EventKind, Provider, Timestamp};
use serde_json::Value;

use super::request::within_window;
use super::signature::{hmac_sha256, same};
use super::{EventBuilder, Rejection, Request, Webhook, json};

/// How far from now a signature may have been made.
const WINDOW_SECONDS: i64 = 300;

/// Resend.
#[derive(Clone, Copy, Debug)]
pub struct Resend;

impl Webhook for Resend {
    fn kept_headers(&self) -> &'static [&'static str] {
        &["svix-id", "webhook-id"]
    }

    fn precheck(&self, head: &Request<'_>, _secrets: &[String], now: Timestamp) -> Result<(), Rejection> {
        let signed = Signed::find(head)?;
        if !signed.signatures().iter().any(|signature| signature.len() == 32) {
            return Err(Rejection::Invalid);
        }
        signed.is_fresh(now)
    }

    fn verify(&self, request: &Request<'_>, secrets: &[String], now: Timestamp) -> Result<(), Rejection> {
        let signed = Signed::find(request)?;
        let parts = [signed.id.as_bytes(), b".", signed.timestamp.as_bytes(), b".", request.body];
        let signatures = signed.signatures();
        let fits = |secret: &String| {
            let expected = key(secret).map(|key| hmac_sha256(&key, &parts));
            expected.is_some_and(|expected| signatures.iter().any(|signature| same(signature, &expected)))
        };
        if !secrets.iter().any(fits) {
            let unusable = secrets.iter().any(|secret| key(secret).is_none());
            return Err(if unusable { Rejection::Secret("it is not base64".into()) } else { Rejection::Invalid });
        }
        signed.is_fresh(now)
    }

    fn read(&self, request: &Request<'_>) -> Result<Reading, ReadError> {
        let body = json::parse(Provider::Resend, request.body)?;
        let (Some(reported), Some(data)) =
            (json::text(&body, &["type"]), body.get("data").filter(|data| data.is_object()))
        else {
            return Err(json::not_from(Provider::Resend, "no object with `type` and `data`"));
        };
        if reported == "email.received" {
            return Err(ReadError::InboundMail(Provider::Resend));
        }
        let mut event = EventBuilder::new(Provider::Resend, &reported, EventKind::Other);
        (event.kind, event.bounce_class) = meaning(&reported, data);
        event.event_id = request.header("svix-id").or_else(|| request.header("webhook-id")).map(str::to_owned);
        event.message_id = json::text(data, &["email_id"]);
        event.recipient = only_recipient(data);
        event.occurred_at = json::time(&body, &["created_at"]).or_else(|| json::time(data, &["created_at"]));
        event.diagnostic = diagnostic(data);
        event.url = json::text(data, &["click", "link"]);
        event.user_agent = json::text(data, &["click", "userAgent"]);
        event.campaign = json::text(data, &["broadcast_id"]);
        event.metadata = metadata(data).into();
        json::single(Ok(event.build(request)))
    }
}

/// What the signature is made of and stands in.
struct Signed<'a> {
    id: &'a str,
    timestamp: &'a str,
    signature: &'a str,
}

impl<'a> Signed<'a> {
    /// Takes the headers by the names of Svix, else by those of Standard Webhooks; never some of each.
    fn find(request: &Request<'a>) -> Result<Self, Rejection> {
        let named = |[id, timestamp, signature]: [&str; 3]| {
            let header = |name| request.header(name);
            Some(Self { id: header(id)?, timestamp: header(timestamp)?, signature: header(signature)? })
        };
        named(["svix-id", "svix-timestamp", "svix-signature"])
            .or_else(|| named(["webhook-id", "webhook-timestamp", "webhook-signature"]))
            .ok_or(Rejection::Missing("svix-id, svix-timestamp and svix-signature belong together"))
    }

    fn is_fresh(&self, now: Timestamp) -> Result<(), Rejection> {
        let signed_at = self.timestamp.parse().map_err(|_error| Rejection::Invalid)?;
        within_window(Timestamp::from_seconds(signed_at), now, WINDOW_SECONDS)
    }

    /// The signatures of version 1: there are several while the provider rotates its key.
    fn signatures(&self) -> Vec<Vec<u8>> {
        let version_1 = self.signature.split_whitespace().filter_map(|signature| signature.strip_prefix("v1,"));
        version_1.filter_map(|base64| STANDARD_PAD_INDIFFERENT.decode(base64).ok()).collect()
    }
}

/// The key in a secret: base64, maybe without padding, after `whsec_`. Anyone could sign with an empty one.
fn key(secret: &str) -> Option<Vec<u8>> {
    let base64 = secret.trim();
    let base64 = base64.strip_prefix("whsec_").unwrap_or(base64);
    STANDARD_PAD_INDIFFERENT.decode(base64).ok().filter(|key| !key.is_empty())
}

fn meaning(reported: &str, data: &Value) -> (EventKind, Option<BounceClass>) {
    let kind = match reported {
        "email.scheduled" => EventKind::Queued,
        "email.sent" => EventKind::Sent,
        "email.delivered" => EventKind::Delivered,
        "email.delivery_delayed" | "email.delivered_delayed" => EventKind::Deferred,
        "email.bounced" => return bounce(data),
        "email.suppressed" => EventKind::Blocked,
        "email.failed" => EventKind::Failed,
        "email.opened" => EventKind::Opened,
        "email.clicked" => EventKind::Clicked,
        "email.complained" => EventKind::Complained,
        // Contacts, domains and the suppression list: nothing that happened to a mail.
        _ => EventKind::Other,
    };
    (kind, None)
}

/// The type and its subdivision where they are given; older payloads have but a sentence.
fn bounce(data: &Value) -> (EventKind, Option<BounceClass>) {
    let lower = |path: &[&str]| json::text(data, path).unwrap_or_default().to_ascii_lowercase();
    let (kind, subdivision) = (lower(&["bounce", "type"]), lower(&["bounce", "subType"]));
    let sentence = lower(&["bounce", "message"]);
    if matches!(subdivision.as_str(), "suppressed" | "onaccountsuppressionlist")
        || subdivision.is_empty() && sentence.contains("suppressed sending")
    {
        return (EventKind::Blocked, Some(BounceClass::Block));
    }
    let class = match subdivision.as_str() {
        "mailboxfull" => Some(BounceClass::MailboxFull),
        "messagetoolarge" | "contentrejected" | "attachmentrejected" => Some(BounceClass::Content),
        "noemail" => Some(BounceClass::Hard),
        "" if sentence.contains("inbox was full") => Some(BounceClass::MailboxFull),
        _ => None,
    };
    match kind.as_str() {
        "permanent" => (EventKind::HardBounce, class),
        "transient" => (EventKind::SoftBounce, class),
        "" if sentence.contains("hard bounce") => (EventKind::HardBounce, class),
        _ => (EventKind::SoftBounce, class.or(Some(BounceClass::Unknown))),
    }
}

/// The recipient, if there is but one: of several, nothing says which of them the event is about.
fn only_recipient(data: &Value) -> Option<String> {
    let lists = ["to", "cc", "bcc"].map(|list| json::texts(data, &[list]));
    match lists.concat().as_slice() {
        [] => json::text(data, &["email"]),
        [single] => Some(single.clone()),
        _ => None,
    }
}

/// The server's words if they are passed on, else Resend's.
fn diagnostic(data: &Value) -> Option<String> {
    let server = json::texts(data, &["bounce", "diagnosticCode"]).into_iter().next();
    let resend =
        || [["bounce", "message"], ["failed", "reason"], ["suppressed", "message"]].map(|path| json::text(data, &path));
    server.or_else(|| resend().into_iter().flatten().next())
}

/// The tags, which have names and values, and the sender's own headers.
fn metadata(data: &Value) -> BTreeMap<String, String> {
    let mut metadata = named_values(data.get("headers"));
    metadata.extend(named_values(data.get("tags")));
    metadata
}

/// An object, or a list of `{name, value}`.
fn named_values(value: Option<&Value>) -> BTreeMap<String, String> {
    let Some(Value::Array(entries)) = value else { return json::metadata(value) };
    let entry = |entry: &Value| Some((json::text(entry, &["name"])?, json::text(entry, &["value"])?));
    entries.iter().filter_map(entry).collect()
}
