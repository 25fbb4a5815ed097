//! How an address is doing, judged by the recent outcomes of mails to it.
//!
//! The outcomes are kept with the address: the latest [`KEPT`] by time of occurrence. Which those are does not depend on the order in
//! which events arrive, and neither does the verdict: late and doubled events change nothing that they should not.

use std::fmt::Write;

use crate::coded_enum;
use crate::event::BounceClass;
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
        /// Too many soft bounces.
        SoftBounces = 2 "SOFT_BOUNCES",
        /// Somebody blocked it by hand.
        Manual = 3 "MANUAL",
        /// The person has left the company.
        FormerEmployee = 4 "FORMER_EMPLOYEE",
        /// Somebody took it out of use.
        Deleted = 5 "DELETED",
    }
}

/// How many outcomes are kept with an address; more than any number of bounces that a policy may accept.
pub const KEPT: usize = 32;

/// How a mail to the address ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Delivered.
    Delivered,
    /// Bounced for a reason of the recipient's that may pass. The class is kept because a policy says which ones count.
    Soft(BounceClass),
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
            EventKind::SoftBounce if own => Some(Self::soft(class.unwrap_or(BounceClass::Unknown))),
            EventKind::HardBounce if own => Some(Self::Hard),
            _ => None,
        }
    }

    /// A bounce that is called soft is one, whatever its class says besides: there are only as many as there are letters for them.
    const fn soft(class: BounceClass) -> Self {
        match class {
            BounceClass::MailboxFull | BounceClass::Dns | BounceClass::Unknown => Self::Soft(class),
            _ => Self::Soft(BounceClass::Soft),
        }
    }

    const fn letter(self) -> char {
        match self {
            Self::Delivered => 'D',
            Self::Hard => 'H',
            Self::Soft(BounceClass::MailboxFull) => 'F',
            Self::Soft(BounceClass::Dns) => 'N',
            Self::Soft(BounceClass::Unknown) => 'U',
            Self::Soft(_) => 'S',
        }
    }

    const fn from_letter(letter: char) -> Option<Self> {
        match letter {
            'D' => Some(Self::Delivered),
            'H' => Some(Self::Hard),
            'F' => Some(Self::Soft(BounceClass::MailboxFull)),
            'N' => Some(Self::Soft(BounceClass::Dns)),
            'U' => Some(Self::Soft(BounceClass::Unknown)),
            'S' => Some(Self::Soft(BounceClass::Soft)),
            _ => None,
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

    /// Whether they say, and no delivery after it says otherwise, that there is no such mailbox or domain: the address may be written wrongly.
    #[must_use]
    pub fn deny_the_address(&self) -> bool {
        let since = self.0.iter().take_while(|(_, outcome)| *outcome != Outcome::Delivered);
        since.into_iter().any(|(_, outcome)| matches!(outcome, Outcome::Hard | Outcome::Soft(BounceClass::Dns)))
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
            let outcome = Outcome::from_letter(word.chars().next()?)?;
            Some((Timestamp::from_micros(word.get(1..)?.parse().ok()?), outcome))
        };
        Self(text.split(' ').filter_map(entry).collect())
    }

    /// The verdict under a policy, at `now`.
    ///
    /// What people did weighs more than what providers report: after [`Marks::cleared_at`] everything before it is forgotten, and a
    /// block by hand stays whatever is delivered. Of the rest, a delivery heals what was before it, and what is older than
    /// [`Policy::expiry_days`] counts no longer.
    #[must_use]
    pub fn judge(&self, policy: &Policy, marks: &Marks, now: Timestamp) -> Judgement {
        let expired = policy.expiry_days.map(|days| now.plus_seconds(-i64::from(days) * 86_400));
        let counts = |at: Timestamp| {
            marks.cleared_at.is_none_or(|cleared| at > cleared) && expired.is_none_or(|expired| at > expired)
        };
        let recent: Vec<(Timestamp, Outcome)> = self.0.iter().copied().filter(|(at, _)| counts(*at)).collect();
        let delivered = recent.iter().find(|(_, outcome)| *outcome == Outcome::Delivered).map(|(at, _)| *at);
        let mut unhealed = recent.iter().filter(|(at, _)| delivered.is_none_or(|delivered| *at > delivered));
        let is_counted = |outcome: Outcome| matches!(outcome, Outcome::Soft(class) if policy.counts(class));
        let soft: Vec<Timestamp> =
            unhealed.clone().filter(|(_, outcome)| is_counted(*outcome)).map(|(at, _)| *at).collect();
        let hard = unhealed.rfind(|(_, outcome)| *outcome == Outcome::Hard).map(|(at, _)| *at);
        let limit = policy.accepted_soft_bounces.clamp(1, KEPT);
        // The list runs from the latest to the earliest: the bounce that reached the limit stands `limit` places before its end.
        let in_a_row = soft.len().checked_sub(limit).and_then(|place| soft.get(place)).copied();
        let in_window = policy.window.and_then(|window| window.is_full(&recent, is_counted));
        let too_many = in_a_row.into_iter().chain(in_window).min();
        let reported = match (hard, too_many) {
            (Some(hard), Some(soft)) if soft < hard => Some((soft, BlockReason::SoftBounces)),
            (Some(hard), _) => Some((hard, BlockReason::HardBounce)),
            (None, Some(soft)) => Some((soft, BlockReason::SoftBounces)),
            (None, None) => None,
        };
        let blocked = marks.block().or(reported);
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Policy {
    /// As many soft bounces in a row, without a delivery between them, block; 1 to [`KEPT`].
    pub accepted_soft_bounces: usize,
    /// So many among the latest ones block as well, also with deliveries between them.
    pub window: Option<Window>,
    /// After so many days a bounce is forgotten, and a block that it brought about ends.
    pub expiry_days: Option<u16>,
    /// The classes of soft bounces that count.
    pub classes: Vec<BounceClass>,
}

impl Default for Policy {
    /// Five in a row, of any class that is the recipient's own; nothing is forgotten but by a delivery.
    fn default() -> Self {
        use BounceClass::{Dns, MailboxFull, Soft, Unknown};
        Self {
            accepted_soft_bounces: 5,
            window: None,
            expiry_days: None,
            classes: vec![Soft, MailboxFull, Dns, Unknown],
        }
    }
}

impl Policy {
    fn counts(&self, class: BounceClass) -> bool {
        self.classes.contains(&class)
    }
}

/// `bounces` soft bounces among the last `of_last` mails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// So many bounces.
    pub bounces: usize,
    /// Among so many mails; at most [`KEPT`].
    pub of_last: usize,
}

impl Window {
    /// Since when there are too many in the window; never where the latest mail was delivered, for then the address works.
    fn is_full(self, recent: &[(Timestamp, Outcome)], is_counted: impl Fn(Outcome) -> bool) -> Option<Timestamp> {
        let (latest, outcome) = *recent.first()?;
        let bounces = recent.iter().take(self.of_last).filter(|(_, outcome)| is_counted(*outcome)).count();
        (bounces >= self.bounces.max(1) && is_counted(outcome)).then_some(latest)
    }
}

/// What people did about an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// What was reported until then is forgotten.
    pub cleared_at: Option<Timestamp>,
    /// Blocked by hand then.
    pub blocked_at: Option<Timestamp>,
    /// Marked then as that of somebody who has left.
    pub former_employee_at: Option<Timestamp>,
    /// Taken out of use then.
    pub deleted_at: Option<Timestamp>,
}

