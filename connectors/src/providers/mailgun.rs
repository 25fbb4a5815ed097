//! Mailgun: one event per request, `{"signature": …, "event-data": …}`; accounts from before 2018 may still get the
//! events as forms, which are rewritten into today's shape and read the same way.
//!
//! Documented: the fields, the bot flag, and the signature, an HMAC with SHA-256 over timestamp and token under the
//! account's webhook signing key. It does **not** cover the event: who caught a triple can send it again with other
//! data, so the timestamp's age is limited. `event-data.id` is unique within a day only, hence the timestamp in the
//! event id. Observed: `delivery-status` and `message` can be missing or null, `rejected` has no recipient of its own,
//! the codes 498, 499, 605 and 607 are Mailgun's own and no SMTP codes. Not known: whether a retry keeps the token, the
//! id where there is no other.

use std::collections::BTreeMap;

use domain::reading::{ReadError, Reading};
use domain::smtp::EnhancedCode;
use domain::{BounceClass, Event, EventKind, Provider, Timestamp};
use serde_json::{Value, json};

use super::request::within_window;
use super::signature::{any_fits, hex, hmac_sha256};
use super::{EventBuilder, Rejection, Request, Webhook, bounds, form, json};

/// Mailgun retries for eight hours; what is signed again or not, and how far clocks differ, is left some room.
const REPLAY_WINDOW_SECONDS: i64 = 12 * 3600;

/// Codes that Mailgun makes itself: no MX found (498, 499), an earlier bounce (605) or complaint (607).
const PSEUDO_CODES: [u16; 4] = [498, 499, 605, 607];

/// Fields of the legacy forms that are Mailgun's own; all others are the sender's variables.
const LEGACY_FIELDS: &[&str] = &[
    "attachment-count",
    "body-plain",
    "campaign-id",
    "campaign-name",
    "city",
    "client-name",
    "client-os",
    "client-type",
    "code",
    "country",
    "description",
    "device-type",
    "domain",
    "error",
    "event",
    "ip",
    "mailing-list",
    "message-headers",
    "message-id",
    "notification",
    "reason",
    "recipient",
    "region",
    "signature",
    "tag",
    "timestamp",
    "token",
    "url",
    "user-agent",
    "x-mailgun-sid",
    "x-mailgun-tag",
    "x-mailgun-variables",
];

/// Mailgun's webhooks.
#[derive(Clone, Copy, Debug)]
pub struct Mailgun;

impl Webhook for Mailgun {
    fn verify(&self, request: &Request<'_>, secrets: &[String], now: Timestamp) -> Result<(), Rejection> {
        let signature = Signature::of(request).map_err(|error| Rejection::Unreadable(error.to_string()))?;
        let (Some(timestamp), Some(token), Some(signature)) =
            (signature.timestamp, signature.token, signature.signature)
        else {
            return Err(Rejection::Missing("timestamp, token and signature must be in the body"));
        };
        let expected =
            |secret: &str| hex(&hmac_sha256(secret.as_bytes(), &[timestamp.as_bytes(), token.as_bytes()])).into_bytes();
        any_fits(secrets, signature.as_bytes(), expected)?;
        let signed_at = timestamp.parse().map_err(|_| Rejection::Unreadable("the timestamp is no number".into()))?;
        within_window(Timestamp::from_seconds(signed_at), now, REPLAY_WINDOW_SECONDS)
    }

    fn replay_key(&self, request: &Request<'_>) -> Option<String> {
        Signature::of(request).ok()?.token
    }

    fn read(&self, request: &Request<'_>) -> Result<Reading, ReadError> {
        let token = Signature::of(request)?.token;
        let event = if form::is_form(request) {
            Form::of(request)?.event()?
        } else {
            let body = json::Fields::of(Provider::Mailgun, request.body)?;
            match (body.get("event-data"), body.has("sender")) {
                (Some(event), _) => json::parse(Provider::Mailgun, event)?,
                (None, true) => return Err(ReadError::InboundMail(Provider::Mailgun)),
                (None, false) => return Err(foreign("there is no event-data")),
            }
        };
        json::single(read_event(&event, token, request))
    }
}

