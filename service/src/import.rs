//! Importing the recipients of a campaign from a file, at any size in constant memory.
//!
//! A thread reads the file ([`format`], [`records`], [`columns`]) and hands over a few thousand rows at a time; each such chunk
//! is decided on ([`plan`]) and written ([`write`]) in a transaction of its own, which also writes how far the import is. An import
//! that was killed goes on behind the last line that was committed, without loss or doubles.
//!
//! An [`Import`] is driven by its caller: [`Import::step`] until nothing is left, then [`Import::finish`], with whatever has to be
//! done in between; or [`Import::run`], which is both.

pub(crate) mod columns;
pub(crate) mod format;
mod job;
mod lookup;
pub mod members;
mod plan;
pub(crate) mod reading;
pub(crate) mod records;
pub(crate) mod report;
#[cfg(test)]
pub(crate) mod tests;
mod write;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use domain::Timestamp;
use sea_orm::DatabaseTransaction;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::access::Services;
use crate::addresses::settle;
use crate::audit;
use crate::db::{execute, query_one};
use crate::error::{Refusal, RefusalCode, Result, ServiceError};
use crate::jobs::{self, JobKind, NewJob};
use crate::subject::{Role, Subject};
use columns::Row;
pub use columns::{Field, Mapping};
pub use job::run_import_job;
use reading::{BytesRead, Reading};
pub use records::Format;
pub use report::Issue;
use write::Target;

/// Where the recipients come from.
pub struct Source {
    input: format::Bytes,
    /// How many bytes there are, where that is known.
    pub size: Option<u64>,
}

impl Source {
    /// An open file.
    ///
    /// # Errors
    /// Where its size cannot be read.
    pub fn file(file: File) -> io::Result<Self> {
        let size = Some(file.metadata()?.len()).filter(|size| *size > 0);
        Ok(Self { input: Box::new(file), size })
    }

    /// The file at `path`.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub fn path(path: &Path) -> io::Result<Self> {
        Self::file(File::open(path)?)
    }

    /// Anything else that bytes can be read from, such as the standard input.
    pub fn reader(input: impl Read + Send + 'static) -> Self {
        Self { input: Box::new(input), size: None }
    }
}

/// How to read a file, where that shall not be found out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportOptions {
    /// How the records are written.
    pub format: Option<Format>,
    /// Which column means what.
    #[serde(default)]
    pub mapping: Mapping,
}

/// What became of the lines of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// New recipients.
    pub imported: i64,
    /// Recipients that were there, and about which the file said something new.
    pub updated: i64,
    /// Recipients that were there just so.
    pub unchanged: i64,
    /// Recipients, new or there already, that are not to be sent to: doubles, invalid and blocked addresses.
    pub skipped: i64,
    /// Lines that made no recipient; the report says why.
    pub rejected: i64,
}

impl Counts {
    /// All lines that hold anything.
    #[must_use]
    pub const fn read(&self) -> i64 {
        self.imported + self.updated + self.unchanged + self.skipped + self.rejected
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.imported += other.imported;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.skipped += other.skipped;
        self.rejected += other.rejected;
    }
}

/// How far an import is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the file that were read: as they lie there, packed or not.
    pub bytes: u64,
    /// How many there are, where that is known.
    pub total_bytes: Option<u64>,
    /// What became of the lines so far.
    pub counts: Counts,
}

/// What an import did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportResult {
    /// The campaign.
    pub campaign_id: i64,
    /// The import: the report is kept under this id.
    pub import_id: i64,
    /// All lines that hold anything.
    pub read: i64,
    /// What became of them.
    #[serde(flatten)]
    pub counts: Counts,
}

/// As many records are written in one transaction, unless they are very long.
pub(crate) const CHUNK_RECORDS: usize = 2_000;
/// Records that take as many bytes of memory are written in one transaction, give or take a record.
const CHUNK_BYTES: usize = 8 << 20;
/// Of as many lines that made no recipient an import keeps what stands in them and why; the rest is only counted.
pub const MAX_ISSUES: i64 = 10_000;

