//! Corrections of addresses: in which states they are, and which are suggested for an address that mail does not reach.
//!
//! What is suggested is for people to decide on: nothing here is applied by itself. Each suggestion says why ([`SuggestionReason`]) and how
//! sure it is, in percent; what is less sure than [`FLOOR`] is not said at all. The same evidence always gives the same suggestions.

mod domains;
mod providers;
#[cfg(test)]
mod tests;
mod typing;

use std::cmp::Reverse;

use crate::coded_enum;
use crate::email::{EmailAddress, key_of};
use crate::mx::Exchange;
pub use domains::Learned;
pub use providers::is_real_provider;

coded_enum! {
    /// Where a correction stands.
    CorrectionState {
        /// Somebody is to decide.
        Suggested = 1 "SUGGESTED",
        /// Decided: recipients have the new address, or are getting it.
        Applied = 2 "APPLIED",
        /// Somebody has said no. It is not suggested again.
        Rejected = 3 "REJECTED",
        /// Applied here, but the CRM has another address by now: somebody is to decide which one holds.
        Conflict = 4 "CONFLICT",
        /// A suggestion that nobody decided on before something else came of the address.
        Superseded = 5 "SUPERSEDED",
    }
}

coded_enum! {
    /// Where a correction comes from.
    CorrectionSource {
        /// Somebody made it by hand.
        Manual = 1 "MANUAL",
        /// It stood in a file.
        File = 2 "FILE",
        /// It was suggested.
        Suggestion = 3 "SUGGESTION",
    }
}

coded_enum! {
    /// Why a correction is suggested.
    SuggestionReason {
        /// The domain is that of a large provider but for a slip of the fingers.
        TypoDomain = 1 "TYPO_DOMAIN",
        /// The end of the domain is none, or not that of the provider.
        TldSlip = 2 "TLD_SLIP",
        /// Addresses of this domain were corrected to another one by hand.
        Learned = 3 "LEARNED",
        /// The same person has another address in the CRM.
        OtherAddress = 4 "OTHER_ADDRESS",
        /// Signs that belong to no address, or a dot that is missing.
        Malformed = 5 "MALFORMED",
    }
}

coded_enum! {
    /// What has become of a correction in the CRM.
    PushState {
        /// There is nobody in the CRM to correct.
        None = 1 "NONE",
        /// The CRM is to be told.
        Pending = 2 "PENDING",
        /// The CRM is being told: it may know it or not.
        Pushing = 3 "PUSHING",
        /// The CRM has the new address.
        Pushed = 4 "PUSHED",
        /// The CRM has neither the old nor the new address.
        Conflict = 5 "CONFLICT",
        /// The CRM does not take it.
        Failed = 6 "FAILED",
    }
}

/// What is less sure than this is not suggested, in percent.
pub const FLOOR: u8 = 50;
/// Nothing is surer than this: people know better.
const CEILING: u8 = 97;
/// So much surer is what two signs say.
const CONFIRMED: u8 = 5;
/// So sure is another address of the same person, the first of them.
const OTHER_ADDRESS: u8 = 70;
/// So much surer is one with the same name before the `@`.
const SAME_NAME: u8 = 10;
/// And so much less each that the CRM names later.
const LATER_ADDRESS: u8 = 8;
/// So sure are signs that belong to no address.
const MALFORMED: u8 = 92;

/// What is known about an address that mail does not reach.
#[derive(Clone, Copy, Debug, Default)]
pub struct Evidence<'a> {
    /// The address as it stands in the lists; it need not be a valid one.
    pub email: &'a str,
    /// What people made of other addresses of its domain.
    pub learned: &'a [Learned],
    /// Other addresses of the same person, the one to write to first.
    pub others: &'a [String],
    /// Whether its domain takes mail.
    pub exchange: Exchange,
}

