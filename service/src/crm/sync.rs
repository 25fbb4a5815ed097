//! Reading the CRM into our tables: its persons, the names of its selections and projects, and who is on those that are used here.
//!
//! Persons are read as a whole for the first time, and once a night: whoever is not found then is gone. Between that only those are read
//! that changed since the last reading began. A job that is interrupted goes on behind the last page that was committed. Readings go on one
//! after the other; only one that somebody waits for, of lists that are named, does not wait for its turn ([`orders`]).

mod orders;
mod state;

use domain::Timestamp;
use domain::crm::{ListKind, PersonQuery};
use domain::text::cut;
use sea_orm::{ConnectionTrait, DatabaseTransaction};
use serde::{Deserialize, Serialize};

use super::lists::{member_table, table};
use super::outcome::MAX_MESSAGE;
use super::{mirror, read_members};
use crate::access::Services;
use crate::batch::{Batch, Column};
use crate::db::{execute, query_all, query_one};
use crate::error::{Causes, Refusal, RefusalCode, Result, ServiceError};
use crate::jobs::{self, ClaimedJob, JobProgress};
use crate::skipped::Skipped;
use orders::Only;
pub use orders::Request;
pub(crate) use orders::{read_before, waiting};
use state::Note;
pub use state::{CrmState, LastReading, Subject};

/// As much of what a list is for is kept, in characters.
const MAX_DESCRIPTION: usize = 10_000;
/// Clocks differ: what changed so long before a reading began is read again by the next one, in seconds.
const OVERLAP: i64 = 300;
/// A job looks so often whether it is its turn, in seconds.
const WAIT: i64 = 10;
/// A reading that finds less than this part of the persons that were known is not believed: it marks nobody as gone.
const BELIEVED: (i64, i64) = (1, 2);

/// What a job read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Synced {
    /// Persons that were read.
    pub persons: i64,
    /// Of these, those that are new or differ.
    pub changed: i64,
    /// Persons that the CRM does not know any more.
    pub gone: i64,
    /// Selections and projects whose members were read.
    pub lists: i64,
    /// Selections and projects whose members could not be read; each says why.
    pub failed: i64,
    /// The same by what they are, [`SELECTION_NOT_READ`] or [`PROJECT_NOT_READ`]. Examples are `selection:id` and `project:id`.
    pub not_read: Vec<Skipped>,
}

/// A selection that is left out because its members could not be read.
pub const SELECTION_NOT_READ: &str = "SELECTION_NOT_READ";
/// A project that is left out because its members could not be read.
pub const PROJECT_NOT_READ: &str = "PROJECT_NOT_READ";

/// Where a job stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Step {
    Persons { since: Option<Timestamp>, next: Option<String> },
    Names { list: ListKind, next: Option<String> },
    Members { list: ListKind, after: i64, current: Option<(i64, read_members::Reading)> },
    End,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Position {
    began: Timestamp,
    step: Step,
    synced: Synced,
    /// The list that could not be read last, and why.
    #[serde(default)]
    failure: Option<String>,
}

/// Does a job, from where it was left.
///
/// # Errors
/// [`JobLost`](ServiceError::JobLost); [`Later`](ServiceError::Later) where the CRM cannot be reached; those of the database.
pub async fn run(services: &Services, job: &ClaimedJob) -> Result<Synced> {
    let request: Request = serde_json::from_value(job.payload.clone())?;
    if !services.crm.is_builtin() && !request.is_named() {
        take_turn(services, job).await?;
    }
    let position = match &job.position {
        Some(position) => serde_json::from_value(position.clone())?,
        None => begin(services, &request).await?,
    };
    let mut work = Work { services, job, request, position };
    if services.crm.is_builtin() {
        // There is nothing to mirror.
        return work.end().await;
    }
    let done = work.work_off().await;
    if let Err(error) = &done
        && !matches!(error, ServiceError::JobLost)
    {
        tracing::warn!(job = job.id, error = %Causes(error), "the CRM could not be read");
        // That single lists which were named cannot be read says nothing about the others.
        let is_of_lists = work.request.is_named() && matches!(error, ServiceError::Refused(_));
        if let Some(subject) =
            work.position.step.subject().filter(|subject| *subject == Subject::Persons || !is_of_lists)
        {
            let note =
                Note { subject, read_until: None, complete_at: None, job: job.id, error: Some(error.to_string()) };
            note.write(services.db.write(), services.now()).await?;
        }
    }
    done
}

