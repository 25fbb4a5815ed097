//! Unisender Go (and UniOne, its international brand): JSON, either `{auth, events_by_user: [{events: […]}]}` or a
//! single event.
//!
//! Documented: the signature in the body, `auth` being the MD5 of the body with the API key in the place of `auth`; the
//! statuses and the extended ones in `delivery_info.delivery_status`, which are no closed set; times in UTC without a
//! zone. Observed: single events with their fields at the root or below `event_data`, no `event_time`. Setting up a
//! webhook sends a GET that wants a 200. Other events than `transactional_email_status` are about no mail and are
//! passed over. There is no id of an event.

use domain::reading::{ReadError, Reading};
use domain::{BounceClass, Event, EventKind, Provider, Timestamp};
use md5::{Digest, Md5};
use serde_json::Value;

use super::signature::{any_fits, hex};
use super::{EventBuilder, Rejection, Request, Webhook, bounds, json};

/// The length of an MD5 in hexadecimal digits.
const AUTH_LENGTH: usize = 32;

/// Unisender Go.
#[derive(Clone, Copy, Debug)]
pub struct Unisender;

impl Webhook for Unisender {
    fn verify(&self, request: &Request<'_>, secrets: &[String], _now: Timestamp) -> Result<(), Rejection> {
        let body = json::Fields::of(Provider::Unisender, request.body)
            .map_err(|error| Rejection::Unreadable(error.to_string()))?;
        let auth = body.get("auth").ok_or(Rejection::Missing("no `auth` in the body"))?;
        // Anything but an MD5 could stand in many places of the body, or in none.
        let is_md5 = |auth: &&str| auth.len() == AUTH_LENGTH && auth.bytes().all(|byte| byte.is_ascii_hexdigit());
        let auth = std::str::from_utf8(auth).ok().and_then(|auth| auth.strip_prefix('"')?.strip_suffix('"'));
        let auth = auth.filter(is_md5).ok_or(Rejection::Invalid)?;
        let (before, after) = around(request.body, auth.as_bytes()).ok_or(Rejection::Invalid)?;
        any_fits(secrets, auth.as_bytes(), |key| {
            let digest = Md5::new().chain_update(before).chain_update(key).chain_update(after).finalize();
            hex(&digest).into_bytes()
        })
    }

    fn read(&self, request: &Request<'_>) -> Result<Reading, ReadError> {
        let body = json::Fields::of(Provider::Unisender, request.body)?;
        let elements = match body.get("events_by_user") {
            Some(users) if json::is_list(users) => {
                let mut elements = Vec::new();
                for user in json::list(Provider::Unisender, users)? {
                    elements.extend(events_of_user(user)?);
                    if elements.len() > bounds::MAX_EVENTS {
                        return Err(bounds::too_many());
                    }
                }
                elements
            }
            None if body.has("event_data") || body.has("status") => vec![request.body],
            _ => return Err(json::not_from(Provider::Unisender, "neither `events_by_user` nor a single event")),
        };
        let mut reading = bounds::Collector::default();
        for element in elements {
            match bounds::tree(element) {
                Ok(element) if !is_about_a_mail(&element) => {}
                element => reading.add(element.and_then(|element| read_event(&element, request)))?,
            }
        }
        Ok(reading.finish())
    }
}

/// What stands before and after the one place where `needle` stands in `body`; `None` unless there is exactly one.
fn around<'a>(body: &'a [u8], needle: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let mut places = body.windows(needle.len()).enumerate().filter(|(_, window)| *window == needle);
    let (place, _) = places.next()?;
    if places.next().is_some() {
        return None;
    }
    let (before, rest) = body.split_at_checked(place)?;
    Some((before, rest.get(needle.len()..)?))
}

