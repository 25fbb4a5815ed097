//! What is read from the CRM, and done there.

use service::crm;
use service::error::Result;
use service::jobs::ClaimedJob;

use crate::Deps;

/// Reads what changed; goes on behind the last page that was committed.
pub async fn sync(deps: &Deps, job: &ClaimedJob) -> Result<()> {
    let synced = crm::sync::run(&deps.services, job).await?;
    tracing::info!(job = job.id, ?synced, "the CRM was read");
    Ok(())
}

/// Adds persons to a list, or removes them; goes on with those who are still to be.
pub async fn members(deps: &Deps, job: &ClaimedJob) -> Result<()> {
    let changed = crm::members::run(&deps.services, job).await?;
    tracing::info!(job = job.id, changed = changed.added, unchanged = changed.unchanged, "a list was changed");
    Ok(())
}

/// Makes tasks; goes on with those that are still to be made.
pub async fn follow_ups(deps: &Deps, job: &ClaimedJob) -> Result<()> {
    let made = crm::follow_ups::run(&deps.services, job).await?;
    tracing::info!(job = job.id, added = made.added, unchanged = made.unchanged, "tasks were made");
    Ok(())
}

/// Tells the CRM what it is to be told.
pub async fn report(deps: &Deps, job: &ClaimedJob) -> Result<()> {
    let reported = crm::reports::run(&deps.services, job).await?;
    let failed = service::skipped::Skipped::total(&reported.skipped_by_reason);
    tracing::info!(job = job.id, told = reported.told, failed, "the CRM was told");
    Ok(())
}
