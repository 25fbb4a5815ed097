//! Postmark: one event per request, keys in PascalCase.
//!
//! Documented: the fields, the bounce types, and that nothing is signed: basic authentication in the URL is the
//! protection, or a header of one's own. Observed: times have up to seven fractional digits and any offset, and can be
//! missing; `Recipient` is called `Email` in bounces and complaints and can be missing; `Details` may be free text;
//! `Geo` may be empty. Only bounces and complaints have an id. A hard bounce comes twice, as `Bounce` and as
//! `SubscriptionChange`; and a `Bounce` may be an unsubscription or an automatic reply.

use domain::reading::{ReadError, Reading};
use domain::{BounceClass, Event, EventKind, Provider, Timestamp};
use serde_json::Value;

use super::{EventBuilder, Rejection, Request, Webhook, json, signature};

/// Postmark's webhooks.
#[derive(Clone, Copy, Debug)]
pub struct Postmark;

impl Webhook for Postmark {
    fn precheck(&self, head: &Request<'_>, secrets: &[String], _now: Timestamp) -> Result<(), Rejection> {
        signature::bearer(head, secrets)
    }

    fn verify(&self, request: &Request<'_>, secrets: &[String], _now: Timestamp) -> Result<(), Rejection> {
        signature::bearer(request, secrets)
    }

    fn read(&self, request: &Request<'_>) -> Result<Reading, ReadError> {
        let element = json::parse(Provider::Postmark, request.body)?;
        let reported = json::text(&element, &["RecordType"]);
        let inbound =
            reported.as_deref() == Some("Inbound") || (reported.is_none() && element.get("FromFull").is_some());
        if inbound {
            return Err(ReadError::InboundMail(Provider::Postmark));
        }
        let Some(reported) = reported else {
            let reason = "there is no RecordType".into();
            return Err(ReadError::NotThisProvider { provider: Provider::Postmark, reason });
        };
        json::single(Ok(event(&element, &reported, request)))
    }
}

fn event(element: &Value, reported: &str, request: &Request<'_>) -> Event {
    let text = |name| json::text(element, &[name]);
    let times = ["DeliveredAt", "BouncedAt", "ReceivedAt", "ChangedAt"];
    let (kind, bounce_class) = meaning(element, reported);
    EventBuilder {
        event_id: text("ID").filter(|id| id != "0"),
        message_id: text("MessageID"),
        recipient: text("Email").or_else(|| text("Recipient")),
        occurred_at: times.iter().find_map(|name| json::time(element, &[name])),
        bounce_class,
        diagnostic: text("Details").or_else(|| text("Description")).or_else(|| text("Name")),
        url: text("OriginalLink"),
        user_agent: text("UserAgent"),
        tags: json::texts(element, &["Tag"]).into(),
        metadata: json::metadata(json::at(element, &["Metadata"])).into(),
        ..EventBuilder::new(Provider::Postmark, reported, kind)
    }
    .build(request)
}

/// What an event means, and why it failed.
fn meaning(element: &Value, reported: &str) -> (EventKind, Option<BounceClass>) {
    let kind = match reported {
        "Delivery" => EventKind::Delivered,
        "Bounce" => return bounce(&json::text(element, &["Type"]).unwrap_or_default()),
        "SpamComplaint" => EventKind::Complained,
        "Open" => EventKind::Opened,
        "Click" => EventKind::Clicked,
        "SubscriptionChange" => subscription_change(element),
        _ => EventKind::Other,
    };
    (kind, None)
}

/// What a bounce of this type means.
fn bounce(kind: &str) -> (EventKind, Option<BounceClass>) {
    use BounceClass as Class;
    use EventKind as Kind;
    match kind {
        "HardBounce" => (Kind::HardBounce, Some(Class::Hard)),
        "SoftBounce" => (Kind::SoftBounce, Some(Class::Soft)),
        "VirusNotification" => (Kind::SoftBounce, Some(Class::Content)),
        "Unknown" => (Kind::SoftBounce, Some(Class::Unknown)),
        "Transient" | "OpenRelayTest" => (Kind::Deferred, Some(Class::Soft)),
        "DnsError" => (Kind::Deferred, Some(Class::Dns)),
        "Blocked" | "DMARCPolicy" => (Kind::Rejected, Some(Class::Block)),
        "BadEmailAddress" => (Kind::Rejected, Some(Class::Hard)),
        "ManuallyDeactivated" | "Unconfirmed" => (Kind::Rejected, None),
        "SMTPApiError" | "TemplateRenderingFailed" => (Kind::Failed, None),
        "AutoResponder" | "AddressChange" | "ChallengeVerification" => (Kind::AutoReply, None),
        "SpamNotification" | "SpamComplaint" => (Kind::Complained, None),
        "Unsubscribe" | "ManualSuppression" => (Kind::Unsubscribed, None),
        "Subscribe" => (Kind::Subscribed, None),
        // InboundError is about a mail to the customer, not from them.
        _ => (Kind::Other, None),
    }
}

/// What a change of an address's suppression means: it is lifted, or there is a reason for it.
fn subscription_change(element: &Value) -> EventKind {
    let suppressed = json::boolean(element, &["SuppressSending"]);
    match (suppressed, json::text(element, &["SuppressionReason"]).as_deref()) {
        (Some(false), _) => EventKind::Subscribed,
        (_, Some("HardBounce")) => EventKind::HardBounce,
        (_, Some("SpamComplaint")) => EventKind::Complained,
        (_, Some("ManualSuppression")) => EventKind::Unsubscribed,
        _ => EventKind::Other,
    }
}
