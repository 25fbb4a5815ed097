//! Work that is done later: rows that say what is due, who does it and what came of it.
//!
//! [`enqueue`] writes a row in the caller's transaction: the job exists exactly if what asked for it does. A worker [`claim`]s it
//! for the time of a lease and works under it. Each claim counts the attempts up, and every write of a running job names its
//! attempt: a worker whose lease ran out and whose job was given to another changes nothing any more, and is told so.

mod control;
mod kind;
mod list;
mod running;
#[cfg(test)]
mod tests;

use domain::Timestamp;
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Value};

use crate::access::Services;
use crate::changes::Change;
use crate::db::{Db, query_all, query_one};
use crate::error::{Result, ServiceError};
pub use kind::{JobKind, JobState, Queue};
pub(crate) use list::get;
pub use list::{Job, JobFilter};
pub use running::{checkpoint, fail, finish, hand_back, postpone, progress, renew, succeed};

/// Whether the job with the id `job`, an SQL expression, waits or runs: an SQL condition.
pub(crate) fn is_active(job: &str) -> String {
    let (queued, running) = (JobState::Queued.code(), JobState::Running.code());
    format!("EXISTS (SELECT 1 FROM job WHERE job.id = {job} AND job.state IN ({queued}, {running}))")
}

/// For how long a job is its worker's before that has to say again that it is still at it, in seconds, unless another length is
/// configured.
pub const LEASE_SECONDS: i64 = 30;

/// A job to be done.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// What it does.
    pub kind: JobKind,
    /// What it needs to know: ids and options, never data.
    pub payload: serde_json::Value,
    /// Where it waits: usually [`JobKind::queue`].
    pub queue: Queue,
    /// Where there is a job with the same key already, it is that one.
    pub idempotency_key: Option<String>,
    /// Who wants it, as in the audit log.
    pub created_by: String,
    /// When it is due.
    pub run_at: Timestamp,
}

impl NewJob {
    /// A job that is due at `now`, without an idempotency key.
    #[must_use]
    pub fn new(kind: JobKind, payload: serde_json::Value, created_by: &str, now: Timestamp) -> Self {
        let created_by = created_by.to_owned();
        Self { kind, payload, queue: kind.queue(), idempotency_key: None, created_by, run_at: now }
    }
}

/// A job that a worker has.
#[derive(Clone, Debug)]
pub struct ClaimedJob {
    /// Its key in the database.
    pub id: i64,
    /// What it does.
    pub kind: JobKind,
    /// What it needs to know.
    pub payload: serde_json::Value,
    /// Which attempt this is, from 1: the fencing token of its writes.
    pub attempt: i32,
    /// Attempts since it was added, since somebody had it tried again, or since it last got on.
    pub tries: i32,
    /// How far an attempt before this one got: see [`checkpoint`].
    pub position: Option<serde_json::Value>,
    /// What it has dealt with by then.
    pub progress: JobProgress,
    /// Who wants it.
    pub created_by: String,
}

/// Which job to claim.
#[derive(Clone, Copy, Debug)]
pub enum Which {
    /// The one that is due for the longest time.
    Next(Queue),
    /// This one.
    Id(i64),
}

/// How far a job is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobProgress {
    /// How many are done.
    pub done: i64,
    /// Of how many, where that is known.
    pub total: Option<i64>,
    /// How many of those that are done were skipped.
    pub skipped: i64,
}

/// Adds a job, in the caller's transaction; returns its id, or that of the job that has its idempotency key already.
///
/// # Errors
/// Those of the database.
pub async fn enqueue<C: ConnectionTrait>(connection: &C, job: NewJob, now: Timestamp) -> Result<i64, DbErr> {
    // A conflict changes nothing, but only a changed row is returned.
    let row = query_one(
        connection,
        "INSERT INTO job (kind, queue, payload, idempotency_key, state, run_at, created_by, created_at) \
         VALUES ($1, $2, $3, $4, 1, $5, $6, $7) \
         ON CONFLICT (idempotency_key) DO UPDATE SET idempotency_key = excluded.idempotency_key RETURNING id",
        [
            job.kind.code().into(),
            job.queue.code().into(),
            job.payload.to_string().into(),
            job.idempotency_key.into(),
            job.run_at.micros().into(),
            job.created_by.into(),
            now.micros().into(),
        ],
    )
    .await?;
    row.ok_or_else(|| DbErr::RecordNotInserted)?.try_get_by_index(0)
}

