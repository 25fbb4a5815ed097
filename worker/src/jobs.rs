//! The jobs, one file each. A job is registered by one line in [`work`].

mod import;
pub mod rematch;

use std::time::Duration;

use service::error::{Causes, Result, ServiceError};
use service::jobs::{self, ClaimedJob, JobKind, Which};
use tokio_util::sync::CancellationToken;

use crate::Deps;

/// How often a worker says that it is still at its job.
const RENEW_EVERY: Duration = Duration::from_secs(15);
/// After so many attempts a job is given up.
const ATTEMPTS: i32 = 8;

/// Claims a job and does it. A job that somebody else has, or has done, is left alone.
pub async fn run(deps: &Deps, id: i64, shutdown: &CancellationToken) {
    let now = deps.services.now();
    let worker = format!("{}", std::process::id());
    let claimed = jobs::claim(&deps.services, Which::Id(id), &worker, now, now.plus_seconds(jobs::LEASE_SECONDS)).await;
    let job = match claimed {
        Ok(Some(job)) => job,
        Ok(None) => return,
        Err(error) => {
            tracing::error!(job = id, error = %Causes(&error), "a job could not be claimed; it waits");
            return;
        }
    };
    tracing::info!(job = id, kind = ?job.kind, attempt = job.attempt, "a job begins");
    let result = tokio::select! {
        result = work(deps, &job) => result,
        () = keep(deps, &job) => return,
        // What is done is committed; the rest is taken up by whoever claims the job next.
        () = shutdown.cancelled() => {
            end(jobs::fail(&deps.services, &job, "handed back: the process ended", Some(now), now).await.map_err(Into::into), id);
            return;
        }
    };
    if let Err(error) = result {
        end(fail(deps, &job, &error).await, id);
    } else {
        tracing::info!(job = id, "a job is done");
    }
}

/// Says again and again that the job is still being worked on; returns when it is no longer this worker's.
async fn keep(deps: &Deps, job: &ClaimedJob) {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        let lease_until = deps.services.now().plus_seconds(jobs::LEASE_SECONDS);
        match jobs::renew(&deps.services, job, lease_until).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(job = job.id, "a job was given to another worker meanwhile");
                return;
            }
            // The lease lasts for a few more tries.
            Err(error) => tracing::warn!(job = job.id, error = %Causes(&error), "a lease could not be renewed"),
        }
    }
}

async fn work(deps: &Deps, job: &ClaimedJob) -> Result<()> {
    match job.kind {
        JobKind::Import => import::run(deps, job).await,
        JobKind::Rematch => rematch::run(deps, job).await,
    }
}

/// Decides what becomes of a job that failed: a refusal is final, everything else is tried again, later each time.
async fn fail(deps: &Deps, job: &ClaimedJob, error: &ServiceError) -> Result<bool> {
    let now = deps.services.now();
    let (message, retry_at) = match error {
        ServiceError::Refused(refusal) => (refusal.message.clone(), None),
        _ => {
            tracing::error!(job = job.id, attempt = job.attempt, error = %Causes(error), "a job failed");
            let wait = 2_i64.saturating_pow(u32::try_from(job.tries).unwrap_or(1)).min(3_600);
            let retry = (job.tries < ATTEMPTS).then(|| now.plus_seconds(wait));
            ("something failed that is not your fault; the log says what".to_owned(), retry)
        }
    };
    Ok(jobs::fail(&deps.services, job, &message, retry_at, now).await?)
}

fn end(result: Result<bool>, id: i64) {
    match result {
        Ok(true) => {}
        Ok(false) => tracing::warn!(job = id, "a job was given to another worker meanwhile"),
        Err(error) => tracing::error!(job = id, error = %Causes(&error), "the end of a job could not be written"),
    }
}