/// Records that are written together.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    rows: Vec<Row>,
    issues: Vec<Issue>,
    /// The last line of the last record.
    last_line: i64,
    bytes: usize,
}

impl Chunk {
    fn push_row(&mut self, row: Row) {
        self.bytes = self.bytes.saturating_add(row.weight());
        self.rows.push(row);
    }

    fn push_issue(&mut self, issue: Issue) {
        self.bytes = self.bytes.saturating_add(issue.content.len() + issue.reason.len());
        self.issues.push(issue);
    }

    const fn is_full(&self) -> bool {
        self.rows.len() + self.issues.len() >= CHUNK_RECORDS || self.bytes >= CHUNK_BYTES
    }
}

/// An import that is under way. Dropping it stops it; what was committed stays.
pub struct Import {
    services: Services,
    target: Target,
    created_by: String,
    chunks: mpsc::Receiver<Chunk>,
    reader: Option<JoinHandle<Result<()>>>,
    bytes: BytesRead,
    total_bytes: Option<u64>,
    lines_done: i64,
    counts: Counts,
}

impl Import {
    /// Begins an import: looks at the file, and notes the import down.
    ///
    /// # Errors
    /// A refusal where the file cannot be read as recipients.
    pub async fn start(
        services: &Services,
        subject: &Subject,
        campaign: i64,
        source: Source,
        options: ImportOptions,
    ) -> Result<Self> {
        let (size, bytes) = (source.size, BytesRead::default());
        let reading = Reading::open(source, options, bytes.clone(), services.files.unpacked_bytes).await?;
        let import = note(services.db.write(), campaign, &subject.id, services.now()).await?;
        let position = Position { campaign, created_by: subject.id.clone(), ..Position::default() };
        Ok(Self::over(services, import, position, reading, (bytes, size)))
    }

    /// Goes on with an import that was begun before, behind the last line that is done.
    async fn resume(
        services: &Services,
        import: i64,
        position: Position,
        source: Source,
        options: ImportOptions,
    ) -> Result<Self> {
        let (size, bytes) = (source.size, BytesRead::default());
        let reading = Reading::open(source, options, bytes.clone(), services.files.unpacked_bytes).await?;
        Ok(Self::over(services, import, position, reading, (bytes, size)))
    }

    fn over(
        services: &Services,
        import: i64,
        position: Position,
        reading: Reading,
        (bytes, total_bytes): (BytesRead, Option<u64>),
    ) -> Self {
        // One chunk is being written, one waits, one is being read.
        let (sender, chunks) = mpsc::channel(1);
        let after = position.lines_done;
        let reader = tokio::task::spawn_blocking(move || reading.run(after, &sender));
        Self {
            services: services.clone(),
            target: Target { campaign: position.campaign, import },
            created_by: position.created_by,
            chunks,
            reader: Some(reader),
            bytes,
            total_bytes,
            lines_done: after,
            counts: position.counts,
        }
    }

    /// The import's id.
    #[must_use]
    pub const fn id(&self) -> i64 {
        self.target.import
    }

    /// Writes the next rows; `None` where there are no more.
    ///
    /// # Errors
    /// A refusal where the file is damaged or the campaign was cancelled; what was written before stays, and the import can be
    /// made again.
    pub async fn step(&mut self) -> Result<Option<Progress>> {
        let Some(chunk) = self.chunks.recv().await else {
            return self.end_reading().await.map(|()| None);
        };
        self.counts +=
            write::write(&self.services, self.target, (self.lines_done, self.counts.rejected), &chunk).await?;
        self.lines_done = chunk.last_line;
        Ok(Some(Progress { bytes: self.bytes.get(), total_bytes: self.total_bytes, counts: self.counts }))
    }

    /// Hears from the thread why there are no more rows.
    async fn end_reading(&mut self) -> Result<()> {
        match self.reader.take() {
            Some(reader) => reader
                .await
                .map_err(|error| ServiceError::Inconsistent(format!("reading a file ended early: {error}")))?,
            None => Ok(()),
        }
    }

