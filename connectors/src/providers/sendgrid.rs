//! Twilio SendGrid: a JSON list of events of any kind and any recipients.
//!
//! Documented: the fields, and the signature, ECDSA on P-256 with SHA-256 over the timestamp header followed by the raw
//! body. The secrets are public keys as SendGrid shows them: DER in base64, without PEM armour. The timestamp counts as
//! an opaque text in the verification, hence no replay window: `sg_event_id` makes events that come twice harmless.
//! Observed: the sender's own arguments stand among SendGrid's at the top level; `category` is a text or a list; the
//! message id carries a `.filter…` suffix, and dropped mails may have nothing but that; `status` can be missing.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::reading::{ReadError, Reading};
use domain::{BounceClass, Event, EventKind, Provider, Timestamp};
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use p256::ecdsa::{DerSignature, VerifyingKey};
use p256::pkcs8::DecodePublicKey;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{EventBuilder, Rejection, Request, Webhook, json};

/// The header with the signature, base64 of its DER form.
const SIGNATURE: &str = "x-twilio-email-event-webhook-signature";

/// The header that is signed before the body.
const TIMESTAMP: &str = "x-twilio-email-event-webhook-timestamp";

/// The keys that are SendGrid's own; all others are the sender's arguments. Besides these: `nlvx_*` and `sg_*`.
const OWN_KEYS: &[&str] = &[
    "asm_group_id",
    "attempt",
    "bounce_classification",
    "category",
    "cert_err",
    "email",
    "event",
    "ip",
    "marketing_campaign_id",
    "marketing_campaign_name",
    "newsletter",
    "pool",
    "post_type",
    "reason",
    "response",
    "send_at",
    "smtp-id",
    "status",
    "timestamp",
    "tls",
    "type",
    "url",
    "url_offset",
    "useragent",
];

/// SendGrid's event webhook.
#[derive(Clone, Copy, Debug)]
pub struct Sendgrid;

impl Webhook for Sendgrid {
    fn precheck(&self, head: &Request<'_>, _secrets: &[String], _now: Timestamp) -> Result<(), Rejection> {
        signed(head).map(|_| ())
    }

    fn verify(&self, request: &Request<'_>, secrets: &[String], _now: Timestamp) -> Result<(), Rejection> {
        let (signature, timestamp) = signed(request)?;
        let keys = secrets.iter().map(|secret| public_key(secret)).collect::<Result<Vec<_>, _>>()?;
        let digest = Sha256::new().chain_update(timestamp).chain_update(request.body).finalize();
        let fits = keys.iter().any(|key| key.verify_prehash(&digest, &signature).is_ok());
        if fits { Ok(()) } else { Err(Rejection::Invalid) }
    }

    fn read(&self, request: &Request<'_>) -> Result<Reading, ReadError> {
        // Inbound Parse posts forms, the event webhook never does.
        if request.media_type() == "multipart/form-data" {
            return Err(ReadError::InboundMail(Provider::Sendgrid));
        }
        let elements = json::batch(Provider::Sendgrid, request.body)?;
        let is_event = |element: &Value| element.get("event").is_some();
        if !elements.is_empty() && !json::any(&elements, is_event) {
            let reason = "no element has an event".into();
            return Err(ReadError::NotThisProvider { provider: Provider::Sendgrid, reason });
        }
        json::read_each(elements, |element| read_event(element, request))
    }
}

/// The signature and the signed timestamp.
fn signed<'a>(request: &Request<'a>) -> Result<(DerSignature, &'a str), Rejection> {
    let header = |name| request.header(name).filter(|value| !value.is_empty());
    let signature = header(SIGNATURE).ok_or(Rejection::Missing("X-Twilio-Email-Event-Webhook-Signature"))?;
    let timestamp = header(TIMESTAMP).ok_or(Rejection::Missing("X-Twilio-Email-Event-Webhook-Timestamp"))?;
    let signature = STANDARD.decode(signature).map_err(|_| Rejection::Invalid)?;
    let signature = DerSignature::try_from(signature.as_slice()).map_err(|_| Rejection::Invalid)?;
    Ok((signature, timestamp))
}

