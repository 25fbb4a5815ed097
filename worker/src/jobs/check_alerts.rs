//! Looking whether something is wrong with a campaign.

use service::alerts;
use service::error::Result;
use service::jobs::ClaimedJob;

use crate::Deps;

/// Looks; after a crash it goes on behind the last campaigns that were committed.
pub async fn run(deps: &Deps, job: &ClaimedJob) -> Result<()> {
    alerts::check(&deps.services, job, deps.notifier.channels()).await
}
