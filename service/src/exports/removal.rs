//! Removing what is no longer kept, and what nobody knows of.

use domain::Timestamp;
use sea_orm::ConnectionTrait;

use super::{Exports, Payload, job};
use crate::access::Services;
use crate::db::{execute, query_all};
use crate::error::{Result, ServiceError};
use crate::jobs::{JobKind, JobState};

/// For so long after an export was given up, what it may have left is looked for.
const LOOK_BACK_SECONDS: i64 = 30 * 86_400;

/// Removes up to `limit` files whose time is over at `now`; returns how many. Their rows stay, and say when that was. What exports
/// left behind that were killed or called off goes, too.
///
/// # Errors
/// Those of the store and the database. What was removed by then stays removed.
pub async fn remove_expired(services: &Services, now: Timestamp, limit: i64) -> Result<i64> {
    let exports = services.exports()?;
    job::remove_leftovers(services).await?;
    remove_given_up(services, exports, now).await?;
    let sql = "SELECT id FROM export_file WHERE removed_at IS NULL AND expires_at <= $1 ORDER BY expires_at LIMIT $2";
    let rows = query_all(services.db.read(), sql, [now.micros().into(), limit.into()]).await?;
    let mut removed = 0;
    for row in rows {
        let id: String = row.try_get_by_index(0)?;
        // The file first: a row that says so while the file is there would leave it there for ever.
        delete(exports, &id).await?;
        removed += mark(services.db.write(), &id, now).await?;
    }
    Ok(removed)
}

/// Removes files of exports that ended without success between storing their file and noting it down.
async fn remove_given_up(services: &Services, exports: &Exports, now: Timestamp) -> Result<()> {
    let sql = "SELECT payload, attempt FROM job WHERE finished_at > $1 AND kind = $2 AND state IN ($3, $4)";
    let (since, kind) = (now.plus_seconds(-LOOK_BACK_SECONDS), JobKind::Export);
    let (failed, canceled) = (JobState::Failed.code(), JobState::Canceled.code());
    let values = [since.micros().into(), kind.code().into(), failed.into(), canceled.into()];
    for row in query_all(services.db.read(), sql, values).await? {
        let payload: Payload = serde_json::from_str(&row.try_get_by_index::<String>(0)?)?;
        let attempts: i32 = row.try_get_by_index(1)?;
        for attempt in 1..=attempts {
            delete(exports, &payload.file_id(attempt)).await?;
        }
    }
    Ok(())
}

/// Deletes a file of the store.
pub(super) async fn delete(exports: &Exports, id: &str) -> Result<()> {
    exports.files.delete(id).await.map_err(|error| ServiceError::outside("the file store", error))
}

async fn mark<C: ConnectionTrait>(connection: &C, id: &str, now: Timestamp) -> Result<i64> {
    let sql = "UPDATE export_file SET removed_at = $2 WHERE id = $1 AND removed_at IS NULL";
    let result = execute(connection, sql, [id.to_owned().into(), now.micros().into()]).await?;
    Ok(i64::try_from(result.rows_affected()).unwrap_or(i64::MAX))
}
