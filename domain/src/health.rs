//! How an address is doing, judged by the recent outcomes of mails to it.
//!
//! The outcomes are kept with the address: the latest [`KEPT`] by time of occurrence. Which those are does not depend on the order in
//! which events arrive, and neither does the verdict: late and doubled events change nothing that they should not.

use std::fmt::Write;

use crate::event::{BounceClass, coded_enum};
use crate::{EventKind, Timestamp};
use serde::Serialize;

coded_enum! {
    /// How an address is doing.
    AddressHealth {
        /// Nothing speaks against it.
        Ok = 1 "OK",
        /// Bounced since the last delivery, but not often enough to be blocked.
        Suspect = 2 "SUSPECT",
        /// Not to be written to.
        Blocked = 3 "BLOCKED",
    }
}

coded_enum! {
    /// Why an address is blocked.
    BlockReason {
        /// A hard bounce of the recipient's own making.
        HardBounce = 1 "HARD_BOUNCE",
        /// Too many soft bounces in a row.
        SoftBounces = 2 "SOFT_BOUNCES",
    }
}

/// How many outcomes are kept with an address; more than any number of bounces that a policy may accept.
pub const KEPT: usize = 32;

/// How a mail to the address ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Delivered.
    Delivered,
    /// Bounced for a reason of the recipient's that may pass.
    Soft,
    /// Bounced for a reason of the recipient's that will not pass.
    Hard,
}

impl Outcome {
    /// What an event says about its recipient's address; `None` where it says nothing, or blames the sender.
    #[must_use]
    pub fn of(kind: EventKind, class: Option<BounceClass>) -> Option<Self> {
        let own = class.is_none_or(BounceClass::is_recipients_own);
        match kind {
            EventKind::Delivered => Some(Self::Delivered),
            EventKind::SoftBounce if own => Some(Self::Soft),
            EventKind::HardBounce if own => Some(Self::Hard),
            _ => None,
        }
    }

    const fn letter(self) -> char {
        match self {
            Self::Delivered => 'D',
            Self::Soft => 'S',
            Self::Hard => 'H',
        }
    }
}

/// The recent outcomes of an address, the latest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcomes(Vec<(Timestamp, Outcome)>);

impl Outcomes {
    /// Adds the outcome of an event that has not been added before. Says whether anything changed.
    pub fn add(&mut self, at: Timestamp, outcome: Outcome) -> bool {
        let entry = (at, outcome);
        let place = self.0.partition_point(|known| *known >= entry);
        if place >= KEPT {
            return false;
        }
        self.0.insert(place, entry);
        self.0.truncate(KEPT);
        true
    }

    /// As it is stored: `S1767225600000000 D1767139200000000`, the latest first.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::with_capacity(self.0.len() * 18);
        for (at, outcome) in &self.0 {
            let gap = if text.is_empty() { "" } else { " " };
            // Writing to a String cannot fail.
            write!(text, "{gap}{}{}", outcome.letter(), at.micros()).ok();
        }
        text
    }

    /// From its stored form; what cannot be read is left out.
    #[must_use]
    pub fn decode(text: &str) -> Self {
        let entry = |word: &str| {
            let outcome = match word.chars().next()? {
                'D' => Outcome::Delivered,
                'S' => Outcome::Soft,
                'H' => Outcome::Hard,
                _ => return None,
            };
            Some((Timestamp::from_micros(word.get(1..)?.parse().ok()?), outcome))
        };
        Self(text.split(' ').filter_map(entry).collect())
    }

    /// The verdict under a policy.
    #[must_use]
    pub fn judge(&self, policy: Policy) -> Judgement {
        let delivered = self.0.iter().find(|(_, outcome)| *outcome == Outcome::Delivered).map(|(at, _)| *at);
        let since = |entry: &&(Timestamp, Outcome)| delivered.is_none_or(|delivered| entry.0 > delivered);
        let soft: Vec<Timestamp> =
            self.0.iter().filter(since).filter(|(_, outcome)| *outcome == Outcome::Soft).map(|(at, _)| *at).collect();
        let hard = self.0.iter().filter(since).rfind(|(_, outcome)| *outcome == Outcome::Hard).map(|(at, _)| *at);
        let limit = policy.accepted_soft_bounces.max(1);
        // The list runs from the latest to the earliest: the bounce that reached the limit stands `limit` places before its end.
        let too_many = soft.len().checked_sub(limit).and_then(|place| soft.get(place)).copied();
        let blocked = match (hard, too_many) {
            (Some(hard), Some(soft)) if soft < hard => Some((soft, BlockReason::SoftBounces)),
            (Some(hard), _) => Some((hard, BlockReason::HardBounce)),
            (None, Some(soft)) => Some((soft, BlockReason::SoftBounces)),
            (None, None) => None,
        };
        let health = match (blocked, soft.is_empty()) {
            (Some(_), _) => AddressHealth::Blocked,
            (None, false) => AddressHealth::Suspect,
            (None, true) => AddressHealth::Ok,
        };
        let consecutive_soft_bounces = i32::try_from(soft.len()).unwrap_or(i32::MAX);
        Judgement { health, consecutive_soft_bounces, blocked }
    }
}

