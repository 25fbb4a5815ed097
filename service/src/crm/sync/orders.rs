//! Ordering a reading of the CRM: by users, by the CRM's own word, and by jobs that need one first.
//!
//! Whoever orders what a job that waits will read anyway gets that job. One that is at it began before the order, so it is followed by
//! another one, in which all that is ordered meanwhile comes together.

use domain::Timestamp;
use domain::crm::{ListKind, Told};
use sea_orm::{ConnectionTrait, DatabaseTransaction};
use serde::{Deserialize, Serialize};

use crate::access::{Marketer, Services};
use crate::audit;
use crate::crm::lists::{self, table};
use crate::db::{execute, query_all, query_one};
use crate::error::{Refusal, RefusalCode, Result, ServiceError};
use crate::jobs::{self, ClaimedJob, Job, JobKind, JobState, NewJob, Queue};
use crate::subject::SCHEDULE;

/// A job that needs a reading looks so often whether that is done, in seconds.
const WAIT: i64 = 2;

/// What a job reads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Request {
    /// All persons, not only those that changed.
    pub complete: bool,
    /// Only these selections, by our ids.
    pub selections: Option<Vec<i64>>,
    /// The same of projects. Where only one of the two is given, nothing is read of the other.
    pub projects: Option<Vec<i64>>,
    /// Nothing but what concerns these.
    pub only: Option<Only>,
    /// Whoever a complete reading does not find is gone, even if those are most of them.
    pub accept_missing: bool,
}

/// The part of the CRM that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Only {
    /// Persons.
    Persons,
    /// Projects, their members, and the persons these may be.
    Projects,
}

impl Request {
    /// Whether it names its lists: somebody waits for it.
    pub(super) const fn is_named(&self) -> bool {
        self.selections.is_some() || self.projects.is_some()
    }

    /// Whether whoever has this done has the other done as well.
    fn covers(&self, other: &Self) -> bool {
        let includes = |ours: &Option<Vec<i64>>, theirs: &Option<Vec<i64>>| {
            theirs.iter().flatten().all(|id| ours.iter().flatten().any(|known| known == id))
        };
        let covers_lists = match (other.is_named(), other.only) {
            (true, _) => {
                self.is_named()
                    && includes(&self.selections, &other.selections)
                    && includes(&self.projects, &other.projects)
            }
            // Whatever else is read, persons are.
            (false, Some(Only::Persons)) => true,
            (false, Some(Only::Projects)) => !self.is_named() && self.only != Some(Only::Persons),
            (false, None) => !self.is_named() && self.only.is_none(),
        };
        covers_lists && (self.complete || !other.complete) && (self.accept_missing || !other.accept_missing)
    }

    const fn queue(&self) -> Queue {
        if self.is_named() { Queue::Interactive } else { JobKind::SyncCrm.queue() }
    }
}

impl Marketer {
    /// Has selections read from the CRM now, by a job: these, or all that are used here; then also the persons that changed, and projects.
    ///
    /// # Errors
    /// A refusal where there is no such selection; those of the database.
    pub async fn sync_selections(&self, selections: Option<Vec<i64>>) -> Result<Job> {
        let transaction = self.services.db.begin().await?;
        for id in selections.iter().flatten() {
            lists::require(&transaction, ListKind::Selection, *id, &["selectionIds"]).await?;
        }
        self.order_sync(transaction, Request { selections, ..Request::default() }).await
    }

    /// Has everything read from the CRM, by a job.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn sync_crm(&self, complete: bool) -> Result<Job> {
        self.order_sync(self.services.db.begin().await?, Request { complete, ..Request::default() }).await
    }

    /// Has everything read from the CRM, by a job, and believes it whoever is missing there: for once, when many are gone for good.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn sync_crm_accepting_missing(&self) -> Result<Job> {
        let request = Request { complete: true, accept_missing: true, ..Request::default() };
        self.order_sync(self.services.db.begin().await?, request).await
    }

    async fn order_sync(&self, transaction: DatabaseTransaction, request: Request) -> Result<Job> {
        let now = self.services.now();
        let job = order(&transaction, &request, &self.subject.id, now, now).await?;
        let detail = request.accept_missing.then(|| serde_json::json!({ "acceptMissing": true }));
        audit::record(&transaction, now, &self.subject, "crm.sync", format!("job:{job}"), detail).await?;
        let job = jobs::get(&transaction, job).await?;
        transaction.commit().await?;
        self.services.jobs_were_added();
        Ok(job)
    }
}

impl Services {
    /// What a request to the CRM's webhook tells only shortens the wait: a job reads what changed. `false`: it does not come from the CRM.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn hear_crm(&self, headers: &[(String, String)], body: &[u8]) -> Result<bool> {
        let Some(told) = self.crm.told(headers, body) else { return Ok(false) };
        if told.iter().all(|told| *told == Told::Nothing) {
            return Ok(true);
        }
        let only = if told.contains(&Told::Projects) { Only::Projects } else { Only::Persons };
        let request = Request { only: Some(only), ..Request::default() };
        let now = self.now();
        // However many requests there are: one job in half a minute, when it is over.
        let run_at = Timestamp::from_seconds((now.seconds().div_euclid(30) + 1) * 30);
        let transaction = self.db.begin().await?;
        order(&transaction, &request, SCHEDULE, run_at, now).await?;
        transaction.commit().await?;
        self.jobs_were_added();
        Ok(true)
    }
}