/// Waits while another reading goes on: one at a time is enough for the CRM, and for the queue.
async fn take_turn(services: &Services, job: &ClaimedJob) -> Result<()> {
    let sql = format!(
        "INSERT INTO crm_sync (subject, last_job) VALUES ('reading', $1) ON CONFLICT (subject) DO UPDATE SET last_job = excluded.last_job \
         WHERE crm_sync.last_job IS NULL OR crm_sync.last_job = excluded.last_job OR NOT {}",
        jobs::is_active("crm_sync.last_job"),
    );
    if execute(services.db.write(), &sql, [job.id.into()]).await?.rows_affected() == 0 {
        return Err(ServiceError::Later { why: "another reading of the CRM goes on", seconds: WAIT, source: None });
    }
    Ok(())
}

async fn begin(services: &Services, request: &Request) -> Result<Position> {
    let sql = "SELECT read_until FROM crm_sync WHERE subject = 'persons' AND complete_at IS NOT NULL";
    let row = query_one(services.db.read(), sql, []).await?;
    let read_until = row.map(|row| row.try_get_by_index::<Option<i64>>(0)).transpose()?.flatten();
    let since = read_until.filter(|_| !request.complete).map(|at| Timestamp::from_micros(at).plus_seconds(-OVERLAP));
    let began = services.now();
    Ok(Position { began, step: Step::Persons { since, next: None }, synced: Synced::default(), failure: None })
}

struct Work<'a> {
    services: &'a Services,
    job: &'a ClaimedJob,
    request: Request,
    position: Position,
}

/// The reason for which a list is left out whose members could not be read.
const fn not_read(list: ListKind) -> &'static str {
    match list {
        ListKind::Selection => SELECTION_NOT_READ,
        ListKind::Project => PROJECT_NOT_READ,
    }
}

impl Step {
    /// What it reads.
    const fn subject(&self) -> Option<Subject> {
        match self {
            Self::Persons { .. } => Some(Subject::Persons),
            Self::Names { list, .. } | Self::Members { list, .. } => Some(Subject::of(*list)),
            Self::End => None,
        }
    }
}

