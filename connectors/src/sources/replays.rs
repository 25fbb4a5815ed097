//! Signatures that do not cover the body (Mailgun's) must not be used a second time with another one.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use domain::Timestamp;

use crate::providers::Rejection;

/// How long a key is remembered, in seconds: longer than any signature is accepted.
const KEPT_SECONDS: i64 = 13 * 3600;
/// As many keys are remembered, some 48 bytes each; beyond them the older half is forgotten.
const MOST: usize = 400_000;

/// The one-time keys that were seen, with what they were used for. By process: behind several, the window alone protects.
#[derive(Default)]
pub struct Replays(Mutex<HashMap<u64, (Timestamp, u64)>>);

impl Replays {
    /// Notes that `key` came with `body`. The same key with the same body is a retry; with another body it is a forgery.
    ///
    /// # Errors
    /// [`Rejection::Invalid`].
    pub fn check(&self, source: &str, key: Option<String>, body: &[u8], now: Timestamp) -> Result<(), Rejection> {
        let Some(key) = key else { return Ok(()) };
        let (key, body) = (hash(&(source, key)), hash(&body));
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= MOST {
            let mut times: Vec<Timestamp> = seen.values().map(|(at, _)| *at).collect();
            times.sort_unstable();
            let middle = times.get(times.len() / 2).copied().unwrap_or(now);
            seen.retain(|_, (at, _)| *at > middle);
        }
        match seen.get(&key) {
            Some((at, known)) if *known != body && now.since(*at) < KEPT_SECONDS * 1_000_000 => Err(Rejection::Invalid),
            _ => {
                seen.insert(key, (now, body));
                Ok(())
            }
        }
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
