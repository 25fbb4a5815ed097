//! The envelope of Amazon SNS, which Amazon SES reports through and which compatible services use as well.
//!
//! Documented: the fields, the order of the string to sign, both signature versions (1 is RSA with SHA-1 and the
//! default, 2 is RSA with SHA-256), the headers that repeat `Type` and `MessageId`, and that a retry keeps the
//! `MessageId`. The body comes as `text/plain` although it is JSON. Raw delivery leaves envelope and signature out and
//! says so in a header (known, not recorded).
//!
//! There is no replay window: SNS may retry for hours or days under the first `Timestamp`, and its `MessageId` makes
//! events that come twice harmless. The certificate's chain is not checked beyond where it comes from: it is fetched
//! over HTTPS from the service's own host ([`Hosts::certificate_url`]), or pinned as a secret.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::reading::ReadError;
use domain::{Provider, Timestamp};
use rsa::PublicKey;
use rsa::pkcs8::DecodePublicKey;
use serde::Deserialize;
use url::Url;
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};

use super::signature::{RsaHash, rsa_pkcs1_fits};
use super::{Handshake, Rejection, Request};

/// The headers that are read along with the body.
pub const HEADERS: &[&str] =
    &["x-amz-sns-message-id", "x-amz-sns-message-type", "x-amz-sns-rawdelivery", "x-amz-sns-topic-arn"];

/// What an envelope holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum MessageType {
    /// A published message.
    Notification,
    /// The request to confirm a subscription.
    SubscriptionConfirmation,
    /// The news that a subscription has ended.
    UnsubscribeConfirmation,
}

impl MessageType {
    /// As envelope and header write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Notification => "Notification",
            Self::SubscriptionConfirmation => "SubscriptionConfirmation",
            Self::UnsubscribeConfirmation => "UnsubscribeConfirmation",
        }
    }
}

/// The envelope that every message comes in, unless raw delivery is on.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Envelope {
    /// What it holds.
    #[serde(rename = "Type")]
    pub kind: MessageType,
    /// Unique for each published message, the same when it is sent again.
    pub message_id: String,
    /// The topic that it was published to.
    pub topic_arn: String,
    /// What was published.
    pub message: String,
    /// When it was published, RFC 3339.
    pub timestamp: String,
    /// The subject that it was published with.
    pub subject: Option<String>,
    /// The scheme of the signature: `1` or `2`.
    pub signature_version: Option<String>,
    /// The signature, base64.
    pub signature: Option<String>,
    /// Where the certificate of the signature lies.
    #[serde(rename = "SigningCertURL")]
    pub signing_cert_url: Option<String>,
    /// The URL that confirms a subscription.
    #[serde(rename = "SubscribeURL")]
    pub subscribe_url: Option<String>,
    /// The token in that URL.
    pub token: Option<String>,
}

impl Envelope {
    /// The envelope of a request; `None` where the body is none.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    /// What is signed: the names and values of the fields that are there, each on a line of its own, sorted by name.
    #[must_use]
    pub fn string_to_sign(&self) -> String {
        let confirmation = self.kind != MessageType::Notification;
        let fields = [
            ("Message", Some(&self.message)),
            ("MessageId", Some(&self.message_id)),
            ("Subject", self.subject.as_ref().filter(|_| !confirmation)),
            ("SubscribeURL", self.subscribe_url.as_ref().filter(|_| confirmation)),
            ("Timestamp", Some(&self.timestamp)),
            ("Token", self.token.as_ref().filter(|_| confirmation)),
            ("TopicArn", Some(&self.topic_arn)),
        ];
        let lines = fields.iter().filter_map(|(name, value)| Some(format!("{name}\n{}\n", (*value)?)));
        lines.chain([format!("Type\n{}\n", self.kind.as_str())]).collect()
    }

    /// Whether the headers, where there are any, say the same as the body.
    fn agrees_with_headers(&self, request: &Request<'_>) -> bool {
        let same = |name: &str, value: &str| request.header(name).is_none_or(|header| header == value);
        same("x-amz-sns-message-type", self.kind.as_str()) && same("x-amz-sns-message-id", &self.message_id)
    }

