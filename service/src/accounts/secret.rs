//! The secrets of sessions and tokens: made once, shown once, recognised by their hash.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// What an API token begins with, so that people and scanners for leaked secrets recognise it.
const TOKEN_PREFIX: &str = "nf_";

/// Longer than any secret of ours: not worth hashing.
const MAX_LENGTH: usize = 128;

/// A secret that opens a door. It shows itself only where [`Secret::expose`] is called.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// For an API token.
    pub(super) fn for_token() -> Self {
        Self(format!("{TOKEN_PREFIX}{}", random()))
    }

    /// For a session.
    pub(super) fn for_session() -> Self {
        Self(random())
    }

    /// A password for somebody's first steps: 120 random bits.
    pub(super) fn password() -> Self {
        Self(URL_SAFE_NO_PAD.encode(rand::random::<[u8; 15]>()))
    }

    /// One that was made elsewhere.
    pub(super) const fn of(secret: String) -> Self {
        Self(secret)
    }

    /// The secret itself, to be shown to its owner.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// How the database knows it.
    pub(super) fn hash(&self) -> String {
        sha256(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What random words, and recovery codes, consist of: letters and digits that are not mistaken for each other.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Random letters and digits: as many as the array has elements.
pub(super) fn random_word<const LENGTH: usize>() -> String {
    let random: [u8; LENGTH] = std::array::from_fn(|_| rand::random());
    random.iter().filter_map(|byte| ALPHABET.get(usize::from(byte % 32))).copied().map(char::from).collect()
}

fn random() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// The SHA-256 of a secret, hexadecimal: how the database knows it. `None` for a text that cannot be one of ours.
pub(crate) fn hash(secret: &str) -> Option<String> {
    (!secret.is_empty() && secret.len() <= MAX_LENGTH).then(|| sha256(secret))
}

fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
