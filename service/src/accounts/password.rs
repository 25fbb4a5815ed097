//! Passwords: argon2id with the parameters that OWASP recommends (19 MiB, two passes, one lane).

use std::sync::LazyLock;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{Error, PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use crate::error::{Result, ServiceError};

/// Each hash takes 19 MiB and a core for some time: so many at once, and the others wait.
static AT_ONCE: Semaphore = Semaphore::const_new(4);

/// The hash of a password that nobody knows. Whoever gives an unknown address is compared with it, and waits as long as anybody.
static NOBODYS: LazyLock<Result<String>> = LazyLock::new(|| hash_now(super::Secret::password().expose()));

fn hasher() -> Result<Argon2<'static>> {
    let params = Params::new(19 * 1024, 2, 1, None)
        .map_err(|error| ServiceError::Inconsistent(format!("argon2's parameters: {error}")))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash_now(password: &str) -> Result<String> {
    let hash: PasswordHash = hasher()?.hash_password(password.as_bytes()).map_err(broken)?;
    Ok(hash.to_string())
}

fn verify_now(password: &str, hash: Option<&str>) -> Result<bool> {
    let Some(hash) = hash.or_else(|| NOBODYS.as_deref().ok()) else {
        return Ok(false);
    };
    let hash =
        PasswordHash::new(hash).map_err(|error| ServiceError::Inconsistent(format!("a password's hash: {error}")))?;
    match hasher()?.verify_password(password.as_bytes(), &hash) {
        Ok(()) => Ok(true),
        Err(Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(broken(error)),
    }
}

fn broken(error: Error) -> ServiceError {
    ServiceError::Inconsistent(format!("argon2: {error}"))
}

/// The PHC string of a password.
pub(super) async fn hash(password: String) -> Result<String> {
    aside(move || hash_now(&password)).await
}

/// Whether it is the password of this hash; with no hash it is not, and that takes as long.
pub(super) async fn verify(password: String, hash: Option<String>) -> Result<bool> {
    let known = hash.is_some();
    let fits = aside(move || verify_now(&password, hash.as_deref())).await?;
    Ok(fits && known)
}

async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let ended = |error: &dyn std::error::Error| ServiceError::Inconsistent(format!("hashing ended early: {error}"));
    let _permit = AT_ONCE.acquire().await.map_err(|error| ended(&error))?;
    tokio::task::spawn_blocking(work).await.map_err(|error| ended(&error))?
}
