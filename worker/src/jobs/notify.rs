//! Telling somebody about an alert.

use service::alerts;
use service::error::Result;
use service::jobs::ClaimedJob;

use crate::Deps;

/// Tells; where that fails for now, the job is tried again.
pub async fn run(deps: &Deps, job: &ClaimedJob) -> Result<()> {
    alerts::tell(&deps.services, job, deps.notifier.as_ref()).await
}
