//! The root of queries.

use async_graphql::{Context, ID, Object};
use domain::crm::ListKind;
use service::crm::PersonList;
use service::events::DeliveryQuery;

use super::address::{Address, AddressGroup, Addresses};
use super::audit::{AuditEntry, AuditFilter, AuditLog};
use super::campaign::{self, Campaign, Campaigns};
use super::complaint::{Complaint, ComplaintFilter, Complaints};
use super::connection::{Connection, page_args};
use super::correction::Correction;
use super::cost::{addresses_cost, campaigns_cost, events_cost, is_heavy, page_cost, turn};
use super::delivery::{Deliveries, Delivery};
use super::errors::Result;
use super::event::{Event, Events};
use super::filter::{
    AddressFilter, AddressOrder, CampaignFilter, CampaignOrder, EventFilter, address_filter, address_query,
    campaign_query,
};
use super::follow_up::FollowUp;
use super::job::{self, Job, JobFilter, Jobs};
use super::node::{self, Key, Node};
use super::person::Person;
use super::person_list::{Project, Selection};
use super::recipient::{self, Recipient};
use super::reminder::{self, ReminderPreview, ReminderRule, ReminderRuleInput};
use super::scalars::EmailAddress;
use super::schema::{access, reader};
use super::set::within;
use super::settings::Settings;
use super::token::ApiToken;
use super::viewer::Viewer;
use super::words::{AddressGroupKey, DeliveryState};

/// The root of queries but for those about the CRM.
#[derive(Default)]
pub struct Query;

/// What can be asked for.
#[Object(name = "MainQuery")]
impl Query {
    /// Anything that has a global id; null where it is not there any more.
    async fn node(&self, ctx: &Context<'_>, #[graphql(desc = "The global id.")] id: ID) -> Result<Option<Node>> {
        Ok(match Key::parse(&id)? {
            Key::Campaign(id) => campaign::one(ctx, id).await?.map(Node::from),
            Key::Recipient(key) => recipient::one(ctx, key).await?.map(Node::from),
            Key::Address(id) => reader(ctx)?.addresses_by_id(&[id]).await?.remove(&id).map(|row| Address(row).into()),
            Key::Job(id) => {
                reader(ctx)?.job(id).await?.map(|row| Job::new(row, access(ctx)).map(Node::from)).transpose()?
            }
            Key::Delivery(id) => access(ctx)?.admin()?.delivery(id).await?.map(|row| Delivery(row).into()),
            Key::ReminderRule(id) => reader(ctx)?.reminder_rule(id).await?.map(|rule| ReminderRule(rule).into()),
            Key::Selection(id) => person_list(ctx, ListKind::Selection, id).await?.map(|list| Selection(list).into()),
            Key::Project(id) => person_list(ctx, ListKind::Project, id).await?.map(|list| Project(list).into()),
            Key::Person(id) => reader(ctx)?.persons_by_id(&[id]).await?.remove(&id).map(|row| Person(row).into()),
            Key::FollowUp(id) => reader(ctx)?.follow_up(id).await?.map(|row| FollowUp(row).into()),
            Key::Correction(id) => reader(ctx)?.correction(id).await?.map(|row| Correction(row).into()),
            other @ (Key::Link(_)
            | Key::Event(_)
            | Key::Click(_)
            | Key::Token(_)
            | Key::User(_)
            | Key::Complaint(_)
            | Key::Audit(_)) => {
                return Err(other.no_node().into());
            }
        })
    }

    /// Who is asking.
    async fn viewer(&self, ctx: &Context<'_>) -> Result<Viewer> {
        Ok(access(ctx)?.subject().into())
    }

    /// A campaign; null where there is none.
    async fn campaign(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global id.")] id: ID,
    ) -> Result<Option<Campaign>> {
        campaign::one(ctx, node::campaign(&id)?).await
    }

    /// Campaigns.
    #[graphql(complexity = "page_cost(first, last, child_complexity) + campaigns_cost(filter.as_ref())")]
    #[expect(clippy::too_many_arguments, reason = "they are the arguments of a GraphQL field")]
    async fn campaigns(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which of them.")] filter: Option<CampaignFilter>,
        #[graphql(desc = "In which order; the latest first where nothing is said.")] order_by: Option<CampaignOrder>,
        #[graphql(desc = "So many from the beginning, or behind `after`; 50 where nothing is said, 500 at most.")]
        first: Option<i32>,
        #[graphql(desc = "Only what stands behind this cursor.")] after: Option<String>,
        #[graphql(desc = "So many up to the end, or before `before`; not together with `first`.")] last: Option<i32>,
        #[graphql(desc = "Only what stands before this cursor.")] before: Option<String>,
    ) -> Result<Connection<Campaigns>> {
        let _turn = turn(ctx, is_heavy(campaigns_cost(filter.as_ref()))).await;
        let query = campaign_query(filter, order_by);
        let page = reader(ctx)?.campaigns(&query, &page_args(first, after, last, before)).await?;
        Ok(Connection::new(Campaigns(query), page.map(Campaign::from)))
    }