impl Work<'_> {
    async fn work_off(&mut self) -> Result<Synced> {
        loop {
            match self.position.step.clone() {
                Step::Persons { since, next } => self.persons(since, next).await?,
                Step::Names { list, next } => self.names(list, next).await?,
                Step::Members { list, after, current } => self.members(list, after, current).await?,
                Step::End => return self.end().await,
            }
        }
    }

    async fn save(&self, transaction: DatabaseTransaction) -> Result<()> {
        let synced = &self.position.synced;
        let progress = JobProgress { done: synced.persons + synced.lists, total: None, skipped: synced.failed };
        jobs::checkpoint(&transaction, self.services, self.job, progress, &self.position).await?;
        Ok(transaction.commit().await?)
    }

    async fn persons(&mut self, since: Option<Timestamp>, next: Option<String>) -> Result<()> {
        let page = self.services.crm.persons(&PersonQuery { changed_since: since, after: next }).await?;
        let now = self.services.now();
        let transaction = self.services.db.begin_keyed().await?;
        let reading = since.is_none().then(|| self.position.began.micros());
        let changed = mirror::write(&transaction, &page.rows, reading, now).await?;
        self.position.synced.persons += i64::try_from(page.rows.len()).unwrap_or(i64::MAX);
        self.position.synced.changed += i64::try_from(changed).unwrap_or(i64::MAX);
        if page.next.is_some() {
            self.position.step = Step::Persons { since, next: page.next };
        } else {
            if let Some(reading) = reading {
                self.position.synced.gone = self.forget(&transaction, reading, now).await?;
            }
            let complete_at = reading.map(|_| now);
            self.note_read(&transaction, Subject::Persons, complete_at, None).await?;
            self.position.step = match self.request.only {
                None => Step::Names { list: ListKind::Selection, next: None },
                Some(Only::Projects) => Step::Names { list: ListKind::Project, next: None },
                Some(Only::Persons) => Step::End,
            };
        }
        self.save(transaction).await
    }

    /// Marks those as gone whom a complete reading did not find, unless that would be most of them.
    async fn forget<C: ConnectionTrait>(&self, connection: &C, reading: i64, now: Timestamp) -> Result<i64> {
        let sql = "SELECT count(*), count(CASE WHEN seen_in >= $1 THEN 1 END) FROM person WHERE deleted_at IS NULL";
        let row = query_one(connection, sql, [reading.into()]).await?;
        let (known, found): (i64, i64) = match row {
            Some(row) => (row.try_get_by_index(0)?, row.try_get_by_index(1)?),
            None => (0, 0),
        };
        if !self.request.accept_missing && found * BELIEVED.1 < known * BELIEVED.0 {
            let message = format!(
                "the CRM shows {found} of {known} persons: that is not believed, and nobody is taken for gone. See whether \
                 nachfass may still read all of them (nachfass crm check); where the others are gone for good, accept that once \
                 (nachfass crm sync --complete --accept-missing)"
            );
            return Err(Refusal::new(RefusalCode::Conflict, message).into());
        }
        Ok(i64::try_from(mirror::forget_unseen(connection, reading, now).await?).unwrap_or(i64::MAX))
    }

    /// Notes that something was read, as of the time at which this job began.
    async fn note_read<C: ConnectionTrait>(
        &self,
        connection: &C,
        subject: Subject,
        complete_at: Option<Timestamp>,
        error: Option<String>,
    ) -> Result<()> {
        let read_until = Some(self.position.began);
        let note = Note { subject, read_until, complete_at, job: self.job.id, error };
        note.write(connection, self.services.now()).await
    }

    /// Reads which lists there are.
    async fn names(&mut self, list: ListKind, next: Option<String>) -> Result<()> {
        let page = self.services.crm.lists(list, next.as_deref()).await?;
        let (table, members) = (table(list), member_table(list));
        let transaction = self.services.db.begin_keyed().await?;
        let mut batch = Batch::new(&[
            ("crm_id", Column::Text),
            ("name", Column::Text),
            ("description", Column::Text),
            ("kind", Column::Small),
        ]);
        for row in page.rows {
            let description = row.description.map(|text| cut(&text, MAX_DESCRIPTION));
            batch.push([row.id.into(), cut(&row.name, MAX_MESSAGE).into(), description.into(), row.kind.code().into()]);
        }
        if !batch.is_empty() {
            // One that we are just making has no id of the CRM yet; its job will say that it is this one.
            let sql = format!(
                "INSERT INTO {table} (key, crm_id, name, description, kind, seen_in, created_by, created_at) \
                 SELECT 'crm-' || crm_id, crm_id, name, description, kind, {{1}}, 'crm', {{2}} FROM {{rows}} WHERE true \
                 ON CONFLICT (crm_id) DO UPDATE SET name = excluded.name, description = excluded.description, \
                 kind = excluded.kind, seen_in = excluded.seen_in, deleted_at = NULL"
            );
            let more = [self.position.began.micros().into(), self.services.now().micros().into()];
            batch.execute(&transaction, &sql, more).await?;
        }
        self.position.step = match (page.next, list) {
            (Some(next), _) => Step::Names { list, next: Some(next) },
            (None, _) => {
                // Those that were made here while this went on have not been seen by it either.
                let sql = format!(
                    "UPDATE {table} SET deleted_at = $2 WHERE deleted_at IS NULL AND crm_id IS NOT NULL AND seen_in < $1 \
                     AND created_at < $1 AND NOT EXISTS (SELECT 1 FROM {members} m WHERE m.list_id = {table}.id AND m.state <> 3)"
                );
                let values = [self.position.began.micros(), self.services.now().micros()].map(Into::into);
                execute(&transaction, &sql, values).await?;
                let first = if self.request.only.is_some() { ListKind::Project } else { ListKind::Selection };
                match list {
                    ListKind::Selection => Step::Names { list: ListKind::Project, next: None },
                    ListKind::Project => Step::Members { list: first, after: 0, current: None },
                }
            }
        };
        self.save(transaction).await
    }

    /// Reads the next page of the members of a list that is used here.
    async fn members(
        &mut self,
        list: ListKind,
        after: i64,
        current: Option<(i64, read_members::Reading)>,
    ) -> Result<()> {
        let current = match current {
            Some(current) => Some(current),
            None => self.next_list(list, after).await?.map(|id| (id, read_members::Reading::begin(self.services))),
        };
        let Some((id, reading)) = current else {
            self.position.step = match list {
                ListKind::Selection => Step::Members { list: ListKind::Project, after: 0, current: None },
                ListKind::Project => Step::End,
            };
            return self.note_list(list).await;
        };
        match read_members::page(self.services, list, id, &reading).await {
            Ok((transaction, next)) => {
                self.position.synced.lists += i64::from(next.is_none());
                let after = if next.is_some() { after } else { id };
                self.position.step = Step::Members { list, after, current: next.map(|reading| (id, reading)) };
                self.save(transaction).await
            }
            // One list that the CRM does not show does not hold up the others.
            Err(ServiceError::Refused(refusal)) => {
                let (transaction, table) = (self.services.db.begin().await?, table(list));
                let sql = format!("UPDATE {table} SET sync_error = $2 WHERE id = $1 RETURNING name");
                let row = query_one(&transaction, &sql, [id.into(), cut(&refusal.message, MAX_MESSAGE).into()]).await?;
                let name: String = row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or_default();
                self.position.failure = Some(format!("the {table} \"{name}\": {}", refusal.message));
                self.position.synced.failed += 1;
                Skipped::add(&mut self.position.synced.not_read, not_read(list), &format!("{table}:{id}"));
                self.position.step = Step::Members { list, after: id, current: None };
                self.save(transaction).await
            }
            Err(error) => Err(error),
        }
    }

    /// The next list whose members matter: those that were asked for; else those that were made or read here before, or that campaigns
    /// take their recipients from.
    async fn next_list(&self, list: ListKind, after: i64) -> Result<Option<i64>> {
        let Request { selections, projects, .. } = &self.request;
        if self.request.is_named() {
            let wanted = if list == ListKind::Selection { selections } else { projects };
            return Ok(wanted.iter().flatten().copied().filter(|id| *id > after).min());
        }
        let (table, members) = (table(list), member_table(list));
        let sql = format!(
            "SELECT l.id FROM {table} l WHERE l.id > $1 AND l.crm_id IS NOT NULL AND l.deleted_at IS NULL AND (l.synced_at IS NOT NULL \
                OR EXISTS (SELECT 1 FROM campaign_source s WHERE s.{table}_id = l.id) \
                OR EXISTS (SELECT 1 FROM {members} m WHERE m.list_id = l.id)) ORDER BY l.id LIMIT 1"
        );
        let rows = query_all(self.services.db.read(), &sql, [after.into()]).await?;
        Ok(rows.first().map(|row| row.try_get_by_index(0)).transpose()?)
    }

    /// Notes how the reading of the selections, or of the projects, went, where it was one of all that are used.
    async fn note_list(&self, list: ListKind) -> Result<()> {
        if self.request.is_named() {
            return Ok(());
        }
        let reason = not_read(list);
        let failed = self.position.synced.not_read.iter().find(|skipped| skipped.reason == reason);
        let error = failed.map(|failed| format!("the members of {} could not be read: each says why", failed.count));
        self.note_read(self.services.db.write(), Subject::of(list), None, error).await
    }

    async fn end(&mut self) -> Result<Synced> {
        if self.request.is_named()
            && self.position.synced.lists == 0
            && let Some(failure) = self.position.failure.take()
        {
            // Tried again, they are read again.
            self.position.step = Step::Members { list: ListKind::Selection, after: 0, current: None };
            (self.position.synced.failed, self.position.synced.not_read) = (0, Vec::new());
            self.save(self.services.db.begin().await?).await?;
            let message = format!("nothing of what was named could be read: {failure}");
            return Err(Refusal::new(RefusalCode::Conflict, message).into());
        }
        let synced = self.position.synced.clone();
        let transaction = self.services.db.begin().await?;
        let progress = JobProgress { done: synced.persons + synced.lists, total: None, skipped: synced.failed };
        jobs::finish(&transaction, self.services, self.job, progress, &synced).await?;
        transaction.commit().await?;
        Ok(synced)
    }
}
