//! Our own format, for anything that sends mail and is not known here: a mail server's log, a script, another product.
//!
//! A body is one event, a list of events, or `{"events": […]}`. An event is an object; only its `type` has to be there,
//! but without `recipient`, `message_id` or `recipient_id` nothing tells whose event it is. The page
//! docs/GENERIC_WEBHOOK.md says what each field means.
//!
//! A request is signed much as by Stripe and by Standard Webhooks, but with nothing that a shell could not do:
//! `X-Nachfass-Timestamp` holds the time in Unix seconds, `X-Nachfass-Signature` the hexadecimal HMAC-SHA256 of that
//! text, a full stop and the body (`sha256=` may stand before it). It is accepted for five minutes.
//!
//! ```sh
//! secret='…'   # one of the source's `secrets`
//! body='{"type":"delivered","recipient":"ada@example.com","occurred_at":"2026-01-31T09:30:00Z","campaign":"spring"}'
//! timestamp=$(date +%s)
//! signature=$(printf '%s.%s' "$timestamp" "$body" | openssl dgst -sha256 -hmac "$secret" -r | cut -d ' ' -f 1)
//! curl "https://nachfass.example.com/ingest/shop" --data-binary "$body" \
//!   -H 'Content-Type: application/json' -H "X-Nachfass-Timestamp: $timestamp" -H "X-Nachfass-Signature: $signature"
//! ```
//!
//! Since the format is ours, a field that is there but makes no sense is a mistake worth reporting: the event becomes a
//! failure of the delivery instead of one with a gap. Only an unknown `type` is none: it is kept as `other`.

use domain::reading::{ReadError, Reading};
use domain::{BounceClass, Event, EventKind, Provider, Timestamp};
use serde_json::Value;

use super::request::within_window;
use super::signature::{any_fits_hex, is_hex_sha256};
use super::{EventBuilder, Rejection, Request, Webhook, bounds, json};

/// How far from now a signature may have been made.
const WINDOW_SECONDS: i64 = 300;

/// Our own format.
#[derive(Clone, Copy, Debug)]
pub struct Generic;

impl Webhook for Generic {
    fn precheck(&self, head: &Request<'_>, _secrets: &[String], now: Timestamp) -> Result<(), Rejection> {
        let (timestamp, digits) = signed(head)?;
        is_hex_sha256(digits)?;
        is_fresh(timestamp, now)
    }

    fn verify(&self, request: &Request<'_>, secrets: &[String], now: Timestamp) -> Result<(), Rejection> {
        let (timestamp, digits) = signed(request)?;
        any_fits_hex(secrets, digits, &[timestamp.as_bytes(), b".", request.body])?;
        is_fresh(timestamp, now)
    }

    fn read(&self, request: &Request<'_>) -> Result<Reading, ReadError> {
        let events = if json::is_list(request.body) {
            json::list(Provider::Generic, request.body)?
        } else if json::is_json(request.body) && !json::is_object(request.body) {
            return Err(json::not_from(Provider::Generic, "neither an object nor a list"));
        } else {
            let root = json::Fields::of(Provider::Generic, request.body)?;
            match root.get("events") {
                Some(events) if json::is_list(events) => json::list(Provider::Generic, events)?,
                None if root.has("type") => vec![request.body],
                _ => return Err(json::not_from(Provider::Generic, "neither `type` nor a list `events`")),
            }
        };
        json::read_each(events, |element| read_event(element, request))
    }
}

/// The timestamp and the hexadecimal digits of the signature.
fn signed<'a>(request: &Request<'a>) -> Result<(&'a str, &'a str), Rejection> {
    let header = |name| request.header(name).map(str::trim);
    let timestamp = header("x-nachfass-timestamp").ok_or(Rejection::Missing("no X-Nachfass-Timestamp"))?;
    let signature = header("x-nachfass-signature").ok_or(Rejection::Missing("no X-Nachfass-Signature"))?;
    Ok((timestamp, signature.strip_prefix("sha256=").unwrap_or(signature)))
}

fn is_fresh(timestamp: &str, now: Timestamp) -> Result<(), Rejection> {
    let signed_at = timestamp.parse().map_err(|_error| Rejection::Invalid)?;
    within_window(Timestamp::from_seconds(signed_at), now, WINDOW_SECONDS)
}

fn read_event(element: &Value, request: &Request<'_>) -> Result<Event, String> {
    let text = |name| json::text(element, &[name]);
    let reported = text("type").ok_or("no `type`")?;
    let mut event = EventBuilder::new(Provider::Generic, &reported, kind(&reported));
    event.event_id = text("id");
    event.message_id = text("message_id");
    event.recipient = text("recipient");
    event.occurred_at = given(element, "occurred_at", "is neither RFC 3339 nor Unix seconds", json::time)?;
    event.bounce_class = given(element, "bounce_class", "is not one of the documented classes", bounce_class)?;
    event.smtp_code = given(element, "smtp_code", "is no SMTP reply code", smtp_code)?;
    event.enhanced_code =
        given(element, "enhanced_code", "is no enhanced status code such as 5.1.1", |element, path| {
            json::text(element, path)?.parse().ok()
        })?;
    event.diagnostic = text("diagnostic");
    event.url = text("url");
    event.machine_flag = given(element, "machine", "is neither true nor false", json::boolean)?;
    event.user_agent = text("user_agent");
    event.tags = json::texts(element, &["tags"]).into();
    event.metadata = json::metadata(element.get("metadata")).into();
    let mut event = event.build(request);
    // The fields for it outweigh names in the metadata that happen to be the configured ones.
    event.campaign = text("campaign").map(bounds::cut).or(event.campaign);
    event.recipient_ref = text("recipient_id").map(bounds::cut).or(event.recipient_ref);
    Ok(event)
}

/// A field that may be missing, but not make no sense.
fn given<T>(
    element: &Value,
    name: &str,
    complaint: &str,
    read: impl Fn(&Value, &[&str]) -> Option<T>,
) -> Result<Option<T>, String> {
    let found = read(element, &[name]);
    match json::at(element, &[name]) {
        Some(_) if found.is_none() => Err(format!("`{name}` {complaint}")),
        _ => Ok(found),
    }
}

/// The kind of that name: our own, in lower snake case.
fn kind(name: &str) -> EventKind {
    let known = EventKind::ALL.iter().find(|kind| kind.as_str().eq_ignore_ascii_case(name));
    known.copied().unwrap_or(EventKind::Other)
}

fn bounce_class(element: &Value, path: &[&str]) -> Option<BounceClass> {
    let name = json::text(element, path)?;
    BounceClass::ALL.iter().find(|class| class.as_str().eq_ignore_ascii_case(&name)).copied()
}

fn smtp_code(element: &Value, path: &[&str]) -> Option<u16> {
    json::integer(element, path)?.try_into().ok().filter(|code| (200..600).contains(code))
}
