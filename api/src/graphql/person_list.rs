//! Selections and projects of the CRM, and the persons on them.

use async_graphql::{Context, ID, Object};
use domain::crm::ListKind;
use service::crm::{ListQuery, PersonList};
use service::recipients::paging::Count;

use super::connection::{Connection, List, page_args};
use super::cost::page_cost;
use super::errors::Result;
use super::node::Key;
use super::person::Person;
use super::scalars::{DateTime, at, int};
use super::schema::reader;
use super::words::SelectionKind;

/// A list of persons in the CRM.
pub struct Selection(pub(super) PersonList);

/// A list of persons in the CRM.
#[Object]
impl Selection {
    /// The global id.
    pub async fn id(&self) -> ID {
        Key::Selection(self.0.id).id()
    }

    /// What it is called. Who may not see personal data sees `•••` where it holds an address.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// What it is for. Null for those who may not see personal data.
    async fn description(&self) -> Option<&str> {
        self.0.description.as_deref()
    }

    /// How its members are chosen. Only static ones can be changed.
    async fn kind(&self) -> SelectionKind {
        self.0.kind.into()
    }

    /// How many persons are on it, as of the last job that changed or read them.
    async fn member_count(&self) -> i32 {
        int(self.0.member_count)
    }

    /// The CRM's id; null until it has been made there.
    async fn crm_id(&self) -> Option<&str> {
        self.0.crm_id.as_deref()
    }

    /// Who made it, as in the audit log; `crm` where it comes from there.
    async fn created_by(&self) -> &str {
        &self.0.created_by
    }

    /// When it was first known here.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// When its members were last read from the CRM; null where they were not, as with one that is not used here.
    async fn synced_at(&self) -> Option<DateTime> {
        at(self.0.synced_at)
    }

    /// Why the last try to read them failed; null where it did not. Who may not see personal data sees `•••`.
    async fn sync_error(&self) -> Option<&str> {
        self.0.sync_error.as_deref()
    }

    /// Who is on it. Only for those who may see personal data.
    #[graphql(complexity = "page_cost(first, None, child_complexity)")]
    async fn members(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "So many; 50 where nothing is said, 500 at most.")] first: Option<i32>,
        #[graphql(desc = "Only what stands behind this cursor.")] after: Option<String>,
    ) -> Result<Connection<Members>> {
        members(ctx, &self.0, first, after).await
    }
}

/// A project of the CRM.
pub struct Project(pub(super) PersonList);

/// A project of the CRM.
#[Object]
impl Project {
    /// The global id.
    pub async fn id(&self) -> ID {
        Key::Project(self.0.id).id()
    }

    /// What it is called. Who may not see personal data sees `•••` where it holds an address.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// What it is for. Null for those who may not see personal data.
    async fn description(&self) -> Option<&str> {
        self.0.description.as_deref()
    }

    /// How many persons are on it, as of the last job that changed or read them.
    async fn member_count(&self) -> i32 {
        int(self.0.member_count)
    }

    /// The CRM's id; null until it has been made there.
    async fn crm_id(&self) -> Option<&str> {
        self.0.crm_id.as_deref()
    }

    /// When its members were last read from the CRM; null where they were not.
    async fn synced_at(&self) -> Option<DateTime> {
        at(self.0.synced_at)
    }

    /// Why the last try to read them failed; null where it did not. Who may not see personal data sees `•••`.
    async fn sync_error(&self) -> Option<&str> {
        self.0.sync_error.as_deref()
    }

    /// Who is on it. Only for those who may see personal data.
    #[graphql(complexity = "page_cost(first, None, child_complexity)")]
    async fn members(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "So many; 50 where nothing is said, 500 at most.")] first: Option<i32>,
        #[graphql(desc = "Only what stands behind this cursor.")] after: Option<String>,
    ) -> Result<Connection<Members>> {
        members(ctx, &self.0, first, after).await
    }
}

async fn members(
    ctx: &Context<'_>,
    list: &PersonList,
    first: Option<i32>,
    after: Option<String>,
) -> Result<Connection<Members>> {
    let page = reader(ctx)?.list_members(list.list, list.id, &page_args(first, after, None, None)).await?;
    Ok(Connection::new(Members(list.list, list.id), page.map(Person)))
}

/// The selections that a query finds.
pub struct Selections(pub(super) ListQuery);

impl List for Selections {
    type Node = Selection;
    const CONNECTION: &'static str = "SelectionConnection";
    const EDGE: &'static str = "SelectionEdge";

    async fn count(&self, ctx: &Context<'_>, max: i64) -> Result<Count> {
        Ok(reader(ctx)?.count_person_lists(&self.0, max).await?)
    }
}

/// The projects that a query finds.
pub struct Projects(pub(super) ListQuery);

impl List for Projects {
    type Node = Project;
    const CONNECTION: &'static str = "ProjectConnection";
    const EDGE: &'static str = "ProjectEdge";

    async fn count(&self, ctx: &Context<'_>, max: i64) -> Result<Count> {
        Ok(reader(ctx)?.count_person_lists(&self.0, max).await?)
    }
}

/// The persons on a list.
pub struct Members(ListKind, i64);

impl List for Members {
    type Node = Person;
    const CONNECTION: &'static str = "PersonConnection";
    const EDGE: &'static str = "PersonEdge";

    async fn count(&self, ctx: &Context<'_>, max: i64) -> Result<Count> {
        Ok(reader(ctx)?.count_list_members(self.0, self.1, max).await?)
    }
}