    /// The region of the topic: `arn:partition:sns:region:account:name`.
    fn region(&self) -> Option<&str> {
        let mut parts = self.topic_arn.split(':');
        let (arn, _partition, service) = (parts.next()?, parts.next()?, parts.next()?);
        (arn == "arn" && service == "sns").then(|| parts.next()).flatten()
    }
}

/// The host names of a service: `{prefix}{region}{suffix}`.
#[derive(Clone, Copy, Debug)]
pub struct Hosts {
    /// What stands before the region.
    pub prefix: &'static str,
    /// What may stand after it.
    pub suffixes: &'static [&'static str],
}

/// The hosts of Amazon's own SNS.
pub const AMAZON: Hosts = Hosts { prefix: "sns.", suffixes: &[".amazonaws.com", ".amazonaws.com.cn"] };

impl Hosts {
    /// The region in the host of `url`; `None` unless it is HTTPS on the usual port of one of these hosts.
    #[must_use]
    pub fn region(&self, url: &Url) -> Option<String> {
        let plain = url.scheme() == "https" && url.port().is_none() && url.username().is_empty();
        let rest = url.host_str().filter(|_| plain && url.password().is_none())?.strip_prefix(self.prefix)?;
        let region = self.suffixes.iter().find_map(|suffix| rest.strip_suffix(suffix))?;
        let letters = region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        (letters && !region.is_empty()).then(|| region.to_owned())
    }

    /// Where the certificate of a signed request lies; `None` where the request carries no signature.
    ///
    /// # Errors
    /// [`Rejection::Certificate`] where the URL is not one of a certificate on these hosts.
    pub fn certificate_url(&self, request: &Request<'_>) -> Result<Option<String>, Rejection> {
        let Some(envelope) = enveloped(request).filter(|envelope| envelope.signature.is_some()) else {
            return Ok(None);
        };
        let text = envelope.signing_cert_url.ok_or(Rejection::Missing("there is no SigningCertURL"))?;
        let url = Url::parse(&text).ok().filter(|url| self.region(url).is_some() && url.path().ends_with(".pem"));
        let url = url.ok_or_else(|| Rejection::Certificate("its URL is not one of the service's own".into()))?;
        Ok(Some(url.into()))
    }

    /// Whether the request is about the subscription itself.
    ///
    /// The end of a subscription is only acknowledged: nobody is subscribed again against the will of who ended it.
    ///
    /// # Errors
    /// [`ReadError::NotThisProvider`] where the URL to confirm at is not on these hosts, or not for the envelope's own
    /// topic.
    pub fn handshake(&self, provider: Provider, request: &Request<'_>) -> Result<Option<Handshake>, ReadError> {
        let Some(envelope) = enveloped(request) else { return Ok(None) };
        match envelope.kind {
            MessageType::Notification => Ok(None),
            MessageType::UnsubscribeConfirmation => Ok(Some(Handshake::Ping)),
            MessageType::SubscriptionConfirmation => {
                let url = self.confirmation_url(&envelope).ok_or_else(|| ReadError::NotThisProvider {
                    provider,
                    reason: "the SubscribeURL is not one of the service's own for the TopicArn".into(),
                })?;
                Ok(Some(Handshake::ConfirmSubscription { topic: envelope.topic_arn, url: url.into() }))
            }
        }
    }

    /// The SubscribeURL, if it lies in the region of the topic and names no other topic.
    fn confirmation_url(&self, envelope: &Envelope) -> Option<Url> {
        let url = Url::parse(envelope.subscribe_url.as_deref()?).ok()?;
        let own_topic = url.query_pairs().all(|(name, value)| name != "TopicArn" || value == envelope.topic_arn);
        (own_topic && self.region(&url).as_deref() == Some(envelope.region()?)).then_some(url)
    }
}

/// Whether the request came by raw delivery: what was published is the body, there is neither envelope nor signature.
#[must_use]
pub fn is_raw(request: &Request<'_>) -> bool {
    request.header("x-amz-sns-rawdelivery").is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
}

