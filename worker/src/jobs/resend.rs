//! Sending a campaign again to those who have not got it.

use service::error::Result;
use service::jobs::ClaimedJob;
use service::resends;

use crate::Deps;

/// Makes them ready; goes on behind the last recipient that was dealt with.
pub async fn run(deps: &Deps, job: &ClaimedJob) -> Result<()> {
    let resent = resends::run(&deps.services, job).await?;
    tracing::info!(job = job.id, added = resent.added, unchanged = resent.unchanged, "a campaign is to be sent again");
    Ok(())
}
