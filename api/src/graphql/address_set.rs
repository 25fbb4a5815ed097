//! Sets of addresses, and what is done about them.

use async_graphql::InputObject;
use service::addresses::AddressSet as Set;
use service::{Refusal, RefusalCode};

use super::filter::{AddressFilter, address_filter};
use super::scalars::EmailAddress;

/// Addresses that something is done with, by a job: exactly one of the two.
#[derive(InputObject)]
pub struct AddressSet {
    /// These, 10,000 at most.
    emails: Option<Vec<EmailAddress>>,
    /// All that the filter finds when the work gets to them, at any size. Where it says nothing about health, the blocked ones.
    #[graphql(name = "where")]
    filter: Option<AddressFilter>,
}

impl TryFrom<AddressSet> for Set {
    type Error = Refusal;

    fn try_from(set: AddressSet) -> Result<Self, Refusal> {
        match (set.emails, set.filter) {
            (Some(emails), None) => Ok(Self::Emails(emails.into_iter().map(|email| email.0).collect())),
            (None, Some(filter)) => Ok(Self::Where(address_filter(filter))),
            _ => Err(Refusal::field(
                RefusalCode::Invalid,
                &["input"],
                "say which addresses are meant: either by emails, or by where",
            )),
        }
    }
}
