//! Providers: each signs what it posts in its own way, worked out here anew and not by the code under test.

use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::{Clock, SystemClock};
use hmac::{Hmac, KeyInit, Mac};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::EncodePublicKey;
use serde_json::{Value, json};
use sha2::Sha256;

/// The secret of all sources that have one.
const SECRET: &str = "a secret of the tests";
/// User and password of all sources that have them.
const CREDENTIALS: &str = "tests:a password of the tests";

/// A request of a provider.
#[derive(Clone, Debug)]
pub struct Posting {
    /// Where to.
    pub path: String,
    /// Its headers, but for the content type.
    pub headers: Vec<(&'static str, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Provider {
    Generic,
    Mailgun,
    Postmark,
    Sendgrid,
}

/// A source, as its provider knows it.
#[derive(Clone, Debug)]
pub struct Source {
    name: &'static str,
    provider: Provider,
    create: &'static str,
}

impl Source {
    /// Our own format.
    pub const fn generic(name: &'static str) -> Self {
        Self { name, provider: Provider::Generic, create: "nothing" }
    }

    /// Mailgun: an HMAC within the body.
    pub const fn mailgun() -> Self {
        Self { name: "it-mailgun", provider: Provider::Mailgun, create: "nothing" }
    }

    /// Postmark: user and password.
    pub const fn postmark() -> Self {
        Self { name: "it-postmark", provider: Provider::Postmark, create: "nothing" }
    }

    /// SendGrid: ECDSA over time and body.
    pub const fn sendgrid() -> Self {
        Self { name: "it-sendgrid", provider: Provider::Sendgrid, create: "nothing" }
    }

    /// The same, which may create: "recipients" or "campaigns".
    pub const fn creating(mut self, what: &'static str) -> Self {
        self.create = what;
        self
    }

    /// The path that it posts to.
    pub fn path(&self) -> String {
        format!("/ingest/{}", self.name)
    }

    /// Its table in the configuration.
    pub fn toml(&self) -> String {
        let (provider, proof) = match self.provider {
            Provider::Generic => ("generic", format!("secrets = [{SECRET:?}]")),
            Provider::Mailgun => ("mailgun", format!("secrets = [{SECRET:?}]")),
            Provider::Postmark => ("postmark", format!("basic_auth = [{CREDENTIALS:?}]")),
            Provider::Sendgrid => {
                let key = sendgrid_key().verifying_key().to_public_key_der().expect("a point of the curve");
                ("sendgrid", format!("secrets = [{:?}]", STANDARD.encode(key.as_bytes())))
            }
        };
        let Self { name, create, .. } = self;
        format!("\n[[sources]]\nname = {name:?}\nprovider = {provider:?}\n{proof}\ncreate = {create:?}\n")
    }

    /// A request with this body, signed now.
    pub fn sign(&self, body: &Value) -> Posting {
        let seconds = (SystemClock.now().micros() / 1_000_000).to_string();
        let mut text = body.to_string();
        let headers = match self.provider {
            Provider::Generic => {
                let signature = hmac(&format!("{seconds}.{text}"));
                vec![("x-nachfass-timestamp", seconds), ("x-nachfass-signature", signature)]
            }
            Provider::Mailgun => {
                let token = token();
                let signature = hmac(&format!("{seconds}{token}"));
                let signature = json!({ "timestamp": seconds, "token": token, "signature": signature });
                text = json!({ "signature": signature, "event-data": body }).to_string();
                Vec::new()
            }
            Provider::Postmark => vec![("authorization", format!("Basic {}", STANDARD.encode(CREDENTIALS)))],
            Provider::Sendgrid => {
                let signature: DerSignature = sendgrid_key().sign(format!("{seconds}{text}").as_bytes());
                let signature = STANDARD.encode(signature.as_bytes());
                vec![
                    ("x-twilio-email-event-webhook-signature", signature),
                    ("x-twilio-email-event-webhook-timestamp", seconds),
                ]
            }
        };
        Posting { path: self.path(), headers, body: text.into_bytes() }
    }
}

fn sendgrid_key() -> SigningKey {
    SigningKey::from_slice(&[7; 32]).expect("a number below the order of the curve")
}

fn hmac(text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key may have any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Mailgun uses each token once.
fn token() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{:08x}{:042x}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}
