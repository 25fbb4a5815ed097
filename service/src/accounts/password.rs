//! Passwords: argon2id with the parameters that OWASP recommends (19 MiB, two passes, one lane).

use std::sync::{Arc, LazyLock};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{Error, PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use crate::error::{Result, ServiceError};

/// Each hash takes 19 MiB and a core for some time: four at once, and the others wait.
static AT_ONCE: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(4)));

/// Places for strangers, who may be attackers: those whose password is being looked at, and those who wait.
static STRANGERS: Semaphore = Semaphore::const_new(32);
/// Places for everybody else, kept free of strangers.
static KNOWN: Semaphore = Semaphore::const_new(32);

/// Whose password it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Somebody who has not been here with this browser before.
    Stranger,
    /// A browser that was signed in before, a user who is, or the command line.
    Known,
}

/// More passwords wait than are worth waiting for.
#[derive(Debug, thiserror::Error)]
#[error("too many passwords are being checked at once")]
struct Busy;

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
    aside(Lane::Known, move || hash_now(&password)).await
}

/// Whether it is the password of this hash; with no hash it is not, and that takes as long.
pub(super) async fn verify(lane: Lane, password: String, hash: Option<String>) -> Result<bool> {
    let known = hash.is_some();
    let fits = aside(lane, move || verify_now(&password, hash.as_deref())).await?;
    Ok(fits && known)
}

/// Works on a thread of its own, as soon as there is room.
///
/// # Errors
/// One that may be over soon, where too many wait; those of the work.
pub(super) async fn aside<T: Send + 'static>(
    lane: Lane,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let places = match lane {
        Lane::Stranger => &STRANGERS,
        Lane::Known => &KNOWN,
    };
    let place = places.try_acquire().map_err(|_| ServiceError::outside("checking a password", Busy))?;
    let ended = |error: &dyn std::error::Error| ServiceError::Inconsistent(format!("hashing ended early: {error}"));
    let permit = AT_ONCE.clone().acquire_owned().await.map_err(|error| ended(&error))?;
    // Whoever asked may go away, the work goes on: both are given back when it is done.
    let work = move || {
        let _held = (place, permit);
        work()
    };
    tokio::task::spawn_blocking(work).await.map_err(|error| ended(&error))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn strangers_wait_in_a_queue_that_ends_and_take_no_place_from_others() {
        let (go, wait) = mpsc::channel::<()>();
        let wait = Arc::new(std::sync::Mutex::new(wait));
        let blocked = |lane| {
            let wait = wait.clone();
            tokio::spawn(aside(lane, move || {
                wait.lock().expect("a lock").recv().expect("let go");
                Ok(())
            }))
        };
        let queued: Vec<_> = (0..32).map(|_| blocked(Lane::Stranger)).collect();
        while STRANGERS.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let refused = aside(Lane::Stranger, || Ok(())).await.expect_err("the queue is full");
        assert!(refused.is_transient(), "{refused}");
        // Those that nobody waits for any more are at work all the same, and keep their places.
        queued.iter().take(2).for_each(tokio::task::JoinHandle::abort);
        let known = blocked(Lane::Known);
        for _ in 0..33 {
            go.send(()).expect("they listen");
        }
        assert!(known.await.expect("no panic").is_ok());
        for task in queued {
            drop(task.await);
        }
        while STRANGERS.available_permits() < 32 {
            tokio::task::yield_now().await;
        }
        assert!(aside(Lane::Stranger, || Ok(())).await.is_ok());
    }
}
