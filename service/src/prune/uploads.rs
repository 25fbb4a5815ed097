//! Uploads: the row, and the file.

use domain::Timestamp;

use super::{CHUNK, Item, Run};
use crate::access::Services;
use crate::db::{execute, query_all};
use crate::error::Result;
use crate::uploads;

/// How many are older and not needed any more.
pub async fn count(services: &Services, cutoff: Timestamp) -> Result<u64> {
    let (mut count, mut last) = (0, String::new());
    while let Some(chunk) = chunk(services, cutoff, &last).await? {
        count += u64::try_from(chunk.unneeded.len()).unwrap_or(u64::MAX);
        last = chunk.last;
    }
    Ok(count)
}

/// Removes them.
pub async fn remove(run: &mut Run<'_>, cutoff: Timestamp) -> Result<()> {
    uploads::remove_parts(run.services, cutoff).await?;
    let mut last = String::new();
    while let Some(chunk) = chunk(run.services, cutoff, &last).await? {
        for id in &chunk.unneeded {
            // The file first: a row without a file is found again, a file without a row never is.
            uploads::remove_file(run.services, id).await?;
            let transaction = run.services.db.begin().await?;
            let removed = execute(&transaction, "DELETE FROM upload WHERE id = $1", [id.as_str().into()]).await?;
            run.commit(transaction, Item::Uploads, removed.rows_affected()).await?;
        }
        last = chunk.last;
    }
    Ok(())
}

struct Chunk {
    unneeded: Vec<String>,
    last: String,
}

/// The old uploads behind the id `last`, without those that an import waits for or reads; `None` at the end.
async fn chunk(services: &Services, cutoff: Timestamp, last: &str) -> Result<Option<Chunk>> {
    let sql = format!("SELECT id FROM upload WHERE id > $1 AND created_at < $2 ORDER BY id LIMIT {CHUNK}");
    let rows = query_all(services.db.read(), &sql, [last.into(), cutoff.micros().into()]).await?;
    let mut unneeded: Vec<String> = rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?;
    let Some(last) = unneeded.last().cloned() else { return Ok(None) };
    for payload in uploads::named_by_active_jobs(services).await? {
        unneeded.retain(|id| !payload.contains(id));
    }
    Ok(Some(Chunk { unneeded, last }))
}
