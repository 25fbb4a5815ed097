//! Mailjet: a list of events where grouping is switched on, a bare event otherwise.
//!
//! Documented: the fields, the errors, and that nothing is signed: basic authentication in the URL is the protection.
//! Observed: `MessageID` is an integer beyond 2^53, so it must never become a float; `sent` means that the recipient's
//! server accepted the mail; `customcampaign` is empty and `mj_campaign_id` 0 where there is none; `Payload` is a text,
//! JSON if the sender wrote JSON. Known, not recorded: `CustomID` and `comment`. There is no event id and no flag for
//! machines.

use domain::reading::{ReadError, Reading};
use domain::{BounceClass, Event, EventKind, Provider, Timestamp};
use serde_json::Value;

use super::{EventBuilder, Rejection, Request, Webhook, json, signature};

/// Mailjet's event API.
#[derive(Clone, Copy, Debug)]
pub struct Mailjet;

impl Webhook for Mailjet {
    fn precheck(&self, head: &Request<'_>, secrets: &[String], _now: Timestamp) -> Result<(), Rejection> {
        signature::bearer(head, secrets)
    }

    fn verify(&self, request: &Request<'_>, secrets: &[String], _now: Timestamp) -> Result<(), Rejection> {
        signature::bearer(request, secrets)
    }

    fn read(&self, request: &Request<'_>) -> Result<Reading, ReadError> {
        let elements = json::batch(Provider::Mailjet, request.body)?;
        let has = |name: &str| json::any(&elements, |element| element.get(name).is_some());
        if !elements.is_empty() && !has("event") {
            // The Parse API's form of a mail.
            let inbound = has("Headers") && has("Parts");
            let foreign = || json::not_from(Provider::Mailjet, "there is no event");
            return Err(if inbound { ReadError::InboundMail(Provider::Mailjet) } else { foreign() });
        }
        json::read_each(elements, |element| read_event(element, request))
    }
}

fn read_event(element: &Value, request: &Request<'_>) -> Result<Event, String> {
    let reported = json::text(element, &["event"]).ok_or("the element has no event")?;
    let text = |name| json::text(element, &[name]);
    // Ids of the provider's own are 0 where there is none.
    let id = |name| text(name).filter(|id| id != "0");
    let (kind, bounce_class) = meaning(&reported, element);
    let custom_campaign = text("customcampaign");
    let mut metadata = json::metadata_in_text(text("Payload").as_deref(), "Payload");
    metadata.extend(text("CustomID").map(|id| ("CustomID".to_owned(), id)));
    let builder = EventBuilder {
        message_id: id("MessageID").or_else(|| id("mj_message_id")),
        recipient: text("email"),
        occurred_at: json::time(element, &["time"]),
        bounce_class,
        diagnostic: ["smtp_reply", "comment", "error"].into_iter().find_map(text),
        url: text("url"),
        user_agent: text("agent"),
        tags: custom_campaign.iter().cloned().collect(),
        campaign: custom_campaign.or_else(|| id("mj_campaign_id")),
        metadata: metadata.into(),
        ..EventBuilder::new(Provider::Mailjet, &reported, kind)
    };
    Ok(builder.build(request))
}

/// What an event means, and why it failed.
fn meaning(reported: &str, element: &Value) -> (EventKind, Option<BounceClass>) {
    let error = json::text(element, &["error"]).unwrap_or_default().to_ascii_lowercase();
    let kind = match reported {
        "sent" => EventKind::Delivered,
        "bounce" => match (json::boolean(element, &["hard_bounce"]), error.as_str()) {
            (Some(true), _) => EventKind::HardBounce,
            (_, "greylisted") => EventKind::Deferred,
            _ => EventKind::SoftBounce,
        },
        "blocked" => match error.as_str() {
            // Mailjet did not even try.
            "preblocked" | "duplicate in campaign" => return (EventKind::Rejected, None),
            _ => EventKind::Blocked,
        },
        "spam" => EventKind::Complained,
        "unsub" => EventKind::Unsubscribed,
        "open" => EventKind::Opened,
        "click" => EventKind::Clicked,
        _ => EventKind::Other,
    };
    (kind, class(&error, &json::text(element, &["error_related_to"]).unwrap_or_default()))
}

/// The class that an error belongs to, else what Mailjet relates it to.
fn class(error: &str, related_to: &str) -> Option<BounceClass> {
    Some(match (error, related_to) {
        ("user unknown" | "mailbox inactive" | "invalid domain" | "typofix", _) => BounceClass::Hard,
        ("quota exceeded", _) => BounceClass::MailboxFull,
        ("no mail host", _) => BounceClass::Dns,
        ("greylisted", _) => BounceClass::Soft,
        ("content blocked", _) => BounceClass::Content,
        ("blacklisted" | "spam reporter" | "relay/access denied" | "sender blocked" | "policy issue", _) => {
            BounceClass::Block
        }
        (_, "content") => BounceClass::Content,
        (_, "spam") => BounceClass::Block,
        ("", "") => return None,
        _ => BounceClass::Unknown,
    })
}
