//! Mailtrap: batches, as JSON `{"events": […]}` or as JSON Lines, one event a line.
//!
//! Documented: the signature in `Mailtrap-Signature`, hexadecimal HMAC-SHA256 of the body, sent only if the webhook has
//! a secret; the two formats; the events, of which `soft bounce` is written with a space; the fields. Observed: `{}`
//! for nothing to report, and the names of bounce categories, which look like those of PowerMTA with and without
//! hyphens and are no closed set.

use domain::reading::{ReadError, Reading};
use domain::{BounceClass, Event, EventKind, Provider, Timestamp};
use serde_json::Value;

use super::signature::{any_fits_hex, is_hex_sha256};
use super::{EventBuilder, Rejection, Request, Webhook, bounds, json};

/// Mailtrap.
#[derive(Clone, Copy, Debug)]
pub struct Mailtrap;

impl Webhook for Mailtrap {
    fn precheck(&self, head: &Request<'_>, _secrets: &[String], _now: Timestamp) -> Result<(), Rejection> {
        is_hex_sha256(head.header("mailtrap-signature").ok_or(Rejection::Missing("no Mailtrap-Signature"))?)
    }

    fn verify(&self, request: &Request<'_>, secrets: &[String], _now: Timestamp) -> Result<(), Rejection> {
        let signature = request.header("mailtrap-signature").ok_or(Rejection::Missing("no Mailtrap-Signature"))?;
        any_fits_hex(secrets, signature, &[request.body])
    }

    fn read(&self, request: &Request<'_>) -> Result<Reading, ReadError> {
        let elements = elements(request.body)?;
        if json::all(&elements, is_inbound) {
            return Err(ReadError::InboundMail(Provider::Mailtrap));
        }
        json::read_each(elements, |element| read_event(element, request))
    }
}

/// The elements of a body in either format.
fn elements(body: &[u8]) -> Result<Vec<&[u8]>, ReadError> {
    if !json::is_json(body) {
        return lines(body);
    }
    let root = json::Fields::of(Provider::Mailtrap, body)?;
    match root.get("events") {
        Some(events) if json::is_list(events) => json::list(Provider::Mailtrap, events),
        None if root.has("event") => Ok(vec![body]),
        None if root.is_empty() => Ok(Vec::new()),
        _ => Err(json::not_from(Provider::Mailtrap, "no list `events`")),
    }
}

/// The lines of JSON Lines, with null in place of invalid ones. At least one must be an object.
fn lines(body: &[u8]) -> Result<Vec<&[u8]>, ReadError> {
    let mut lines = Vec::new();
    for line in body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()) {
        if lines.len() == bounds::MAX_EVENTS {
            return Err(bounds::too_many());
        }
        lines.push(if json::is_json(line) { line } else { b"null".as_slice() });
    }
    if lines.iter().any(|line| json::is_object(line)) {
        return Ok(lines);
    }
    Err(json::not_from(Provider::Mailtrap, "neither JSON nor JSON Lines"))
}

fn is_inbound(element: &Value) -> bool {
    json::text(element, &["event"]).is_some_and(|event| event.starts_with("inbound."))
}

fn read_event(element: &Value, request: &Request<'_>) -> Result<Event, String> {
    let text = |name| json::text(element, &[name]);
    let reported = text("event").ok_or("no JSON object with `event`")?;
    if is_inbound(element) {
        return Err("an inbound mail among events".to_owned());
    }
    let mut event = EventBuilder::new(Provider::Mailtrap, &reported, kind(&reported));
    event.event_id = text("event_id");
    event.message_id = text("message_id");
    event.recipient = text("email");
    event.occurred_at = json::time(element, &["timestamp"]);
    event.bounce_class = text("bounce_category").as_deref().and_then(bounce_class);
    event.smtp_code = json::integer(element, &["response_code"]).and_then(|code| code.try_into().ok());
    event.diagnostic = text("response").or_else(|| text("reason"));
    event.url = text("url");
    event.user_agent = text("user_agent");
    event.tags = json::texts(element, &["category"]).into();
    event.metadata = json::metadata(element.get("custom_variables")).into();
    Ok(event.build(request))
}

fn kind(reported: &str) -> EventKind {
    match reported {
        "delivery" => EventKind::Delivered,
        "suspension" => EventKind::Deferred,
        "soft bounce" => EventKind::SoftBounce,
        "bounce" => EventKind::HardBounce,
        "reject" => EventKind::Rejected,
        "open" => EventKind::Opened,
        "click" => EventKind::Clicked,
        "spam" => EventKind::Complained,
        "unsubscribe" => EventKind::Unsubscribed,
        _ => EventKind::Other,
    }
}

fn bounce_class(category: &str) -> Option<BounceClass> {
    let letters: String = category.to_ascii_lowercase().chars().filter(char::is_ascii_alphabetic).collect();
    match letters.as_str() {
        "badmailbox" | "inactivemailbox" => Some(BounceClass::Hard),
        "quotaissues" | "mailboxfull" => Some(BounceClass::MailboxFull),
        "baddomain" | "routingerrors" | "noanswerfromhost" | "badconnection" => Some(BounceClass::Dns),
        "contentrelated" | "virusrelated" => Some(BounceClass::Content),
        "spamrelated" | "policyrelated" | "relayingissues" => Some(BounceClass::Block),
        "unavailable" | "messageexpired" | "protocolerrors" => Some(BounceClass::Soft),
        _ => None,
    }
}
