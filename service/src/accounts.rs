//! Who may come in: users with a password, their sessions, and tokens for programs.
//!
//! Nothing that opens a door is stored. Passwords are hashed with argon2id ([`password`]); the secrets of sessions and tokens are
//! 32 random bytes, of which the database keeps the SHA-256 ([`secret`]): nobody can guess them, so a fast hash is enough. The secret
//! of an authenticator app has to be kept; it is encrypted ([`totp`]).
//!
//! What needs nobody to be signed in (signing in, and finding out who a secret belongs to) are methods of
//! [`Services`](crate::Services); managing users and tokens are methods of [`Admin`](crate::Admin); what users do with their own
//! account are methods of [`OwnAccount`].
//!
//! Whoever is locked out is out at once in this process, and within [`REMEMBERED_FOR`] in every other one: sessions are deleted in the
//! transaction of the change, and no process remembers longer whom a secret belongs to.

mod devices;
mod known;
mod limiter;
mod manage;
mod own;
mod password;
mod refusals;
mod secret;
mod session_list;
mod sessions;
mod sign_in;
mod strength;
mod tokens;
mod totp;
mod users;

use std::num::NonZeroU32;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::keys;
use refusals::Refusals;
use totp::TotpKey;

pub use devices::Device;
pub use known::REMEMBERED_FOR;
pub use limiter::Limiter;
pub use manage::{Lockout, UserChange};
pub use own::OwnAccount;
pub use refusals::Reason;
pub use secret::Secret;
#[cfg(feature = "fuzzing")]
pub(crate) use secret::hash as secret_hash;
pub use session_list::Session;
pub use sessions::SESSION_SECONDS;
pub use sign_in::{Attempt, Network, SignInAnswer, SignedIn};
pub use strength::MIN_PASSWORD_LENGTH;
pub use tokens::ApiToken;
pub use totp::Enrolment;
pub use users::{FIRST_ADMIN_FILE, FirstAdmin, User};

/// How people sign in to this installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignInOptions {
    /// A session without requests ends after so many seconds; 0: not before it ends anyway.
    pub idle_seconds: i64,
    /// Whether admins without a second factor are kept out.
    pub require_totp_for_admins: bool,
}

impl Default for SignInOptions {
    fn default() -> Self {
        Self { idle_seconds: 12 * 60 * 60, require_totp_for_admins: false }
    }
}

/// Wrong codes an hour for one user: from all strangers together, and from each browser that was signed in before.
const CODES: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);
/// Wrong passwords an hour that somebody who is signed in may give for the own account.
const OWN_PASSWORDS: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);

/// What the use cases of accounts share within a process.
pub(crate) struct Accounts {
    hash_key: [u8; 32],
    device_key: [u8; 32],
    recovery_key: [u8; 32],
    totp_key: TotpKey,
    refusals: Refusals,
    codes: Limiter,
    own_passwords: Limiter,
}

impl Accounts {
    /// With keys of their own, derived from the installation's.
    pub(crate) fn new(secret: &[u8; 32]) -> Self {
        Self {
            hash_key: keys::derive(secret, "nachfass account hash"),
            device_key: keys::derive(secret, "nachfass device cookie"),
            recovery_key: keys::derive(secret, "nachfass recovery code"),
            totp_key: TotpKey::derive(secret),
            refusals: Refusals::default(),
            codes: Limiter::per_hour(CODES),
            own_passwords: Limiter::per_hour(OWN_PASSWORDS),
        }
    }

    /// How logs and the audit log name an account, known or not: only with the installation's key can somebody find out which it is.
    fn account_hash(&self, email_key: &str) -> String {
        let mac = mac(&self.hash_key, &[email_key.as_bytes()]);
        mac.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// HMAC-SHA256 of several parts, which cannot be mistaken for other parts.
fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    for part in parts {
        mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests;
