//! Whether an address may be written to at all, and why not.

use crate::Timestamp;
use crate::health::BlockReason;
use crate::status::SkipReason;

/// Whether somebody has agreed to be written to, as far as it was ever told.
///
/// A complaint withdraws consent; consent that was given after it stands. Each is the latest of its kind, so that late and doubled
/// events change nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Consent {
    /// The latest complaint about any mail.
    pub complained_at: Option<Timestamp>,
    /// When it was last noted that they have consented.
    pub given_at: Option<Timestamp>,
}

impl Consent {
    /// Whether it is withdrawn.
    #[must_use]
    pub fn is_withdrawn(self) -> bool {
        self.complained_at.is_some_and(|complained| self.given_at.is_none_or(|given| given < complained))
    }
}

/// What decides whether an address may be written to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Why it is blocked, if it is.
    pub blocked: Option<BlockReason>,
    /// Whether its user agrees.
    pub consent: Consent,
}

impl Standing {
    /// Why nobody with this address is to be sent to; `None`: they may be.
    #[must_use]
    pub fn skip_reason(self) -> Option<SkipReason> {
        match self.blocked {
            Some(BlockReason::SoftBounces) => Some(SkipReason::TooManyBounces),
            Some(_) => Some(SkipReason::BlockedAddress),
            None => self.consent.is_withdrawn().then_some(SkipReason::NoConsent),
        }
    }

    /// What becomes of the reason for which a recipient who has not been sent to yet is skipped, now that the address stands so.
    ///
    /// Reasons that have nothing to do with the address (a double, no address at all) stay; those that came from it go with it.
    #[must_use]
    pub fn revise(self, skip: Option<SkipReason>) -> Option<SkipReason> {
        match skip {
            None | Some(SkipReason::BlockedAddress | SkipReason::TooManyBounces | SkipReason::NoConsent) => {
                self.skip_reason()
            }
            other => other,
        }
    }
}

/// What the CRM says about writing to a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PersonStanding {
    /// Has left the company.
    pub is_former_employee: bool,
    /// Wants no mailings at all.
    pub no_mailing: bool,
    /// Whether they consented to be written to; `None` where the CRM does not keep it.
    pub consent: Option<bool>,
    /// What they subscribe to; `None` where the CRM does not keep it.
    pub subscriptions: Option<Vec<String>>,
}

impl PersonStanding {
    /// Why the person is not to be sent to; `None`: they may be. `wanted` are the subscriptions that the lists ask for on which the person
    /// is, `None` for one that asks for none: one of them is enough.
    #[must_use]
    pub fn skip_reason(&self, wanted: &[Option<String>]) -> Option<SkipReason> {
        if self.is_former_employee {
            return Some(SkipReason::FormerEmployee);
        }
        if self.no_mailing || self.consent == Some(false) {
            return Some(SkipReason::NoConsent);
        }
        let has = |wanted: &Option<String>| match (wanted, &self.subscriptions) {
            (Some(wanted), Some(subscriptions)) => subscriptions.contains(wanted),
            (None, _) | (_, None) => true,
        };
        let subscribes = wanted.is_empty() || wanted.iter().any(has);
        (!subscribes).then_some(SkipReason::NoSubscription)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(second: i64) -> Option<Timestamp> {
        Some(Timestamp::from_seconds(second))
    }

    #[test]
    fn what_the_crm_says_decides() {
        let news = || Some("News".to_owned());
        let subscribes = PersonStanding { subscriptions: Some(vec!["News".to_owned()]), ..PersonStanding::default() };
        let other = PersonStanding { subscriptions: Some(vec!["Events".to_owned()]), ..PersonStanding::default() };
        for (person, wanted, want) in [
            (PersonStanding::default(), vec![], None),
            (PersonStanding::default(), vec![news()], None),
            (subscribes.clone(), vec![news()], None),
            (other.clone(), vec![news()], Some(SkipReason::NoSubscription)),
            (other.clone(), vec![news(), None], None),
            (other, vec![None], None),
            (PersonStanding { consent: Some(false), ..subscribes.clone() }, vec![news()], Some(SkipReason::NoConsent)),
            (PersonStanding { consent: Some(true), ..subscribes.clone() }, vec![news()], None),
            (PersonStanding { no_mailing: true, ..subscribes.clone() }, vec![], Some(SkipReason::NoConsent)),
            (PersonStanding { is_former_employee: true, ..subscribes }, vec![], Some(SkipReason::FormerEmployee)),
        ] {
            assert_eq!(person.skip_reason(&wanted), want, "{person:?} {wanted:?}");
        }
    }

    #[test]
    fn a_complaint_withdraws_consent_until_it_is_given_again() {
        for (complained_at, given_at, withdrawn) in [
            (None, None, false),
            (None, at(1), false),
            (at(1), None, true),
            (at(2), at(1), true),
            (at(1), at(1), false),
            (at(1), at(2), false),
        ] {
            assert_eq!(Consent { complained_at, given_at }.is_withdrawn(), withdrawn, "{complained_at:?} {given_at:?}");
        }
    }

    #[test]
    fn an_address_takes_its_recipients_along_and_gives_them_back() {
        let blocked = Standing { blocked: Some(BlockReason::HardBounce), ..Standing::default() };
        let bounced = Standing { blocked: Some(BlockReason::SoftBounces), ..Standing::default() };
        let complained = Consent { complained_at: at(1), given_at: None };
        assert_eq!(blocked.revise(None), Some(SkipReason::BlockedAddress));
        assert_eq!(bounced.revise(Some(SkipReason::BlockedAddress)), Some(SkipReason::TooManyBounces));
        assert_eq!(Standing::default().revise(Some(SkipReason::BlockedAddress)), None);
        assert_eq!(Standing { blocked: None, consent: complained }.revise(None), Some(SkipReason::NoConsent));
        assert_eq!(blocked.revise(Some(SkipReason::Duplicate)), Some(SkipReason::Duplicate));
    }

    proptest! {
        #[test]
        fn revising_twice_is_revising_once(blocked in 0..=BlockReason::ALL.len(), skip in 0..=SkipReason::ALL.len(), complained in any::<bool>()) {
            let consent = Consent { complained_at: complained.then(|| Timestamp::from_seconds(1)), given_at: None };
            let standing = Standing { blocked: BlockReason::ALL.get(blocked).copied(), consent };
            let once = standing.revise(SkipReason::ALL.get(skip).copied());
            prop_assert_eq!(standing.revise(once), once);
        }
    }
}
