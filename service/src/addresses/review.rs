//! Judging addresses again: by the clock, because bounces and the blocks that rest on them expire; or by other rules.

use serde::{Deserialize, Serialize};

use super::actions::lock;
use super::state;
use crate::access::Services;
use crate::db::query_all;
use crate::error::Result;
use crate::jobs::{self, ClaimedJob, JobProgress};
use crate::settings;
use crate::subject::SYSTEM;

/// As many addresses are judged in one transaction.
const CHUNK: i64 = 1_000;

/// What a review's job needs to know.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Payload {
    /// Also those of which nothing is wrong: the rules have changed.
    #[serde(default)]
    all: bool,
}

/// How far a review is, and what it did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reviewed {
    #[serde(default)]
    after: i64,
    /// Addresses that were looked at.
    pub looked_at: i64,
    /// Addresses that are judged otherwise now.
    pub changed: i64,
}

/// Does a review's job, from where it was left.
///
/// # Errors
/// [`JobLost`](crate::ServiceError::JobLost); those of the database.
pub async fn run(services: &Services, job: &ClaimedJob) -> Result<Reviewed> {
    let payload: Payload = serde_json::from_value(job.payload.clone())?;
    let mut reviewed: Reviewed = job.position.clone().map(serde_json::from_value).transpose()?.unwrap_or_default();
    // Only addresses with bounces can be judged in more than one way.
    let which = if payload.all { "health > 1 OR outcomes <> ''" } else { "health > 1" };
    let sql = format!("SELECT id FROM address WHERE ({which}) AND id > $1 ORDER BY id LIMIT $2");
    loop {
        let now = services.now();
        let transaction = services.db.begin_keyed().await?;
        let rows = query_all(&transaction, &sql, [reviewed.after.into(), CHUNK.into()]).await?;
        let ids = rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<Vec<i64>, _>>()?;
        let last = ids.last().copied();
        let mut states = lock(&transaction, ids).await?;
        let settings = settings::load(&transaction).await?;
        reviewed.looked_at += i64::try_from(states.len()).unwrap_or_default();
        states.retain_mut(|state| {
            let before = *state.judgement();
            state.judge(&settings.policy, now, None);
            let after = state.judgement();
            (before.health, before.blocked) != (after.health, after.blocked)
        });
        state::write_marks(&transaction, &states).await?;
        state::follow_up(&transaction, &states, &settings, SYSTEM, Some(job.id), now).await?;
        reviewed.changed += i64::try_from(states.len()).unwrap_or_default();
        let progress = JobProgress { done: reviewed.looked_at, total: None, skipped: 0 };
        match last {
            Some(last) => {
                reviewed.after = last;
                jobs::checkpoint(&transaction, services, job, progress, &reviewed).await?;
                transaction.commit().await?;
            }
            None => {
                jobs::finish(&transaction, services, job, progress, &reviewed).await?;
                transaction.commit().await?;
                services.jobs_were_added();
                return Ok(reviewed);
            }
        }
    }
}
