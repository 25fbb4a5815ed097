//! Looking which reminders are due, and taking those out who no longer need one.

use service::error::Result;
use service::jobs::ClaimedJob;
use service::reminders::{self, Checked};

use crate::Deps;

/// Looks. What it does may be done twice without harm.
pub async fn run(deps: &Deps, job: &ClaimedJob) -> Result<()> {
    let Checked { taken_out, jobs } = reminders::check(&deps.services, job).await?;
    if taken_out > 0 || jobs > 0 {
        tracing::info!(job = job.id, taken_out, jobs, "reminders were looked at");
    }
    Ok(())
}
