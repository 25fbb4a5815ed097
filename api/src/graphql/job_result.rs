//! What came of a job: each kind of job has a result of its own, and here is how it is shown.

use async_graphql::SimpleObject;
use serde::de::DeserializeOwned;
use service::Access;
use service::addresses::actions::Acted;
use service::exports::ExportResult;
use service::import::ImportResult;
use service::jobs::{Job, JobKind};

use super::campaign::Campaign;
use super::export::ExportFile;
use super::scalars::int;
use super::skipped::{Examples, SkippedCount};

/// What came of a job. What does not apply to its kind is null.
#[derive(Default, SimpleObject)]
pub struct JobResult {
    /// The file that an export made. Null for those who may not see personal data.
    file: Option<ExportFile>,
    /// The campaign that was worked on, or that was made.
    campaign: Option<Campaign>,
    /// Things that are new: recipients of an import.
    added: Option<i32>,
    /// Things that were there and were changed: recipients of an import, addresses.
    updated: Option<i32>,
    /// Things that were there just so.
    unchanged: Option<i32>,
    /// Things that were left out. Of an import: recipients that are not to be sent to, because they are doubles or their
    /// addresses invalid or blocked.
    skipped: Option<i32>,
    /// Lines of a file that made no recipient.
    rejected: Option<i32>,
    /// What was left out, and why, with a few examples.
    skipped_by_reason: Vec<SkippedCount>,
}

impl JobResult {
    /// What came of `job`, as `access` may see it; `None` until it has succeeded, and for kinds of which nobody wants to know.
    pub(super) fn of(job: &Job, access: &Access) -> Option<Self> {
        match job.kind {
            JobKind::Import => read(job).map(|result: ImportResult| (&result).into()),
            JobKind::ClearBounces
            | JobKind::BlockAddresses
            | JobKind::DeleteAddresses
            | JobKind::MarkFormerEmployees
            | JobKind::RestoreConsent => read(job).map(|acted: Acted| (&acted).into()),
            JobKind::Export => {
                let file = read(job).and_then(|file: ExportResult| ExportFile::new(file, access));
                Some(Self { file, ..Self::default() })
            }
            _ => None,
        }
    }
}

fn read<T: DeserializeOwned>(job: &Job) -> Option<T> {
    serde_json::from_value(job.result.clone()?).ok()
}

impl From<&ImportResult> for JobResult {
    fn from(result: &ImportResult) -> Self {
        Self {
            campaign: Some(Campaign::unread(result.campaign_id)),
            added: Some(int(result.counts.imported)),
            updated: Some(int(result.counts.updated)),
            unchanged: Some(int(result.counts.unchanged)),
            skipped: Some(int(result.counts.skipped)),
            rejected: Some(int(result.counts.rejected)),
            ..Self::default()
        }
    }
}

impl From<&Acted> for JobResult {
    fn from(acted: &Acted) -> Self {
        Self {
            updated: Some(int(acted.changed)),
            unchanged: Some(int(acted.unchanged)),
            skipped: Some(int(acted.skipped.iter().map(|skipped| skipped.count).sum())),
            skipped_by_reason: SkippedCount::list(&acted.skipped, Examples::Addresses),
            ..Self::default()
        }
    }
}
