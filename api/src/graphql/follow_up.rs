//! Tasks for those who are responsible for persons.

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use service::Refusal;
use service::crm::follow_ups;
use service::recipients::paging::Count;

use super::connection::List;
use super::errors::{Result, UserError};
use super::loaders::{PersonId, loaders};
use super::node::{self, Key};
use super::person::Person;
use super::recipient::Recipient;
use super::scalars::{Date, DateTime, at};
use super::schema::reader;

/// For whom there is one task each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "follow_ups::Scope")]
pub enum FollowUpScope {
    /// For each person.
    Person,
    /// For each company; for persons without one, each.
    Company,
}

/// A task for somebody who is responsible for a person.
pub struct FollowUp(pub(super) follow_ups::FollowUp);

/// A task for somebody who is responsible for a person.
#[Object]
impl FollowUp {
    /// The global id.
    pub async fn id(&self) -> ID {
        Key::FollowUp(self.0.id).id()
    }

    /// About which recipient it was made; null where no campaign is behind it.
    async fn recipient(&self, ctx: &Context<'_>) -> Result<Option<Recipient>> {
        match self.0.recipient {
            Some(key) => Ok(loaders(ctx)?.load_one(key).await?.map(Recipient)),
            None => Ok(None),
        }
    }

    /// About whom; null where the CRM does not know them any more.
    async fn person(&self, ctx: &Context<'_>) -> Result<Option<Person>> {
        Ok(loaders(ctx)?.load_one(PersonId(self.0.person)).await?.map(Person))
    }

    /// In whose diary it is. Null for those who may not see personal data.
    async fn owner(&self) -> Option<&str> {
        self.0.owner.as_deref()
    }

    /// What is to be done. Who may not see personal data sees `•••`.
    async fn title(&self) -> &str {
        &self.0.title
    }

    /// More about it. Null for those who may not see personal data.
    async fn description(&self) -> Option<&str> {
        self.0.description.as_deref()
    }

    /// The recipient's status when the task was made; of a task about an address that bounces have blocked, why: `HARD_BOUNCE` or
    /// `SOFT_BOUNCES`.
    async fn reason(&self) -> &str {
        &self.0.reason
    }

    /// The day on which it is due.
    async fn due_date(&self) -> Option<Date> {
        self.0.due_at.map(Date)
    }

    /// The CRM's id; null until it has been made there, and for those who may not see personal data.
    async fn crm_id(&self) -> Option<&str> {
        self.0.crm_id.as_deref()
    }

    /// Why the CRM did not take it. Who may not see personal data sees `•••`.
    async fn error(&self) -> Option<&str> {
        self.0.error.as_deref()
    }

    /// When it was ordered.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// When somebody said that it is done.
    async fn done_at(&self) -> Option<DateTime> {
        at(self.0.done_at)
    }
}

/// A task that was changed.
#[derive(SimpleObject)]
pub struct FollowUpPayload {
    /// The task; null where the change was refused.
    pub(super) follow_up: Option<FollowUp>,
    /// Why it was refused; empty where it was not.
    pub(super) user_errors: Vec<UserError>,
}

/// Which tasks. The fields are joined by AND.
#[derive(Default, InputObject)]
pub struct FollowUpFilter {
    /// Of this campaign.
    campaign_id: Option<ID>,
    /// In the diary of this user of the CRM, by their name. Only for those who may see personal data.
    owner: Option<String>,
    /// Whether they are done.
    done: Option<bool>,
}

impl TryFrom<FollowUpFilter> for follow_ups::FollowUpFilter {
    type Error = Refusal;

    fn try_from(filter: FollowUpFilter) -> Result<Self, Refusal> {
        let campaign = filter.campaign_id.as_ref().map(node::campaign).transpose();
        let campaign = campaign.map_err(|refusal| refusal.about(&["campaignId"]))?;
        Ok(Self { campaign, owner: filter.owner, done: filter.done })
    }
}

/// The tasks that a filter finds.
pub struct FollowUps(pub(super) follow_ups::FollowUpFilter);

impl List for FollowUps {
    type Node = FollowUp;
    const CONNECTION: &'static str = "FollowUpConnection";
    const EDGE: &'static str = "FollowUpEdge";

    async fn count(&self, ctx: &Context<'_>, max: i64) -> Result<Count> {
        Ok(reader(ctx)?.count_follow_ups(&self.0, max).await?)
    }
}
