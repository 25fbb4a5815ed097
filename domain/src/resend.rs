//! Who may be sent the same campaign again, and who not, and why.
//!
//! Only those who have not got it: it bounced, the provider refused it, or it was not sent. Nobody who has it, and nobody who must not be
//! written to. A reminder that sends the same campaign again has a rule of its own: [`crate::reminder::check`].

use crate::Timestamp;
use crate::coded_enum;
use crate::facts::Facts;
use crate::health::AddressHealth;
use crate::reminder::Address;
use crate::status::{RecipientStatus, SkipReason, status};

coded_enum! {
    /// Whom a resend is for.
    ResendScope {
        /// Those that somebody chose.
        Chosen = 1 "CHOSEN",
        /// Those whose address was corrected since it failed, and nobody else.
        OnlyUpdated = 2 "ONLY_UPDATED",
        /// Those who were never sent to: nothing is sent to anybody for a second time.
        NotYetSent = 3 "NOT_YET_SENT",
    }
}

coded_enum! {
    /// Why somebody is not sent to again.
    ResendExclusion {
        /// They reported it as spam.
        Complained = 1 "COMPLAINED",
        /// They unsubscribed, by this mail or another.
        Unsubscribed = 2 "UNSUBSCRIBED",
        /// They have read it or clicked: they have it.
        Responded = 3 "RESPONDED",
        /// It was delivered: they have it.
        Delivered = 4 "DELIVERED",
        /// It was sent, and nobody has said that it failed.
        Sent = 5 "SENT",
        /// A provider's simulator, not a person.
        Simulator = 6 "SIMULATOR",
        /// They do not consent to be written to.
        NoConsent = 7 "NO_CONSENT",
        /// They have left their company.
        FormerEmployee = 8 "FORMER_EMPLOYEE",
        /// Their address was taken out of use.
        DeletedAddress = 9 "DELETED_ADDRESS",
        /// Their address is blocked, such as one that bounced for good and was not corrected.
        BlockedAddress = 10 "BLOCKED_ADDRESS",
        /// Their address was not corrected since it failed.
        NotCorrected = 11 "NOT_CORRECTED",
        /// Their address stands in the campaign already.
        Duplicate = 12 "DUPLICATE",
        /// It is no address.
        InvalidAddress = 13 "INVALID_ADDRESS",
        /// They do not subscribe to this kind of mail.
        NoSubscription = 14 "NO_SUBSCRIPTION",
        /// The provider refused to send it: that was a try, and it is repeated only where they are chosen.
        ProviderRefused = 15 "PROVIDER_REFUSED",
        /// They were taken out of the campaign before it was sent to them.
        Canceled = 16 "CANCELED",
    }
}

/// Somebody who may be sent to again.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// What is known of the recipient, as of the latest attempt.
    pub facts: &'a Facts,
    /// What became of the earlier attempts. Each may have reached them after all: what says so is often late.
    pub earlier: &'a [RecipientStatus],
    /// Whether it is a provider's simulator.
    pub is_simulator: bool,
    /// The address they would be written to.
    pub address: Address,
    /// Whether the CRM says that this person must not be written to.
    pub is_refused_by_crm: bool,
    /// When the address was last corrected.
    pub corrected_at: Option<Timestamp>,
}

/// What becomes of somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resend {
    /// They get another attempt.
    Again,
    /// They were left out, and the reason no longer holds: they are to be sent to, for the first time.
    TakeBack,
    /// They are to be sent to already.
    Unchanged,
    /// They are not sent to.
    Not(ResendExclusion),
}

