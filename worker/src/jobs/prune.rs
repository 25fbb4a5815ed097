//! Removing what is older than it is kept.

use service::error::Result;
use service::jobs::ClaimedJob;

use crate::Deps;

/// Removes; after a crash it goes on with what is still there.
pub async fn run(deps: &Deps, job: &ClaimedJob) -> Result<()> {
    service::prune::run_job(&deps.services, job).await
}