fn foreign(reason: &str) -> ReadError {
    json::not_from(Provider::Mailgun, reason)
}

/// The signature within a body. It is extracted before the sender is known, so the rest of the body is skipped, not parsed into memory.
#[derive(Default)]
struct Signature {
    timestamp: Option<String>,
    token: Option<String>,
    signature: Option<String>,
}

impl Signature {
    fn of(request: &Request<'_>) -> Result<Self, ReadError> {
        if form::is_form(request) {
            return Self::of_form(request);
        }
        let body = json::Fields::of(Provider::Mailgun, request.body)?;
        let raw = body.get("signature").filter(|raw| raw.len() <= bounds::MAX_TEXT && json::is_object(raw));
        let Some(raw) = raw else { return Ok(Self::default()) };
        let fields = json::Fields::of(Provider::Mailgun, raw)?;
        let [timestamp, token, signature] = ["timestamp", "token", "signature"].map(|name| fields.short_text(name));
        Ok(Self { timestamp, token, signature })
    }

    /// Mailgun's own fields come after the sender's variables of the same name.
    fn of_form(request: &Request<'_>) -> Result<Self, ReadError> {
        let wanted = |name: &str| ["timestamp", "token", "signature"].iter().any(|it| it.eq_ignore_ascii_case(name));
        let form = Form(form::fields(request, wanted).map_err(|reason| foreign(&reason))?);
        let last = |name| form.all(name).next_back().filter(|text| text.len() <= bounds::MAX_TEXT).map(str::to_owned);
        Ok(Self { timestamp: last("timestamp"), token: last("token"), signature: last("signature") })
    }
}

/// A legacy form: names may come several times, because the sender's variables are mixed in.
struct Form(Vec<(String, String)>);

impl Form {
    fn of(request: &Request<'_>) -> Result<Self, ReadError> {
        form::fields(request, |_| true).map(Self).map_err(|reason| foreign(&reason))
    }

    fn all<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Mailgun's own value comes before a variable of the same name.
    fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The event as `event-data` would hold it.
    fn event(&self) -> Result<Value, ReadError> {
        let event = match (self.first("event"), self.first("sender")) {
            (Some("bounced"), _) => "failed",
            (Some("dropped"), _) => "rejected",
            (Some(other), _) => other,
            (None, Some(_)) => return Err(ReadError::InboundMail(Provider::Mailgun)),
            (None, None) => return Err(foreign("there is no field named event")),
        };
        let headers = self.first("message-headers").and_then(|text| bounds::tree(text.as_bytes()).ok());
        let headers: Vec<(String, Value)> = headers.and_then(|it| serde_json::from_value(it).ok()).unwrap_or_default();
        let header = |name: &'static str| headers.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name));
        let fields = self.all("tag").chain(self.all("X-Mailgun-Tag")).map(str::to_owned);
        let tags: Vec<String> =
            fields.chain(header("X-Mailgun-Tag").filter_map(|(_, tag)| json::as_text(tag))).collect();
        Ok(json!({
            "event": event,
            "severity": "permanent",
            "timestamp": self.all("timestamp").next_back(),
            "recipient": self.first("recipient"),
            "url": self.first("url"),
            "message": { "headers": { "message-id": self.first("message-id") } },
            "delivery-status": {
                "code": self.first("code"),
                "message": self.first("error"),
                "description": self.first("description"),
            },
            "client-info": { "user-agent": self.first("user-agent") },
            "tags": tags,
            "user-variables": self.variables(header("X-Mailgun-Variables").map(|(_, value)| value)),
        }))
    }

