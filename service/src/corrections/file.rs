//! Corrections by a file: two columns, the old address and the new one, and perhaps a third, why.
//!
//! A thread reads the file and hands over some hundred lines at a time; each such chunk is one transaction, which also writes how far the
//! job is. A line that corrects nothing costs that line only: it is kept, with its reason, under the job's id.

use domain::correction::CorrectionSource;
use domain::email::{EmailAddress, key_of};
use domain::table::restore;
use sea_orm::{ConnectionTrait, QueryResult};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::MAX_REASON;
use super::decide::{self, Terms, Verdict, Wanted};
use crate::access::{Marketer, Services};
use crate::audit;
use crate::batch::{Batch, Column};
use crate::db::query_all;
use crate::error::{Refusal, RefusalCode, Result, ServiceError};
use crate::import::columns::shortened;
use crate::import::reading::as_damaged;
use crate::import::records::{Content, Format, Record, Records};
use crate::import::report::{Issue, SHOWN, kept};
use crate::jobs::{self, ClaimedJob, Job, JobKind, JobProgress, NewJob};
use crate::uploads;

/// As many lines are dealt with in one transaction.
const CHUNK: usize = 500;

/// The names of columns, without spaces, hyphens and the like, in lower case.
const OLD: &[&str] = &[
    "old",
    "oldemail",
    "oldmail",
    "oldaddress",
    "oldemailaddress",
    "from",
    "wrong",
    "alt",
    "alte",
    "altemail",
    "alteemail",
    "altemailadresse",
    "alteadresse",
    "alteemailadresse",
    "altemail",
    "bisher",
    "bisherige",
    "bisherigeemail",
    "bisherigeadresse",
    "von",
    "falsch",
];
const NEW: &[&str] = &[
    "new",
    "newemail",
    "newmail",
    "newaddress",
    "newemailaddress",
    "to",
    "right",
    "correct",
    "corrected",
    "neu",
    "neue",
    "neuemail",
    "neueemail",
    "neueadresse",
    "neueemailadresse",
    "neuemailadresse",
    "nach",
    "richtig",
    "korrekt",
    "korrigiert",
];
const REASON: &[&str] =
    &["reason", "why", "note", "comment", "grund", "begründung", "begruendung", "bemerkung", "kommentar"];

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    upload_id: String,
    format: Option<Format>,
}

/// What became of the lines of a file of corrections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// Corrections that were applied.
    pub applied: i64,
    /// Corrections that had been made before.
    pub unchanged: i64,
    /// Lines that corrected nothing; the report says why.
    pub rejected: i64,
}

/// How far a file is.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Position {
    line: i64,
    imported: Imported,
}

/// A line that corrected nothing.
pub type FileIssue = Issue;

impl Marketer {
    /// Has the corrections in an upload applied, by a job.
    ///
    /// # Errors
    /// A refusal where there is no such upload; those of the database.
    pub async fn import_corrections(&self, upload: &str, format: Option<Format>) -> Result<Job> {
        let now = self.services.now();
        let transaction = self.services.db.begin().await?;
        uploads::take(&transaction, upload, now).await?;
        let payload = serde_json::to_value(Payload { upload_id: upload.to_owned(), format })?;
        let job = NewJob::new(JobKind::ImportCorrections, payload, &self.subject.id, now);
        let job = jobs::enqueue(&transaction, job, now).await?;
        let detail = serde_json::json!({ "upload": upload });
        audit::record(&transaction, now, &self.subject, "corrections.import", format!("job:{job}"), Some(detail))
            .await?;
        let job = jobs::get(&transaction, job).await?;
        transaction.commit().await?;
        self.services.jobs_were_added();
        Ok(job)
    }

    /// Up to `limit` lines of a file that corrected nothing, in their order, behind the line `after`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn correction_issues(&self, job: i64, after: i64, limit: u32) -> Result<Vec<FileIssue>> {
        let sql =
            "SELECT line, content, reason FROM correction_issue WHERE job_id = $1 AND line > $2 ORDER BY line LIMIT $3";
        let rows = query_all(self.services.db.read(), sql, [job.into(), after.into(), i64::from(limit).into()]).await?;
        let issue = |row: &QueryResult| {
            Ok(Issue {
                line: row.try_get_by_index(0)?,
                content: row.try_get_by_index(1)?,
                reason: row.try_get_by_index(2)?,
            })
        };
        rows.iter().map(issue).collect()
    }
}

