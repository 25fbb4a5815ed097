//! Chance that comes out the same for the same seed.
//!
//! ChaCha8 gives the same numbers on every machine and with every release of its crate, which `StdRng` and `SmallRng` do not promise.

use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

/// A second, in milliseconds: the unit of all times of the demo.
pub const SECOND: i64 = 1_000;
/// A minute.
pub const MINUTE: i64 = 60 * SECOND;
/// An hour.
pub const HOUR: i64 = 60 * MINUTE;

/// What the numbers are for: each purpose has a sequence of its own, so that a change to one moves no other.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// Who a recipient is.
    Recipient,
    /// What happens to a recipient's mail.
    Story,
    /// When the provider gets round to reporting it.
    Arrival,
    /// Which requests are sent a second time.
    Repeats,
    /// Keys and passwords.
    Secrets,
}

impl Purpose {
    const fn number(self) -> u64 {
        match self {
            Self::Recipient => 1,
            Self::Story => 2,
            Self::Arrival => 3,
            Self::Repeats => 4,
            Self::Secrets => 5,
        }
    }
}

/// A sequence of random numbers.
#[derive(Debug)]
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// The sequence for `purpose` and the `number`-th of whatever there are several of.
    #[must_use]
    pub fn new(seed: u64, purpose: Purpose, number: u64) -> Self {
        let mut key = [0; 32];
        for (slot, word) in key.chunks_exact_mut(8).zip([seed, purpose.number(), number]) {
            slot.copy_from_slice(&word.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(key))
    }

    /// True in so many of a thousand cases.
    pub fn per_mille(&mut self, share: u32) -> bool {
        self.below(1_000) < share
    }

    /// A number from 0 up to, but not including, `end`; 0 where there is none.
    pub fn below(&mut self, end: u32) -> u32 {
        if end == 0 { 0 } else { self.0.random_range(0..end) }
    }

    /// A number of milliseconds from `least` up to, but not including, `end`; `least` where there is none.
    pub fn between(&mut self, least: i64, end: i64) -> i64 {
        if least < end { self.0.random_range(least..end) } else { least }
    }

    /// One of `items`, each as likely as the other; `None` where there are none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.choose(&mut self.0)
    }

    /// One of some texts; empty where there are none.
    pub fn word<'a>(&mut self, words: &[&'a str]) -> &'a str {
        self.pick(words).copied().unwrap_or_default()
    }

    /// How often something happens that happens at least once, and each time in `again` of a thousand cases once more; 9 at most.
    pub fn times(&mut self, again: u32) -> u32 {
        let mut times = 1;
        while times < 9 && self.per_mille(again) {
            times += 1;
        }
        times
    }

    /// Log-normally distributed milliseconds: half of them below `median`, and the wider `spread`, the longer the tail.
    ///
    /// That is how long people and servers take: mostly a little, now and then very long.
    pub fn delay(&mut self, median: i64, spread: f64) -> i64 {
        // Box and Muller; 1 - u keeps the logarithm's argument above zero.
        let (radius, angle): (f64, f64) = (1.0 - self.0.random::<f64>(), self.0.random());
        let normal = (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos();
        let median = Duration::from_millis(median.unsigned_abs());
        let delay = Duration::try_from_secs_f64(median.as_secs_f64() * (spread * normal).exp()).unwrap_or(median);
        i64::try_from(delay.as_millis()).unwrap_or(i64::MAX)
    }

    /// Random bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill(&mut bytes);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_for_ever() {
        let numbers = |seed, purpose, number| {
            let mut dice = Dice::new(seed, purpose, number);
            [dice.below(1_000_000), dice.below(1_000_000)]
        };
        assert_eq!(numbers(1, Purpose::Story, 7), numbers(1, Purpose::Story, 7));
        assert_ne!(numbers(1, Purpose::Story, 7), numbers(2, Purpose::Story, 7));
        assert_ne!(numbers(1, Purpose::Story, 7), numbers(1, Purpose::Arrival, 7));
        assert_ne!(numbers(1, Purpose::Story, 7), numbers(1, Purpose::Story, 8));
    }

    #[test]
    fn half_of_the_delays_lie_below_the_median() {
        let mut dice = Dice::new(3, Purpose::Story, 0);
        let below = (0..4_000).filter(|_| dice.delay(HOUR, 1.2) < HOUR).count();
        assert!((1_800..2_200).contains(&below), "{below}");
    }
}
