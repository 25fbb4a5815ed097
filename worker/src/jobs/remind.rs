//! Making the reminders of a rule.

use service::error::Result;
use service::jobs::ClaimedJob;
use service::reminders;

use crate::Deps;

/// Makes them; after a crash it goes on behind the last recipients that were committed.
pub async fn run(deps: &Deps, job: &ClaimedJob) -> Result<()> {
    let reminded = reminders::run(&deps.services, job).await?;
    tracing::info!(job = job.id, added = reminded.added, campaigns = reminded.campaigns.len(), "reminders were made");
    Ok(())
}