/// Whether somebody is to be sent to again.
#[must_use]
pub fn decide(candidate: &Candidate<'_>, scope: ResendScope) -> Resend {
    use ResendExclusion as No;
    let facts = candidate.facts;
    if candidate.is_simulator {
        return Resend::Not(No::Simulator);
    }
    let (status, reason) = status(facts);
    if status == RecipientStatus::Canceled {
        return Resend::Not(No::Canceled);
    }
    if let Some(reason) = has_it(status) {
        return Resend::Not(reason);
    }
    if status == RecipientStatus::Ready {
        return Resend::Unchanged;
    }
    if let Some(reason) = has_it_already(candidate.earlier) {
        return Resend::Not(reason);
    }
    if scope == ResendScope::OnlyUpdated && !is_corrected(candidate) {
        return Resend::Not(No::NotCorrected);
    }
    if let Some(reason) = objection(candidate) {
        return Resend::Not(reason);
    }
    let was_tried = facts.sent_at.is_some() || facts.refused_at.is_some();
    if was_tried {
        return match scope {
            ResendScope::NotYetSent if status == RecipientStatus::Blocked => Resend::Not(No::ProviderRefused),
            ResendScope::NotYetSent => Resend::Not(No::Sent),
            ResendScope::Chosen | ResendScope::OnlyUpdated => Resend::Again,
        };
    }
    match reason {
        // What spoke against the address was looked at above, and does so no longer.
        None
        | Some(
            SkipReason::BlockedAddress
            | SkipReason::TooManyBounces
            | SkipReason::NoConsent
            | SkipReason::FormerEmployee,
        ) => Resend::TakeBack,
        Some(SkipReason::InvalidAddress) if candidate.corrected_at.is_some() => Resend::TakeBack,
        Some(SkipReason::InvalidAddress) => Resend::Not(No::InvalidAddress),
        Some(SkipReason::Duplicate) => Resend::Not(No::Duplicate),
        Some(SkipReason::NoSubscription) => Resend::Not(No::NoSubscription),
        Some(SkipReason::ProviderRefused) => Resend::Not(No::ProviderRefused),
        Some(SkipReason::Responded) => Resend::Not(No::Responded),
    }
}

/// Why somebody of whom this is known has got the mail, or does not want it.
const fn has_it(status: RecipientStatus) -> Option<ResendExclusion> {
    match status {
        RecipientStatus::Complained => Some(ResendExclusion::Complained),
        RecipientStatus::Unsubscribed => Some(ResendExclusion::Unsubscribed),
        RecipientStatus::Clicked | RecipientStatus::Read => Some(ResendExclusion::Responded),
        RecipientStatus::Delivered => Some(ResendExclusion::Delivered),
        RecipientStatus::Sent => Some(ResendExclusion::Sent),
        RecipientStatus::Canceled
        | RecipientStatus::Ready
        | RecipientStatus::SoftBounced
        | RecipientStatus::HardBounced
        | RecipientStatus::Blocked => None,
    }
}

/// Why somebody has got the mail by one of the earlier attempts, what says most about them first: then another attempt is not needed, and
/// one that was asked for and has not been sent is to be taken back.
#[must_use]
pub fn has_it_already(earlier: &[RecipientStatus]) -> Option<ResendExclusion> {
    earlier.iter().filter_map(|status| has_it(*status)).min()
}

/// Whether the address was corrected since it failed, or since it was found to be none.
fn is_corrected(candidate: &Candidate<'_>) -> bool {
    let failed_at = candidate.facts.failure.as_ref().map(|failure| failure.at);
    candidate.corrected_at.is_some_and(|corrected| failed_at.is_none_or(|failed| corrected > failed))
}

/// What speaks against writing to somebody at all.
fn objection(candidate: &Candidate<'_>) -> Option<ResendExclusion> {
    let address = candidate.address;
    if address.is_consent_withdrawn || candidate.is_refused_by_crm {
        return Some(ResendExclusion::NoConsent);
    }
    if address.is_unsubscribed {
        return Some(ResendExclusion::Unsubscribed);
    }
    if address.is_former_employee {
        return Some(ResendExclusion::FormerEmployee);
    }
    if address.is_deleted {
        return Some(ResendExclusion::DeletedAddress);
    }
    (address.health == AddressHealth::Blocked).then_some(ResendExclusion::BlockedAddress)
}

