//! What a worker writes while it has a job: always with the number of its attempt, so that one whose lease ran out changes nothing.

use domain::Timestamp;
use domain::text::cut;
use sea_orm::{ConnectionTrait, DbErr, Value};
use serde::Serialize;

use super::{ClaimedJob, JobProgress};
use crate::access::Services;
use crate::changes::Change;
use crate::db::execute;
use crate::error::{Result, ServiceError};

/// As much of an error is kept, in characters.
const MAX_ERROR: usize = 2_000;

/// Says, in the transaction that does a part of a job, how far the job is with it: the part is done exactly if that is written, by
/// exactly one worker. The next attempt finds `position` in [`ClaimedJob::position`]. A job that gets on has all its tries again.
///
/// # Errors
/// [`ServiceError::JobLost`] where the job is no longer this worker's: the transaction is to be dropped. Those of the database.
pub async fn checkpoint<C: ConnectionTrait>(
    connection: &C,
    services: &Services,
    job: &ClaimedJob,
    progress: JobProgress,
    position: &impl Serialize,
) -> Result<()> {
    const SET: &str = "lease_until = $3, done = $4, total = $5, skipped = $6, position = $7, forgiven = attempt - 1";
    let values = [
        services.lease_until().micros().into(),
        progress.done.into(),
        progress.total.into(),
        progress.skipped.into(),
        serde_json::to_string(position)?.into(),
    ];
    ours(write(connection, services, job, SET, values).await?)
}

/// Ends a job that is done, in the transaction that does the last part of it.
///
/// # Errors
/// As [`checkpoint`].
pub async fn finish<C: ConnectionTrait>(
    connection: &C,
    services: &Services,
    job: &ClaimedJob,
    progress: JobProgress,
    result: &impl Serialize,
) -> Result<()> {
    const SET: &str = "state = 3, result = $3, finished_at = $4, done = $5, total = $6, skipped = $7, position = NULL, lease_until = NULL";
    let values = [
        serde_json::to_string(result)?.into(),
        services.now().micros().into(),
        progress.done.into(),
        progress.total.into(),
        progress.skipped.into(),
    ];
    ours(write(connection, services, job, SET, values).await?)
}

const fn ours(is_written: bool) -> Result<()> {
    if is_written { Ok(()) } else { Err(ServiceError::JobLost) }
}

/// Gives a job back that is due at once and has lost nothing by it: the worker ends.
///
/// # Errors
/// Those of the database.
pub async fn hand_back(services: &Services, job: &ClaimedJob) -> Result<bool, DbErr> {
    let set = "state = 1, run_at = $3, forgiven = forgiven + 1, lease_until = NULL, worker = NULL";
    write(services.db.write(), services, job, set, [services.now().micros().into()]).await
}

/// Puts a job off that cannot get on now, and has lost nothing by it: it is due again at `run_at`. `why` is read by users. `false`: it
/// was no longer this worker's.
///
/// # Errors
/// Those of the database.
pub async fn postpone(services: &Services, job: &ClaimedJob, why: &str, run_at: Timestamp) -> Result<bool, DbErr> {
    let set = "state = 1, error = $3, run_at = $4, forgiven = forgiven + 1, lease_until = NULL, worker = NULL";
    write(services.db.write(), services, job, set, [cut(why, MAX_ERROR).into(), run_at.micros().into()]).await
}

/// Says how far a job is, and keeps it until `lease_until`. `false`: it is no longer this worker's, which should stop.
///
/// # Errors
/// Those of the database.
pub async fn progress(
    services: &Services,
    job: &ClaimedJob,
    progress: JobProgress,
    lease_until: Timestamp,
) -> Result<bool, DbErr> {
    const SET: &str = "lease_until = $3, done = $4, total = $5, skipped = $6";
    let values = [lease_until.micros().into(), progress.done.into(), progress.total.into(), progress.skipped.into()];
    write(services.db.write(), services, job, SET, values).await
}

/// Keeps a job until `lease_until`. `false`: it is no longer this worker's, which should stop.
///
/// # Errors
/// Those of the database.
pub async fn renew(services: &Services, job: &ClaimedJob, lease_until: Timestamp) -> Result<bool, DbErr> {
    write(services.db.write(), services, job, "lease_until = $3", [lease_until.micros().into()]).await
}

/// Ends a job that is done. `false`: it was no longer this worker's.
///
/// # Errors
/// Those of the database.
pub async fn succeed(
    services: &Services,
    job: &ClaimedJob,
    result: &serde_json::Value,
    now: Timestamp,
) -> Result<bool, DbErr> {
    const SET: &str = "state = 3, result = $3, finished_at = $4, lease_until = NULL";
    write(services.db.write(), services, job, SET, [result.to_string().into(), now.micros().into()]).await
}

/// Ends an attempt that failed: the job is tried again at `retry_at`, or given up. `false`: it was no longer this worker's.
/// `error` is read by users: it names no person.
///
/// # Errors
/// Those of the database.
pub async fn fail(
    services: &Services,
    job: &ClaimedJob,
    error: &str,
    retry_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<bool, DbErr> {
    let error = cut(error, MAX_ERROR).into();
    match retry_at {
        Some(at) => {
            let set = "state = 1, error = $3, run_at = $4, lease_until = NULL, worker = NULL";
            write(services.db.write(), services, job, set, [error, at.micros().into()]).await
        }
        None => {
            let set = "state = 4, error = $3, finished_at = $4, lease_until = NULL";
            write(services.db.write(), services, job, set, [error, now.micros().into()]).await
        }
    }
}

/// Changes a job, if it still is in the hands of this attempt.
async fn write<C: ConnectionTrait, const N: usize>(
    connection: &C,
    services: &Services,
    job: &ClaimedJob,
    set: &str,
    values: [Value; N],
) -> Result<bool, DbErr> {
    let sql = format!("UPDATE job SET {set} WHERE id = $1 AND attempt = $2 AND state = 2");
    let values = [job.id.into(), job.attempt.into()].into_iter().chain(values);
    let is_written = execute(connection, &sql, values).await?.rows_affected() == 1;
    if is_written {
        services.changes.publish(Change::Job(job.id));
    }
    Ok(is_written)
}
