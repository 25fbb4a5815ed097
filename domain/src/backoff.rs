//! How long to wait before something that failed is tried again.

/// The longest wait, in milliseconds: an hour.
pub const LONGEST_MS: i64 = 3_600_000;

/// Milliseconds to wait after the attempt with this number (from 1) has failed.
///
/// Twice as long each time, from two seconds to an hour, and of that between a half and the whole: what failed together is not
/// tried again together ("equal jitter", as Brooker's *Exponential Backoff And Jitter* names it). Which part it is follows from
/// `seed`, for which the id of what is tried again serves: the same every time, without a source of randomness.
#[must_use]
pub fn wait_ms(tries: i32, seed: i64) -> i64 {
    let doublings = u32::try_from(tries.clamp(1, 30)).unwrap_or(1);
    let whole = 1_000_i64.saturating_mul(1 << doublings).min(LONGEST_MS);
    let half = whole / 2;
    half + spread(seed, tries).rem_euclid(half + 1)
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood: *Fast Splittable Pseudorandom Number Generators*, 2014): neighbouring numbers
/// come out far apart.
fn spread(seed: i64, tries: i32) -> i64 {
    let mut mixed = seed.cast_unsigned().rotate_left(8) ^ u64::from(tries.cast_unsigned());
    mixed = mixed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (mixed ^ (mixed >> 31)).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn what_failed_together_is_spread() {
        let waits: BTreeSet<i64> = (0..100).map(|seed| wait_ms(5, seed)).collect();
        assert!(waits.len() > 90, "{} different waits", waits.len());
    }

    proptest! {
        #[test]
        fn a_wait_lies_between_a_half_and_the_whole(tries in -3_i32..100, seed in any::<i64>()) {
            let whole = (1_000_i64 << tries.clamp(1, 20)).min(LONGEST_MS);
            let wait = wait_ms(tries, seed);
            prop_assert!((whole / 2..=whole).contains(&wait), "{wait} of {whole}");
        }
    }
}
