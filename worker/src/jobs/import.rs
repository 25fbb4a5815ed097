//! Importing an upload.

use service::error::Result;
use service::jobs::{self, ClaimedJob};

use crate::Deps;

/// Imports; after a crash it goes on behind the last line that was committed.
pub async fn run(deps: &Deps, job: &ClaimedJob) -> Result<()> {
    let Some(result) = service::import::run_import_job(&deps.services, job, |_progress| {}).await? else {
        return Ok(());
    };
    jobs::succeed(&deps.services, job, &serde_json::to_value(result)?, deps.services.now()).await?;
    Ok(())
}
