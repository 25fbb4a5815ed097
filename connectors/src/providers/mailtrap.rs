//! Mailtrap: batches, as JSON `{"events": […]}` or as JSON Lines, one event a line.
//!
//! Documented: the signature in `Mailtrap-Signature`, hexadecimal HMAC-SHA256 of the body, sent only if the webhook has
//! a secret; the two formats; the events, of which `soft bounce` is written with a space; the fields. Observed: `{}`
//! for nothing to report, and the names of bounce categories, which look like those of PowerMTA with and without
//! hyphens and are no closed set.

use domain::reading::{ReadError, Reading};
use domain::{BounceClass, Event, EventKind, Provider, Timestamp};
use serde_json::Value;

use super::signature::any_fits_hex;
use super::{EventBuilder, Rejection, Request, Webhook, json};

/// Mailtrap.
#[derive(Clone, Copy, Debug)]
pub struct Mailtrap;

impl Webhook for Mailtrap {
    fn verify(&self, request: &Request<'_>, secrets: &[String], _now: Timestamp) -> Result<(), Rejection> {
        let signature = request.header("mailtrap-signature").ok_or(Rejection::Missing("no Mailtrap-Signature"))?;
        any_fits_hex(secrets, signature, &[request.body])
    }

    fn read(&self, request: &Request<'_>) -> Result<Reading, ReadError> {
        let elements = elements(request.body)?;
        if !elements.is_empty() && elements.iter().all(is_inbound) {
            return Err(ReadError::InboundMail(Provider::Mailtrap));
        }
        Ok(json::read_each(&elements, |element| read_event(element, request)))
    }
}

/// The elements of a body in either format.
fn elements(body: &[u8]) -> Result<Vec<Value>, ReadError> {
    match json::parse(Provider::Mailtrap, body) {
        Ok(Value::Object(mut root)) => match root.remove("events") {
            Some(Value::Array(events)) => Ok(events),
            None if root.contains_key("event") => Ok(vec![Value::Object(root)]),
            None if root.is_empty() => Ok(Vec::new()),
            _ => Err(json::not_from(Provider::Mailtrap, "no list `events`")),
        },
        Ok(_) => Err(json::not_from(Provider::Mailtrap, "no object")),
        Err(error) => lines(body).ok_or(error),
    }
}

/// The lines of JSON Lines, null in place of a line that is no JSON; `None` where not one of them is an object.
fn lines(body: &[u8]) -> Option<Vec<Value>> {
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let lines: Vec<Value> = lines.map(|line| serde_json::from_slice(line).unwrap_or_default()).collect();
    lines.iter().any(Value::is_object).then_some(lines)
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
    event.tags = json::texts(element, &["category"]);
    event.metadata = json::metadata(element.get("custom_variables"));
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
