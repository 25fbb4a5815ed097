//! Writing a list into a file.
//!
//! A task reads pages of the list in one snapshot; a thread turns their rows into cells and writes them, while the next page comes. A
//! snapshot ends with its connection, so an export that was interrupted begins anew. What it had written is removed: the
//! temporary file by its name, which holds the job's number, and the one in the store by the number of the attempt.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::Timestamp;
use domain::table::{Cell, TableWriter};
use entity::export_file;
use sea_orm::{DatabaseTransaction, EntityTrait, IntoActiveModel, QueryResult};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::columns::Read;
use super::lists::{List, Source};
use super::removal::delete;
use super::rows;
use super::{ExportResult, Exports, Payload};
use crate::access::Services;
use crate::db::{query_all, query_one};
use crate::error::{Result, ServiceError};
use crate::jobs::{self, ClaimedJob, JobProgress, JobState};
use crate::subject::Subject;
use crate::uploads::make_folder;

/// As many rows are read at once.
const PAGE: i64 = 2_000;
/// So many pages may wait for the thread that writes.
const PAGES_AHEAD: usize = 2;
/// After so many rows the job says how far it is.
const REPORT_EVERY: i64 = 20_000;
/// As far a list is counted before it is read, so that its progress has an end.
const MAX_COUNT: i64 = 200_000;
/// Where files lie until they are complete, within the data folder.
const FOLDER: &str = "unfinished";

/// Does an export job.
///
/// # Errors
/// [`ServiceError::JobLost`] where it is no longer this worker's; those of the database, the disk and the store.
pub async fn run_export_job(services: &Services, job: &ClaimedJob) -> Result<()> {
    run(services, job, &mut |_rows| {}).await
}

/// As [`run_export_job`]; `on_page` is told after each page how many rows were read.
pub(super) async fn run(services: &Services, job: &ClaimedJob, on_page: &mut (dyn FnMut(i64) + Send)) -> Result<()> {
    let payload: Payload = serde_json::from_value(job.payload.clone())?;
    let exports = services.exports()?.clone();
    let folder = services.data_dir.join(FOLDER);
    make_folder(&folder).await?;
    clear(&exports, &payload, job, &folder).await?;
    let _slot = match payload.list.is_short() {
        true => None,
        false => exports.long.acquire().await.ok(),
    };
    let name = format!("{}-{}-", job.id, job.attempt);
    // Removed when this ends, however it does; readable by us alone.
    let path = tempfile::Builder::new().prefix(&name).tempfile_in(&folder)?.into_temp_path();
    let written = write(services, &exports, job, &payload, &path, on_page).await?;

    let id = payload.file_id(job.attempt);
    let stored = exports.files.put(&id, &path).await.map_err(|error| ServiceError::outside("the file store", error))?;
    let now = services.now();
    let result = ExportResult {
        name: written.source.file_name(written.snapshot_at, payload.format),
        content_type: payload.format.content_type().to_owned(),
        size: i64::try_from(stored).unwrap_or(i64::MAX),
        rows: written.rows,
        snapshot_at: written.snapshot_at,
        expires_at: now.plus_seconds(exports.options.keep_days * 86_400),
        file_id: id,
    };
    match record(services, job, &result, now).await {
        Ok(transaction) => Ok(transaction.commit().await?),
        Err(error) => {
            // Nobody will ever know of it.
            exports.files.delete(&result.file_id).await.ok();
            Err(error)
        }
    }
}

/// Removes what earlier attempts have left.
async fn clear(exports: &Exports, payload: &Payload, job: &ClaimedJob, folder: &Path) -> Result<()> {
    if job.attempt == 1 {
        return Ok(());
    }
    for attempt in 1..job.attempt {
        delete(exports, &payload.file_id(attempt)).await?;
    }
    for (path, owner) in leftovers(folder).await? {
        if owner == job.id {
            tokio::fs::remove_file(path).await.ok();
        }
    }
    Ok(())
}

/// Removes the temporary files of jobs that nobody is at.
pub(super) async fn remove_leftovers(services: &Services) -> Result<()> {
    for (path, job) in leftovers(&services.data_dir.join(FOLDER)).await? {
        let row = query_one(services.db.read(), "SELECT state FROM job WHERE id = $1", [job.into()]).await?;
        let state: Option<i16> = row.map(|row| row.try_get_by_index(0)).transpose()?;
        if state != Some(JobState::Running.code()) {
            tokio::fs::remove_file(path).await.ok();
        }
    }
    Ok(())
}

/// The temporary files, each with the number of its job.
async fn leftovers(folder: &Path) -> Result<Vec<(PathBuf, i64)>> {
    let mut found = Vec::new();
    let mut entries = match tokio::fs::read_dir(folder).await {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        entries => entries?,
    };
    while let Some(entry) = entries.next_entry().await? {
        let name = entry.file_name();
        let job = name.to_str().and_then(|name| name.split('-').next()?.parse().ok());
        found.extend(job.map(|job| (entry.path(), job)));
    }
    Ok(found)
}