/// The events of an element of `events_by_user`, or the element itself where it has none and cannot be read.
fn events_of_user(user: &[u8]) -> Result<Vec<&[u8]>, ReadError> {
    let fields = if json::is_object(user) { Some(json::Fields::of(Provider::Unisender, user)?) } else { None };
    match fields.and_then(|fields| fields.get("events")).filter(|events| json::is_list(events)) {
        Some(events) => json::list(Provider::Unisender, events),
        None => Ok(vec![user]),
    }
}

fn is_about_a_mail(element: &Value) -> bool {
    json::text(element, &["event_name"]).is_none_or(|name| name == "transactional_email_status")
}

fn read_event(element: &Value, request: &Request<'_>) -> Result<Event, String> {
    let data = element.get("event_data").unwrap_or(element);
    let text = |path: &[&str]| json::text(data, path);
    let status = text(&["status"]).ok_or("no `status`")?;
    let delivery_status = text(&["delivery_info", "delivery_status"]);
    let mut event = EventBuilder::new(Provider::Unisender, &status, EventKind::Other);
    (event.kind, event.bounce_class) = meaning(&status, delivery_status.as_deref().unwrap_or_default());
    event.message_id = text(&["job_id"]);
    event.recipient = text(&["email"]);
    event.occurred_at = json::time_or_naive_utc(data, &["event_time"]);
    event.diagnostic =
        text(&["delivery_info", "destination_response"]).or_else(|| text(&["comment"])).or(delivery_status);
    event.url = text(&["url"]);
    event.user_agent = text(&["delivery_info", "user_agent"]);
    event.metadata = json::metadata(data.get("metadata")).into();
    Ok(event.build(request))
}

fn meaning(status: &str, delivery_status: &str) -> (EventKind, Option<BounceClass>) {
    let kind = match status {
        "sent" => EventKind::Sent,
        "delivered" => EventKind::Delivered,
        "opened" => EventKind::Opened,
        "clicked" => EventKind::Clicked,
        "unsubscribed" => EventKind::Unsubscribed,
        "subscribed" => EventKind::Subscribed,
        "spam" => EventKind::Complained,
        "soft_bounced" => return refusal(delivery_status, EventKind::SoftBounce),
        "hard_bounced" => return refusal(delivery_status, EventKind::HardBounce),
        _ => EventKind::Other,
    };
    (kind, None)
}

/// A refusal by its extended status. Unisender calls every final one hard, also those that are not the recipient's
/// fault.
fn refusal(delivery_status: &str, reported: EventKind) -> (EventKind, Option<BounceClass>) {
    use BounceClass::{Block, Content, Dns, Hard, MailboxFull};
    use EventKind::{Blocked, Deferred, Failed, HardBounce, Rejected, SoftBounce};
    match delivery_status {
        "err_will_retry" | "err_resend" | "err_retry_letter" => (Deferred, None),
        "err_user_unknown" | "err_user_inactive" | "err_mailbox_discarded" | "err_dest_invalid" => {
            (HardBounce, Some(Hard))
        }
        "err_unreachable" => (reported, Some(Hard)),
        "err_mailbox_full" => (SoftBounce, Some(MailboxFull)),
        "err_domain_inactive" => (reported, Some(Dns)),
        "err_destination_misconfigured" | "err_no_dns" | "err_no_smtp" => (SoftBounce, Some(Dns)),
        "err_spam_rejected" | "err_too_large" => (Blocked, Some(Content)),
        "err_blacklisted" => (Blocked, Some(Block)),
        // Not sent, for what happened to earlier mails.
        "err_unsubscribed" | "err_skip_letter" | "skip_dup_temp_unreachable" => (Rejected, None),
        "skip_dup_unreachable" => (Rejected, Some(Hard)),
        "skip_dup_mailbox_full" => (Rejected, Some(MailboxFull)),
        "err_spam_skipped" | "err_spam_removed" => (Rejected, Some(Content)),
        "err_lost" | "err_internal" | "err_src_invalid" => (Failed, None),
        "" => (reported, None),
        _ => (reported, Some(BounceClass::Unknown)),
    }
}
