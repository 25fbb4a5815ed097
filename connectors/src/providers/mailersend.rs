//! MailerSend: one event per request, JSON `{type, created_at, data}`.
//!
//! Documented: the signature in `Signature`, hexadecimal HMAC-SHA256 of the body; the ping `webhook.test`, which is
//! posted when a webhook is saved and signed with a published secret; the event types. Observed, and in other clients:
//! two versions of the payload, the first with everything below `data.email` and `data.morph`, to be given up at the
//! end of 2026, the second flat with `data.meta`; a root without its `type`; `tags` that are null; `meta` as an empty
//! list; the recipient of the flat payload in `recipient` or in `email`; `data.email.status` saying `rejected` of every
//! bounce, which is why it is not used. SMTP codes come with the flat payload only, the root's `created_at` is the time
//! of dispatch, and there is no metadata: ids travel as tags.
//!
//! `activity.opened_unique` and `activity.clicked_unique` repeat the first of the events without `_unique`: subscribe
//! to one of the two.

use domain::reading::{ReadError, Reading};
use domain::{EventKind, Provider, Timestamp};
use serde_json::Value;

use super::signature::{any_fits_hex, is_hex_sha256};
use super::{EventBuilder, Handshake, Rejection, Request, Webhook, json};

/// Signs `webhook.test`. MailerSend's documentation publishes it, so it authorises nothing else.
const PING_SECRET: &str = "test_Am3L1GuOIc4blLUuHqAPxxwkZaJyEk8G";

/// MailerSend.
#[derive(Clone, Copy, Debug)]
pub struct Mailersend;

impl Webhook for Mailersend {
    fn precheck(&self, head: &Request<'_>, _secrets: &[String], _now: Timestamp) -> Result<(), Rejection> {
        is_hex_sha256(head.header("signature").ok_or(Rejection::Missing("no Signature"))?)
    }

    fn verify(&self, request: &Request<'_>, secrets: &[String], _now: Timestamp) -> Result<(), Rejection> {
        let signature = request.header("signature").ok_or(Rejection::Missing("no Signature"))?;
        let verdict = any_fits_hex(secrets, signature, &[request.body]);
        if verdict.is_err() && is_nothing_but_a_ping(request) {
            return any_fits_hex(&[PING_SECRET.to_owned()], signature, &[request.body]);
        }
        verdict
    }

    fn handshake(&self, request: &Request<'_>) -> Result<Option<Handshake>, ReadError> {
        Ok(is_ping(request).then_some(Handshake::Ping))
    }

    fn read(&self, request: &Request<'_>) -> Result<Reading, ReadError> {
        if is_ping(request) {
            return Ok(Reading::default());
        }
        let body = json::parse(Provider::Mailersend, request.body)?;
        let root = json::text(&body, &["type"]);
        if root.as_deref().is_some_and(|root| root.starts_with("inbound.")) {
            return Err(ReadError::InboundMail(Provider::Mailersend));
        }
        // Below other roots than `activity`, `data.type` may be the word of something that did not just happen.
        let reported = match root {
            Some(root) => root.strip_prefix("activity.").map(str::to_owned).unwrap_or(root),
            None => json::text(&body, &["data", "type"])
                .ok_or_else(|| json::not_from(Provider::Mailersend, "neither `type` nor `data.type`"))?,
        };
        let data = body.get("data").filter(|data| data.is_object());
        let data = data.ok_or_else(|| json::not_from(Provider::Mailersend, "no object `data`"))?;
        json::single(Ok(event(&reported, &body, data).build(request)))
    }
}

fn is_ping(request: &Request<'_>) -> bool {
    json::Fields::of(Provider::Mailersend, request.body)
        .is_ok_and(|body| body.short_text("type").as_deref() == Some("webhook.test"))
}

/// Whether it is a ping without content, the only request that the published secret authorises.
fn is_nothing_but_a_ping(request: &Request<'_>) -> bool {
    const MOST: usize = 1_024;
    let no_data = || json::Fields::of(Provider::Mailersend, request.body).is_ok_and(|body| !body.has("data"));
    request.body.len() <= MOST && is_ping(request) && no_data()
}

/// An event of either version: each of its fields stands in one place or in the other.
fn event(reported: &str, body: &Value, data: &Value) -> EventBuilder {
    let first = |paths: &[&[&str]]| paths.iter().find_map(|path| json::text(data, path));
    let mut event = EventBuilder::new(Provider::Mailersend, reported, kind(reported));
    event.event_id = first(&[&["id"]]);
    event.message_id = first(&[&["email", "message", "id"], &["message_id"]]);
    event.recipient = first(&[&["email", "recipient", "email"], &["recipient"], &["email"]]);
    event.occurred_at =
        json::time_or_naive_utc(data, &["created_at"]).or_else(|| json::time_or_naive_utc(body, &["created_at"]));
    let bounce_code = first(&[&["meta", "bounce_code"]]);
    event.smtp_code = bounce_code.as_deref().and_then(|code| code.parse().ok());
    event.enhanced_code = bounce_code.as_deref().and_then(|code| code.parse().ok());
    event.diagnostic = first(&[
        &["morph", "reason"],
        &["morph", "readable_reason"],
        &["meta", "bounce_reason"],
        &["meta", "reject_reason"],
        &["meta", "suppression_reason"],
    ]);
    event.url = first(&[&["morph", "url"], &["meta", "url"]]);
    event.user_agent = first(&[&["meta", "user_agent"]]);
    event.tags = [["email", "tags"].as_slice(), &["tags"]].iter().flat_map(|path| json::texts(data, path)).collect();
    event
}

fn kind(reported: &str) -> EventKind {
    match reported {
        "sent" => EventKind::Sent,
        "delivered" => EventKind::Delivered,
        "deferred" => EventKind::Deferred,
        "soft_bounced" => EventKind::SoftBounce,
        "hard_bounced" => EventKind::HardBounce,
        "suppressed" => EventKind::Rejected,
        "opened" | "opened_unique" => EventKind::Opened,
        "clicked" | "clicked_unique" => EventKind::Clicked,
        "unsubscribed" => EventKind::Unsubscribed,
        "spam_complaint" | "spam_complaints" => EventKind::Complained,
        _ => EventKind::Other,
    }
}
