//! The signed token by which an application shows that it is itself.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::Timestamp;
use rsa::PrivateKey;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::DecodePrivateKey;
use rsa::signature::{SignatureEncoding, Signer};

/// The key that an application was registered with.
pub(super) struct SigningKey(rsa::pkcs1v15::SigningKey<sha2::Sha256>);

impl SigningKey {
    /// From PEM, PKCS#8 or PKCS#1; `None` for what is neither.
    pub(super) fn from_pem(pem: &str) -> Option<Self> {
        let pem = pem.trim();
        let key = PrivateKey::from_pkcs8_pem(pem).ok().or_else(|| PrivateKey::from_pkcs1_pem(pem).ok())?;
        Some(Self(rsa::pkcs1v15::SigningKey::new(key)))
    }

    /// The token, the minute (UTC), and the RSASSA-PKCS1-v1_5 signature with SHA-256 over both.
    pub(super) fn sign(&self, token: &str, now: Timestamp) -> Option<String> {
        let signed = format!("{token}.{}", now.to_chrono().format("%Y%m%d%H%M"));
        let signature = self.0.try_sign(signed.as_bytes()).ok()?;
        Some(format!("{signed}.{}", STANDARD.encode(signature.to_bytes())))
    }
}
