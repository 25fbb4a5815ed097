//! Adding persons to selections and projects, and removing them.
//!
//! A job has the list made in the CRM, where it is new, or reads who is on it there already; notes who is meant and is not there as members that
//! are wanted, a piece at a time; and then asks for these to be added, as many at a time as the CRM takes. Before each such request the members in it are
//! marked as in doubt, and behind it as members. Whoever is still in doubt when a job goes on (its worker was killed, or the answer was
//! lost) is looked for in the CRM first: so nobody gets on a list twice, and nobody is left out. Jobs for the same list have its members in
//! hand one after the other.

mod job;

use domain::crm::{ListKind, SelectionKind};
use sea_orm::{ConnectionTrait, DatabaseTransaction};
use serde::{Deserialize, Serialize};

use super::lists::{self, table};
use super::source::{self, Persons, Source};
use crate::access::{Marketer, Services};
use crate::audit;
use crate::db::{execute, query_one};
use crate::error::{Refusal, RefusalCode, Result, ServiceError};
use crate::jobs::{self, Job, JobKind, NewJob, Queue};
use crate::skipped::Skipped;
use crate::subject::Subject;
pub use job::run;
#[cfg(test)]
pub(super) use job::{sql_of_count, sql_of_next};

/// The longest name of a list, in characters.
pub(crate) const MAX_NAME: usize = 200;
/// The longest description, in characters.
pub(crate) const MAX_DESCRIPTION: usize = 2_000;

/// The list that persons are to be added to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One that is there.
    Existing(i64),
    /// One that is to be made.
    New {
        /// What it shall be called.
        name: String,
        /// What it is for.
        description: Option<String>,
    },
}

/// What a job needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    list: ListKind,
    list_id: i64,
    persons: Source,
}

/// What a job did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    /// Selection or project.
    pub list: Option<ListKind>,
    /// Which one.
    pub list_id: i64,
    /// Members that are new; or were removed.
    pub added: i64,
    /// Who was on the list already; or was not.
    pub unchanged: i64,
    /// Who was left out, and why. Examples are `campaign:number` of recipients, ids of addresses, and
    /// `person:id` of those whom the CRM refused.
    pub skipped_by_reason: Vec<Skipped>,
}

impl Marketer {
    /// Has persons added to a selection or project, by a job: a new one or one that is there. Who is not in the CRM is left out.
    ///
    /// # Errors
    /// A refusal where there is no such list, its members are worked out by the CRM, its name is empty or too long, or for what is no
    /// set of persons; those of the database.
    pub async fn add_to_list(&self, list: ListKind, persons: Persons, target: Target) -> Result<Job> {
        let transaction = self.services.db.begin_keyed().await?;
        let persons = Source::of(&transaction, self, persons).await?;
        let (list_id, is_new) = match target {
            Target::Existing(id) => (existing(&transaction, list, id).await?, false),
            Target::New { name, description } => (self.note(&transaction, list, &name, description).await?, true),
        };
        self.order_members(transaction, Order::add(list, list_id, is_new, persons)).await
    }

    /// Has persons removed from a selection, by a job.
    ///
    /// # Errors
    /// As [`Marketer::add_to_list`].
    pub async fn remove_from_selection(&self, persons: Persons, selection: i64) -> Result<Job> {
        let transaction = self.services.db.begin_keyed().await?;
        let persons = Source::of(&transaction, self, persons).await?;
        let selection = existing(&transaction, ListKind::Selection, selection).await?;
        self.order_members(transaction, Order::remove(selection, persons)).await
    }

    /// Notes a list down that is to be made.
    async fn note<C: ConnectionTrait>(
        &self,
        connection: &C,
        list: ListKind,
        name: &str,
        description: Option<String>,
    ) -> Result<i64> {
        let outer = if list == ListKind::Selection { "newSelection" } else { "newProject" };
        let name = source::text(&[outer, "name"], name, MAX_NAME)?;
        let description = description.as_deref().map(str::trim).filter(|text| !text.is_empty());
        let description =
            description.map(|text| source::text(&[outer, "description"], text, MAX_DESCRIPTION)).transpose()?;
        insert(connection, &self.services, list, &name, description, &self.subject.id).await
    }