/// When an address is blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// As many soft bounces in a row, without a delivery between them, block; at most [`KEPT`].
    pub accepted_soft_bounces: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self { accepted_soft_bounces: 5 }
    }
}

/// The verdict on an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// How it is doing.
    pub health: AddressHealth,
    /// Soft bounces since the last delivery.
    pub consecutive_soft_bounces: i32,
    /// Since when it is blocked, and why.
    pub blocked: Option<(Timestamp, BlockReason)>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn outcomes(letters: &str) -> Outcomes {
        let mut outcomes = Outcomes::default();
        for (second, letter) in letters.chars().enumerate() {
            let at = Timestamp::from_seconds(i64::try_from(second).expect("small"));
            let outcome = match letter {
                'D' => Outcome::Delivered,
                'S' => Outcome::Soft,
                _ => Outcome::Hard,
            };
            outcomes.add(at, outcome);
        }
        outcomes
    }

    #[test]
    fn deliveries_heal_and_bounces_in_a_row_block() {
        use AddressHealth as A;
        for (history, health, soft) in [
            ("", A::Ok, 0),
            ("D", A::Ok, 0),
            ("S", A::Suspect, 1),
            ("SSSS", A::Suspect, 4),
            ("SSSSD", A::Ok, 0),
            ("SSSSDS", A::Suspect, 1),
            ("SSSSS", A::Blocked, 5),
            ("SSSSSSSD", A::Ok, 0),
            ("H", A::Blocked, 0),
            ("DH", A::Blocked, 0),
            ("HD", A::Ok, 0),
        ] {
            let judgement = outcomes(history).judge(Policy::default());
            assert_eq!((judgement.health, judgement.consecutive_soft_bounces), (health, soft), "{history}");
        }
    }

    #[test]
    fn the_sender_is_blamed_for_what_is_the_senders() {
        assert_eq!(Outcome::of(EventKind::SoftBounce, Some(BounceClass::Block)), None);
        assert_eq!(Outcome::of(EventKind::Blocked, Some(BounceClass::Block)), None);
        assert_eq!(Outcome::of(EventKind::Deferred, Some(BounceClass::Soft)), None);
        assert_eq!(Outcome::of(EventKind::SoftBounce, Some(BounceClass::MailboxFull)), Some(Outcome::Soft));
    }

    #[test]
    fn blocked_since_the_bounce_that_was_one_too_many() {
        let judgement = outcomes("DSSSSSSS").judge(Policy::default());
        assert_eq!(judgement.blocked, Some((Timestamp::from_seconds(5), BlockReason::SoftBounces)));
    }

    proptest! {
        #[test]
        fn any_order_is_kept_and_judged_alike((entries, shuffled) in proptest::collection::vec((0_i64..60, 0_u8..3), 0..80)
            .prop_flat_map(|entries| (Just(entries.clone()), Just(entries).prop_shuffle())))
        {
            let collect = |entries: &[(i64, u8)]| {
                let mut outcomes = Outcomes::default();
                for (at, kind) in entries {
                    let outcome = [Outcome::Delivered, Outcome::Soft, Outcome::Hard][usize::from(*kind)];
                    outcomes.add(Timestamp::from_seconds(*at), outcome);
                }
                outcomes
            };
            let kept = collect(&entries);
            prop_assert_eq!(&kept, &collect(&shuffled));
            prop_assert_eq!(&Outcomes::decode(&kept.encode()), &kept);
        }
    }
}
