//! Mandrill (Mailchimp Transactional): a form post whose one field `mandrill_events` is a JSON list of events.
//!
//! Documented: the signature in `X-Mandrill-Signature`, base64 of HMAC-SHA1 over the URL as it was configured (with
//! credentials and query) and the form's fields sorted by name, each as its name and its value; one key per webhook;
//! the event types; that sync events (`whitelist`, `blacklist`) have `type` and `action` instead of `event`, and
//! `reject` or `entry` instead of `msg`; that a batch holds either inbound mails or events; that an empty list is
//! posted to try the URL out. Observed: that this first post, made before there is a key, is signed with
//! `test-webhook`; multipart posts; the meaning of `bgtools_code` beyond 10, which is that of the Boogie Tools bounce
//! classifier. An event has no id: `_id` is the message's.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::reading::{ReadError, Reading};
use domain::{BounceClass, Event, EventKind, Provider, Timestamp};
use serde_json::Value;

use super::signature::{any_fits, hmac_sha1};
use super::{EventBuilder, Handshake, Rejection, Request, Webhook, form, json};

/// Signs the empty batch that tests a new URL. The key is public, so it authorises nothing else.
const TRIAL_KEY: &str = "test-webhook";

/// Mandrill.
#[derive(Clone, Copy, Debug)]
pub struct Mandrill;

impl Webhook for Mandrill {
    fn precheck(&self, head: &Request<'_>, _secrets: &[String], _now: Timestamp) -> Result<(), Rejection> {
        // Base64 of 20 bytes.
        if signature(head)?.len() == 28 { Ok(()) } else { Err(Rejection::Invalid) }
    }

    fn verify(&self, request: &Request<'_>, secrets: &[String], _now: Timestamp) -> Result<(), Rejection> {
        let signature = signature(request)?;
        let mut fields = fields(request).map_err(Rejection::Unreadable)?;
        fields.sort_by(|(left, _), (right, _)| left.cmp(right));
        let fits = |secrets: &[String]| {
            request.urls.iter().any(|url| {
                let expected = |secret: &str| STANDARD.encode(signature_over(secret, url, &fields)).into_bytes();
                any_fits(secrets, signature.as_bytes(), expected).is_ok()
            })
        };
        let fits = fits(secrets) || is_empty_batch(&fields) && fits(&[TRIAL_KEY.to_owned()]);
        if fits { Ok(()) } else { Err(Rejection::Invalid) }
    }

    /// An empty batch is a test of the URL, whichever key signed it.
    fn handshake(&self, request: &Request<'_>) -> Result<Option<Handshake>, ReadError> {
        let empty = fields(request).is_ok_and(|fields| is_empty_batch(&fields));
        Ok(empty.then_some(Handshake::Ping))
    }

    fn read(&self, request: &Request<'_>) -> Result<Reading, ReadError> {
        let fields = fields(request).map_err(|reason| json::not_from(Provider::Mandrill, &reason))?;
        let events = batch(&fields)?;
        if json::all(&events, is_inbound) {
            return Err(ReadError::InboundMail(Provider::Mandrill));
        }
        json::read_each(events, |element| read_event(element, request))
    }
}

fn signature<'a>(request: &Request<'a>) -> Result<&'a str, Rejection> {
    request.header("x-mandrill-signature").map(str::trim).ok_or(Rejection::Missing("no X-Mandrill-Signature"))
}

fn signature_over(key: &str, url: &str, sorted_fields: &[(String, String)]) -> Vec<u8> {
    let pairs = sorted_fields.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
    let parts: Vec<&[u8]> = std::iter::once(url.as_bytes()).chain(pairs).collect();
    hmac_sha1(key.as_bytes(), &parts)
}

/// The form's fields, in the order of the body.
fn fields(request: &Request<'_>) -> Result<Vec<(String, String)>, String> {
    form::fields(request, |_| true)
}

/// Whether the form consists of an empty list of events and nothing else.
fn is_empty_batch(fields: &[(String, String)]) -> bool {
    let [(name, events)] = fields else { return false };
    let list = events.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    name == "mandrill_events" && list.is_some_and(|inside| inside.trim().is_empty())
}

/// The elements of `mandrill_events`.
fn batch(fields: &[(String, String)]) -> Result<Vec<&[u8]>, ReadError> {
    let events = fields.iter().find(|(name, _)| name == "mandrill_events");
    let (_, events) = events.ok_or_else(|| json::not_from(Provider::Mandrill, "no form field `mandrill_events`"))?;
    json::list(Provider::Mandrill, events.as_bytes())
}