    /// Imports the whole file, and tells `report` how far it is after every few thousand rows.
    ///
    /// # Errors
    /// As for [`Import::step`].
    pub async fn run(mut self, mut report: impl FnMut(Progress)) -> Result<ImportResult> {
        while let Some(progress) = self.step().await? {
            report(progress);
        }
        self.finish().await
    }

    /// Writes what is left, and ends the import: notes it in the audit log, and has events matched that waited for its recipients.
    ///
    /// # Errors
    /// As for [`Import::step`].
    pub async fn finish(mut self) -> Result<ImportResult> {
        while self.step().await?.is_some() {}
        let Target { campaign, import } = self.target;
        let result =
            ImportResult { campaign_id: campaign, import_id: import, read: self.counts.read(), counts: self.counts };
        let transaction = self.services.db.begin().await?;
        end(&transaction, &result, &self.created_by, self.services.now()).await?;
        transaction.commit().await?;
        Ok(result)
    }
}

/// Where an import stands, as it is stored.
#[derive(Clone, Debug, Default)]
struct Position {
    campaign: i64,
    created_by: String,
    lines_done: i64,
    counts: Counts,
    is_finished: bool,
}

/// Notes an import down; returns its id.
async fn note<C: sea_orm::ConnectionTrait>(
    connection: &C,
    campaign: i64,
    created_by: &str,
    now: Timestamp,
) -> Result<i64> {
    let sql = "INSERT INTO import (campaign_id, created_by, created_at) VALUES ($1, $2, $3) RETURNING id";
    let row = query_one(connection, sql, [campaign.into(), created_by.to_owned().into(), now.micros().into()]).await?;
    Ok(row.ok_or_else(|| ServiceError::Inconsistent("an import was not stored".to_owned()))?.try_get_by_index(0)?)
}

async fn position(services: &Services, import: i64) -> Result<Position> {
    let sql = "SELECT campaign_id, created_by, lines_done, imported, updated, unchanged, skipped, rejected, finished_at \
        FROM import WHERE id = $1";
    let row = query_one(services.db.read(), sql, [import.into()]).await?;
    let row = row.ok_or_else(|| Refusal::new(RefusalCode::NotFound, "there is no such import"))?;
    Ok(Position {
        campaign: row.try_get_by_index(0)?,
        created_by: row.try_get_by_index(1)?,
        lines_done: row.try_get_by_index(2)?,
        counts: Counts {
            imported: row.try_get_by_index(3)?,
            updated: row.try_get_by_index(4)?,
            unchanged: row.try_get_by_index(5)?,
            skipped: row.try_get_by_index(6)?,
            rejected: row.try_get_by_index(7)?,
        },
        is_finished: row.try_get_by_index::<Option<i64>>(8)?.is_some(),
    })
}

async fn end(transaction: &DatabaseTransaction, result: &ImportResult, created_by: &str, now: Timestamp) -> Result<()> {
    let sql = "UPDATE import SET finished_at = $2 WHERE id = $1 AND finished_at IS NULL";
    let ended = execute(transaction, sql, [result.import_id.into(), now.micros().into()]).await?;
    if ended.rows_affected() == 0 {
        return Ok(());
    }
    let object = format!("campaign:{}", result.campaign_id);
    let detail = Some(serde_json::to_value(result)?);
    let subject = Subject { id: created_by.to_owned(), name: created_by.to_owned(), role: Role::Marketer };
    audit::record(transaction, now, &subject, "recipients.imported", object, detail).await?;
    let payload = serde_json::json!({ "campaignId": result.campaign_id, "importId": result.import_id });
    let rematch = NewJob {
        idempotency_key: Some(format!("rematch:import:{}", result.import_id)),
        ..NewJob::new(JobKind::Rematch, payload, created_by, now)
    };
    jobs::enqueue(transaction, rematch, now).await?;
    settle::request_for_campaign(transaction, result.campaign_id, created_by, now).await
}
