//! Amazon SES: its events come through an SNS topic, one envelope per request, see [`super::sns`].
//!
//! Documented: the fields, the event types, and that one event may be about several recipients, of which each becomes
//! an event here. Opens, clicks and changed subscriptions name no one: with more than one destination the recipient
//! stays open, so mails whose openers matter are sent one by one. Observed: the JSON in `Message` may end with a line
//! feed, parts of it can be missing, and a test says in plain text that the topic works. Known, not recorded: raw
//! delivery, where the event is the body and nothing is signed, so that only basic authentication can protect it.
//!
//! Tags (`mail.tags`, with event publishing) become metadata, each with its first value; so does a header `X-Metadata`
//! with JSON. `X-Tag` headers are the tags. There is no flag for machines.

use std::collections::BTreeMap;

use domain::reading::{ReadError, Reading};
use domain::{BounceClass, Event, EventKind, Provider, Timestamp};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::signature::hex;
use super::sns::{self, MessageType};
use super::{EventBuilder, Handshake, Rejection, Request, Webhook, bounds, json};

/// How the plain text begins that SES publishes when a topic is set up.
const TOPIC_VALIDATED: &str = "Successfully validated SNS topic";

/// Amazon SES behind SNS.
#[derive(Clone, Copy, Debug)]
pub struct Ses;

impl Webhook for Ses {
    fn kept_headers(&self) -> &'static [&'static str] {
        sns::HEADERS
    }

    fn has_certificates(&self) -> bool {
        true
    }

    fn certificate_url(&self, request: &Request<'_>) -> Result<Option<String>, Rejection> {
        sns::AMAZON.certificate_url(request)
    }

    fn precheck(&self, head: &Request<'_>, _secrets: &[String], _now: Timestamp) -> Result<(), Rejection> {
        sns::precheck(head)
    }

    fn verify(&self, request: &Request<'_>, secrets: &[String], now: Timestamp) -> Result<(), Rejection> {
        sns::verify(request, secrets, now)
    }

    fn handshake(&self, request: &Request<'_>) -> Result<Option<Handshake>, ReadError> {
        if let Some(handshake) = sns::AMAZON.handshake(Provider::Ses, request)? {
            return Ok(Some(handshake));
        }
        let validated = sns::enveloped(request).is_some_and(|envelope| envelope.message.starts_with(TOPIC_VALIDATED));
        Ok(validated.then_some(Handshake::Ping))
    }

    fn read(&self, request: &Request<'_>) -> Result<Reading, ReadError> {
        let notice = match sns::enveloped(request) {
            Some(envelope) if envelope.kind != MessageType::Notification => return Ok(Reading::default()),
            Some(envelope) if envelope.message.starts_with(TOPIC_VALIDATED) => return Ok(Reading::default()),
            Some(envelope) => Notice {
                content: json::parse(Provider::Ses, envelope.message.as_bytes())?,
                message_id: Some(short_id(envelope.message_id)),
                published_at: envelope.timestamp.parse().ok(),
            },
            None => Notice {
                content: json::parse(Provider::Ses, request.body)?,
                message_id: request.header("x-amz-sns-message-id").map(|id| short_id(id.to_owned())),
                published_at: None,
            },
        };
        notice.read(request)
    }
}

/// The id of a notification, normally a UUID. It is repeated for each recipient, so a longer one is replaced by its hash.
fn short_id(id: String) -> String {
    if id.len() <= 64 { id } else { hex(&Sha256::digest(id.as_bytes())) }
}

/// What SES published.
struct Notice {
    content: Value,
    /// The id that SNS gave it.
    message_id: Option<String>,
    /// When SNS took it.
    published_at: Option<Timestamp>,
}

/// What the event's own object and the list of its recipients are called.
struct Shape {
    part: &'static str,
    recipients: &'static str,
    /// Whether the event is about every destination where it lists no recipients.
    concerns_all: bool,
}

