//! Corrections of addresses: read from a file, followed by recipients, suggested, and pushed to the CRM.

use service::corrections;
use service::error::Result;
use service::jobs::ClaimedJob;

use crate::Deps;

/// Applies those of a file; after a crash it goes on behind the last line that was committed.
pub async fn import(deps: &Deps, job: &ClaimedJob) -> Result<()> {
    let imported = corrections::file::run(&deps.services, job).await?;
    tracing::info!(job = job.id, ?imported, "corrections were read from a file");
    Ok(())
}

/// Has recipients take the corrected address; goes on behind the last ones that have.
pub async fn follow(deps: &Deps, job: &ClaimedJob) -> Result<()> {
    let followed = corrections::follow::run(&deps.services, job).await?;
    tracing::info!(job = job.id, changed = followed.changed, "recipients follow a correction");
    Ok(())
}

/// Looks for addresses that may be written wrongly; goes on behind the last one that was looked at.
pub async fn suggest(deps: &Deps, job: &ClaimedJob) -> Result<()> {
    let suggested = corrections::suggest::run(&deps.services, job, &deps.exchanges).await?;
    tracing::info!(job = job.id, ?suggested, "corrections were looked for");
    Ok(())
}

/// Tells the CRM; goes on with what it is still to be told.
pub async fn push(deps: &Deps, job: &ClaimedJob) -> Result<()> {
    let pushed = corrections::push::run(&deps.services, job).await?;
    tracing::info!(job = job.id, ?pushed, "the CRM was told of corrections");
    Ok(())
}