/// Orders a reading that is due at `run_at`; the job that does it, which may wait already. Whoever commits says then that jobs were added.
async fn order<C: ConnectionTrait>(
    connection: &C,
    request: &Request,
    subject: &str,
    run_at: Timestamp,
    now: Timestamp,
) -> Result<i64> {
    // Who orders at the same time waits here: there is one job for both.
    let sql = "INSERT INTO crm_sync (subject) VALUES ('reading') ON CONFLICT (subject) DO UPDATE SET subject = excluded.subject";
    execute(connection, sql, []).await?;
    if let Some(job) = waiting(connection, request).await? {
        // One that was put off has a reason to wait; one that was told of by the CRM has none.
        let sql = "UPDATE job SET run_at = $2 WHERE id = $1 AND run_at > $2 AND error IS NULL";
        execute(connection, sql, [job.into(), run_at.micros().into()]).await?;
        return Ok(job);
    }
    let job = NewJob::new(JobKind::SyncCrm, serde_json::to_value(request)?, subject, now);
    Ok(jobs::enqueue(connection, NewJob { queue: request.queue(), run_at, ..job }, now).await?)
}

/// A job that has not begun, and will read what is asked for.
pub(crate) async fn waiting<C: ConnectionTrait>(connection: &C, request: &Request) -> Result<Option<i64>> {
    // The state is no parameter: so the index of the jobs that wait can be used.
    let sql = format!(
        "SELECT id, payload FROM job WHERE queue IN ({}, {}) AND state = 1 AND kind = $1 AND position IS NULL ORDER BY id",
        Queue::Interactive.code(),
        Queue::Bulk.code(),
    );
    for row in query_all(connection, &sql, [JobKind::SyncCrm.code().into()]).await? {
        let known: Request = serde_json::from_str(&row.try_get_by_index::<String>(1)?)?;
        if known.covers(request) {
            return Ok(Some(row.try_get_by_index(0)?));
        }
    }
    Ok(None)
}

/// Sees that these lists, and the persons that changed, have been read since `job` was ordered, before it goes by them: another job reads
/// them, and this one waits. One reading is for one try: where `job` is tried again before it has noted a position, they are read anew.
///
/// # Errors
/// [`ServiceError::Later`] until they are read; a refusal where one of them could not be; those of the database.
pub(crate) async fn read_before(
    services: &Services,
    job: &ClaimedJob,
    selections: Vec<i64>,
    projects: Vec<i64>,
) -> Result<()> {
    if services.crm.is_builtin() || (selections.is_empty() && projects.is_empty()) {
        return Ok(());
    }
    let now = services.now();
    let lists = [(ListKind::Selection, selections.clone()), (ListKind::Project, projects.clone())];
    let request = Request { selections: Some(selections), projects: Some(projects), ..Request::default() };
    let reading = NewJob {
        // Not one for each attempt of the job: each look whether the reading is done is one.
        idempotency_key: Some(format!("read-before-{}", job.id)),
        queue: Queue::Interactive,
        ..NewJob::new(JobKind::SyncCrm, serde_json::to_value(request)?, &job.created_by, now)
    };
    let transaction = services.db.begin().await?;
    let id = jobs::enqueue(&transaction, reading, now).await?;
    let reading = jobs::get(&transaction, id).await?;
    if reading.state.is_final() {
        let sql = "UPDATE job SET idempotency_key = NULL WHERE id = $1";
        execute(&transaction, sql, [id.into()]).await?;
    }
    transaction.commit().await?;
    match reading.state {
        JobState::Succeeded => {
            for (list, ids) in lists {
                require_read(services, list, &ids).await?;
            }
            Ok(())
        }
        JobState::Queued | JobState::Running => {
            services.jobs_were_added();
            Err(ServiceError::Later { why: "the CRM is being read", seconds: WAIT, source: None })
        }
        JobState::Failed | JobState::Canceled => {
            let why = reading.error.unwrap_or_else(|| "that was called off".to_owned());
            Err(Refusal::new(RefusalCode::Conflict, format!("the CRM could not be read: {why}")).into())
        }
    }
}

/// Refuses lists whose members could not be read from the CRM, or that are not there any more: who is on them is not known.
async fn require_read(services: &Services, list: ListKind, ids: &[i64]) -> Result<()> {
    let table = table(list);
    let sql = format!(
        "SELECT name, sync_error FROM {table} WHERE id = $1 AND (sync_error IS NOT NULL OR deleted_at IS NOT NULL)"
    );
    for id in ids {
        let Some(row) = query_one(services.db.read(), &sql, [(*id).into()]).await? else { continue };
        let (name, error): (String, Option<String>) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        let why = error.unwrap_or_else(|| "it is not there any more".to_owned());
        let message = format!("the {table} \"{name}\" could not be read from the CRM: {why}");
        return Err(Refusal::new(RefusalCode::Conflict, message).into());
    }
    Ok(())
}
