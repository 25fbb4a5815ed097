//! Campaigns.

use std::time::Duration;

use async_graphql::{Context, ID, Object};
use moka::future::Cache;
use service::events::ClickQuery;
use service::recipients::RecipientQuery;
use service::recipients::paging::Count;
use service::statistics::{Campaign as Row, CampaignQuery};
use tokio::sync::OnceCell;

use super::alert::Alert;
use super::connection::{Connection, List, page_args};
use super::cost::{is_heavy, page_cost, turn};
use super::errors::{Failure, Result};
use super::event::{Click, Clicks};
use super::filter::{RecipientFilterInput, RecipientOrder, recipients_cost};
use super::loaders::{AlertsOf, CampaignId, RemindersOf, loaders};
use super::node::{self, Key};
use super::recipient::{Recipient, Recipients, wants_details};
use super::scalars::{DateTime, at};
use super::schema::reader;
use super::statistics::{
    BounceReasonCount, CampaignStatistics, DomainStatistics, StatusCount, TimelineInterval, TimelinePoint, TrackedLink,
};
use super::words::CampaignState;

/// A campaign. It is read when one of its own fields is asked for: lists of its recipients do without.
pub struct Campaign {
    id: i64,
    row: OnceCell<Row>,
}

impl From<Row> for Campaign {
    fn from(row: Row) -> Self {
        Self { id: row.id, row: OnceCell::new_with(Some(row)) }
    }
}

impl Campaign {
    /// A campaign that is known to exist.
    pub(super) const fn unread(id: i64) -> Self {
        Self { id, row: OnceCell::const_new() }
    }

    async fn row(&self, ctx: &Context<'_>) -> Result<&Row> {
        let load = async || {
            let row = loaders(ctx)?.load_one(CampaignId(self.id)).await?;
            row.ok_or_else(|| Failure::missing("a campaign"))
        };
        self.row.get_or_try_init(load).await
    }
}

/// A mailing: who got it, and what became of it.
#[Object]
impl Campaign {
    /// The global id.
    pub async fn id(&self) -> ID {
        Key::Campaign(self.id).id()
    }

    /// The name by which imports and providers mean it. Who may not see personal data sees `•••` where it holds an address.
    async fn key(&self, ctx: &Context<'_>) -> Result<&str> {
        Ok(&self.row(ctx).await?.key)
    }

    /// What people call it. Who may not see personal data sees `•••` where it holds an address.
    async fn name(&self, ctx: &Context<'_>) -> Result<&str> {
        Ok(&self.row(ctx).await?.name)
    }

    /// The subject of its mails. Who may not see personal data sees `•••` where it holds an address.
    async fn subject(&self, ctx: &Context<'_>) -> Result<Option<&str>> {
        Ok(self.row(ctx).await?.subject.as_deref())
    }

    /// Whom its mails are from. Null for those who may not see personal data.
    #[graphql(name = "fromAddress")]
    async fn sender(&self, ctx: &Context<'_>) -> Result<Option<&str>> {
        Ok(self.row(ctx).await?.from_address.as_deref())
    }

    /// Where it stands.
    async fn state(&self, ctx: &Context<'_>) -> Result<CampaignState> {
        Ok(self.row(ctx).await?.state.into())
    }

    /// When it was sent.
    async fn sent_at(&self, ctx: &Context<'_>) -> Result<Option<DateTime>> {
        Ok(at(self.row(ctx).await?.sent_at))
    }

    /// When it was made.
    async fn created_at(&self, ctx: &Context<'_>) -> Result<DateTime> {
        Ok(self.row(ctx).await?.created_at.into())
    }

    /// The campaign that this one reminds of.
    async fn parent(&self, ctx: &Context<'_>) -> Result<Option<Self>> {
        Ok(self.row(ctx).await?.parent.map(Self::unread))
    }

    /// The campaigns that remind of this one, in the order in which they were made.
    #[graphql(complexity = "10 * child_complexity + 1")]
    async fn reminders(&self, ctx: &Context<'_>) -> Result<Vec<Self>> {
        let reminders = loaders(ctx)?.load_one(RemindersOf(self.id)).await?;
        Ok(reminders.unwrap_or_default().into_iter().map(Self::from).collect())
    }

