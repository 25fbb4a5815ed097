//! Exported files: each has a time of its own at which it goes.

use domain::Timestamp;

use super::table::number;
use super::{Item, Run};
use crate::access::Services;
use crate::db::query_one;
use crate::error::Result;
use crate::exports::remove_expired;

/// As many files are removed before that is noted.
const CHUNK: i64 = 100;

/// How many files are still there although their time is over.
pub async fn count(services: &Services, cutoff: Timestamp) -> Result<u64> {
    let sql = "SELECT count(*) FROM export_file WHERE removed_at IS NULL AND expires_at <= $1";
    number(query_one(services.db.read(), sql, [cutoff.micros().into()]).await?.as_ref())
}

/// Removes them, and what exports left behind that were killed or called off. Their rows stay.
pub async fn remove(run: &mut Run<'_>, cutoff: Timestamp) -> Result<()> {
    if run.services.exports.is_none() {
        // A process that was given no file store makes none, and removes none.
        return Ok(());
    }
    loop {
        let removed = remove_expired(run.services, cutoff, CHUNK).await?;
        let transaction = run.services.db.begin().await?;
        run.commit(transaction, Item::Exports, u64::try_from(removed).unwrap_or_default()).await?;
        if removed < CHUNK {
            return Ok(());
        }
    }
}
