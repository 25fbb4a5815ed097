//! Complaints: who reported which campaign's mail as spam.

use async_graphql::{Context, ID, InputObject, Object};
use service::addresses::complaints;
use service::recipients::paging::Count;
use service::{Refusal, addresses};

use super::address::Address;
use super::connection::List;
use super::errors::{Failure, Result};
use super::loaders::{AddressId, loaders};
use super::node::{self, Key};
use super::recipient::Recipient;
use super::scalars::DateTime;
use super::schema::reader;

/// A recipient who reported a mail as spam.
pub struct Complaint(pub(super) complaints::Complaint);

/// A recipient who reported a mail as spam. That withdraws the consent to be written to.
#[Object]
impl Complaint {
    /// The global id.
    async fn id(&self) -> ID {
        Key::Complaint(self.0.id).id()
    }

    /// Who complained, and about which campaign.
    async fn recipient(&self, ctx: &Context<'_>) -> Result<Recipient> {
        let recipient = loaders(ctx)?.load_one(self.0.recipient).await?;
        recipient.map(Recipient).ok_or_else(|| Failure::missing("the recipient of a complaint"))
    }

    /// The address; its consent may have been given again meanwhile.
    async fn address(&self, ctx: &Context<'_>) -> Result<Address> {
        let address: Option<addresses::Address> = loaders(ctx)?.load_one(AddressId(self.0.address_id)).await?;
        address.map(Address).ok_or_else(|| Failure::missing("the address of a complaint"))
    }

    /// When they first complained about this campaign.
    async fn complained_at(&self) -> DateTime {
        self.0.complained_at.into()
    }
}

/// Which complaints. The fields are joined by AND.
#[derive(Default, InputObject)]
pub struct ComplaintFilter {
    /// About this campaign.
    campaign_id: Option<ID>,
    /// At this moment or after it.
    since: Option<DateTime>,
    /// Before this moment.
    until: Option<DateTime>,
    /// From addresses of one of these domains. Only for those who may see personal data.
    domain: Option<Vec<String>>,
}

impl TryFrom<ComplaintFilter> for complaints::ComplaintFilter {
    type Error = Refusal;

    fn try_from(filter: ComplaintFilter) -> Result<Self, Refusal> {
        let campaign = filter.campaign_id.as_ref().map(node::campaign).transpose();
        Ok(Self {
            campaign: campaign.map_err(|refusal| refusal.about(&["campaignId"]))?,
            since: filter.since.map(|at| at.0),
            until: filter.until.map(|at| at.0),
            domains: filter.domain.unwrap_or_default(),
        })
    }
}

/// The complaints that a filter finds.
pub struct Complaints(pub(super) complaints::ComplaintFilter);

impl List for Complaints {
    type Node = Complaint;
    const CONNECTION: &'static str = "ComplaintConnection";
    const EDGE: &'static str = "ComplaintEdge";

    async fn count(&self, ctx: &Context<'_>, max: i64) -> Result<Count> {
        Ok(reader(ctx)?.count_complaints(&self.0, max).await?)
    }
}
