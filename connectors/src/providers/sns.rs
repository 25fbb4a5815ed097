//! The envelope of Amazon SNS, which Amazon SES reports through and which compatible services use as well.
//!
//! Documented: the fields, the order of the string to sign, both signature versions (1 is RSA with SHA-1 and the
//! default, 2 is RSA with SHA-256), the headers that repeat `Type` and `MessageId`, and that a retry keeps the
//! `MessageId`. The body comes as `text/plain` although it is JSON. Raw delivery leaves envelope and signature out and
//! says so in a header (known, not recorded).
//!
//! There is no replay window: SNS may retry for hours or days under the first `Timestamp`, and its `MessageId` makes
//! events that come twice harmless. The certificate's chain is not checked beyond where it comes from: it is fetched
//! over HTTPS from the service's own host ([`Service::certificate_url`]), or pinned as a secret.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::reading::ReadError;
use domain::{Provider, Timestamp};
use rsa::PublicKey;
use rsa::pkcs8::DecodePublicKey;
use serde::Deserialize;
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};

use super::signature::{RsaHash, rsa_pkcs1_fits};
use super::{Handshake, Rejection, Request};

/// The headers that are read along with the body.
pub const HEADERS: &[&str] = &["x-amz-sns-message-id", "x-amz-sns-message-type", "x-amz-sns-rawdelivery", TOPIC];

/// The header with the topic's ARN.
pub const TOPIC: &str = "x-amz-sns-topic-arn";

/// Maximum length of a subscription's token, in bytes.
const MAX_TOKEN: usize = 4_096;

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
        let kind = ("Type", Some(self.kind.as_str()));
        let fields = fields.into_iter().map(|(name, value)| (name, value.map(String::as_str))).chain([kind]);
        let given: Vec<&str> = fields.filter_map(|(name, value)| Some([name, value?])).flatten().collect();
        // The message can be large, so it is copied only once.
        let mut text = String::with_capacity(given.iter().map(|part| part.len() + 1).sum());
        for part in given {
            text.push_str(part);
            text.push('\n');
        }
        text
    }

    /// Whether the headers, where there are any, say the same as the body.
    fn agrees_with_headers(&self, request: &Request<'_>) -> bool {
        let same = |name: &str, value: &str| request.header(name).is_none_or(|header| header == value);
        same("x-amz-sns-message-type", self.kind.as_str()) && same("x-amz-sns-message-id", &self.message_id)
    }

    /// The partition and the region of the topic: `arn:partition:sns:region:account:name`.
    fn place(&self) -> Option<(&str, &str)> {
        let mut parts = self.topic_arn.split(':');
        let (arn, partition, service, region) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let owned = parts.next().is_some() && parts.next().is_some_and(|name| !name.is_empty());
        (arn == "arn" && service == "sns" && owned).then_some((partition, region))
    }
}

/// The URLs of a service that implements SNS. They are derived from the partition and region of the topic; a message's own URLs must
/// match exactly. Only the file name of a certificate is taken from the message.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// Base URL of certificates for a partition and region; `None` if they are not valid for the service.
    pub certificates: fn(&str, &str) -> Option<String>,
    /// Whether the remainder of the URL is the name of a certificate.
    pub is_certificate: fn(&str) -> bool,
    /// URL that confirms subscriptions, without its query, for a partition and region.
    pub confirmations: fn(&str, &str) -> Option<String>,
}

/// Amazon's own SNS.
pub const AMAZON: Service =
    Service { certificates: amazon, is_certificate: is_amazons_certificate, confirmations: amazon };

/// `https://sns.eu-west-1.amazonaws.com/`; the domain depends on the partition. The region's syntax is checked because hosts such as
/// `sns.s3.amazonaws.com` are customers' buckets.
fn amazon(partition: &str, region: &str) -> Option<String> {
    let mut words = region.split('-');
    let country = words.next().unwrap_or_default();
    let number = words.next_back().unwrap_or_default();
    let letters = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_region = country.len() == 2
        && letters(country)
        && (1..=2).contains(&number.len())
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && (1..=2).contains(&words.clone().count())
        && words.all(letters);
    let domain = match (partition, region.starts_with("cn-"), region.starts_with("us-gov-")) {
        ("aws", false, false) | ("aws-us-gov", false, true) => "amazonaws.com",
        ("aws-cn", true, false) => "amazonaws.com.cn",
        _ => return None,
    };
    is_region.then(|| format!("https://sns.{region}.{domain}/"))
}

