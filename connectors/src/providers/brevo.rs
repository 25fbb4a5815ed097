//! Brevo (formerly Sendinblue): one flat object per event; with `batched` switched on presumably a list of them.
//!
//! Documented: the event names, `ts_epoch` in milliseconds, and that nothing is signed: basic authentication in the URL
//! or a bearer token is the protection. Observed: `ts_epoch` in seconds in an older sample and missing in samples of
//! `proxy_open`, which carry `s_epoch`; the other times follow the account's time zone and are not read; `tag` is a
//! text, a JSON list in a text, or a list. `id` is the webhook's, not the event's. The event's name tells machines'
//! opens. Events arrive in any order, and `request` comes even where `blocked` follows.

use domain::reading::{ReadError, Reading};
use domain::{Event, EventKind, Provider, Timestamp};
use serde_json::Value;

use super::{EventBuilder, Rejection, Request, Webhook, bounds, json, signature};

/// Times below this are seconds: in milliseconds they would lie before March 1973, in seconds they reach to the year
/// 5138.
const FIRST_MILLISECONDS: i64 = 100_000_000_000;

/// Brevo's webhooks for transactional mails.
#[derive(Clone, Copy, Debug)]
pub struct Brevo;

impl Webhook for Brevo {
    fn precheck(&self, head: &Request<'_>, secrets: &[String], _now: Timestamp) -> Result<(), Rejection> {
        signature::bearer(head, secrets)
    }

    fn verify(&self, request: &Request<'_>, secrets: &[String], _now: Timestamp) -> Result<(), Rejection> {
        signature::bearer(request, secrets)
    }

    fn read(&self, request: &Request<'_>) -> Result<Reading, ReadError> {
        let elements = json::batch(Provider::Brevo, request.body)?;
        let has = |name: &str| json::any(&elements, |element| element.get(name).is_some());
        if !elements.is_empty() && !has("event") {
            let inbound = has("items");
            let foreign = || json::not_from(Provider::Brevo, "there is no event");
            return Err(if inbound { ReadError::InboundMail(Provider::Brevo) } else { foreign() });
        }
        json::read_each(elements, |element| read_event(element, request))
    }
}

fn read_event(element: &Value, request: &Request<'_>) -> Result<Event, String> {
    let reported = json::text(element, &["event"]).ok_or("the element has no event")?;
    let text = |name| json::text(element, &[name]);
    let custom = json::at(element, &["X-Mailin-custom"]);
    let metadata = match custom {
        Some(object @ Value::Object(_)) => json::metadata(Some(object)),
        custom => json::metadata_in_text(custom.and_then(Value::as_str), "X-Mailin-custom"),
    };
    let (kind, machine_flag) = meaning(&reported);
    let builder = EventBuilder {
        message_id: text("message-id"),
        recipient: text("email"),
        occurred_at: time(element),
        diagnostic: text("reason"),
        url: text("link"),
        machine_flag,
        user_agent: text("user_agent"),
        tags: tags(element).into(),
        metadata: metadata.into(),
        ..EventBuilder::new(Provider::Brevo, &reported, kind)
    };
    Ok(builder.build(request))
}

/// The one time that does not depend on the account's settings.
fn time(element: &Value) -> Option<Timestamp> {
    let epoch = ["ts_epoch", "s_epoch"].iter().find_map(|name| json::integer(element, &[name]))?;
    Some(if epoch < FIRST_MILLISECONDS { Timestamp::from_seconds(epoch) } else { Timestamp::from_millis(epoch) })
}

/// The tags: `tags`, else `tag`, which may hold a JSON list as a text.
fn tags(element: &Value) -> Vec<String> {
    let tags = json::texts(element, &["tags"]);
    if !tags.is_empty() {
        return tags;
    }
    let packed =
        json::at(element, &["tag"]).and_then(Value::as_str).and_then(|text| bounds::tree(text.as_bytes()).ok());
    match packed {
        Some(Value::Array(tags)) => tags.iter().filter_map(json::as_text).take(bounds::MAX_TAGS).collect(),
        _ => json::texts(element, &["tag"]),
    }
}

/// What an event means, and whether it was a machine's.
fn meaning(reported: &str) -> (EventKind, Option<bool>) {
    let kind = match reported {
        "request" => EventKind::Queued,
        "delivered" => EventKind::Delivered,
        "deferred" => EventKind::Deferred,
        "soft_bounce" => EventKind::SoftBounce,
        "hard_bounce" | "invalid_email" => EventKind::HardBounce,
        "blocked" => EventKind::Blocked,
        "error" => EventKind::Failed,
        "spam" | "complaint" => EventKind::Complained,
        "unsubscribe" | "unsubscribed" => EventKind::Unsubscribed,
        "list_addition" => EventKind::Subscribed,
        "click" => EventKind::Clicked,
        "opened" | "unique_opened" => return (EventKind::Opened, Some(false)),
        "proxy_open" | "unique_proxy_open" => return (EventKind::Opened, Some(true)),
        _ => EventKind::Other,
    };
    (kind, None)
}
