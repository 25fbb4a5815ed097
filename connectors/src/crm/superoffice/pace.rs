//! One request after the other, at an even pace.

/// Gives out turns, `interval` apart. Times are microseconds of any clock that does not run backwards.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    interval: i64,
    /// When the next turn is.
    next: i64,
}

impl Pace {
    /// So many turns in a second.
    pub(super) fn new(per_second: u16) -> Self {
        Self { interval: 1_000_000_i64.div_euclid(i64::from(per_second.max(1))).max(1), next: i64::MIN }
    }

    /// Takes the next turn, and says how long to wait for it; an error, without taking it, where that is longer than `most`.
    pub(super) fn take(&mut self, now: i64, most: i64) -> Result<i64, i64> {
        let turn = self.next.max(now);
        let wait = turn.saturating_sub(now);
        if wait > most {
            return Err(wait);
        }
        self.next = turn.saturating_add(self.interval);
        Ok(wait)
    }

    /// Nobody's turn is before `until` from now on, but for those who have taken theirs.
    pub(super) fn pause(&mut self, until: i64) {
        self.next = self.next.max(until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn turns_are_never_closer_than_the_interval(per_second in 1_u16..2_000, steps in prop::collection::vec((0_i64..100_000, 0_i64..500_000, any::<bool>()), 1..60)) {
            let mut pace = Pace::new(per_second);
            let (mut now, mut last, mut paused) = (0, i64::MIN, i64::MIN);
            for (passed, pause, pauses) in steps {
                now += passed;
                if pauses {
                    paused = paused.max(now + pause);
                    pace.pause(now + pause);
                }
                let before = pace.next;
                match pace.take(now, 300_000) {
                    Ok(wait) => {
                        let turn = now + wait;
                        prop_assert!(wait >= 0 && turn >= paused);
                        prop_assert!(last == i64::MIN || turn - last >= 1_000_000 / i64::from(per_second));
                        last = turn;
                    }
                    Err(wait) => {
                        prop_assert!(wait > 300_000);
                        prop_assert_eq!(pace.next, before, "a turn that was not taken is there for others");
                    }
                }
            }
        }
    }

    #[test]
    fn who_comes_rarely_does_not_wait() {
        let mut pace = Pace::new(10);
        assert_eq!(pace.take(0, 0), Ok(0));
        assert_eq!(pace.take(0, 1_000_000), Ok(100_000));
        assert_eq!(pace.take(900_000, 0), Ok(0));
    }
}