/// The first jobs of a queue that are due, or whose worker let its lease run out, in the order in which they are due.
///
/// # Errors
/// Those of the database.
pub async fn due(db: &Db, queue: Queue, now: Timestamp, limit: i64) -> Result<Vec<i64>> {
    // Each index is read in its order and no further than needed, however much waits.
    let sql = "SELECT id FROM (\
               SELECT id, run_at FROM (SELECT id, run_at FROM job WHERE queue = $3 AND state = 1 AND run_at <= $1 \
                  ORDER BY run_at LIMIT $2) AS waiting UNION ALL \
               SELECT id, run_at FROM (SELECT id, run_at FROM job WHERE queue = $3 AND state = 2 AND lease_until < $1 \
                  ORDER BY lease_until LIMIT $2) AS abandoned) AS due ORDER BY run_at, id LIMIT $2";
    let rows = query_all(db.read(), sql, [now.micros().into(), limit.into(), queue.code().into()]).await?;
    Ok(rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, DbErr>>()?)
}

/// Takes a job that is due, or whose worker let its lease run out, until `lease_until`. `None` where there is none.
///
/// # Errors
/// Those of the database.
pub async fn claim(
    services: &Services,
    which: Which,
    worker: &str,
    now: Timestamp,
    lease_until: Timestamp,
) -> Result<Option<ClaimedJob>> {
    const DUE: &str = "state = 1 AND run_at <= $1";
    const ABANDONED: &str = "state = 2 AND lease_until < $1";
    // Two statements, so that each reads its own small index.
    for condition in [DUE, ABANDONED] {
        let claimed = claim_where(services, condition, which, worker, now, lease_until).await?;
        if claimed.is_some() {
            return Ok(claimed);
        }
    }
    Ok(None)
}

async fn claim_where(
    services: &Services,
    condition: &str,
    which: Which,
    worker: &str,
    now: Timestamp,
    lease_until: Timestamp,
) -> Result<Option<ClaimedJob>> {
    let (chosen, value): (_, Value) = match which {
        Which::Next(queue) => ("queue = $2", queue.code().into()),
        Which::Id(id) => ("id = $2", id.into()),
    };
    let lock = if services.db.is_postgres() { "FOR UPDATE SKIP LOCKED" } else { "" };
    let sql = format!(
        "UPDATE job SET state = 2, attempt = attempt + 1, worker = $3, lease_until = $4, \
            started_at = COALESCE(started_at, $1), error = NULL \
         WHERE id = (SELECT id FROM job WHERE {condition} AND {chosen} ORDER BY run_at, id LIMIT 1 {lock}) \
         RETURNING id, kind, payload, attempt, created_by, attempt - forgiven, position, done, total, skipped"
    );
    let values = [now.micros().into(), value, worker.to_owned().into(), lease_until.micros().into()];
    let row = query_one(services.db.write(), &sql, values).await?;
    let claimed = row.as_ref().map(read_claimed).transpose()?;
    if let Some(job) = &claimed {
        services.changes.publish(Change::Job(job.id));
    }
    Ok(claimed)
}

fn read_claimed(row: &QueryResult) -> Result<ClaimedJob> {
    Ok(ClaimedJob {
        id: row.try_get_by_index(0)?,
        kind: kind_of(row.try_get_by_index(1)?)?,
        payload: serde_json::from_str(&row.try_get_by_index::<String>(2)?)?,
        attempt: row.try_get_by_index(3)?,
        created_by: row.try_get_by_index(4)?,
        tries: row.try_get_by_index(5)?,
        position: row.try_get_by_index::<Option<String>>(6)?.as_deref().map(serde_json::from_str).transpose()?,
        progress: JobProgress {
            done: row.try_get_by_index(7)?,
            total: row.try_get_by_index(8)?,
            skipped: row.try_get_by_index(9)?,
        },
    })
}

fn kind_of(code: i16) -> Result<JobKind> {
    JobKind::from_code(code).ok_or_else(|| ServiceError::Inconsistent(format!("a job has the unknown kind {code}")))
}