    /// The sender's variables: flat fields, or JSON in a field or in a header of the message.
    fn variables<'a>(&self, headers: impl Iterator<Item = &'a Value>) -> BTreeMap<String, String> {
        let own = |name: &str| LEGACY_FIELDS.contains(&name.to_ascii_lowercase().as_str());
        let flat = self.0.iter().rev().filter(|(name, _)| !own(name)).cloned();
        let texts = headers.filter_map(json::as_text).chain(self.all("X-Mailgun-Variables").map(str::to_owned));
        let packed = texts.flat_map(|text| json::metadata_in_text(Some(&text), "X-Mailgun-Variables"));
        packed.chain(flat).collect()
    }
}

/// The event of one `event-data`.
fn read_event(element: &Value, token: Option<String>, request: &Request<'_>) -> Result<Event, String> {
    let reported = json::text(element, &["event"]).ok_or("the element has no event")?;
    let code = json::text(element, &["delivery-status", "code"]).unwrap_or_default();
    let own_code = code.parse::<u16>().ok();
    let enhanced = json::text(element, &["delivery-status", "enhanced-code"]).unwrap_or_default();
    let time = json::text(element, &["timestamp"]);
    let id = json::text(element, &["id"]).map(|id| format!("{id}@{}", time.unwrap_or_default()));
    let header = |name| json::text(element, &["message", "headers", name]);
    let words = [
        &["delivery-status", "message"],
        &["delivery-status", "description"],
        &["reject", "reason"],
        &["reject", "description"],
    ];
    let bot = json::at(element, &["client-info", "bot"]);
    let (kind, bounce_class) = meaning(&reported, element, own_code);
    let builder = EventBuilder {
        event_id: id.or(token),
        message_id: header("message-id"),
        recipient: json::text(element, &["recipient"]).or_else(|| header("to")),
        occurred_at: json::time(element, &["timestamp"]),
        bounce_class,
        smtp_code: own_code.filter(|code| !PSEUDO_CODES.contains(code)),
        enhanced_code: enhanced.parse().ok().or_else(|| code.parse::<EnhancedCode>().ok()),
        diagnostic: words.into_iter().find_map(|path| json::text(element, path)),
        url: json::text(element, &["url"]),
        machine_flag: bot.and_then(Value::as_str).map(|bot| !bot.trim().is_empty()),
        user_agent: json::text(element, &["client-info", "user-agent"]),
        tags: json::texts(element, &["tags"]).into(),
        metadata: json::metadata(json::at(element, &["user-variables"])).into(),
        ..EventBuilder::new(Provider::Mailgun, &reported, kind)
    };
    Ok(builder.build(request))
}

/// What an event means, and why it failed.
fn meaning(reported: &str, element: &Value, code: Option<u16>) -> (EventKind, Option<BounceClass>) {
    let kind = match reported.to_ascii_lowercase().as_str() {
        "accepted" => EventKind::Queued,
        "delivered" => EventKind::Delivered,
        "failed" => return failure(element, code),
        "rejected" => EventKind::Rejected,
        "opened" => EventKind::Opened,
        "clicked" => EventKind::Clicked,
        "complained" => EventKind::Complained,
        "unsubscribed" => EventKind::Unsubscribed,
        _ => EventKind::Other,
    };
    (kind, None)
}

/// What `failed` means: Mailgun goes on trying while it is temporary, and does not even try what it has suppressed.
fn failure(element: &Value, code: Option<u16>) -> (EventKind, Option<BounceClass>) {
    let reason = json::text(element, &["reason"]).unwrap_or_default();
    if reason.starts_with("suppress-") || matches!(code, Some(605 | 607)) {
        return (EventKind::Blocked, None);
    }
    let kind = match json::text(element, &["severity"]).as_deref() {
        Some("temporary") => EventKind::Deferred,
        Some("permanent") => EventKind::HardBounce,
        _ => EventKind::SoftBounce,
    };
    let class = match (code, reason.as_str()) {
        (Some(498 | 499), _) => Some(BounceClass::Dns),
        (_, "greylisted") => Some(BounceClass::Soft),
        (_, "espblock") => Some(BounceClass::Block),
        _ => None,
    };
    (kind, class)
}