/// The latest attempt that an event can belong to, of a recipient whose earlier attempts ended at `ended_at` (the first one first).
///
/// What occurred before an attempt ended is of that one or of one before it, and so is what is about a message that was known by then:
/// `known_in` is the attempt during which the event's message id was first heard of. Neither depends on the order in which events arrive.
#[must_use]
pub fn attempt_of(at: Timestamp, known_in: Option<i32>, ended_at: &[Timestamp]) -> i32 {
    let ended = ended_at.iter().take_while(|ended| **ended <= at).count();
    let by_time = i32::try_from(ended).unwrap_or(i32::MAX - 1) + 1;
    known_in.map_or(by_time, |known| by_time.min(known.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Failure, Gravity};
    use proptest::prelude::*;

    const WELL: Address = Address {
        health: AddressHealth::Ok,
        is_former_employee: false,
        is_deleted: false,
        is_consent_withdrawn: false,
        is_unsubscribed: false,
    };

    fn at(second: i64) -> Option<Timestamp> {
        Some(Timestamp::from_seconds(second))
    }

    fn candidate(facts: &Facts) -> Candidate<'_> {
        Candidate {
            facts,
            earlier: &[],
            is_simulator: false,
            address: WELL,
            is_refused_by_crm: false,
            corrected_at: None,
        }
    }

    fn failed(gravity: Gravity) -> Facts {
        let failure = Failure {
            gravity,
            at: Timestamp::from_seconds(10),
            class: None,
            smtp_code: None,
            enhanced_code: None,
            diagnostic: None,
        };
        let facts = Facts { failure: Some(failure), ..Facts::default() };
        match gravity {
            Gravity::Hard => Facts { sent_at: at(9), hard_bounced_at: at(10), ..facts },
            Gravity::Soft => Facts { sent_at: at(9), last_soft_bounced_at: at(10), ..facts },
            Gravity::Refused => Facts { refused_at: at(10), ..facts },
        }
    }

    fn skipped(reason: SkipReason) -> Facts {
        Facts { skip: Some(reason), ..Facts::default() }
    }

    #[test]
    fn only_those_who_have_not_got_it_are_sent_to_again() {
        use ResendExclusion as No;
        use ResendScope as S;
        let sent = Facts { sent_at: at(9), ..Facts::default() };
        let delivered = Facts { delivered_at: at(10), last_delivered_at: at(10), ..sent.clone() };
        let cases: &[(Facts, Resend, Resend)] = &[
            (Facts::default(), Resend::Unchanged, Resend::Unchanged),
            (sent.clone(), Resend::Not(No::Sent), Resend::Not(No::Sent)),
            (delivered.clone(), Resend::Not(No::Delivered), Resend::Not(No::Delivered)),
            (Facts { opens: 1, ..delivered.clone() }, Resend::Not(No::Responded), Resend::Not(No::Responded)),
            (Facts { machine_opens: 1, ..delivered }, Resend::Not(No::Delivered), Resend::Not(No::Delivered)),
            (Facts { complained_at: at(10), ..sent.clone() }, Resend::Not(No::Complained), Resend::Not(No::Complained)),
            (Facts { unsubscribed_at: at(10), ..sent }, Resend::Not(No::Unsubscribed), Resend::Not(No::Unsubscribed)),
            (failed(Gravity::Soft), Resend::Again, Resend::Not(No::Sent)),
            (failed(Gravity::Hard), Resend::Again, Resend::Not(No::Sent)),
            (failed(Gravity::Refused), Resend::Again, Resend::Not(No::ProviderRefused)),
            (Facts { canceled: true, ..Facts::default() }, Resend::Not(No::Canceled), Resend::Not(No::Canceled)),
            (skipped(SkipReason::BlockedAddress), Resend::TakeBack, Resend::TakeBack),
            (skipped(SkipReason::TooManyBounces), Resend::TakeBack, Resend::TakeBack),
            (skipped(SkipReason::NoConsent), Resend::TakeBack, Resend::TakeBack),
            (skipped(SkipReason::Duplicate), Resend::Not(No::Duplicate), Resend::Not(No::Duplicate)),
            (skipped(SkipReason::InvalidAddress), Resend::Not(No::InvalidAddress), Resend::Not(No::InvalidAddress)),
            (skipped(SkipReason::NoSubscription), Resend::Not(No::NoSubscription), Resend::Not(No::NoSubscription)),
            (skipped(SkipReason::Responded), Resend::Not(No::Responded), Resend::Not(No::Responded)),
        ];
        for (facts, chosen, not_yet) in cases {
            assert_eq!(decide(&candidate(facts), S::Chosen), *chosen, "{facts:?}");
            assert_eq!(decide(&candidate(facts), S::NotYetSent), *not_yet, "{facts:?}");
        }
    }

    #[test]
    fn whom_an_earlier_attempt_reached_after_all_is_not_sent_to_again() {
        use RecipientStatus as R;
        let facts = failed(Gravity::Soft);
        for (earlier, want) in [
            (&[R::SoftBounced, R::HardBounced, R::Blocked][..], Resend::Again),
            (&[R::Delivered, R::Read, R::SoftBounced], Resend::Not(ResendExclusion::Responded)),
            (&[R::Sent, R::Delivered], Resend::Not(ResendExclusion::Delivered)),
            (&[R::HardBounced, R::Sent], Resend::Not(ResendExclusion::Sent)),
        ] {
            assert_eq!(decide(&Candidate { earlier, ..candidate(&facts) }, ResendScope::Chosen), want, "{earlier:?}");
        }
        let ready = Facts::default();
        let known = Candidate { earlier: &[R::Read], ..candidate(&ready) };
        assert_eq!(decide(&known, ResendScope::Chosen), Resend::Unchanged, "that is looked at when it is sent");
    }

    #[test]
    fn only_a_correction_after_the_failure_makes_it_updated() {
        for facts in [failed(Gravity::Hard), failed(Gravity::Soft), failed(Gravity::Refused)] {
            let corrected = |corrected_at| Candidate { corrected_at, ..candidate(&facts) };
            let no = Resend::Not(ResendExclusion::NotCorrected);
            assert_eq!(decide(&corrected(None), ResendScope::OnlyUpdated), no);
            assert_eq!(decide(&corrected(at(10)), ResendScope::OnlyUpdated), no);
            assert_eq!(decide(&corrected(at(11)), ResendScope::OnlyUpdated), Resend::Again);
        }
        let facts = skipped(SkipReason::InvalidAddress);
        let corrected = Candidate { corrected_at: at(1), ..candidate(&facts) };
        assert_eq!(decide(&corrected, ResendScope::OnlyUpdated), Resend::TakeBack);
    }

    proptest! {
        #[test]
        fn nobody_is_sent_to_against_their_will(
            (blocked, former, deleted, withdrawn, unsubscribed) in any::<(bool, bool, bool, bool, bool)>(),
            (refused, simulator, corrected) in any::<(bool, bool, bool)>(),
            gravity in proptest::sample::select(&[Gravity::Hard, Gravity::Soft, Gravity::Refused][..]),
            scope in proptest::sample::select(ResendScope::ALL),
        ) {
            let facts = failed(gravity);
            let address = Address {
                health: if blocked { AddressHealth::Blocked } else { AddressHealth::Ok },
                is_former_employee: former,
                is_deleted: deleted,
                is_consent_withdrawn: withdrawn,
                is_unsubscribed: unsubscribed,
            };
            let candidate = Candidate {
                facts: &facts,
                earlier: &[RecipientStatus::HardBounced],
                is_simulator: simulator,
                address,
                is_refused_by_crm: refused,
                corrected_at: corrected.then(|| Timestamp::from_seconds(11)),
            };
            let speaks_against =
                blocked || former || deleted || withdrawn || unsubscribed || refused || simulator;
            let decided = decide(&candidate, scope);
            let expected = !speaks_against && match scope {
                ResendScope::Chosen => true,
                ResendScope::OnlyUpdated => corrected,
                ResendScope::NotYetSent => false,
            };
            prop_assert_eq!(decided == Resend::Again, expected, "{:?}", decided);
            prop_assert_ne!(decided, Resend::TakeBack);
        }

        #[test]
        fn an_event_never_belongs_to_an_attempt_that_began_after_it(
            mut ends in proptest::collection::vec(0_i64..50, 0..5), second in 0_i64..60, known in proptest::option::of(1_i32..6),
        ) {
            ends.sort_unstable();
            let ended: Vec<Timestamp> = ends.iter().map(|end| Timestamp::from_seconds(*end)).collect();
            let attempt = attempt_of(Timestamp::from_seconds(second), known, &ended);
            prop_assert!(attempt >= 1 && attempt <= i32::try_from(ends.len()).expect("few") + 1);
            if let Some(began) = usize::try_from(attempt - 2).ok().and_then(|place| ends.get(place)) {
                prop_assert!(second >= *began);
            }
            prop_assert!(known.is_none_or(|known| attempt <= known));
        }
    }
}
