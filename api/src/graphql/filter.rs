//! Which recipients, campaigns and addresses are meant: input, as the services want it.

use async_graphql::{Enum, ID, InputObject};
use service::Refusal;
use service::addresses::{self, AddressQuery};
use service::events;
use service::recipients::RecipientFilter as Condition;
use service::statistics::{self, CampaignQuery};

use super::cost::{condition_cost, lookup_cost, search_cost};
use super::node;
use super::scalars::DateTime;
use super::words::{
    AddressHealth, BlockReason, BounceClass, CampaignState, EventKind, OrderDirection, Provider, RecipientStatus,
    SkipReason,
};

/// Which recipients. The fields of one object are joined by AND; absent fields say nothing; an empty list means nobody. Without
/// `simulator`, recipients at providers' simulators are left out, as they are in the figures.
#[derive(Default, InputObject)]
#[graphql(name = "RecipientFilter")]
pub struct RecipientFilterInput {
    /// The status is one of these.
    status: Option<Vec<RecipientStatus>>,
    /// Not sent to, for one of these reasons.
    skip_reason: Option<Vec<SkipReason>>,
    /// Failed, and for a reason of one of these classes.
    bounce_class: Option<Vec<BounceClass>>,
    /// Whether a person opened.
    opened: Option<bool>,
    /// Whether a person clicked.
    clicked: Option<bool>,
    /// A person clicked one of these links.
    clicked_link: Option<Vec<ID>>,
    /// Sent before this moment.
    sent_before: Option<DateTime>,
    /// Sent at this moment or after it.
    sent_after: Option<DateTime>,
    /// The address is of one of these domains. Only for those who may see personal data.
    domain: Option<Vec<String>>,
    /// One of these is responsible, as the import named them. Only for those who may see personal data.
    owner: Option<Vec<ID>>,
    /// Whether the person is in the CRM.
    in_crm: Option<bool>,
    /// Whether the address was corrected since it last failed.
    corrected: Option<bool>,
    /// Whether the address belongs to a provider's simulator.
    simulator: Option<bool>,
    /// All of these hold.
    and: Option<Vec<Self>>,
    /// At least one of these holds.
    or: Option<Vec<Self>>,
    /// This does not hold.
    not: Option<Box<Self>>,
}

impl RecipientFilterInput {
    /// What finding recipients by it costs: each condition by its kind. The status is what lists of recipients are made for.
    fn cost(&self) -> usize {
        let of = |filters: &Option<Vec<Self>>| filters.iter().flatten().map(Self::cost).sum();
        let columns = [self.opened.is_some(), self.clicked.is_some(), self.simulator.is_some()];
        let parts: [usize; 13] = [
            condition_cost(self.skip_reason.as_ref()),
            condition_cost(self.bounce_class.as_ref()),
            columns.iter().map(|is_there| condition_cost(is_there.then_some(&()))).sum(),
            lookup_cost(self.clicked_link.as_ref()),
            condition_cost(self.sent_before.as_ref()),
            condition_cost(self.sent_after.as_ref()),
            lookup_cost(self.domain.as_ref()),
            lookup_cost(self.owner.as_ref()),
            lookup_cost(self.in_crm.as_ref()),
            lookup_cost(self.corrected.as_ref()),
            of(&self.and),
            of(&self.or),
            self.not.as_ref().map_or(0, |filter| filter.cost() + 1),
        ];
        parts.iter().sum()
    }