/// `SimpleNotificationService-` and a hash of 32 hexadecimal digits (up to 64, in case a longer hash replaces MD5).
fn is_amazons_certificate(path: &str) -> bool {
    let digits = path.strip_prefix("SimpleNotificationService-").and_then(|rest| rest.strip_suffix(".pem"));
    digits.is_some_and(|digits| {
        let is_hex = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
        (32..=64).contains(&digits.len()) && digits.bytes().all(is_hex)
    })
}

impl Service {
    /// URL of the certificate of a signed request; `None` if the request is unsigned.
    ///
    /// # Errors
    /// [`Rejection::Certificate`] if the URL is not that of a certificate in the topic's region.
    pub fn certificate_url(&self, request: &Request<'_>) -> Result<Option<String>, Rejection> {
        let Some(envelope) = enveloped(request).filter(|envelope| envelope.signature.is_some()) else {
            return Ok(None);
        };
        let url = envelope.signing_cert_url.as_deref().ok_or(Rejection::Missing("there is no SigningCertURL"))?;
        let base = envelope.place().and_then(|(partition, region)| (self.certificates)(partition, region));
        let path = base.as_deref().and_then(|base| url.strip_prefix(base));
        if path.is_some_and(self.is_certificate) {
            return Ok(envelope.signing_cert_url);
        }
        Err(Rejection::Certificate("its URL is not one of the service's own in the region of the topic".into()))
    }

    /// Whether the request is about the subscription itself.
    ///
    /// The end of a subscription is only acknowledged: nobody is subscribed again against the will of who ended it.
    ///
    /// # Errors
    /// [`ReadError::NotThisProvider`] where the URL to confirm at is not the service's, or not for the envelope's own
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
                Ok(Some(Handshake::ConfirmSubscription { topic: envelope.topic_arn, url }))
            }
        }
    }

    /// The URL that confirms the subscription, built from the topic and the token. The SubscribeURL must say the same and nothing else,
    /// so that no other action can be triggered.
    fn confirmation_url(&self, envelope: &Envelope) -> Option<String> {
        let (partition, region) = envelope.place()?;
        let base = (self.confirmations)(partition, region)?;
        let query = envelope.subscribe_url.as_deref()?.strip_prefix(&base)?.strip_prefix('?')?;
        let token = envelope.token.as_deref().filter(|token| !token.is_empty() && token.len() <= MAX_TOKEN)?;
        let mut confirms = false;
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "Action" if !confirms && value == "ConfirmSubscription" => confirms = true,
                "TopicArn" if value == envelope.topic_arn => {}
                "Token" if value == token => {}
                _ => return None,
            }
        }
        let start = format!("{base}?");
        let length = start.len();
        let mut query = form_urlencoded::Serializer::for_suffix(start, length);
        query.append_pair("Action", "ConfirmSubscription");
        query.append_pair("TopicArn", &envelope.topic_arn).append_pair("Token", token);
        confirms.then(|| query.finish())
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
        return request.header(TOPIC).map(str::to_owned);
    }
    Envelope::parse(request.body).map(|envelope| envelope.topic_arn)
}

/// Refuses raw delivery, which is unsigned.
///
/// # Errors
/// [`Rejection::Missing`].
pub fn precheck(head: &Request<'_>) -> Result<(), Rejection> {
    if is_raw(head) {
        return Err(Rejection::Missing("raw delivery carries none, only basic authentication can protect it"));
    }
    Ok(())
}

/// Whether `document` is a certificate with an RSA key, valid at `now`.
#[must_use]
pub fn is_certificate(document: &[u8], now: Timestamp) -> bool {
    certified_key(document, now).is_ok()
}

/// Checks the signature of an envelope, with `secrets` (PEM, certificates or public keys) where there are any: they pin
/// the key. Else with the certificate that was fetched.
///
/// # Errors
/// [`Rejection`].
pub fn verify(request: &Request<'_>, secrets: &[String], now: Timestamp) -> Result<(), Rejection> {
    precheck(request)?;
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
