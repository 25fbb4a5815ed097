//! Who may come in: users with a password, their sessions, and tokens for programs.
//!
//! Nothing that opens a door is stored. Passwords are hashed with argon2id ([`password`]); the secrets of sessions and tokens are
//! 32 random bytes, of which the database keeps the SHA-256 ([`secret`]): nobody can guess them, so a fast hash is enough.
//!
//! What needs nobody to be signed in (signing in, and finding out who a secret belongs to) are methods of
//! [`Services`](crate::Services); managing users and tokens are methods of [`Admin`](crate::Admin).

mod known;
mod password;
mod secret;
mod sessions;
mod tokens;
mod users;

pub use secret::Secret;
#[cfg(feature = "fuzzing")]
pub(crate) use secret::hash as secret_hash;
pub use sessions::{SESSION_SECONDS, SignedIn};
pub use tokens::ApiToken;
pub use users::{MIN_PASSWORD_LENGTH, User};

#[cfg(test)]
mod tests;