impl Notice {
    fn read(&self, request: &Request<'_>) -> Result<Reading, ReadError> {
        let foreign = |reason: &str| ReadError::NotThisProvider { provider: Provider::Ses, reason: reason.into() };
        if !self.content.is_object() || (self.message_id.is_none() && json::at(&self.content, &["mail"]).is_none()) {
            return Err(foreign("neither an SNS envelope nor an event of SES"));
        }
        let reported =
            json::text(&self.content, &["eventType"]).or_else(|| json::text(&self.content, &["notificationType"]));
        match reported.as_deref() {
            Some("Received") => Err(ReadError::InboundMail(Provider::Ses)),
            // Said once to the topic of an identity's notifications when it is set up.
            Some("AmazonSnsSubscriptionSucceeded") => Ok(Reading::default()),
            Some(reported) => self.events(reported, request),
            None => json::single(Err("the message has no eventType".into())),
        }
    }

    /// One event per recipient. What they have in common is computed once; it is shared or of limited length.
    fn events(&self, reported: &str, request: &Request<'_>) -> Result<Reading, ReadError> {
        let recipients = self.recipients(reported);
        if recipients.len() > bounds::MAX_EVENTS {
            return Err(bounds::too_many());
        }
        let common = self.common(reported);
        let mut reading = bounds::Collector::default();
        for recipient in recipients {
            reading.add(Ok(common.event(recipient, request)))?;
        }
        Ok(reading.finish())
    }

    /// The recipients: texts, or objects with `emailAddress`; a single null if the event names none.
    fn recipients(&self, reported: &str) -> Vec<&Value> {
        let shape = shape(reported);
        let list = |path: &[&str]| json::at(&self.content, path).and_then(Value::as_array).filter(|it| !it.is_empty());
        let named = (!shape.recipients.is_empty()).then(|| list(&[shape.part, shape.recipients])).flatten();
        if let Some(named) = named {
            return named.iter().collect();
        }
        let destinations = list(&["mail", "destination"]).filter(|all| all.len() == 1 || shape.concerns_all);
        destinations.map_or_else(|| vec![&Value::Null], |all| all.iter().collect())
    }

    fn common(&self, reported: &str) -> Common {
        let part = shape(reported).part;
        let text = |path: &[&str]| json::text(&self.content, path).map(bounds::cut);
        let time = |path: &[&str]| json::time(&self.content, path);
        let (kind, bounce_class) = self.meaning(reported);
        let sent_at = time(&["mail", "timestamp"]);
        let own_time = time(&[part, "timestamp"]).or(sent_at.filter(|_| kind == EventKind::Sent));
        let words = [&["delivery", "smtpResponse"], &["reject", "reason"], &["failure", "errorMessage"]];
        Common {
            id: self.message_id.clone(),
            event: EventBuilder {
                message_id: text(&["mail", "messageId"]),
                occurred_at: own_time.or(self.published_at).or(sent_at),
                bounce_class,
                diagnostic: words.into_iter().find_map(|path| text(path)),
                url: text(&["click", "link"]),
                user_agent: text(&[part, "userAgent"]),
                tags: self.headers("X-Tag").take(bounds::MAX_TAGS).collect(),
                metadata: self.metadata().into(),
                ..EventBuilder::new(Provider::Ses, &bounds::cut(reported.to_owned()), kind)
            },
        }
    }

    /// The values of a header of the mail; SES may leave headers out.
    fn headers(&self, name: &'static str) -> impl Iterator<Item = String> {
        let headers = json::at(&self.content, &["mail", "headers"]).and_then(Value::as_array).into_iter().flatten();
        let named =
            move |header: &&Value| json::text(header, &["name"]).is_some_and(|it| it.eq_ignore_ascii_case(name));
        headers.filter(named).filter_map(|header| json::text(header, &["value"]))
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        let tags = json::at(&self.content, &["mail", "tags"]).and_then(Value::as_object).into_iter().flatten();
        let first = tags.filter_map(|(name, values)| {
            let value = values.as_array().map_or(Some(values), |list| list.first())?;
            Some((name.clone(), json::as_text(value)?))
        });
        let packed = self.headers("X-Metadata").flat_map(|text| json::metadata_in_text(Some(&text), "X-Metadata"));
        packed.chain(first).collect()
    }

