//! What people do about sets of addresses: clearing, blocking, taking out of use, marking former employees, restoring consent.

use service::addresses::actions;
use service::error::Result;
use service::jobs::ClaimedJob;

use crate::Deps;

/// Goes on behind the last address that was dealt with.
pub async fn run(deps: &Deps, job: &ClaimedJob) -> Result<()> {
    actions::run(&deps.services, job).await.map(|_| ())
}
