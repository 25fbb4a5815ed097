//! Postal (self-hosted): one event per request, JSON `{event, timestamp, uuid, payload}`.
//!
//! Documented: the signature in `X-Postal-Signature`, base64 of RSA PKCS#1 v1.5 with SHA-1 over the body, by the key
//! that the server signs its DKIM with; newer servers also send `X-Postal-Signature-256` with SHA-256. Observed: keys
//! of 1024 bits; names of events that do not fit what happened (a bounce that comes as `MessageDelayed`), so that the
//! keys of the payload decide; events about incoming mails, which are not ours. There is no metadata, and one tag.
//!
//! A bounce here is the message of another server that came back after delivery; Postal does not tell what it says.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::reading::{ReadError, Reading};
use domain::{BounceClass, EventKind, Provider, Timestamp};
use rsa::PublicKey;
use rsa::pkcs8::DecodePublicKey;
use serde_json::Value;

use super::signature::{RsaHash, rsa_pkcs1_fits};
use super::{EventBuilder, Rejection, Request, Webhook, json};

/// Postal.
#[derive(Clone, Copy, Debug)]
pub struct Postal;

impl Webhook for Postal {
    fn precheck(&self, head: &Request<'_>, _secrets: &[String], _now: Timestamp) -> Result<(), Rejection> {
        // A signature is as long as its key: 512 to 8,192 bits.
        let (_, signature) = signed(head)?;
        if (64..=1_024).contains(&signature.len()) { Ok(()) } else { Err(Rejection::Invalid) }
    }

    fn verify(&self, request: &Request<'_>, secrets: &[String], _now: Timestamp) -> Result<(), Rejection> {
        let (hash, signature) = signed(request)?;
        let keys: Vec<_> = secrets.iter().map(|secret| key(secret)).collect();
        if keys.iter().flatten().any(|key| rsa_pkcs1_fits(key, hash, request.body, &signature)) {
            return Ok(());
        }
        keys.into_iter().collect::<Result<Vec<_>, _>>().and(Err(Rejection::Invalid))
    }

    fn read(&self, request: &Request<'_>) -> Result<Reading, ReadError> {
        let body = json::parse(Provider::Postal, request.body)?;
        if body.get("rcpt_to").is_some() {
            return Err(ReadError::InboundMail(Provider::Postal));
        }
        let (Some(name), Some(payload)) =
            (json::text(&body, &["event"]), body.get("payload").filter(|value| value.is_object()))
        else {
            return Err(json::not_from(Provider::Postal, "no object with `event` and `payload`"));
        };
        let message =
            ["message", "original_message"].iter().find_map(|name| json::at(payload, &[name])).unwrap_or(&Value::Null);
        if json::text(message, &["direction"]).as_deref() == Some("incoming") {
            return Ok(Reading::default());
        }
        let mut event = EventBuilder::new(Provider::Postal, &name, kind(&name, payload));
        event.bounce_class = json::at(payload, &["bounce"]).map(|_bounce| BounceClass::Unknown);
        event.event_id = json::text(&body, &["uuid"]);
        event.message_id = json::text(message, &["id"]).or_else(|| json::text(message, &["message_id"]));
        event.recipient = json::text(message, &["to"]);
        let times = [(&body, "timestamp"), (payload, "timestamp"), (message, "timestamp")];
        event.occurred_at = times.iter().find_map(|(value, name)| json::time(value, &[name]));
        let words: [&[&str]; 3] = [&["output"], &["details"], &["bounce", "subject"]];
        event.diagnostic = words.iter().find_map(|path| json::text(payload, path));
        event.url = json::text(payload, &["url"]);
        event.user_agent = json::text(payload, &["user_agent"]);
        event.tags = json::texts(message, &["tag"]).into();
        json::single(Ok(event.build(request)))
    }
}

/// The signature. If the stronger one is present, the weaker one is ignored, so that a forger cannot downgrade.
fn signed(request: &Request<'_>) -> Result<(RsaHash, Vec<u8>), Rejection> {
    let (hash, signature) = match (request.header("x-postal-signature-256"), request.header("x-postal-signature")) {
        (Some(signature), _) => (RsaHash::Sha256, signature),
        (None, Some(signature)) => (RsaHash::Sha1, signature),
        (None, None) => return Err(Rejection::Missing("neither X-Postal-Signature-256 nor X-Postal-Signature")),
    };
    Ok((hash, STANDARD.decode(signature.trim()).map_err(|_error| Rejection::Invalid)?))
}

/// The public key in a secret: base64 of its DER form, with or without the lines that PEM puts around it.
fn key(secret: &str) -> Result<PublicKey, Rejection> {
    let lines = secret.lines().map(str::trim).filter(|line| !line.starts_with("-----"));
    let der = STANDARD.decode(lines.collect::<String>());
    let der = der.map_err(|_error| Rejection::Secret("a public key is base64 of its DER form".into()))?;
    PublicKey::from_public_key_der(&der).map_err(|error| Rejection::Secret(format!("no RSA public key: {error}")))
}

/// What the payload says; only an open has nothing in it that would tell.
fn kind(name: &str, payload: &Value) -> EventKind {
    if json::at(payload, &["bounce"]).is_some() {
        return EventKind::HardBounce;
    }
    match json::text(payload, &["status"]).as_deref() {
        Some("Sent") => EventKind::Delivered,
        Some("SoftFail") => EventKind::Deferred,
        // Without an answer of the recipient's server, Postal itself gave up.
        Some("HardFail") if json::text(payload, &["output"]).is_none() => EventKind::Failed,
        Some("HardFail" | "Bounced") => EventKind::HardBounce,
        Some("Held") => EventKind::Queued,
        Some(_) => EventKind::Other,
        None if json::at(payload, &["url"]).is_some() => EventKind::Clicked,
        None if name == "MessageLoaded" => EventKind::Opened,
        None => EventKind::Other,
    }
}