    /// How it is doing.
    async fn statistics(&self, ctx: &Context<'_>) -> Result<CampaignStatistics> {
        Ok(self.row(ctx).await?.statistics.into())
    }

    /// What happened when: the hours or days in which anything did, the earliest first; the others are left out, and count as
    /// zero. From the hour or day that holds `from` up to `to`, which is not part of it.
    #[graphql(complexity = "100 * child_complexity + 1")]
    async fn timeline(
        &self,
        ctx: &Context<'_>,
        #[graphql(default_with = "TimelineInterval::Hour", desc = "How wide the points are.")]
        interval: TimelineInterval,
        #[graphql(desc = "Not before the hour or day that holds this moment.")] from: Option<DateTime>,
        #[graphql(desc = "Only what begins before this moment.")] to: Option<DateTime>,
    ) -> Result<Vec<TimelinePoint>> {
        let (from, to) = (from.map(|at| at.0), to.map(|at| at.0));
        let points = reader(ctx)?.timeline(self.id, interval.into(), from, to).await?;
        Ok(points.into_iter().map(TimelinePoint::from).collect())
    }

    /// How many recipients have each status, also those that nobody has.
    #[graphql(complexity = "11 * child_complexity + 1")]
    async fn status_breakdown(&self, ctx: &Context<'_>) -> Result<Vec<StatusCount>> {
        Ok(self.row(ctx).await?.statistics.by_status().into_iter().map(StatusCount::from).collect())
    }

    /// How the recipients at each domain are doing: the domains with the most recipients first.
    #[graphql(complexity = "page_cost(Some(first), None, child_complexity)")]
    async fn domains(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = 20, desc = "So many domains, at most 1,000.")] first: i32,
    ) -> Result<Vec<DomainStatistics>> {
        let domains = reader(ctx)?.domains(self.id, first.into()).await?;
        Ok(domains.into_iter().map(DomainStatistics::from).collect())
    }

    /// The links in its mails, those with the most clicks by persons first.
    #[graphql(complexity = "page_cost(Some(first), None, child_complexity)")]
    async fn links(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = 100, desc = "So many links, at most 1,000.")] first: i32,
    ) -> Result<Vec<TrackedLink>> {
        Ok(reader(ctx)?.links(self.id, first.into()).await?.into_iter().map(TrackedLink).collect())
    }

    /// Who clicked what, and when, in the order in which the clicks came in.
    #[graphql(complexity = "page_cost(first, last, child_complexity)")]
    #[expect(clippy::too_many_arguments, reason = "they are the arguments of a GraphQL field")]
    async fn clicks(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only clicks on this link.")] link_id: Option<ID>,
        #[graphql(desc = "Only clicks by machines, or only those by persons.")] machine: Option<bool>,
        #[graphql(desc = "So many from the beginning, or behind `after`; 50 where nothing is said, 500 at most.")]
        first: Option<i32>,
        #[graphql(desc = "Only what stands behind this cursor.")] after: Option<String>,
        #[graphql(desc = "So many up to the end, or before `before`; not together with `first`.")] last: Option<i32>,
        #[graphql(desc = "Only what stands before this cursor.")] before: Option<String>,
    ) -> Result<Connection<Clicks>> {
        let link = link_id.as_ref().map(node::link).transpose()?;
        let query = ClickQuery { campaign: self.id, link, machine };
        let page = reader(ctx)?.clicks(query, &page_args(first, after, last, before)).await?;
        Ok(Connection::new(Clicks(query), page.map(Click)))
    }

    /// Why recipients bounced, the most frequent reason first.
    #[graphql(complexity = "20 * child_complexity + 1")]
    async fn bounce_reasons(&self, ctx: &Context<'_>) -> Result<Vec<BounceReasonCount>> {
        let reasons = reader(ctx)?.bounce_reasons(self.id).await?;
        Ok(reasons.into_iter().map(BounceReasonCount::from).collect())
    }

    /// What is wrong with it, the latest first: rates over a limit, refusals because of the sender, silence. The limits are settings.
    #[graphql(complexity = "4 * child_complexity + 1")]
    async fn alerts(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = false, desc = "Also what was wrong and is so no longer; 100 alerts at most.")]
        include_resolved: bool,
    ) -> Result<Vec<Alert>> {
        let key = AlertsOf { campaign: self.id, resolved: include_resolved };
        let alerts = loaders(ctx)?.load_one(key).await?;
        Ok(alerts.unwrap_or_default().into_iter().map(Alert).collect())
    }

    /// Its recipients.
    #[graphql(
        complexity = "page_cost(first, last, child_complexity) + recipients_cost(filter.as_ref(), search.as_ref())"
    )]
    #[expect(clippy::too_many_arguments, reason = "they are the arguments of a GraphQL field")]
    async fn recipients(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which of them.")] filter: Option<RecipientFilterInput>,
        #[graphql(desc = "A text in the address, the name or the company; the case of letters does not matter. \
            Only for those who may see personal data.")]
        search: Option<String>,
        #[graphql(desc = "In which order; that of the import where nothing is said.")] order_by: Option<RecipientOrder>,
        #[graphql(desc = "So many from the beginning, or behind `after`; 50 where nothing is said, 500 at most.")]
        first: Option<i32>,
        #[graphql(desc = "Only what stands behind this cursor.")] after: Option<String>,
        #[graphql(desc = "So many up to the end, or before `before`; not together with `first`.")] last: Option<i32>,
        #[graphql(desc = "Only what stands before this cursor.")] before: Option<String>,
    ) -> Result<Connection<Recipients>> {
        let order = order_by.unwrap_or_default();
        let _turn = turn(ctx, is_heavy(recipients_cost(filter.as_ref(), search.as_ref()))).await;
        let query = RecipientQuery {
            campaign: self.id,
            filter: filter.unwrap_or_default().into_condition()?,
            search,
            order: order.field.into(),
            descending: order.direction.is_descending(),
        };
        let args = page_args(first, after, last, before);
        let page = reader(ctx)?.recipients(&query, &args, wants_details(ctx)).await?;
        Ok(Connection::new(Recipients(query), page.map(Recipient)))
    }
}