    async fn order_members(&self, transaction: DatabaseTransaction, order: Order) -> Result<Job> {
        let job = self::order(&transaction, &self.services, &self.subject, order).await?;
        let job = jobs::get(&transaction, job).await?;
        transaction.commit().await?;
        self.services.jobs_were_added();
        Ok(job)
    }
}

/// What is to be done with the members of a list.
pub(crate) struct Order {
    kind: JobKind,
    payload: Payload,
    /// The list is to be made first.
    is_new: bool,
}

impl Order {
    /// Persons are to be added.
    pub(crate) const fn add(list: ListKind, list_id: i64, is_new: bool, persons: Source) -> Self {
        let kind = match list {
            ListKind::Selection => JobKind::AddToSelection,
            ListKind::Project => JobKind::AddToProject,
        };
        Self { kind, payload: Payload { list, list_id, persons }, is_new }
    }

    /// Persons are to be removed from a selection.
    const fn remove(selection: i64, persons: Source) -> Self {
        let payload = Payload { list: ListKind::Selection, list_id: selection, persons };
        Self { kind: JobKind::RemoveFromSelection, payload, is_new: false }
    }
}

/// Orders a job that does it; returns its id. Whoever commits says then that jobs were added.
pub(crate) async fn order<C: ConnectionTrait>(
    connection: &C,
    services: &Services,
    subject: &Subject,
    order: Order,
) -> Result<i64> {
    let now = services.now();
    let Order { kind, payload, is_new } = order;
    let (list, list_id) = (table(payload.list), payload.list_id);
    // What was named is short, and somebody waits for it.
    let queue = if payload.persons.is_named() { Queue::Interactive } else { kind.queue() };
    let campaign = payload.persons.campaign();
    let job = NewJob { queue, ..NewJob::new(kind, serde_json::to_value(payload)?, &subject.id, now) };
    let job = jobs::enqueue(connection, job, now).await?;
    if is_new {
        let sql = format!("UPDATE {list} SET job_id = $2 WHERE id = $1");
        execute(connection, &sql, [list_id.into(), job.into()]).await?;
    }
    let action = format!("{list}.{}", if kind == JobKind::RemoveFromSelection { "remove" } else { "add" });
    let detail = serde_json::json!({ "job": job, "campaign": campaign, "new": is_new });
    audit::record(connection, now, subject, &action, format!("{list}:{list_id}"), Some(detail)).await?;
    Ok(job)
}

/// Notes a list down that is to be made in the CRM by whoever fills it; returns its id.
pub(crate) async fn insert<C: ConnectionTrait>(
    connection: &C,
    services: &Services,
    list: ListKind,
    name: &str,
    description: Option<String>,
    created_by: &str,
) -> Result<i64> {
    let table = table(list);
    let sql = format!(
        "INSERT INTO {table} (key, name, description, kind, created_by, created_at) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id"
    );
    let values = [
        services.new_crm_key().into(),
        name.to_owned().into(),
        description.into(),
        SelectionKind::Static.code().into(),
        created_by.to_owned().into(),
        services.now().micros().into(),
    ];
    let row = query_one(connection, &sql, values).await?;
    Ok(row.ok_or_else(|| ServiceError::Inconsistent(format!("a {table} was not stored")))?.try_get_by_index(0)?)
}

/// A list that is there and can be changed.
async fn existing<C: ConnectionTrait>(connection: &C, list: ListKind, id: i64) -> Result<i64> {
    let field = if list == ListKind::Selection { "selectionId" } else { "projectId" };
    let found = lists::require(connection, list, id, &[field]).await?;
    if found.kind != SelectionKind::Static {
        let message = "the CRM itself works out who is on this selection: choose a static one, or make one";
        return Err(Refusal::field(RefusalCode::Conflict, &[field], message).into());
    }
    Ok(id)
}
