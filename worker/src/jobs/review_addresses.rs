//! Judging addresses again: bounces have expired, or the rules have changed.

use service::addresses::review;
use service::error::Result;
use service::jobs::ClaimedJob;

use crate::Deps;

/// Goes on behind the last address that was reviewed.
pub async fn run(deps: &Deps, job: &ClaimedJob) -> Result<()> {
    let reviewed = review::run(&deps.services, job).await?;
    if reviewed.changed > 0 {
        tracing::info!(job = job.id, ?reviewed, "addresses are judged otherwise now");
    }
    Ok(())
}
