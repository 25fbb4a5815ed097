//! Lists as files: recipients, who clicked, addresses and complaints, for spreadsheets and programs.
//!
//! A job ([`job`]) reads a list in one snapshot of the database, a few thousand rows at a time, and writes them into a file while the next
//! ones come; so the file shows one moment, and the memory does not depend on its length. The file goes to the [`FileStore`] of the
//! installation, and is fetched by a link that ends ([`links`]). After some days it is removed ([`removal`]).

mod columns;
mod job;
pub mod links;
mod lists;
mod removal;
mod rows;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use domain::Timestamp;
use domain::storage::FileStore;
use domain::table::{ExportFormat, TableFormats};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use self::columns::chosen;
pub use self::columns::{AddressColumn, ClickColumn, ComplaintColumn, RecipientColumn};
pub use self::job::run_export_job;
pub use self::links::{DownloadLink, ExportFile, LinkState};
use self::lists::List;
pub use self::removal::remove_expired;
use crate::access::{Marketer, Services};
use crate::addresses::AddressSet;
use crate::addresses::complaints::{self, ComplaintFilter};
use crate::addresses::set::StoredSet;
use crate::audit;
use crate::error::{Result, ServiceError};
use crate::jobs::{self, Job, JobKind, NewJob, Queue};
use crate::recipients::RecipientSet;

/// So many long exports are written at the same time by a process: each holds a connection and some memory.
const LONG_AT_ONCE: usize = 2;

/// How files are given out.
#[derive(Clone, Debug)]
pub struct ExportOptions {
    /// What links begin with, without a slash at its end.
    pub public_url: String,
    /// For how many hours a link is good.
    pub url_hours: i64,
    /// For how many days a file is kept.
    pub keep_days: i64,
}

/// What exports need besides the database.
pub(crate) struct Exports {
    files: Arc<dyn FileStore>,
    formats: Arc<dyn TableFormats>,
    options: ExportOptions,
    long: Semaphore,
}

impl Services {
    /// How people reach nachfass with a browser, without a slash at its end; `None` in processes that were not told.
    pub(crate) fn public_url(&self) -> Option<&str> {
        self.exports.as_ref().map(|exports| exports.options.public_url.as_str())
    }
}

impl Marketer {
    /// How people reach nachfass with a browser, without a slash at its end; `None` in processes that were not told.
    #[must_use]
    pub fn public_url(&self) -> Option<&str> {
        self.services.public_url()
    }
}

impl Exports {
    pub(crate) fn new(files: Arc<dyn FileStore>, formats: Arc<dyn TableFormats>, options: ExportOptions) -> Self {
        Self { files, formats, options, long: Semaphore::new(LONG_AT_ONCE) }
    }
}

/// What an export job needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    /// What the file will be called in the store, but for the number of the attempt.
    file: String,
    format: ExportFormat,
    list: List,
}

impl Payload {
    /// The name of an attempt's file in the store.
    fn file_id(&self, attempt: i32) -> String {
        format!("{}-{attempt}", self.file)
    }
}

/// What came of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExportResult {
    /// The id of the file.
    pub file_id: String,
    /// What it is called where it is downloaded.
    pub name: String,
    /// Its media type.
    pub content_type: String,
    /// Its bytes.
    pub size: i64,
    /// The rows in it, without the heading.
    pub rows: i64,
    /// The moment whose state it shows.
    pub snapshot_at: Timestamp,
    /// When it goes.
    pub expires_at: Timestamp,
}

impl Marketer {
    /// Has recipients written into a file, in the order of import.
    ///
    /// # Errors
    /// A refusal where there is no such campaign or the columns cannot be used; those of the database.
    pub async fn export_recipients(
        &self,
        set: RecipientSet,
        format: ExportFormat,
        columns: Option<Vec<RecipientColumn>>,
    ) -> Result<Job> {
        self.export(List::Recipients { set, columns: chosen(columns)? }, format).await
    }

    /// Has the clicks of persons in a campaign written into a file, those on `link` or all of them, in the order in which they came in.
    ///
    /// # Errors
    /// A refusal where there is no such campaign or link, or the columns cannot be used; those of the database.
    pub async fn export_clicks(
        &self,
        campaign: i64,
        link: Option<i64>,
        format: ExportFormat,
        columns: Option<Vec<ClickColumn>>,
    ) -> Result<Job> {
        self.export(List::Clicks { campaign, link, columns: chosen(columns)? }, format).await
    }

    /// Has addresses written into a file, in the order in which they were first seen.
    ///
    /// # Errors
    /// A refusal where it names no address or too many, or the columns cannot be used; those of the database.
    pub async fn export_addresses(
        &self,
        set: AddressSet,
        format: ExportFormat,
        columns: Option<Vec<AddressColumn>>,
    ) -> Result<Job> {
        let columns = chosen(columns)?;
        set.check(&self.subject)?;
        let (choice, _unknown) = StoredSet::find(self.services.db.read(), set).await?;
        self.export(List::Addresses { choice, columns }, format).await
    }

    /// Has complaints written into a file, in the order in which they came in.
    ///
    /// # Errors
    /// A refusal where there is no such campaign, or the columns cannot be used; those of the database.
    pub async fn export_complaints(
        &self,
        choice: ComplaintFilter,
        format: ExportFormat,
        columns: Option<Vec<ComplaintColumn>>,
    ) -> Result<Job> {
        complaints::check(&choice, &self.subject)?;
        self.export(List::Complaints { choice, columns: chosen(columns)? }, format).await
    }

    async fn export(&self, list: List, format: ExportFormat) -> Result<Job> {
        let now = self.services.now();
        let queue = if list.is_short() { Queue::Interactive } else { Queue::Bulk };
        let (action, columns) = (list.action(), list.column_names());
        let object = list.campaign().map_or_else(|| "addresses".to_owned(), |campaign| format!("campaign:{campaign}"));
        let file = ulid::Ulid::generate().to_string().to_lowercase();
        let payload = Payload { file, format, list };
        let mut job = NewJob::new(JobKind::Export, serde_json::to_value(&payload)?, &self.subject.id, now);
        job.queue = queue;
        let transaction = self.services.db.begin().await?;
        payload.list.check(&transaction).await?;
        let job = jobs::enqueue(&transaction, job, now).await?;
        let detail = serde_json::json!({ "job": job, "format": format, "columns": columns });
        audit::record(&transaction, now, &self.subject, action, object, Some(detail)).await?;
        let job = jobs::get(&transaction, job).await?;
        transaction.commit().await?;
        self.services.jobs_were_added();
        Ok(job)
    }
}

impl Services {
    fn exports(&self) -> Result<&Arc<Exports>> {
        self.exports
            .as_ref()
            .ok_or_else(|| ServiceError::Inconsistent("this process was given no file store".to_owned()))
    }
}
