//! SparkPost (Bird): a JSON list of `{"msys": {class: {…}}}`, each with one event of one class.
//!
//! Documented: the fields, the bounce classes, and that nothing is signed: basic authentication or a bearer token is
//! the protection. Only a 200 counts; it is tried again for eight hours. Observed: numbers come as texts, `timestamp`
//! is Unix seconds or (`generation_failure`) ISO 8601, `event_id` can be missing, `cust` may stand next to `msys`, and
//! a ping is `[{"msys": {}}]`. Known, not recorded: the flags for prefetching and proxies in `user_agent_parsed`.
//!
//! `initial_open` is a second pixel at the top of the mail: it reports the open that `open` reports again, so it is
//! kept but does not count. An `out_of_band` bounce comes after the delivery. `campaign_id` is both the campaign and a
//! tag.

use std::cell::Cell;

use domain::reading::{ReadError, Reading};
use domain::{BounceClass, Event, EventKind, Provider, Timestamp};
use serde_json::Value;

use super::{EventBuilder, Handshake, Rejection, Request, Webhook, json, signature};

/// SparkPost's event webhooks.
#[derive(Clone, Copy, Debug)]
pub struct Sparkpost;

impl Webhook for Sparkpost {
    fn precheck(&self, head: &Request<'_>, secrets: &[String], _now: Timestamp) -> Result<(), Rejection> {
        signature::bearer(head, secrets)
    }

    fn verify(&self, request: &Request<'_>, secrets: &[String], _now: Timestamp) -> Result<(), Rejection> {
        signature::bearer(request, secrets)
    }

    fn handshake(&self, request: &Request<'_>) -> Result<Option<Handshake>, ReadError> {
        let ping = json::batch(Provider::Sparkpost, request.body).is_ok_and(|elements| is_ping(&elements));
        Ok(ping.then_some(Handshake::Ping))
    }

    fn read(&self, request: &Request<'_>) -> Result<Reading, ReadError> {
        let elements = json::batch(Provider::Sparkpost, request.body)?;
        if !elements.is_empty() && !json::any(&elements, |element| json::at(element, &["msys"]).is_some()) {
            return Err(json::not_from(Provider::Sparkpost, "no element has msys"));
        }
        if is_ping(&elements) {
            return Ok(Reading::default());
        }
        let inbound = Cell::new(false);
        let reading = json::read_each(elements, |element| {
            inbound.set(inbound.get() || json::at(element, &["msys", "relay_message"]).is_some());
            read_event(element, request)
        });
        if inbound.get() { Err(ReadError::InboundMail(Provider::Sparkpost)) } else { reading }
    }
}

/// Whether the batch is the one that SparkPost sends to try a new webhook.
fn is_ping(elements: &[&[u8]]) -> bool {
    let empty = |element: &Value| element.get("msys").and_then(Value::as_object).is_some_and(serde_json::Map::is_empty);
    json::all(elements, empty)
}

fn read_event(element: &Value, request: &Request<'_>) -> Result<Event, String> {
    let classes = json::at(element, &["msys"]).and_then(Value::as_object);
    let event = classes.and_then(|classes| classes.values().next()).ok_or("the element has no event in msys")?;
    let reported = json::text(event, &["type"]).ok_or("the event has no type")?;
    let text = |name| json::text(event, &[name]);
    let (kind, bounce_class) = meaning(&reported, json::integer(event, &["bounce_class"]));
    let campaign = text("campaign_id");
    let flags = ["is_prefetched", "is_proxy"].map(|name| json::boolean(event, &["user_agent_parsed", name]));
    let builder = EventBuilder {
        event_id: text("event_id"),
        message_id: text("transmission_id").or_else(|| text("message_id")),
        recipient: text("raw_rcpt_to").or_else(|| text("rcpt_to")),
        occurred_at: json::time(event, &["timestamp"]),
        bounce_class,
        smtp_code: json::integer(event, &["error_code"]).and_then(|code| code.try_into().ok()),
        diagnostic: text("raw_reason").or_else(|| text("reason")),
        url: text("target_link_url"),
        machine_flag: flags.into_iter().flatten().reduce(|one, other| one || other),
        user_agent: text("user_agent"),
        tags: campaign.iter().cloned().chain(json::texts(event, &["rcpt_tags"])).collect(),
        campaign,
        metadata: json::metadata(json::at(event, &["rcpt_meta"])).into(),
        ..EventBuilder::new(Provider::Sparkpost, &reported, kind)
    };
    Ok(builder.build(request))
}

/// What an event means, and why it failed.
fn meaning(reported: &str, class: Option<i64>) -> (EventKind, Option<BounceClass>) {
    let kind = match reported {
        "injection" => EventKind::Queued,
        "delivery" => EventKind::Delivered,
        "delay" => return (EventKind::Deferred, bounce(class).1),
        "bounce" | "out_of_band" => return bounce(class),
        "policy_rejection" | "generation_rejection" => {
            return (EventKind::Rejected, class.and_then(|_| bounce(class).1));
        }
        "generation_failure" => EventKind::Failed,
        "open" | "amp_open" => EventKind::Opened,
        "click" | "amp_click" => EventKind::Clicked,
        "spam_complaint" => EventKind::Complained,
        "list_unsubscribe" | "link_unsubscribe" => EventKind::Unsubscribed,
        _ => EventKind::Other,
    };
    (kind, None)
}

/// What a bounce of this class means, by SparkPost's table of classes.
fn bounce(class: Option<i64>) -> (EventKind, Option<BounceClass>) {
    let (kind, class) = match class {
        Some(10 | 30) => (EventKind::HardBounce, BounceClass::Hard),
        Some(20 | 24 | 40 | 70) => (EventKind::SoftBounce, BounceClass::Soft),
        Some(21) => (EventKind::SoftBounce, BounceClass::Dns),
        Some(22) => (EventKind::SoftBounce, BounceClass::MailboxFull),
        Some(23) => (EventKind::SoftBounce, BounceClass::Content),
        Some(25 | 50 | 51 | 54) => (EventKind::Blocked, BounceClass::Block),
        Some(52 | 53) => (EventKind::Blocked, BounceClass::Content),
        Some(60 | 100) => (EventKind::AutoReply, BounceClass::AutoReply),
        Some(80) => return (EventKind::Subscribed, None),
        Some(90) => return (EventKind::Unsubscribed, None),
        _ => (EventKind::SoftBounce, BounceClass::Unknown),
    };
    (kind, Some(class))
}