fn is_inbound(element: &Value) -> bool {
    json::text(element, &["event"]).as_deref() == Some("inbound")
}

fn read_event(element: &Value, request: &Request<'_>) -> Result<Event, String> {
    let first = |paths: &[&[&str]]| paths.iter().find_map(|path| json::text(element, path));
    let reported = match (first(&[&["event"]]), first(&[&["type"]]), first(&[&["action"]])) {
        (Some(event), ..) => event,
        (None, Some(list), Some(action)) => format!("{list} {action}"),
        (None, Some(list), None) => list,
        (None, None, _) => return Err("neither `event` nor `type`".to_owned()),
    };
    if is_inbound(element) {
        return Err("an inbound mail among events".to_owned());
    }
    let mut event = EventBuilder::new(Provider::Mandrill, &reported, EventKind::Other);
    (event.kind, event.bounce_class) = meaning(&reported, element);
    event.message_id = first(&[&["_id"], &["msg", "_id"]]);
    event.recipient = first(&[&["msg", "email"], &["reject", "email"], &["entry", "email"]]);
    let sync_time = || {
        let places = [["reject", "last_event_at"], ["reject", "created_at"], ["entry", "created_at"]];
        places.iter().find_map(|place| json::time_or_naive_utc(element, place))
    };
    event.occurred_at = json::time(element, &["ts"]).or_else(sync_time).or_else(|| json::time(element, &["msg", "ts"]));
    event.diagnostic = first(&[&["msg", "diag"]])
        .or_else(|| last_smtp_answer(element))
        .or_else(|| first(&[&["reject", "detail"], &["reject", "reason"], &["msg", "bounce_description"]]));
    event.url = first(&[&["url"]]);
    event.user_agent = first(&[&["user_agent"]]);
    event.tags = json::texts(element, &["msg", "tags"]).into();
    let mut metadata = json::metadata(json::at(element, &["msg", "metadata"]));
    if let Some(subaccount) = first(&[&["msg", "subaccount"], &["reject", "subaccount"]]) {
        metadata.entry("subaccount".to_owned()).or_insert(subaccount);
    }
    event.metadata = metadata.into();
    Ok(event.build(request))
}

/// What the server said at the last attempt: where deferrals have it.
fn last_smtp_answer(element: &Value) -> Option<String> {
    json::at(element, &["msg", "smtp_events"])?.as_array()?.last().and_then(|attempt| json::text(attempt, &["diag"]))
}

fn meaning(reported: &str, element: &Value) -> (EventKind, Option<BounceClass>) {
    let kind = match reported {
        "send" => EventKind::Sent,
        "delivered" => EventKind::Delivered,
        "deferral" => EventKind::Deferred,
        "soft_bounce" => EventKind::SoftBounce,
        "hard_bounce" => EventKind::HardBounce,
        "reject" => return (EventKind::Rejected, None),
        "open" => return (EventKind::Opened, None),
        "click" => return (EventKind::Clicked, None),
        "spam" => return (EventKind::Complained, None),
        "unsub" => return (EventKind::Unsubscribed, None),
        _ => return (EventKind::Other, None),
    };
    match bounce_class(element) {
        Some(BounceClass::AutoReply) if kind.is_failure() => (EventKind::AutoReply, Some(BounceClass::AutoReply)),
        class => (kind, class),
    }
}

/// The classifier's code, else its name for it.
fn bounce_class(element: &Value) -> Option<BounceClass> {
    let described = || match json::text(element, &["msg", "bounce_description"])?.as_str() {
        "bad_mailbox" => Some(BounceClass::Hard),
        "invalid_domain" => Some(BounceClass::Dns),
        "mailbox_full" => Some(BounceClass::MailboxFull),
        "spam" | "message_too_large" => Some(BounceClass::Content),
        "general" => Some(BounceClass::Soft),
        _ => None,
    };
    match json::integer(element, &["msg", "bgtools_code"]) {
        Some(10 | 30) => Some(BounceClass::Hard),
        Some(20 | 24 | 40 | 70) => Some(BounceClass::Soft),
        Some(21) => Some(BounceClass::Dns),
        Some(22) => Some(BounceClass::MailboxFull),
        Some(23 | 52 | 53) => Some(BounceClass::Content),
        Some(25 | 50 | 51 | 54) => Some(BounceClass::Block),
        Some(60 | 100) => Some(BounceClass::AutoReply),
        _ => described(),
    }
}