/// Does a job that [`Marketer::import_corrections`] asked for, from where it was left.
///
/// # Errors
/// [`JobLost`](crate::ServiceError::JobLost); a refusal where the file cannot be read as corrections; those of the database and of reading.
pub async fn run(services: &Services, job: &ClaimedJob) -> Result<Imported> {
    let payload: Payload = serde_json::from_value(job.payload.clone())?;
    let mut position: Position = job.position.clone().map(serde_json::from_value).transpose()?.unwrap_or_default();
    let file = uploads::open(services, &payload.upload_id).await?;
    // One chunk is being written, one waits, one is being read.
    let (sender, mut chunks) = mpsc::channel(1);
    let after = position.line;
    let (format, most) = (payload.format, services.files.unpacked_bytes);
    let reader = tokio::task::spawn_blocking(move || read(Box::new(file), (format, most), after, &sender));
    while let Some(lines) = chunks.recv().await {
        position = write(services, job, position, &lines).await?;
        services.jobs_were_added();
    }
    let read = reader.await;
    read.map_err(|error| ServiceError::Inconsistent(format!("reading a file ended early: {error}")))??;
    let transaction = services.db.begin().await?;
    jobs::finish(&transaction, services, job, progress(position.imported), &position.imported).await?;
    transaction.commit().await?;
    Ok(position.imported)
}

const fn progress(imported: Imported) -> JobProgress {
    let done = imported.applied + imported.unchanged + imported.rejected;
    JobProgress { done, total: None, skipped: imported.rejected }
}

/// Applies some lines in one transaction; after deadlocks and the like once more.
async fn write(services: &Services, job: &ClaimedJob, position: Position, lines: &[Line]) -> Result<Position> {
    const TRIES: u32 = 5;
    let mut tries = 0;
    loop {
        match write_once(services, job, position, lines).await {
            Err(error) if error.is_transient() && tries < TRIES => {
                tries += 1;
                tracing::debug!(tries, %error, "some corrections of a file are tried again");
                tokio::time::sleep(std::time::Duration::from_millis(10 << tries)).await;
            }
            result => return result,
        }
    }
}

async fn write_once(services: &Services, job: &ClaimedJob, position: Position, lines: &[Line]) -> Result<Position> {
    let mut next = position;
    let transaction = services.db.begin_keyed().await?;
    let terms =
        Terms { source: CorrectionSource::File, subject: &job.created_by, job: Some(job.id), now: services.now() };
    let wanted: Vec<Wanted> = lines.iter().filter_map(|line| line.content.as_ref().ok().cloned()).collect();
    let mut verdicts = decide::apply(&transaction, &wanted, terms).await?.into_iter();
    let mut issues = Vec::new();
    for line in lines {
        next.line = line.last;
        let reason = match &line.content {
            Err(reason) => reason.as_str(),
            Ok(_) => match verdicts.next() {
                Some(Verdict::Applied(_)) => {
                    next.imported.applied += 1;
                    continue;
                }
                Some(Verdict::Unchanged) | None => {
                    next.imported.unchanged += 1;
                    continue;
                }
                Some(Verdict::Refused(why)) => why.message(),
            },
        };
        next.imported.rejected += 1;
        issues.push(Issue::new(line.first, &line.text, reason));
    }
    report(&transaction, job.id, kept(issues, position.imported.rejected)).await?;
    jobs::checkpoint(&transaction, services, job, progress(next.imported), &next).await?;
    transaction.commit().await?;
    Ok(next)
}

async fn report<C: ConnectionTrait>(connection: &C, job: i64, issues: impl Iterator<Item = Issue>) -> Result<()> {
    let mut batch = Batch::new(&[("line", Column::Big), ("content", Column::Text), ("reason", Column::Text)]);
    for issue in issues {
        batch.push([issue.line.into(), issue.content.into(), issue.reason.into()]);
    }
    if !batch.is_empty() {
        let sql = "INSERT INTO correction_issue (job_id, line, content, reason) SELECT {1}, line, content, reason FROM {rows}";
        batch.execute(connection, sql, [job.into()]).await?;
    }
    Ok(())
}

/// A line of the file, or several that belong together.
#[derive(Debug)]
struct Line {
    first: i64,
    last: i64,
    text: String,
    /// What it corrects, or why nothing.
    content: Result<Wanted, String>,
}