/// The envelope of a request, unless it came without one.
#[must_use]
pub fn enveloped(request: &Request<'_>) -> Option<Envelope> {
    if is_raw(request) { None } else { Envelope::parse(request.body) }
}

/// The ARN of the topic that the request comes from, to be checked against those that are allowed.
#[must_use]
pub fn topic(request: &Request<'_>) -> Option<String> {
    if is_raw(request) {
        return request.header("x-amz-sns-topic-arn").map(str::to_owned);
    }
    Envelope::parse(request.body).map(|envelope| envelope.topic_arn)
}

/// Checks the signature of an envelope, with `secrets` (PEM, certificates or public keys) where there are any: they pin
/// the key. Else with the certificate that was fetched.
///
/// # Errors
/// [`Rejection`].
pub fn verify(request: &Request<'_>, secrets: &[String], now: Timestamp) -> Result<(), Rejection> {
    if is_raw(request) {
        return Err(Rejection::Missing("raw delivery carries none, only basic authentication can protect it"));
    }
    let envelope = Envelope::parse(request.body).ok_or_else(|| Rejection::Unreadable("no SNS envelope".into()))?;
    let signature = envelope.signature.as_deref().ok_or(Rejection::Missing("there is no Signature in the envelope"))?;
    if !envelope.agrees_with_headers(request) {
        return Err(Rejection::Invalid);
    }
    let signature = STANDARD.decode(signature.trim()).map_err(|_| Rejection::Invalid)?;
    let signed = envelope.string_to_sign();
    let fits = |key: &PublicKey| match envelope.signature_version.as_deref() {
        Some("1") => rsa_pkcs1_fits(key, RsaHash::Sha1, signed.as_bytes(), &signature),
        Some("2") => rsa_pkcs1_fits(key, RsaHash::Sha256, signed.as_bytes(), &signature),
        _ => false,
    };
    let keys = if secrets.is_empty() {
        let missing = || Rejection::Certificate("it was not fetched, and no secret stands in for it".into());
        vec![certified_key(request.certificate.ok_or_else(missing)?, now)]
    } else {
        secrets.iter().map(|secret| pinned_key(secret, now)).collect()
    };
    if keys.iter().flatten().any(fits) {
        return Ok(());
    }
    // A key that is worn out or unusable is the likelier reason than a forgery; say so if it is the only one there is.
    let usable = keys.iter().any(Result::is_ok);
    keys.into_iter().find_map(Result::err).filter(|_| !usable).map_or(Err(Rejection::Invalid), Err)
}

/// The key in a secret: a certificate or a bare public key, both PEM.
fn pinned_key(secret: &str, now: Timestamp) -> Result<PublicKey, Rejection> {
    if secret.contains("-----BEGIN CERTIFICATE-----") {
        return certified_key(secret.as_bytes(), now);
    }
    let unusable = |_| Rejection::Secret("neither a certificate nor an RSA public key in PEM".into());
    PublicKey::from_public_key_pem(secret.trim()).map_err(unusable)
}

/// The key in a certificate (PEM or DER) that is valid at `now`.
fn certified_key(document: &[u8], now: Timestamp) -> Result<PublicKey, Rejection> {
    let refused = |reason: &str| Rejection::Certificate(reason.to_owned());
    let pem = document.trim_ascii();
    let certificate = if pem.starts_with(b"-----BEGIN") {
        // The signer's own certificate is the first of a chain.
        Certificate::load_pem_chain(pem).ok().and_then(|chain| chain.into_iter().next())
    } else {
        Certificate::from_der(document).ok()
    };
    let certificate = certificate.ok_or_else(|| refused("it is no X.509 certificate"))?;
    let certificate = certificate.tbs_certificate();
    let seconds = u64::try_from(now.seconds()).unwrap_or_default();
    let validity = certificate.validity();
    let valid = validity.not_before.to_unix_duration().as_secs()..=validity.not_after.to_unix_duration().as_secs();
    if !valid.contains(&seconds) {
        return Err(refused("it is not valid at this time"));
    }
    let key = certificate.subject_public_key_info().to_der().ok();
    key.and_then(|der| PublicKey::from_public_key_der(&der).ok()).ok_or_else(|| refused("its key is no RSA key"))
}
