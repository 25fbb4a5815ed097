//! Keys for one purpose each, derived from the installation's.

use hkdf::Hkdf;
use sha2::Sha256;

/// The key for `purpose`: nothing can be told from it about the installation's own, or about that for another purpose.
#[must_use]
pub(crate) fn derive(secret: &[u8; 32], purpose: &str) -> [u8; 32] {
    let mut key = [0_u8; 32];
    // 32 bytes are within what HKDF can give (RFC 5869: 255 times the length of the hash).
    Hkdf::<Sha256>::new(None, secret).expand(purpose.as_bytes(), &mut key).ok();
    key
}