/// Notes down that the file is there, and ends the job with it; to be committed.
async fn record(
    services: &Services,
    job: &ClaimedJob,
    result: &ExportResult,
    now: Timestamp,
) -> Result<DatabaseTransaction> {
    let row = export_file::Model {
        id: result.file_id.clone(),
        job_id: job.id,
        name: result.name.clone(),
        content_type: result.content_type.clone(),
        size: result.size,
        rows_written: result.rows,
        snapshot_at: result.snapshot_at.micros(),
        created_by: job.created_by.clone(),
        created_at: now.micros(),
        expires_at: result.expires_at.micros(),
        removed_at: None,
    };
    let transaction = services.db.begin().await?;
    export_file::Entity::insert(row.into_active_model()).exec_without_returning(&transaction).await?;
    let progress = JobProgress { done: result.rows, total: Some(result.rows), skipped: 0 };
    jobs::finish(&transaction, services, job, progress, result).await?;
    Ok(transaction)
}

/// What was written.
struct Written {
    source: Source,
    rows: i64,
    snapshot_at: Timestamp,
}

async fn write(
    services: &Services,
    exports: &Arc<Exports>,
    job: &ClaimedJob,
    payload: &Payload,
    path: &Path,
    on_page: &mut (dyn FnMut(i64) + Send),
) -> Result<Written> {
    let snapshot_at = services.now();
    let snapshot = services.db.begin_snapshot().await?;
    let source = payload.list.source(&snapshot).await?;
    let total = count(services, &snapshot, &payload.list, &source).await?;
    let mut thread = WritingThread::start(exports, payload, &source, path);
    let expressions = source.expressions();
    let mut place: Vec<i64> = Vec::new();
    let (mut rows, mut reported) = (0, 0);
    loop {
        let (text, values) = source.scan.select(&expressions, &place, PAGE).into_parts();
        let page = query_all(&snapshot, &text, values).await?;
        let Some(last) = page.last() else { break };
        place = (0..source.scan.keys.len()).map(|key| last.try_get_by_index(key)).collect::<Result<_, _>>()?;
        let read = i64::try_from(page.len()).unwrap_or(i64::MAX);
        rows += read;
        if !thread.take(page).await {
            break;
        }
        on_page(rows);
        if rows - reported >= REPORT_EVERY {
            reported = rows;
            let progress = JobProgress { done: rows, total: total.map(|total| total.max(rows)), skipped: 0 };
            if !jobs::progress(services, job, progress, services.lease_until()).await? {
                return Err(ServiceError::JobLost);
            }
        }
        if read < PAGE {
            break;
        }
    }
    thread.finish().await?;
    snapshot.rollback().await?;
    Ok(Written { source, rows, snapshot_at })
}

/// How many rows there will be, where that is found out quickly.
async fn count(
    services: &Services,
    snapshot: &DatabaseTransaction,
    list: &List,
    source: &Source,
) -> Result<Option<i64>> {
    if let List::Recipients { set, .. } = list {
        // What the subject may ask for was checked when the job was made.
        let reader = services.access(Subject::command_line()).reader();
        let count = set.size(&reader, MAX_COUNT).await?;
        return Ok(count.exact.then_some(count.value));
    }
    let (text, values) = source.scan.count(MAX_COUNT).into_parts();
    let row = query_one(snapshot, &text, values).await?;
    let count: i64 = row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or_default();
    Ok((count <= MAX_COUNT).then_some(count))
}

/// The thread that writes. Where this is dropped before the end, the thread stops, and leaves the file as it is.
struct WritingThread {
    pages: mpsc::Sender<Message>,
    thread: JoinHandle<Result<()>>,
}

enum Message {
    /// Rows, each behind its key.
    Page(Vec<QueryResult>),
    /// Those were all.
    End,
}

impl WritingThread {
    fn start(exports: &Arc<Exports>, payload: &Payload, source: &Source, path: &Path) -> Self {
        let (pages, waiting) = mpsc::channel(PAGES_AHEAD);
        let (exports, table, path, format) = (exports.clone(), source.table.clone(), path.to_owned(), payload.format);
        let (reads, keys) = (source.reads.clone(), source.scan.keys.len());
        let thread = tokio::task::spawn_blocking(move || {
            let writer = exports.formats.begin(format, &table, &path)?;
            write_all(writer, waiting, &reads, keys)
        });
        Self { pages, thread }
    }

    /// Hands it a page. `false`: it has ended, and [`WritingThread::finish`] says why.
    async fn take(&mut self, page: Vec<QueryResult>) -> bool {
        self.pages.send(Message::Page(page)).await.is_ok()
    }

    /// Waits until everything is written.
    async fn finish(self) -> Result<()> {
        // Where it has ended already, the thread says why.
        self.pages.send(Message::End).await.ok();
        self.thread.await.map_err(|error| ServiceError::outside("writing the file", error))?
    }
}

fn write_all(
    mut writer: Box<dyn TableWriter>,
    mut pages: mpsc::Receiver<Message>,
    reads: &[Read],
    keys: usize,
) -> Result<()> {
    while let Some(message) = pages.blocking_recv() {
        let Message::Page(page) = message else { return Ok(writer.finish()?) };
        let mut cells: Vec<Cell<'_>> = Vec::with_capacity(reads.len());
        for row in &page {
            rows::cells(row, keys, reads, &mut cells)?;
            writer.write(&cells)?;
        }
    }
    // Nobody waits for the rest.
    Ok(())
}