impl Marks {
    /// The block that they are, the most lasting first.
    fn block(self) -> Option<(Timestamp, BlockReason)> {
        let deleted = self.deleted_at.map(|at| (at, BlockReason::Deleted));
        let former = self.former_employee_at.map(|at| (at, BlockReason::FormerEmployee));
        deleted.or(former).or_else(|| self.blocked_at.map(|at| (at, BlockReason::Manual)))
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
                'S' => Outcome::Soft(BounceClass::Soft),
                'F' => Outcome::Soft(BounceClass::MailboxFull),
                _ => Outcome::Hard,
            };
            outcomes.add(at, outcome);
        }
        outcomes
    }

    fn judged(history: &str) -> Judgement {
        outcomes(history).judge(&Policy::default(), &Marks::default(), Timestamp::from_seconds(1_000))
    }

    fn at(second: i64) -> Option<Timestamp> {
        Some(Timestamp::from_seconds(second))
    }

    #[test]
    fn only_the_classes_of_the_policy_count() {
        let policy = Policy { classes: vec![BounceClass::Soft], ..Policy::default() };
        let judge = |history| outcomes(history).judge(&policy, &Marks::default(), Timestamp::from_seconds(1_000));
        assert_eq!(judge("SFSFSFSF").health, AddressHealth::Suspect);
        assert_eq!(judge("FFFFFF").health, AddressHealth::Ok);
        assert_eq!(judge("SFSFSFSFS").health, AddressHealth::Blocked);
    }

    #[test]
    fn a_window_counts_over_deliveries() {
        let policy = Policy { window: Some(Window { bounces: 3, of_last: 5 }), ..Policy::default() };
        let judge = |history| outcomes(history).judge(&policy, &Marks::default(), Timestamp::from_seconds(1_000));
        for (history, blocked_at) in
            [("SDSD", None), ("SDSDS", at(4)), ("SDSDSD", None), ("SDSDDS", None), ("SSS", at(2)), ("SSDD", None)]
        {
            assert_eq!(judge(history).blocked.map(|(at, _)| at), blocked_at, "{history}");
        }
    }

    #[test]
    fn bounces_expire() {
        let policy = Policy { expiry_days: Some(30), ..Policy::default() };
        let judge = |history, day: i64| {
            outcomes(history).judge(&policy, &Marks::default(), Timestamp::from_seconds(day * 86_400)).health
        };
        assert_eq!((judge("H", 29), judge("H", 31)), (AddressHealth::Blocked, AddressHealth::Ok));
        assert_eq!((judge("SSSSS", 29), judge("SSSSS", 31)), (AddressHealth::Blocked, AddressHealth::Ok));
    }

    #[test]
    fn an_address_is_denied_until_a_delivery() {
        for (history, denied) in [("", false), ("SF", false), ("H", true), ("HD", false), ("DHS", true)] {
            assert_eq!(outcomes(history).deny_the_address(), denied, "{history}");
        }
        assert!(Outcomes::decode("N1").deny_the_address(), "no such domain");
    }

    #[test]
    fn what_people_did_weighs_more() {
        let judge = |history, marks: Marks| {
            outcomes(history)
                .judge(&Policy::default(), &marks, Timestamp::from_seconds(1_000))
                .blocked
                .map(|(_, why)| why)
        };
        let by_hand = Marks { blocked_at: at(1), ..Marks::default() };
        let cleared = Marks { cleared_at: at(2), ..Marks::default() };
        assert_eq!(judge("SSD", by_hand), Some(BlockReason::Manual));
        assert_eq!(judge("DDD", Marks { former_employee_at: at(1), ..by_hand }), Some(BlockReason::FormerEmployee));
        assert_eq!(judge("DDH", cleared), None);
        assert_eq!(judge("DDDH", cleared), Some(BlockReason::HardBounce), "it bounced again");
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
            let judgement = judged(history);
            assert_eq!((judgement.health, judgement.consecutive_soft_bounces), (health, soft), "{history}");
        }
    }

    #[test]
    fn the_sender_is_blamed_for_what_is_the_senders() {
        assert_eq!(Outcome::of(EventKind::SoftBounce, Some(BounceClass::Block)), None);
        assert_eq!(Outcome::of(EventKind::Blocked, Some(BounceClass::Block)), None);
        assert_eq!(Outcome::of(EventKind::Deferred, Some(BounceClass::Soft)), None);
        assert_eq!(
            Outcome::of(EventKind::SoftBounce, Some(BounceClass::MailboxFull)),
            Some(Outcome::Soft(BounceClass::MailboxFull))
        );
        assert_eq!(Outcome::of(EventKind::SoftBounce, None), Some(Outcome::Soft(BounceClass::Unknown)));
    }

    #[test]
    fn blocked_since_the_bounce_that_was_one_too_many() {
        let judgement = judged("DSSSSSSS");
        assert_eq!(judgement.blocked, Some((Timestamp::from_seconds(5), BlockReason::SoftBounces)));
    }

    #[test]
    fn every_outcome_is_read_as_it_was_kept() {
        for kind in EventKind::ALL {
            for class in BounceClass::ALL.iter().copied().map(Some).chain([None]) {
                if let Some(outcome) = Outcome::of(*kind, class) {
                    assert_eq!(Outcome::from_letter(outcome.letter()), Some(outcome), "{kind:?} {class:?}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_order_is_kept_and_judged_alike((entries, shuffled) in proptest::collection::vec((0_i64..60, 0_u8..4), 0..80)
            .prop_flat_map(|entries| (Just(entries.clone()), Just(entries).prop_shuffle())))
        {
            let collect = |entries: &[(i64, u8)]| {
                let mut outcomes = Outcomes::default();
                for (at, kind) in entries {
                    let soft = [BounceClass::Soft, BounceClass::MailboxFull].map(Outcome::Soft);
                    let outcome = [Outcome::Delivered, soft[0], soft[1], Outcome::Hard][usize::from(*kind)];
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