    /// What an event means, and why it failed.
    fn meaning(&self, reported: &str) -> (EventKind, Option<BounceClass>) {
        let kind = match reported {
            "Send" => EventKind::Sent,
            "Delivery" => EventKind::Delivered,
            "Bounce" => return self.bounce(),
            "DeliveryDelay" => return (EventKind::Deferred, self.delay()),
            "Complaint" => EventKind::Complained,
            "Reject" => EventKind::Rejected,
            "Rendering Failure" => EventKind::Failed,
            "Open" => EventKind::Opened,
            "Click" => EventKind::Clicked,
            "Subscription" => EventKind::Unsubscribed,
            _ => EventKind::Other,
        };
        (kind, None)
    }

    fn bounce(&self) -> (EventKind, Option<BounceClass>) {
        let subtype = json::text(&self.content, &["bounce", "bounceSubType"]).unwrap_or_default();
        let class = match subtype.as_str() {
            "MailboxFull" => Some(BounceClass::MailboxFull),
            "MessageTooLarge" | "ContentRejected" | "AttachmentRejected" => Some(BounceClass::Content),
            _ => None,
        };
        match (json::text(&self.content, &["bounce", "bounceType"]).as_deref(), subtype.as_str()) {
            // SES did not try: the address stands on a list.
            (_, "Suppressed" | "OnAccountSuppressionList" | "UnsubscribedRecipient") => (EventKind::Blocked, None),
            (Some("Permanent"), _) => (EventKind::HardBounce, class),
            (Some("Transient"), _) => (EventKind::SoftBounce, class),
            _ => (EventKind::SoftBounce, class.or(Some(BounceClass::Unknown))),
        }
    }

    fn delay(&self) -> Option<BounceClass> {
        Some(match json::text(&self.content, &["deliveryDelay", "delayType"])?.as_str() {
            "MailboxFull" => BounceClass::MailboxFull,
            "SpamDetected" | "IPFailure" => BounceClass::Block,
            "TransientCommunicationFailure" | "BYOIPHostNameLookupUnavailable" => BounceClass::Dns,
            "Undetermined" => BounceClass::Unknown,
            _ => BounceClass::Soft,
        })
    }
}

/// The common part of the events of a notification.
struct Common {
    /// Id of the notification.
    id: Option<String>,
    event: EventBuilder,
}

impl Common {
    fn event(&self, recipient: &Value, request: &Request<'_>) -> Event {
        let address = json::text(recipient, &["emailAddress"]).or_else(|| json::as_text(recipient));
        let event_id = self.id.as_ref().map(|id| match &address {
            Some(address) => format!("{id}:{}", json::bare_address(address).unwrap_or_default().to_lowercase()),
            None => id.clone(),
        });
        let mut event = self.event.clone();
        event.event_id = event_id;
        event.recipient = address;
        event.enhanced_code = json::text(recipient, &["status"]).and_then(|status| status.parse().ok());
        event.diagnostic = json::text(recipient, &["diagnosticCode"]).or(event.diagnostic);
        event.build(request)
    }
}

/// The shape of an event type; types that are not known are taken to be about nobody in particular.
fn shape(reported: &str) -> Shape {
    let (part, recipients, concerns_all) = match reported {
        "Bounce" => ("bounce", "bouncedRecipients", false),
        "Complaint" => ("complaint", "complainedRecipients", false),
        "Delivery" => ("delivery", "recipients", false),
        "DeliveryDelay" => ("deliveryDelay", "delayedRecipients", false),
        "Send" => ("send", "", true),
        "Reject" => ("reject", "", true),
        "Rendering Failure" => ("failure", "", true),
        "Open" => ("open", "", false),
        "Click" => ("click", "", false),
        "Subscription" => ("subscription", "", false),
        _ => ("", "", false),
    };
    Shape { part, recipients, concerns_all }
}
