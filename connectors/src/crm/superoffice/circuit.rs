//! Leaving a service alone that does not answer, and finding out when it does again.

use domain::Timestamp;

/// So many failures in a row open the circuit.
const OPENS_AFTER: u32 = 5;
/// How long it stays open at first; twice as long each time that a trial fails.
const SHORTEST: i64 = 5_000_000;
/// And at most.
const LONGEST: i64 = 300_000_000;
/// A trial of which nothing is heard for so long has been given up.
const TRIAL: i64 = 120_000_000;

/// Whether requests go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Circuit {
    /// They do; so many failed in a row.
    Closed { failures: u32 },
    /// They do not until then; it was opened so many times in a row.
    Open { until: Timestamp, times: u32 },
    /// One is out to try, and must be heard of by then.
    Trying { until: Timestamp, times: u32 },
}

impl Circuit {
    /// As it is at first.
    pub(super) const fn new() -> Self {
        Self::Closed { failures: 0 }
    }

    /// Whether a request may go out now; after how many microseconds to ask again where not. Where a trial is due, who asks makes it.
    pub(super) fn ask(&mut self, now: Timestamp) -> Result<(), i64> {
        match *self {
            Self::Closed { .. } => Ok(()),
            Self::Open { until, times } | Self::Trying { until, times } if until <= now => {
                *self = Self::Trying { until: now.plus_micros(TRIAL), times };
                Ok(())
            }
            Self::Open { until, .. } => Err(until.since(now)),
            Self::Trying { .. } => Err(SHORTEST),
        }
    }

    /// An answer came.
    pub(super) fn succeeded(&mut self) {
        *self = Self::new();
    }

    /// None came, or one that says that the service is broken. Whether that opened it.
    pub(super) fn failed(&mut self, now: Timestamp) -> bool {
        let was_open = matches!(self, Self::Open { .. });
        *self = match *self {
            Self::Closed { failures } if failures.saturating_add(1) < OPENS_AFTER => {
                Self::Closed { failures: failures.saturating_add(1) }
            }
            Self::Closed { .. } => Self::opened(now, 0),
            Self::Trying { times, .. } => Self::opened(now, times.saturating_add(1)),
            // One that was out when it opened.
            open @ Self::Open { .. } => open,
        };
        !was_open && matches!(self, Self::Open { .. })
    }

    fn opened(now: Timestamp, times: u32) -> Self {
        let wait = SHORTEST.saturating_mul(1 << times.min(16)).min(LONGEST);
        Self::Open { until: now.plus_micros(wait), times }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Pass(i64),
        Ask,
        Succeed,
        Fail,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0_i64..200_000_000).prop_map(Step::Pass),
            Just(Step::Ask),
            Just(Step::Ask),
            Just(Step::Succeed),
            Just(Step::Fail),
            Just(Step::Fail),
            Just(Step::Fail),
        ]
    }

    proptest! {
        #[test]
        fn a_circuit_opens_only_after_failures_and_always_lets_somebody_try(steps in prop::collection::vec(step(), 1..200)) {
            let (mut circuit, mut now, mut in_a_row) = (Circuit::new(), Timestamp::from_seconds(0), 0);
            for step in steps {
                match step {
                    Step::Pass(micros) => now = now.plus_micros(micros),
                    Step::Succeed => {
                        circuit.succeeded();
                        in_a_row = 0;
                        prop_assert_eq!(circuit, Circuit::new());
                    }
                    Step::Fail => {
                        circuit.failed(now);
                        in_a_row += 1;
                    }
                    Step::Ask => match circuit.ask(now) {
                        Ok(()) => {}
                        Err(wait) => {
                            prop_assert!(in_a_row >= OPENS_AFTER);
                            prop_assert!((1..=LONGEST).contains(&wait));
                            let mut later = circuit;
                            prop_assert_eq!(later.ask(now.plus_micros(LONGEST)), Ok(()), "nobody is kept out for ever");
                        }
                    },
                }
            }
        }
    }

    #[test]
    fn one_tries_and_the_others_wait() {
        let (mut circuit, now) = (Circuit::new(), Timestamp::from_seconds(0));
        for _ in 0..OPENS_AFTER {
            assert_eq!(circuit.ask(now), Ok(()));
            circuit.failed(now);
        }
        assert_eq!(circuit.ask(now), Err(SHORTEST));
        let later = now.plus_micros(SHORTEST);
        assert_eq!(circuit.ask(later), Ok(()));
        assert_eq!(circuit.ask(later), Err(SHORTEST));
        circuit.failed(later);
        assert_eq!(circuit.ask(later), Err(2 * SHORTEST));
        let later = later.plus_micros(2 * SHORTEST);
        assert_eq!(circuit.ask(later), Ok(()));
        circuit.succeeded();
        assert_eq!(circuit.ask(later), Ok(()));
    }
}
