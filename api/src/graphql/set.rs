//! Sets of recipients and addresses that a mutation is for: named one by one, or by a condition.

use async_graphql::{ID, InputObject};
use service::addresses::AddressSet as Addresses;
use service::recipients::{RecipientSet as Set, RecipientsWhere as All};
use service::{Access, Refusal};

use super::errors::invalid;
use super::filter::{AddressFilter, RecipientFilterInput, address_filter};
use super::node;
use super::scalars::EmailAddress;

/// Which recipients: exactly one of the two. A job works them off, at any number.
#[derive(InputObject)]
#[graphql(name = "RecipientSet")]
pub struct RecipientSetInput {
    /// These; 10,000 at most. Those that do not exist are left out.
    ids: Option<Vec<ID>>,
    /// All of a campaign that a condition holds for.
    #[graphql(name = "where")]
    all: Option<RecipientsWhere>,
}

/// All recipients of a campaign that a condition holds for.
#[derive(InputObject)]
pub struct RecipientsWhere {
    /// The campaign.
    campaign_id: ID,
    /// The condition; all recipients where nothing is said.
    filter: Option<RecipientFilterInput>,
    /// A text in the address, the name or the company.
    search: Option<String>,
}

impl RecipientSetInput {
    /// As the service wants it, checked.
    ///
    /// # Errors
    /// A refusal about a field of the set.
    pub(super) fn into_set(self, access: &Access) -> Result<Set, Refusal> {
        let ids = self.ids.map(|ids| ids.iter().map(node::recipient).collect::<Result<Vec<_>, _>>());
        let ids = ids.transpose().map_err(|refusal| refusal.about(&["ids"]))?;
        let all =
            self.all.map(RecipientsWhere::into_service).transpose().map_err(|refusal| within(&["where"], refusal))?;
        Set::new(ids, all, access.subject())
    }
}

impl RecipientsWhere {
    fn into_service(self) -> Result<All, Refusal> {
        let campaign = node::campaign(&self.campaign_id).map_err(|refusal| refusal.about(&["campaignId"]))?;
        let filter = self.filter.unwrap_or_default().into_condition();
        let filter = filter.map_err(|refusal| within(&["filter"], refusal))?;
        Ok(All { campaign, filter, search: self.search })
    }
}

/// Which addresses: exactly one of the two. A job works them off, at any number.
#[derive(InputObject)]
pub struct AddressSet {
    /// These, however they are written; 10,000 at most. Those that were never seen are left out.
    emails: Option<Vec<EmailAddress>>,
    /// All that a condition holds for: those that are blocked, where it says nothing about their health.
    #[graphql(name = "where")]
    all: Option<AddressFilter>,
}

impl AddressSet {
    /// As the service wants it.
    ///
    /// # Errors
    /// A refusal where it is none of the two, or both.
    pub(super) fn into_set(self) -> Result<Addresses, Refusal> {
        match (self.emails, self.all) {
            (Some(emails), None) => {
                let read = |(place, email): (usize, EmailAddress)| email.read(&["emails", &place.to_string()]);
                Ok(Addresses::Emails(emails.into_iter().enumerate().map(read).collect::<Result<_, _>>()?))
            }
            (None, Some(all)) => Ok(Addresses::Where(address_filter(all))),
            _ => Err(invalid("input", "say which addresses are meant: either by emails, or by where")),
        }
    }
}

/// A refusal about a field within others.
pub(super) fn within(outer: &[&str], refusal: Refusal) -> Refusal {
    let outer = outer.iter().map(|name| (*name).to_owned());
    Refusal { field: outer.chain(refusal.field).collect(), ..refusal }
}