/// The key in a secret, also where it was given PEM armour.
fn public_key(secret: &str) -> Result<VerifyingKey, Rejection> {
    let lines = secret.lines().filter(|line| !line.starts_with("-----"));
    let encoded: String = lines.flat_map(str::chars).filter(|c| !c.is_whitespace()).collect();
    let der = STANDARD.decode(encoded).ok();
    let key = der.and_then(|der| VerifyingKey::from_public_key_der(&der).ok());
    key.ok_or_else(|| Rejection::Secret("not a P-256 public key in base64, as SendGrid shows it".into()))
}

/// One element of the list.
fn read_event(element: &Value, request: &Request<'_>) -> Result<Event, String> {
    let reported = json::text(element, &["event"]).ok_or("the element has no event")?;
    let text = |name| json::text(element, &[name]);
    let (kind, bounce_class) = meaning(&reported, element);
    let mut metadata = json::metadata(Some(element));
    metadata.retain(|name, _| !is_own_key(name));
    let builder = EventBuilder {
        event_id: text("sg_event_id"),
        message_id: text("sg_message_id").and_then(|id| sent_message_id(&id)).or_else(|| text("smtp-id")),
        recipient: text("email"),
        occurred_at: json::time(element, &["timestamp"]),
        bounce_class,
        enhanced_code: text("status").and_then(|status| status.parse().ok()),
        diagnostic: text("reason").or_else(|| text("response")),
        url: text("url"),
        machine_flag: json::boolean(element, &["sg_machine_open"]),
        user_agent: text("useragent"),
        campaign: text("marketing_campaign_id"),
        tags: json::texts(element, &["category"]).into(),
        metadata: metadata.into(),
        ..EventBuilder::new(Provider::Sendgrid, &reported, kind)
    };
    Ok(builder.build(request))
}

/// Whether a key is SendGrid's, not an argument of the sender's.
fn is_own_key(name: &str) -> bool {
    OWN_KEYS.contains(&name) || name.starts_with("nlvx_") || name.starts_with("sg_")
}

/// The id that sending answered with (`X-Message-Id`): what stands before the first dot, unless there is nothing but a
/// filter.
fn sent_message_id(id: &str) -> Option<String> {
    let first = id.split('.').next().unwrap_or_default();
    (!first.is_empty() && !first.starts_with("filter")).then(|| first.to_owned())
}

/// What an event means, and why it failed.
fn meaning(reported: &str, element: &Value) -> (EventKind, Option<BounceClass>) {
    let kind = match reported {
        "processed" => EventKind::Queued,
        "delivered" => EventKind::Delivered,
        "deferred" => return (EventKind::Deferred, classification(element)),
        "bounce" | "blocked" => {
            let blocked = reported == "blocked" || json::text(element, &["type"]).is_some_and(|kind| kind == "blocked");
            let class = classification(element);
            return if blocked { (EventKind::Blocked, class) } else { (EventKind::HardBounce, class) };
        }
        "dropped" => EventKind::Rejected,
        "open" => EventKind::Opened,
        "click" => EventKind::Clicked,
        "spamreport" => EventKind::Complained,
        "unsubscribe" | "group_unsubscribe" => EventKind::Unsubscribed,
        "group_resubscribe" => EventKind::Subscribed,
        _ => EventKind::Other,
    };
    (kind, None)
}

/// SendGrid's own class of a bounce.
fn classification(element: &Value) -> Option<BounceClass> {
    let class = json::text(element, &["bounce_classification"])?;
    Some(match class.to_ascii_lowercase().as_str() {
        "invalid address" => BounceClass::Hard,
        "mailbox unavailable" => BounceClass::Soft,
        "reputation" => BounceClass::Block,
        "content" => BounceClass::Content,
        "technical" | "frequency or volume too high" => BounceClass::Soft,
        _ => BounceClass::Unknown,
    })
}
