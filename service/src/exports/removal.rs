//! Removing what is no longer kept.

use domain::Timestamp;
use sea_orm::ConnectionTrait;

use super::job;
use crate::access::Services;
use crate::db::{execute, query_all};
use crate::error::{Result, ServiceError};

/// Removes up to `limit` files whose time is over at `now`; returns how many. Their rows stay, and say when that was.
///
/// # Errors
/// Those of the store and the database. What was removed by then stays removed.
pub async fn remove_expired(services: &Services, now: Timestamp, limit: i64) -> Result<i64> {
    job::remove_leftovers(services).await?;
    let sql = "SELECT id FROM export_file WHERE removed_at IS NULL AND expires_at <= $1 ORDER BY expires_at LIMIT $2";
    let rows = query_all(services.db.read(), sql, [now.micros().into(), limit.into()]).await?;
    let mut removed = 0;
    for row in rows {
        let id: String = row.try_get_by_index(0)?;
        // The file first: a row that says so while the file is there would leave it there for ever.
        services.exports()?.files.delete(&id).await.map_err(|error| ServiceError::outside("the file store", error))?;
        removed += mark(services.db.write(), &id, now).await?;
    }
    Ok(removed)
}

async fn mark<C: ConnectionTrait>(connection: &C, id: &str, now: Timestamp) -> Result<i64> {
    let sql = "UPDATE export_file SET removed_at = $2 WHERE id = $1 AND removed_at IS NULL";
    let result = execute(connection, sql, [id.to_owned().into(), now.micros().into()]).await?;
    Ok(i64::try_from(result.rows_affected()).unwrap_or(i64::MAX))
}
