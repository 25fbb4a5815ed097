//! Writing a list into a file.

use service::error::Result;
use service::jobs::ClaimedJob;

use crate::Deps;

/// Writes it; after a crash it begins anew, because what it read was the state of one moment.
pub async fn run(deps: &Deps, job: &ClaimedJob) -> Result<()> {
    service::exports::run_export_job(&deps.services, job).await
}
