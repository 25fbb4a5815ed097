//! What sends the demo's mails: four providers, each with the proof of identity that its webhooks carry.
//!
//! All keys come from the seed, so that the demo can be stopped and started again. Anybody who knows the seed knows them: they protect
//! nothing and belong to the demo alone.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use connectors::providers::signature::{hex, hmac_sha256};
use connectors::sources::SourceSettings;
use domain::reading::Create;
use domain::{Provider, Timestamp};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::EncodePublicKey;
use serde_json::{Value, json};

use super::dice::{Dice, Purpose};

/// The metadata name under which the demo's mails carry their campaign's key.
pub const CAMPAIGN_NAME: &str = "nachfass_campaign";

/// The metadata name under which the demo's mails carry their recipient's id.
pub const RECIPIENT_NAME: &str = "nachfass_recipient";

/// What sends mails, and posts their events to a source of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    /// SendGrid: many events in a request, signed with ECDSA.
    Sendgrid,
    /// Mailgun: one event in a request, signed with an HMAC.
    Mailgun,
    /// Postmark: one event in a request, with user and password.
    Postmark,
    /// Brevo: one event in a request, with a bearer token.
    Brevo,
}

impl Channel {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Sendgrid, Self::Mailgun, Self::Postmark, Self::Brevo];

    /// The provider.
    #[must_use]
    pub const fn provider(self) -> Provider {
        match self {
            Self::Sendgrid => Provider::Sendgrid,
            Self::Mailgun => Provider::Mailgun,
            Self::Postmark => Provider::Postmark,
            Self::Brevo => Provider::Brevo,
        }
    }

    /// The name of its source: it posts to `/ingest/{name}`.
    #[must_use]
    pub const fn source(self) -> &'static str {
        match self {
            Self::Sendgrid => "demo-sendgrid",
            Self::Mailgun => "demo-mailgun",
            Self::Postmark => "demo-postmark",
            Self::Brevo => "demo-brevo",
        }
    }

    /// As many events come in one request at most.
    #[must_use]
    pub const fn batch(self) -> usize {
        match self {
            Self::Sendgrid => 400,
            Self::Mailgun | Self::Postmark | Self::Brevo => 1,
        }
    }
}

/// Headers and body of a request.
pub type Signed = (Vec<(&'static str, String)>, Vec<u8>);

/// The keys of all channels.
pub struct Keys {
    sendgrid: SigningKey,
    mailgun: String,
    postmark: String,
    brevo: String,
}

impl Keys {
    /// The keys of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed, Purpose::Secrets, 0);
        let mailgun = hex(&dice.bytes::<16>());
        let postmark = format!("postmark:{}", hex(&dice.bytes::<16>()));
        let brevo = hex(&dice.bytes::<16>());
        Self { sendgrid: signing_key(&mut dice), mailgun, postmark, brevo }
    }

    /// The source of a channel, as it would be configured.
    #[must_use]
    pub fn source(&self, channel: Channel) -> SourceSettings {
        let (secret, basic_auth) = match channel {
            Channel::Sendgrid => (Some(self.public_key()), None),
            Channel::Mailgun => (Some(self.mailgun.clone()), None),
            Channel::Postmark => (None, Some(self.postmark.clone())),
            Channel::Brevo => (Some(self.brevo.clone()), None),
        };
        SourceSettings {
            name: channel.source().to_owned(),
            provider: channel.provider(),
            secrets: secret.into_iter().collect(),
            basic_auth: basic_auth.into_iter().collect(),
            topics: Vec::new(),
            campaign_keys: vec![CAMPAIGN_NAME.to_owned()],
            recipient_keys: vec![RECIPIENT_NAME.to_owned()],
            create: Create::Nothing,
            url: None,
            insecure: false,
        }
    }

    /// A request with these events, signed at a time. The same events and time give the same bytes, as a retry does.
    #[must_use]
    pub fn sign(&self, channel: Channel, mut events: Vec<Value>, signed_at: Timestamp) -> Signed {
        let seconds = (signed_at.micros() / 1_000_000).to_string();
        let mut headers = vec![("content-type", "application/json".to_owned())];
        let body = match channel {
            Channel::Sendgrid => {
                let body = Value::Array(events).to_string();
                let signature: DerSignature = self.sendgrid.sign(format!("{seconds}{body}").as_bytes());
                let signature = STANDARD.encode(signature.as_bytes());
                headers.push(("x-twilio-email-event-webhook-signature", signature));
                headers.push(("x-twilio-email-event-webhook-timestamp", seconds));
                return (headers, body.into_bytes());
            }
            Channel::Mailgun => {
                let event = events.pop().unwrap_or_default();
                json!({ "signature": self.mailgun_signature(&seconds, &event), "event-data": event })
            }
            Channel::Postmark => {
                headers.push(("authorization", format!("Basic {}", STANDARD.encode(&self.postmark))));
                events.pop().unwrap_or_default()
            }
            Channel::Brevo => {
                headers.push(("authorization", format!("Bearer {}", self.brevo)));
                events.pop().unwrap_or_default()
            }
        };
        (headers, body.to_string().into_bytes())
    }

    /// Mailgun's signature covers time and token only. A token may be used for one event only, so it is made from the event.
    fn mailgun_signature(&self, seconds: &str, event: &Value) -> Value {
        let token = hmac_sha256(seconds.as_bytes(), &[event.to_string().as_bytes()]);
        let token = hex(token.get(..25).unwrap_or_default());
        let signature = hmac_sha256(self.mailgun.as_bytes(), &[seconds.as_bytes(), token.as_bytes()]);
        json!({ "timestamp": seconds, "token": token, "signature": hex(&signature) })
    }

    /// The key that SendGrid would show. A point of the curve can always be written; an empty text would fit no signature.
    fn public_key(&self) -> String {
        let der = self.sendgrid.verifying_key().to_public_key_der();
        der.map(|der| STANDARD.encode(der.as_bytes())).unwrap_or_default()
    }
}

/// A private key. All but one of 2^32 numbers are one.
fn signing_key(dice: &mut Dice) -> SigningKey {
    loop {
        if let Ok(key) = SigningKey::from_slice(&dice.bytes::<32>()) {
            return key;
        }
    }
}
