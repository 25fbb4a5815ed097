//! The members of selections and projects as the recipients of a campaign.

use service::error::Result;
use service::import::members;
use service::jobs::ClaimedJob;

use crate::Deps;

/// Imports them; goes on behind the last person that was dealt with.
pub async fn import(deps: &Deps, job: &ClaimedJob) -> Result<()> {
    let result = members::run(&deps.services, job).await?;
    tracing::info!(job = job.id, read = result.read, imported = result.counts.imported, "members were imported");
    Ok(())
}

/// Reads them again; goes on behind the last recipient, or person, that was dealt with.
pub async fn reload(deps: &Deps, job: &ClaimedJob) -> Result<()> {
    let reloaded = members::reload(&deps.services, job).await?;
    tracing::info!(job = job.id, ?reloaded, "recipients were read again");
    Ok(())
}