    /// As the service wants it.
    ///
    /// # Errors
    /// A refusal for ids that are no ids of links.
    pub fn into_condition(self) -> Result<Condition, Refusal> {
        let all = |filters: Vec<Self>| filters.into_iter().map(Self::into_condition).collect::<Result<Vec<_>, _>>();
        let links = |ids: Vec<ID>| {
            let links = ids.iter().map(node::link).collect::<Result<Vec<_>, _>>();
            links.map_err(|refusal| refusal.about(&["clickedLink"]))
        };
        let owners = |ids: Vec<ID>| ids.into_iter().map(|id| id.0).collect();
        let conditions = [
            self.status.map(|list| Condition::Status(converted(list))),
            self.skip_reason.map(|list| Condition::SkipReason(converted(list))),
            self.bounce_class.map(|list| Condition::BounceClass(converted(list))),
            self.opened.map(Condition::Opened),
            self.clicked.map(Condition::Clicked),
            self.clicked_link.map(links).transpose()?.map(Condition::ClickedLink),
            self.sent_before.map(|at| Condition::SentBefore(at.0)),
            self.sent_after.map(|at| Condition::SentAfter(at.0)),
            self.domain.map(Condition::Domain),
            self.owner.map(|ids| Condition::Owner(owners(ids))),
            self.in_crm.map(Condition::InCrm),
            self.corrected.map(Condition::Corrected),
            self.simulator.map(Condition::Simulator),
            self.and.map(all).transpose()?.map(Condition::All),
            self.or.map(all).transpose()?.map(Condition::Any),
            self.not.map(|filter| filter.into_condition()).transpose()?.map(|filter| Condition::Not(Box::new(filter))),
        ];
        let mut conditions: Vec<Condition> = conditions.into_iter().flatten().collect();
        Ok(if conditions.len() == 1 { conditions.remove(0) } else { Condition::All(conditions) })
    }
}

/// What finding recipients costs.
pub(super) fn recipients_cost(filter: Option<&RecipientFilterInput>, search: Option<&String>) -> usize {
    filter.map_or(0, RecipientFilterInput::cost) + search_cost(search)
}

fn converted<T, U: From<T>>(list: Vec<T>) -> Vec<U> {
    list.into_iter().map(U::from).collect()
}

/// What the recipients of a list are ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Enum)]
#[graphql(remote = "service::recipients::RecipientOrder")]
pub enum RecipientOrderField {
    /// The order of import.
    #[default]
    Number,
    /// The address, in lower case. Only for those who may see personal data.
    Email,
    /// The status: READY, SENT, DELIVERED, READ, CLICKED, SOFT_BOUNCED, HARD_BOUNCED, BLOCKED, COMPLAINED, UNSUBSCRIBED, CANCELED.
    Status,
}

/// How the recipients of a list are ordered.
#[derive(Clone, Copy, Default, InputObject)]
pub struct RecipientOrder {
    /// By what.
    #[graphql(default_with = "RecipientOrderField::Number")]
    pub field: RecipientOrderField,
    /// Which way.
    #[graphql(default_with = "OrderDirection::Asc")]
    pub direction: OrderDirection,
}

/// Which campaigns. The fields are joined by AND.
#[derive(Default, InputObject)]
pub struct CampaignFilter {
    /// A text in the name or the key; the case of letters does not matter.
    search: Option<String>,
    /// In one of these states.
    state: Option<Vec<CampaignState>>,
}

impl CampaignFilter {
    /// What finding campaigns by it costs.
    pub(super) fn cost(&self) -> usize {
        search_cost(self.search.as_ref()) + condition_cost(self.state.as_ref())
    }
}

/// What campaigns are ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "statistics::CampaignOrder")]
pub enum CampaignOrderField {
    /// When they were made.
    CreatedAt,
    /// The name.
    Name,
    /// When they were sent; those that were not count as the earliest.
    SentAt,
}

/// How campaigns are ordered.
#[derive(Clone, Copy, InputObject)]
pub struct CampaignOrder {
    /// By what.
    #[graphql(default_with = "CampaignOrderField::CreatedAt")]
    field: CampaignOrderField,
    /// Which way.
    #[graphql(default_with = "OrderDirection::Desc")]
    direction: OrderDirection,
}

