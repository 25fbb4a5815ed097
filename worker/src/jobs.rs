//! The jobs, one file each. A job is registered by one line in [`work`].

mod act_on_addresses;
mod check_alerts;
mod check_reminders;
mod corrections;
mod crm;
mod export;
mod import;
mod members;
mod notify;
mod prune;
pub mod rematch;
mod remind;
mod resend;
mod review_addresses;
mod settle_recipients;

use std::time::Duration;

use domain::{Timestamp, backoff};
use service::error::{Causes, Result, ServiceError};
use service::jobs::{self, ClaimedJob, JobKind, Which};
use tokio_util::sync::CancellationToken;

use crate::Deps;

/// A worker says so often within a lease that it is still at its job.
const RENEWALS: i64 = 4;
/// After so many attempts a job is given up that fails without getting on.
const ATTEMPTS: i32 = 8;
/// After so many attempts a job is given up whose workers died at it without getting on: it may be what kills them.
const DEATHS: i32 = 25;

/// What is said of a job that ends because of what it would store.
const NOT_STORABLE: &str = "the database refuses what this job has to store; the log says why";

/// What a job does. Registering one is a line here.
async fn work(deps: &Deps, job: &ClaimedJob) -> Result<()> {
    match job.kind {
        JobKind::Import => import::run(deps, job).await,
        JobKind::Rematch => rematch::run(deps, job).await,
        JobKind::SettleRecipients => settle_recipients::run(deps, job).await,
        JobKind::ReviewAddresses => review_addresses::run(deps, job).await,
        JobKind::ClearBounces
        | JobKind::BlockAddresses
        | JobKind::DeleteAddresses
        | JobKind::MarkFormerEmployees
        | JobKind::RestoreConsent => act_on_addresses::run(deps, job).await,
        JobKind::CheckAlerts => check_alerts::run(deps, job).await,
        JobKind::Notify => notify::run(deps, job).await,
        JobKind::Export => export::run(deps, job).await,
        JobKind::Prune => prune::run(deps, job).await,
        JobKind::Remind => remind::run(deps, job).await,
        JobKind::CheckReminders => check_reminders::run(deps, job).await,
        JobKind::SyncCrm => crm::sync(deps, job).await,
        JobKind::AddToSelection | JobKind::RemoveFromSelection | JobKind::AddToProject => crm::members(deps, job).await,
        JobKind::CreateFollowUps => crm::follow_ups(deps, job).await,
        JobKind::ReportToCrm => crm::report(deps, job).await,
        JobKind::ImportCorrections => corrections::import(deps, job).await,
        JobKind::ApplyCorrection => corrections::follow(deps, job).await,
        JobKind::SuggestCorrections => corrections::suggest(deps, job).await,
        JobKind::PushCorrections => corrections::push(deps, job).await,
        JobKind::ImportMembers => members::import(deps, job).await,
        JobKind::ReloadRecipients => members::reload(deps, job).await,
        JobKind::Resend => resend::run(deps, job).await,
    }
}

/// Claims a job and does it. A job that somebody else has, or has done, is left alone.
pub async fn run(deps: &Deps, id: i64, shutdown: &CancellationToken) {
    if shutdown.is_cancelled() {
        return;
    }
    let services = &deps.services;
    let claimed = jobs::claim(services, Which::Id(id), &deps.name, services.now(), services.lease_until()).await;
    let job = match claimed {
        Ok(Some(job)) => job,
        Ok(None) => return,
        Err(error) => {
            tracing::error!(job = id, error = %Causes(&error), "a job could not be claimed; it waits");
            return;
        }
    };
    if job.tries > DEATHS {
        let message = format!("given up: {DEATHS} workers in a row ended while they were at it");
        tracing::error!(job = id, kind = %job.kind, "a job is given up: its workers die at it");
        end(jobs::fail(services, &job, &message, None, services.now()).await.map_err(Into::into), id);
        return;
    }
    if job.kind.is_routine() {
        tracing::debug!(job = id, kind = %job.kind, attempt = job.attempt, "a job begins");
    } else {
        tracing::info!(job = id, kind = %job.kind, attempt = job.attempt, "a job begins");
    }
    let result = tokio::select! {
        result = work(deps, &job) => result,
        () = keep(deps, &job) => Err(ServiceError::JobLost),
        // What is done is committed; the rest is taken up by whoever claims the job next.
        () = shutdown.cancelled() => {
            end(jobs::hand_back(services, &job).await.map_err(Into::into), id);
            return;
        }
    };
    match result {
        Ok(()) if job.kind.is_routine() => tracing::debug!(job = id, "a job is done"),
        Ok(()) => tracing::info!(job = id, "a job is done"),
        Err(ServiceError::JobLost) => lost(id),
        Err(error) => end(fail(deps, &job, &error).await, id),
    }
}

/// Says again and again that the job is still being worked on; returns when it is no longer this worker's.
async fn keep(deps: &Deps, job: &ClaimedJob) {
    let lease = Duration::from_secs(deps.services.lease_seconds().unsigned_abs());
    let every = lease / u32::try_from(RENEWALS).unwrap_or(1);
    loop {
        tokio::time::sleep(every).await;
        match jobs::renew(&deps.services, job, deps.services.lease_until()).await {
            Ok(true) => {}
            Ok(false) => return,
            // The lease lasts for a few more tries.
            Err(error) => tracing::warn!(job = job.id, error = %Causes(&error), "a lease could not be renewed"),
        }
    }
}

/// Decides what becomes of a job that failed: a refusal is final, everything else is tried again, later each time.
async fn fail(deps: &Deps, job: &ClaimedJob, error: &ServiceError) -> Result<bool> {
    let now = deps.services.now();
    if let ServiceError::Later { why, seconds, .. } = error {
        tracing::info!(job = job.id, kind = %job.kind, seconds, why = %Causes(error), "a job waits");
        let at = now.plus_seconds(*seconds);
        let message = format!("{why}: this is tried again by itself at {}", Timestamp::from_seconds(at.seconds()));
        return Ok(jobs::postpone(&deps.services, job, &message, at).await?);
    }
    let (message, retry_at) = match error {
        ServiceError::Refused(refusal) => (refusal.message.clone(), None),
        error if error.is_refused_data() => {
            // Whoever begins it again meets the same.
            tracing::error!(job = job.id, kind = %job.kind, attempt = job.attempt, error = %Causes(error), "job data refused by the database");
            (NOT_STORABLE.to_owned(), None)
        }
        _ => {
            tracing::error!(job = job.id, kind = %job.kind, attempt = job.attempt, error = %Causes(error), "a job failed");
            let retry = now.plus_micros(backoff::wait_ms(job.tries, job.id).saturating_mul(1_000));
            let message = match error {
                ServiceError::Outside { .. } => format!("{error}; the log says why"),
                _ => "something failed that is not your fault; the log says what".to_owned(),
            };
            (message, (job.tries < ATTEMPTS).then_some(retry))
        }
    };
    match jobs::fail(&deps.services, job, &message, retry_at, now).await.map_err(ServiceError::from) {
        // It ends, and is not begun again for ever.
        Err(error) if error.is_refused_data() => Ok(jobs::fail(&deps.services, job, NOT_STORABLE, None, now).await?),
        written => written,
    }
}

fn end(result: Result<bool>, id: i64) {
    match result {
        Ok(true) => {}
        Ok(false) => lost(id),
        Err(error) => tracing::error!(job = id, error = %Causes(&error), "the end of a job could not be written"),
    }
}

fn lost(id: i64) {
    tracing::warn!(job = id, "a job was called off, or given to another worker: this one stops");
}