/// Another address instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// The address.
    pub email: EmailAddress,
    /// Why.
    pub reason: SuggestionReason,
    /// How sure that is, in percent: at least [`FLOOR`].
    pub confidence: u8,
}

/// What to write instead of an address, the surest first; each address once. Never the address itself.
#[must_use]
pub fn suggest(evidence: &Evidence<'_>) -> Vec<Suggestion> {
    let mut found = Vec::new();
    match EmailAddress::parse(evidence.email) {
        Ok(address) => by_domain(&address, evidence, &mut found),
        Err(_) => by_writing(evidence, &mut found),
    }
    by_person(evidence, &mut found);
    merged(found, &key_of(evidence.email))
}

/// Whether anything but the person speaks for another address than this: so that nobody is asked for the exchange of a domain in vain.
#[must_use]
pub fn depends_on_exchange(email: &str, learned: &[Learned]) -> bool {
    let Ok(address) = EmailAddress::parse(email) else { return false };
    !domains::instead_of(address.domain(), learned, Exchange::Missing).is_empty()
}

fn by_domain(address: &EmailAddress, evidence: &Evidence<'_>, found: &mut Vec<Suggestion>) {
    let local = local_part(address.as_str());
    for other in domains::instead_of(address.domain(), evidence.learned, evidence.exchange) {
        if let Ok(email) = EmailAddress::parse(&format!("{local}@{}", other.domain)) {
            found.push(Suggestion { email, reason: other.reason, confidence: other.confidence });
        }
    }
}

/// What an invalid address may be meant to be.
fn by_writing(evidence: &Evidence<'_>, found: &mut Vec<Suggestion>) {
    let cleaned = domains::cleaned(evidence.email);
    let Some((local, domain)) = cleaned.rsplit_once('@') else { return };
    let mended = domains::with_dot(domain).map(|domain| format!("{local}@{domain}"));
    let Ok(email) = EmailAddress::parse(mended.as_deref().unwrap_or(&cleaned)) else { return };
    // What is mended may still be a slip: the one without it is surer then.
    by_domain(&email, &Evidence { exchange: Exchange::Unknown, ..*evidence }, found);
    let confidence = if found.is_empty() { MALFORMED } else { FLOOR };
    found.push(Suggestion { email, reason: SuggestionReason::Malformed, confidence });
}

fn by_person(evidence: &Evidence<'_>, found: &mut Vec<Suggestion>) {
    let local = key_of(evidence.email);
    let mut later = 0;
    for other in evidence.others {
        let Ok(email) = EmailAddress::parse(other) else { continue };
        let same = if local_part(email.key()) == local_part(&local) { SAME_NAME } else { 0 };
        let confidence = (OTHER_ADDRESS + same).saturating_sub(later);
        later = later.saturating_add(LATER_ADDRESS);
        found.push(Suggestion { email, reason: SuggestionReason::OtherAddress, confidence });
    }
}

/// Each address once, with its best reason, the surest first; of equally sure ones that which was found first.
fn merged(mut found: Vec<Suggestion>, old: &str) -> Vec<Suggestion> {
    found.retain(|suggestion| suggestion.email.key() != old);
    found.sort_by_key(|suggestion| Reverse(suggestion.confidence));
    let mut merged: Vec<Suggestion> = Vec::with_capacity(found.len());
    for suggestion in found {
        match merged.iter_mut().find(|known| known.email.key() == suggestion.email.key()) {
            // Another reason for the same address.
            Some(known) if known.reason != suggestion.reason => {
                known.confidence = known.confidence.saturating_add(CONFIRMED).min(CEILING);
            }
            Some(_) => {}
            None => merged.push(suggestion),
        }
    }
    merged.retain(|suggestion| suggestion.confidence >= FLOOR);
    merged.sort_by_key(|suggestion| Reverse(suggestion.confidence));
    merged
}

fn local_part(email: &str) -> &str {
    email.rsplit_once('@').map_or(email, |(local, _)| local)
}
