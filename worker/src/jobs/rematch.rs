//! Events that matched no recipient, tried again.

use std::collections::VecDeque;
use std::time::Duration;

use service::error::{Causes, Result};
use service::ingest;
use service::jobs::{self, ClaimedJob};
use tokio_util::sync::CancellationToken;

use crate::Deps;

/// Tries all of them: recipients have been imported.
pub async fn run(deps: &Deps, job: &ClaimedJob) -> Result<()> {
    let matched = deps.applier.rematch(0).await?;
    let result = serde_json::json!({ "matched": matched });
    jobs::succeed(&deps.services, job, &result, deps.services.now()).await?;
    Ok(())
}

const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// An event is swept up this many times.
const SWEEPS: usize = 10;

/// Tries lately come events again every minute, until `shutdown`: their recipient may have come in the same moment.
pub async fn sweep(deps: Deps, shutdown: CancellationToken) {
    let mut marks: VecDeque<i64> = VecDeque::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(SWEEP_EVERY) => {}
        }
        match ingest::last_delivery(deps.services.db()).await {
            Ok(last) => marks.push_back(last),
            Err(error) => {
                tracing::warn!(error = %Causes(&error), "unmatched events could not be swept up; the next sweep tries again");
                continue;
            }
        }
        let after = if marks.len() > SWEEPS { marks.pop_front() } else { marks.front().copied() };
        match deps.applier.rematch(after.unwrap_or_default()).await {
            Ok(0) => {}
            Ok(matched) => tracing::info!(matched, "unmatched events found their recipients"),
            Err(error) => {
                tracing::warn!(error = %Causes(&error), "unmatched events could not be swept up; the next sweep tries again")
            }
        }
    }
}