    /// A recipient; null where there is none.
    async fn recipient(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global id.")] id: ID,
    ) -> Result<Option<Recipient>> {
        recipient::one(ctx, node::recipient(&id)?).await
    }

    /// An address, however it is written; null where it is not known. Only for those who may see personal data.
    async fn address(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The address; the case of letters does not matter.")] email: EmailAddress,
    ) -> Result<Option<Address>> {
        Ok(reader(ctx)?.address(email.read(&["email"])?.key()).await?.map(Address))
    }

    /// Addresses that are not to be written to, or others, if the filter says so.
    #[graphql(complexity = "page_cost(first, last, child_complexity) + addresses_cost(filter.as_ref())")]
    #[expect(clippy::too_many_arguments, reason = "they are the arguments of a GraphQL field")]
    async fn blocked_addresses(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which of them; those that are blocked where it says nothing about health.")] filter: Option<
            AddressFilter,
        >,
        #[graphql(desc = "In which order; those blocked last come first where nothing is said.")] order_by: Option<
            AddressOrder,
        >,
        #[graphql(desc = "So many from the beginning, or behind `after`; 50 where nothing is said, 500 at most.")]
        first: Option<i32>,
        #[graphql(desc = "Only what stands behind this cursor.")] after: Option<String>,
        #[graphql(desc = "So many up to the end, or before `before`; not together with `first`.")] last: Option<i32>,
        #[graphql(desc = "Only what stands before this cursor.")] before: Option<String>,
    ) -> Result<Connection<Addresses>> {
        let _turn = turn(ctx, is_heavy(addresses_cost(filter.as_ref()))).await;
        let query = address_query(filter, order_by);
        let page = reader(ctx)?.addresses(&query, &page_args(first, after, last, before)).await?;
        Ok(Connection::new(Addresses(query), page.map(Address)))
    }

    /// Addresses that are not to be written to, or others, if the filter says so, in groups: the largest first, months in their order.
    #[graphql(complexity = "1000 + 50 * child_complexity + addresses_cost(filter.as_ref())")]
    async fn blocked_address_groups(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What they are grouped by.")] by: AddressGroupKey,
        #[graphql(desc = "Which of them; those that are blocked where it says nothing about health.")] filter: Option<
            AddressFilter,
        >,
    ) -> Result<Vec<AddressGroup>> {
        let _turn = turn(ctx, true).await;
        let groups = reader(ctx)?.address_groups(by.into(), &address_filter(filter.unwrap_or_default())).await?;
        Ok(groups.into_iter().map(Into::into).collect())
    }

    /// Who reported which campaign's mail as spam, the latest first.
    #[graphql(complexity = "page_cost(first, None, child_complexity)")]
    async fn complaints(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which of them.")] filter: Option<ComplaintFilter>,
        #[graphql(desc = "So many; 50 where nothing is said, 500 at most.")] first: Option<i32>,
        #[graphql(desc = "Only what stands behind this cursor.")] after: Option<String>,
    ) -> Result<Connection<Complaints>> {
        let filter = filter.unwrap_or_default().try_into().map_err(|refusal| within(&["filter"], refusal))?;
        let page = reader(ctx)?.complaints(&filter, &page_args(first, after, None, None)).await?;
        Ok(Connection::new(Complaints(filter), page.map(Complaint)))
    }

    /// Who changed what, the latest first. For admins.
    #[graphql(complexity = "page_cost(first, None, child_complexity)")]
    async fn audit_log(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which entries.")] filter: Option<AuditFilter>,
        #[graphql(desc = "So many; 50 where nothing is said, 500 at most.")] first: Option<i32>,
        #[graphql(desc = "Only what stands behind this cursor.")] after: Option<String>,
    ) -> Result<Connection<AuditLog>> {
        let filter = filter.unwrap_or_default().try_into()?;
        let page = access(ctx)?.admin()?.audit_log(&filter, &page_args(first, after, None, None)).await?;
        Ok(Connection::new(AuditLog(filter), page.map(AuditEntry)))
    }

    /// A job; null where there is none.
    async fn job(&self, ctx: &Context<'_>, #[graphql(desc = "Its global id.")] id: ID) -> Result<Option<Job>> {
        let row = reader(ctx)?.job(node::job(&id)?).await?;
        row.map(|row| Job::new(row, access(ctx))).transpose()
    }