/// Which campaigns in which order; the latest first where nothing is said.
pub(super) fn campaign_query(filter: Option<CampaignFilter>, order: Option<CampaignOrder>) -> CampaignQuery {
    let filter = filter.unwrap_or_default();
    let order =
        order.unwrap_or(CampaignOrder { field: CampaignOrderField::CreatedAt, direction: OrderDirection::Desc });
    CampaignQuery {
        filter: statistics::CampaignFilter {
            search: filter.search,
            states: converted(filter.state.unwrap_or_default()),
        },
        order: order.field.into(),
        descending: order.direction.is_descending(),
    }
}

/// Which addresses. The fields are joined by AND.
#[derive(Default, InputObject)]
pub struct AddressFilter {
    /// In one of these conditions; the blocked ones where nothing is said.
    health: Option<Vec<AddressHealth>>,
    /// Blocked for one of these reasons. Addresses that were taken out of use are only found by DELETED.
    reason: Option<Vec<BlockReason>>,
    /// Of one of these domains. Only for those who may see personal data.
    domain: Option<Vec<String>>,
    /// With this text in the address. Only for those who may see personal data.
    search: Option<String>,
    /// Blocked at this moment or after it.
    blocked_since: Option<DateTime>,
    /// Blocked before this moment.
    blocked_until: Option<DateTime>,
    /// Whether their users have withdrawn their consent by a complaint.
    consent_withdrawn: Option<bool>,
}

impl AddressFilter {
    /// What finding addresses by it costs.
    pub(super) fn cost(&self) -> usize {
        search_cost(self.search.as_ref()) + lookup_cost(self.domain.as_ref()) + condition_cost(self.reason.as_ref())
    }
}

/// What addresses are ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "addresses::AddressOrder")]
pub enum AddressOrderField {
    /// Since when they are blocked; those that are not count as the earliest.
    BlockedAt,
    /// The address. Only for those who may see personal data.
    Email,
}

/// How addresses are ordered.
#[derive(Clone, Copy, InputObject)]
pub struct AddressOrder {
    /// By what.
    #[graphql(default_with = "AddressOrderField::BlockedAt")]
    field: AddressOrderField,
    /// Which way.
    #[graphql(default_with = "OrderDirection::Desc")]
    direction: OrderDirection,
}

/// Which addresses in which order: those that are blocked, the latest first, where nothing is said.
pub(super) fn address_query(filter: Option<AddressFilter>, order: Option<AddressOrder>) -> AddressQuery {
    let filter = filter.unwrap_or_default();
    let order = order.unwrap_or(AddressOrder { field: AddressOrderField::BlockedAt, direction: OrderDirection::Desc });
    AddressQuery {
        filter: address_filter(filter),
        order: order.field.into(),
        descending: order.direction.is_descending(),
    }
}

/// Which addresses: those that are blocked, where the filter says nothing about health.
pub(super) fn address_filter(filter: AddressFilter) -> addresses::AddressFilter {
    let default = addresses::AddressFilter::default();
    addresses::AddressFilter {
        health: filter.health.map_or(default.health, converted),
        reasons: converted(filter.reason.unwrap_or_default()),
        domains: filter.domain.unwrap_or_default(),
        search: filter.search,
        blocked_since: filter.blocked_since.map(|at| at.0),
        blocked_until: filter.blocked_until.map(|at| at.0),
        consent_withdrawn: filter.consent_withdrawn,
    }
}

/// Which events. The fields are joined by AND.
#[derive(Default, InputObject)]
pub struct EventFilter {
    /// Of one of these kinds.
    kind: Option<Vec<EventKind>>,
    /// From one of these providers.
    provider: Option<Vec<Provider>>,
    /// Come in by one of these sources.
    source: Option<Vec<String>>,
    /// At this moment or after it.
    since: Option<DateTime>,
    /// Before this moment.
    until: Option<DateTime>,
}

impl From<EventFilter> for events::EventFilter {
    fn from(filter: EventFilter) -> Self {
        Self {
            kinds: converted(filter.kind.unwrap_or_default()),
            providers: converted(filter.provider.unwrap_or_default()),
            sources: filter.source.unwrap_or_default(),
            since: filter.since.map(|at| at.0),
            until: filter.until.map(|at| at.0),
        }
    }
}