/// Reads all lines behind line `after`, until the end or until nobody takes them any more.
fn read(
    input: Box<dyn std::io::Read + Send>,
    (format, most): (Option<Format>, u64),
    after: i64,
    chunks: &mpsc::Sender<Vec<Line>>,
) -> Result<()> {
    let mut records = Records::open(input, format, most).map_err(|error| as_damaged(error, 1))?;
    let mut columns = None;
    let mut chunk = Vec::new();
    let end = loop {
        let record = match records.next() {
            Ok(Some(record)) => record,
            Ok(None) => break Ok(()),
            Err(error) => break Err(as_damaged(error.into(), records.line())),
        };
        let columns = match &columns {
            Some(columns) => columns,
            None => {
                let (found, is_header) = Columns::of_first(&record)?;
                let columns = columns.insert(found);
                if is_header {
                    continue;
                }
                columns
            }
        };
        if record.line <= after {
            continue;
        }
        chunk.push(columns.read(&record));
        if chunk.len() >= CHUNK && chunks.blocking_send(std::mem::take(&mut chunk)).is_err() {
            return Ok(());
        }
    };
    // What stands before a place where the file cannot be read on is applied.
    if !chunk.is_empty() {
        chunks.blocking_send(chunk).ok();
    }
    end
}

/// Which column is which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Columns {
    /// By their places; the reason may be missing.
    Places { old: usize, new: usize, reason: Option<usize> },
    /// By their names, on each line.
    Names,
}

impl Columns {
    /// What the first record tells, and whether it is a header.
    fn of_first(record: &Record) -> Result<(Self, bool), Refusal> {
        let refuse = |message: &str| Err(Refusal::field(RefusalCode::Invalid, &["uploadId"], message));
        let cells = match &record.content {
            Ok(Content::Object(_)) => return Ok((Self::Names, false)),
            Ok(Content::Cells(cells)) => cells,
            // It may be one bad line of many.
            Err(_) => return Ok((Self::Places { old: 0, new: 1, reason: Some(2) }, false)),
        };
        let place = |names: &[&str]| cells.iter().position(|cell| names.contains(&simplified(cell).as_str()));
        match (place(OLD), place(NEW)) {
            (Some(old), Some(new)) => Ok((Self::Places { old, new, reason: place(REASON) }, true)),
            // Without a header: the first line is about addresses.
            _ if cells.len() >= 2 && cells.iter().take(2).any(|cell| cell.contains('@')) => {
                Ok((Self::Places { old: 0, new: 1, reason: Some(2) }, false))
            }
            _ => refuse("there are no columns for the old and the new address: call them old and new (or alt and neu)"),
        }
    }

    fn read(self, record: &Record) -> Line {
        let content = match (&record.content, self) {
            (Err(reason), _) => Err(reason.clone()),
            (Ok(Content::Cells(cells)), Self::Places { old, new, reason }) => {
                let cell = |place: usize| cells.get(place).map(|cell| restore(cell)).unwrap_or_default();
                wanted(&cell(old), &cell(new), reason.map(cell).as_deref())
            }
            (Ok(Content::Object(object)), _) => {
                let value = |names: &[&str]| {
                    let found = object.iter().find(|(name, _)| names.contains(&simplified(name).as_str()));
                    found.and_then(|(_, value)| value.as_str().map(str::to_owned))
                };
                wanted(&value(OLD).unwrap_or_default(), &value(NEW).unwrap_or_default(), value(REASON).as_deref())
            }
            (Ok(Content::Cells(_)), Self::Names) => Err("this is no JSON object".to_owned()),
        };
        Line { first: record.line, last: record.last_line, text: shortened(&record.text, SHOWN), content }
    }
}

/// What a line corrects, or why nothing.
fn wanted(old: &str, new: &str, reason: Option<&str>) -> Result<Wanted, String> {
    let (old, reason) = (old.trim(), reason.map(str::trim).filter(|reason| !reason.is_empty()));
    if old.is_empty() {
        return Err("there is no old address".to_owned());
    }
    let new = EmailAddress::parse(new).map_err(|error| format!("the new address cannot be used: {error}"))?;
    let reason = reason.map(|reason| reason.chars().take(MAX_REASON).collect());
    Ok(Wanted { old_email: old.to_owned(), old_key: key_of(old), new, person: None, reason, suggestion: None })
}

fn simplified(name: &str) -> String {
    name.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