/// The campaigns that a query finds.
pub struct Campaigns(pub(super) CampaignQuery);

impl List for Campaigns {
    type Node = Campaign;
    const CONNECTION: &'static str = "CampaignConnection";
    const EDGE: &'static str = "CampaignEdge";

    async fn count(&self, ctx: &Context<'_>, max: i64) -> Result<Count> {
        Ok(reader(ctx)?.count_campaigns(&self.0, max).await?)
    }
}

/// Campaigns that were there a short while ago, so that paging through recipients need not look for the campaign each time.
#[derive(Clone)]
pub struct KnownCampaigns(Cache<i64, ()>);

impl Default for KnownCampaigns {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(10_000).time_to_live(Duration::from_secs(60)).build())
    }
}

/// What of a campaign can be resolved without reading it.
const WITHOUT_ROW: &[&str] = &[
    "__typename",
    "id",
    "recipients",
    "clicks",
    "domains",
    "links",
    "timeline",
    "bounceReasons",
    "reminders",
    "alerts",
];

/// The campaign with this id, which is asked for by the field that is being resolved.
pub(super) async fn one(ctx: &Context<'_>, id: i64) -> Result<Option<Campaign>> {
    let reader = reader(ctx)?;
    let campaigns = ctx.data_opt::<KnownCampaigns>();
    let is_known = campaigns.is_some_and(|known| known.0.contains_key(&id));
    let without_row = || ctx.field().selection_set().all(|field| WITHOUT_ROW.contains(&field.name()));
    if is_known && without_row() {
        return Ok(Some(Campaign::unread(id)));
    }
    let row = reader.campaign(id).await?;
    if let (Some(known), Some(_), false) = (campaigns, &row, is_known) {
        known.0.insert(id, ()).await;
    }
    Ok(row.map(Campaign::from))
}
