//! Skipping recipients whose address was blocked, and taking those back whose address is well again.

use service::addresses::settle;
use service::error::Result;
use service::jobs::ClaimedJob;

use crate::Deps;

/// Goes on behind the last address, or recipient, that was settled.
pub async fn run(deps: &Deps, job: &ClaimedJob) -> Result<()> {
    settle::run(&deps.services, job).await.map(|_| ())
}
