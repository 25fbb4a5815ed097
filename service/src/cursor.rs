//! Cursors: where a page ended, sealed so that nobody can read, make or alter one.
//!
//! A cursor holds the values of the last row that the order compares, among them personal data such as an address. It is
//! therefore encrypted and authenticated (AES-GCM-SIV, RFC 8452: the same cursor for the same place, without a nonce to keep),
//! and bound to its list: a cursor of another list, order or filter is refused, never taken for page 1.

use aes_gcm_siv::aead::{Aead, KeyInit, Payload};
use aes_gcm_siv::{Aes256GcmSiv, Nonce};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Refusal, RefusalCode, Result, ServiceError};
use crate::keys;

/// Seals and opens cursors.
#[derive(Clone)]
pub struct CursorKey(Aes256GcmSiv);

impl CursorKey {
    /// A key of its own, derived from the installation's.
    #[must_use]
    pub fn derive(secret: &[u8; 32]) -> Self {
        Self(Aes256GcmSiv::new(&keys::derive(secret, "nachfass cursor").into()))
    }

    /// The cursor of a place in the list `scope`.
    ///
    /// # Errors
    /// Where the place cannot be written as JSON.
    pub fn seal<T: Serialize>(&self, scope: &str, place: &T) -> Result<String> {
        let text = serde_json::to_vec(place)?;
        let payload = Payload { msg: &text, aad: scope.as_bytes() };
        let sealed = self.0.encrypt(&Nonce::default(), payload);
        let sealed = sealed.map_err(|_| ServiceError::Inconsistent("a cursor could not be sealed".to_owned()))?;
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// The place of a cursor of the list `scope`.
    ///
    /// # Errors
    /// A refusal where it is no cursor of ours, or of another list.
    pub fn open<T: DeserializeOwned>(&self, scope: &str, cursor: &str) -> Result<T, Refusal> {
        let refuse = || {
            Refusal::new(
                RefusalCode::Invalid,
                "invalid cursor: it belongs to another list, filter or order, or is damaged; begin without it",
            )
        };
        let sealed = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| refuse())?;
        let payload = Payload { msg: &sealed, aad: scope.as_bytes() };
        let text = self.0.decrypt(&Nonce::default(), payload).map_err(|_| refuse())?;
        serde_json::from_slice(&text).map_err(|_| refuse())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_opens_only_where_it_was_made() {
        let key = CursorKey::derive(&[7; 32]);
        let cursor = key.seal("recipients:1", &("erika@example.com", 42)).expect("sealed");
        assert_eq!(
            key.open::<(String, i32)>("recipients:1", &cursor).expect("opened"),
            ("erika@example.com".to_owned(), 42)
        );
        assert!(key.open::<(String, i32)>("recipients:2", &cursor).is_err());
        assert!(CursorKey::derive(&[8; 32]).open::<(String, i32)>("recipients:1", &cursor).is_err());
        for broken in ["", "AAAA", "=", "erika"] {
            assert!(key.open::<(String, i32)>("recipients:1", broken).is_err());
        }
    }
}