    /// Jobs, the latest first.
    #[graphql(complexity = "page_cost(first, None, child_complexity)")]
    async fn jobs(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which of them.")] filter: Option<JobFilter>,
        #[graphql(desc = "So many; 50 where nothing is said, 500 at most.")] first: Option<i32>,
        #[graphql(desc = "Only what stands behind this cursor.")] after: Option<String>,
    ) -> Result<Connection<Jobs>> {
        job::page(ctx, filter, &page_args(first, after, None, None)).await
    }

    /// Reported events that match no recipient, in the order in which they came in. They are kept, and matched when their
    /// recipients are imported.
    #[graphql(complexity = "page_cost(first, last, child_complexity) + events_cost(filter.as_ref())")]
    #[expect(clippy::too_many_arguments, reason = "they are the arguments of a GraphQL field")]
    async fn unmatched_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which of them.")] filter: Option<EventFilter>,
        #[graphql(desc = "So many from the beginning, or behind `after`; 50 where nothing is said, 500 at most.")]
        first: Option<i32>,
        #[graphql(desc = "Only what stands behind this cursor.")] after: Option<String>,
        #[graphql(desc = "So many up to the end, or before `before`; not together with `first`.")] last: Option<i32>,
        #[graphql(desc = "Only what stands before this cursor.")] before: Option<String>,
    ) -> Result<Connection<Events>> {
        let _turn = turn(ctx, filter.is_some()).await;
        let filter = filter.unwrap_or_default().into();
        let page = reader(ctx)?.unmatched_events(&filter, &page_args(first, after, last, before)).await?;
        Ok(Connection::new(Events::Unmatched(filter), page.map(Event)))
    }

    /// The requests of providers as they came, the latest first. For admins.
    #[graphql(complexity = "page_cost(first, last, child_complexity)")]
    #[expect(clippy::too_many_arguments, reason = "they are the arguments of a GraphQL field")]
    async fn deliveries(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only those that came in by this source.")] source: Option<String>,
        #[graphql(desc = "Only those in this state.")] state: Option<DeliveryState>,
        #[graphql(desc = "So many from the beginning, or behind `after`; 50 where nothing is said, 500 at most.")]
        first: Option<i32>,
        #[graphql(desc = "Only what stands behind this cursor.")] after: Option<String>,
        #[graphql(desc = "So many up to the end, or before `before`; not together with `first`.")] last: Option<i32>,
        #[graphql(desc = "Only what stands before this cursor.")] before: Option<String>,
    ) -> Result<Connection<Deliveries>> {
        let query = DeliveryQuery { source, state: state.map(Into::into) };
        let page = access(ctx)?.admin()?.deliveries(&query, &page_args(first, after, last, before)).await?;
        Ok(Connection::new(Deliveries(query), page.map(Delivery)))
    }

    /// A request of a provider; null where there is none. For admins.
    async fn delivery(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global id.")] id: ID,
    ) -> Result<Option<Delivery>> {
        Ok(access(ctx)?.admin()?.delivery(node::delivery(&id)?).await?.map(Delivery))
    }

    /// The rules for reminders, the oldest first.
    #[graphql(complexity = "20 * child_complexity + 1")]
    async fn reminder_rules(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only those that remind of this campaign.")] campaign_id: Option<ID>,
    ) -> Result<Vec<ReminderRule>> {
        reminder::rules(ctx, campaign_id.as_ref()).await
    }

    /// What a rule would do now: who would get a reminder, who would not, and why. The rule need not be saved, and nothing is made.
    #[graphql(complexity = "child_complexity + reminder::preview_cost(&input)")]
    async fn reminder_preview(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The rule. With `id`, whom that rule has reminded already counts.")] input: ReminderRuleInput,
    ) -> Result<ReminderPreview> {
        let _turn = turn(ctx, true).await;
        reminder::preview(ctx, input).await
    }

    /// All API tokens, without their secrets. For admins.
    #[graphql(complexity = "20 * child_complexity + 1")]
    async fn api_tokens(&self, ctx: &Context<'_>) -> Result<Vec<ApiToken>> {
        Ok(access(ctx)?.admin()?.tokens().await?.into_iter().map(ApiToken).collect())
    }

    /// What holds for all campaigns: when addresses are blocked and alerts raised.
    async fn settings(&self, ctx: &Context<'_>) -> Result<Settings> {
        Ok(reader(ctx)?.settings().await?.into())
    }
}

async fn person_list(ctx: &Context<'_>, list: ListKind, id: i64) -> Result<Option<PersonList>> {
    Ok(reader(ctx)?.person_lists_by_id(list, &[id]).await?.remove(&id))
}
