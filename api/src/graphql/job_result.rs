//! What came of a job: each kind of job has a result of its own, and here is how it is shown.

use async_graphql::SimpleObject;
use serde::de::DeserializeOwned;
use service::Access;
use service::addresses::actions::Acted;
use service::exports::ExportResult;
use service::import::ImportResult;
use service::jobs::{Job, JobKind};
use service::reminders::Reminded;

use super::campaign::Campaign;
use super::export::ExportFile;
use super::node::Key;
use super::scalars::int;
use super::skipped::SkippedCount;

/// What came of a job. What does not apply to its kind is null.
#[derive(Default, SimpleObject)]
pub struct JobResult {
    /// The file that an export made. Null for those who may not see personal data.
    pub(super) file: Option<ExportFile>,
    /// The campaign that was worked on. Of reminders, the one that recipients were added to, or the first of these.
    pub(super) campaign: Option<Campaign>,
    /// Recipients that are new, of an import or a reminder.
    pub(super) added: Option<i32>,
    /// Things that were there and were changed: recipients of an import, addresses.
    pub(super) updated: Option<i32>,
    /// Things that were there just so.
    pub(super) unchanged: Option<i32>,
    /// Things that were left out. Of an import: recipients that are not to be sent to, because they are doubles or their
    /// addresses invalid or blocked.
    pub(super) skipped: Option<i32>,
    /// Lines of a file that made no recipient.
    pub(super) rejected: Option<i32>,
    /// What was left out, and why. Of reminders, the reasons are those of `reminderPreview`.
    #[graphql(complexity = "15 * child_complexity + 1")]
    pub(super) skipped_by_reason: Vec<SkippedCount>,
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
            JobKind::Remind => read(job).map(|reminded: Reminded| reminded.into()),
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

/// An example of an address that was left out.
fn address(id: &str) -> Option<Key> {
    id.parse().ok().map(Key::Address)
}

impl From<&Acted> for JobResult {
    fn from(acted: &Acted) -> Self {
        Self {
            updated: Some(int(acted.changed)),
            unchanged: Some(int(acted.unchanged)),
            skipped: Some(int(acted.skipped.iter().map(|skipped| skipped.count).sum())),
            skipped_by_reason: acted
                .skipped
                .iter()
                .map(|skipped| SkippedCount::of_job(skipped.clone(), address))
                .collect(),
            ..Self::default()
        }
    }
}
