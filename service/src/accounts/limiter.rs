//! Rate limits by key whose memory is bounded, whatever keys an attacker comes up with.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};

/// The most keys that a limiter remembers: about 2 MB.
const MAX_KEYS: usize = 50_000;

/// So many at once and so many in a period, for each key.
pub struct Limiter<C: Clock = DefaultClock> {
    inner: RateLimiter<u64, Slots, C, NoOpMiddleware<C::Instant>>,
    /// With a key of its own for each process: nobody outside can find two keys that share a slot.
    hasher: RandomState,
}

impl Limiter {
    /// At most `count` at once, and `count` in a second.
    #[must_use]
    pub fn per_second(count: NonZeroU32, at_once: NonZeroU32) -> Self {
        Self::with_clock(Quota::per_second(count).allow_burst(at_once), DefaultClock::default())
    }

    /// At most `count` at once, and `count` in a minute.
    #[must_use]
    pub fn per_minute(count: NonZeroU32) -> Self {
        Self::with_clock(Quota::per_minute(count), DefaultClock::default())
    }

    /// At most `count` at once, and `count` in an hour.
    #[must_use]
    pub fn per_hour(count: NonZeroU32) -> Self {
        Self::with_clock(Quota::per_hour(count), DefaultClock::default())
    }
}

impl<C: Clock> Limiter<C> {
    fn with_clock(quota: Quota, clock: C) -> Self {
        Self { inner: RateLimiter::new(quota, Slots::default(), clock), hasher: RandomState::new() }
    }

    /// Counts one for this key.
    ///
    /// # Errors
    /// The seconds to wait, at least one, if that would be too many. Then it is not counted.
    pub fn check(&self, key: &impl Hash) -> Result<(), u64> {
        self.inner.check_key(&self.hasher.hash_one(key)).map_err(|until| {
            let wait = until.wait_time_from(self.inner.clock().now());
            wait.as_secs().saturating_add(1)
        })
    }
}

/// When the bucket of each key will be full again, as governor counts it: the later, the more was taken from it.
#[derive(Default)]
struct Slots(Mutex<HashMap<u64, Nanos>>);

impl StateStore for Slots {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (outcome, next) = decide(slots.get(key).copied())?;
        slots.insert(*key, next);
        if slots.len() > MAX_KEYS {
            forget_half(&mut slots);
        }
        Ok(outcome)
    }
}

/// Forgets the half of the keys from which the least was taken. An empty bucket is not forgotten, and so filled again, by a flood of
/// other keys.
fn forget_half(slots: &mut HashMap<u64, Nanos>) {
    let mut times: Vec<u64> = slots.values().map(|time| time.as_u64()).collect();
    let middle = times.len() / 2;
    let (_, median, _) = times.select_nth_unstable(middle);
    let median = *median;
    slots.retain(|_, time| time.as_u64() > median);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use governor::clock::FakeRelativeClock;

    use super::*;

    fn limiter(per_minute: u32) -> (Limiter<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let quota = Quota::per_minute(NonZeroU32::new(per_minute).expect("not zero"));
        (Limiter::with_clock(quota, clock.clone()), clock)
    }

    #[test]
    fn each_key_has_a_bucket_that_fills_again() {
        let (limiter, clock) = limiter(6);
        for _ in 0..6 {
            assert_eq!(limiter.check(&"one"), Ok(()));
        }
        assert_eq!(limiter.check(&"one"), Err(11));
        assert_eq!(limiter.check(&"two"), Ok(()));
        clock.advance(Duration::from_secs(9));
        assert_eq!(limiter.check(&"one"), Err(2));
        clock.advance(Duration::from_secs(1));
        assert_eq!(limiter.check(&"one"), Ok(()));
        assert_eq!(limiter.check(&"one"), Err(11));
    }

    #[test]
    fn a_flood_of_keys_takes_no_memory_and_empties_no_full_bucket() {
        let (limiter, clock) = limiter(6);
        for _ in 0..6 {
            limiter.check(&"attacked").expect("not yet");
        }
        for number in 0..400_000 {
            limiter.check(&number).expect("a new key");
            if number % 100_000 == 0 {
                clock.advance(Duration::from_secs(1));
            }
        }
        assert!(limiter.check(&"attacked").is_err(), "it is still remembered");
        // The state is only reachable by the limiter's own methods.
        let slots = limiter.inner.into_state_store();
        assert!(slots.0.lock().expect("a lock").len() <= MAX_KEYS);
    }
}
