//! What came of a job: each kind of job has a result of its own, and here is how it is shown.

use async_graphql::{ComplexObject, Context, SimpleObject};
use domain::crm::ListKind;
use serde::de::DeserializeOwned;
use service::Access;
use service::addresses::actions::Acted;
use service::corrections::Imported;
use service::corrections::follow::Followed;
use service::corrections::push::Pushed;
use service::corrections::suggest::Suggested;
use service::crm::PersonList;
use service::crm::follow_ups::Made;
use service::crm::members::Changed;
use service::crm::reports::Reported;
use service::crm::sync::Synced;
use service::exports::ExportResult;
use service::import::ImportResult;
use service::import::members::{MembersImported, Reloaded};
use service::jobs::{Job, JobKind};
use service::recipients::RecipientKey;
use service::reminders::Reminded;
use service::resends::Resent;
use service::skipped::Skipped;

use super::campaign::Campaign;
use super::errors::Result;
use super::export::ExportFile;
use super::loaders::{ListId, loaders};
use super::node::Key;
use super::person_list::{Project, Selection};
use super::scalars::int;
use super::skipped::SkippedCount;

/// What came of a job. What does not apply to its kind is null.
#[derive(Default, SimpleObject)]
#[graphql(complex)]
pub struct JobResult {
    /// The file that an export made. Null for those who may not see personal data.
    pub(super) file: Option<ExportFile>,
    /// The campaign that was worked on. Of reminders, the one that recipients were added to, or the first of these.
    pub(super) campaign: Option<Campaign>,
    /// Recipients that are new, of an import or a reminder; suggestions that are new.
    pub(super) added: Option<i32>,
    /// Things that were there and were changed: recipients of an import, addresses, what was corrected. Of a reading of the CRM: persons
    /// that are new, differ or are gone.
    pub(super) updated: Option<i32>,
    /// Things that were there just so.
    pub(super) unchanged: Option<i32>,
    /// Things that were left out. Of an import: recipients that are not to be sent to, because they are doubles or their
    /// addresses invalid or blocked. Of a reading of the CRM: selections and projects whose members could not be read.
    pub(super) skipped: Option<i32>,
    /// Lines of a file that made no recipient, or corrected nothing: all of them, of which the report keeps the first 10,000.
    pub(super) rejected: Option<i32>,
    /// What was left out, and why. Of reminders, the reasons are those of `reminderPreview`.
    #[graphql(complexity = "15 * child_complexity + 1")]
    pub(super) skipped_by_reason: Vec<SkippedCount>,
    /// The selection or project that was made or changed.
    #[graphql(skip)]
    pub(super) list: Option<ListId>,
}

#[ComplexObject]
impl JobResult {
    /// The selection that was made or changed. Of reminders, the one that those who are reminded become members of, or the first of these.
    #[graphql(complexity = "5 + child_complexity")]
    async fn selection(&self, ctx: &Context<'_>) -> Result<Option<Selection>> {
        Ok(self.find_list(ctx, ListKind::Selection).await?.map(Selection))
    }

    /// The project that was made or changed.
    #[graphql(complexity = "5 + child_complexity")]
    async fn project(&self, ctx: &Context<'_>) -> Result<Option<Project>> {
        Ok(self.find_list(ctx, ListKind::Project).await?.map(Project))
    }
}

impl JobResult {
    async fn find_list(&self, ctx: &Context<'_>, kind: ListKind) -> Result<Option<PersonList>> {
        match self.list {
            Some(list) if list.0 == kind => loaders(ctx)?.load_one(list).await,
            _ => Ok(None),
        }
    }
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
            JobKind::ImportMembers => read(job).map(|imported: MembersImported| imported.into()),
            JobKind::ReloadRecipients => read(job).map(|reloaded: Reloaded| reloaded.into()),
            JobKind::Resend => read(job).map(|resent: Resent| resent.into()),
            JobKind::AddToSelection | JobKind::AddToProject => {
                read(job).map(|changed: Changed| Self { added: Some(int(changed.added)), ..Self::of_members(&changed) })
            }
            JobKind::RemoveFromSelection => read(job)
                .map(|changed: Changed| Self { updated: Some(int(changed.added)), ..Self::of_members(&changed) }),
            JobKind::CreateFollowUps => read(job).map(|made: Made| Self {
                added: Some(int(made.added)),
                unchanged: Some(int(made.unchanged)),
                ..Self::left_out(&made.skipped_by_reason)
            }),
            JobKind::ReportToCrm => read(job).map(|reported: Reported| Self {
                updated: Some(int(reported.told)),
                ..Self::left_out(&reported.skipped_by_reason)
            }),
            JobKind::SyncCrm => read(job).map(|synced: Synced| Self {
                updated: Some(int(synced.changed + synced.gone)),
                unchanged: Some(int(synced.persons - synced.changed)),
                ..Self::left_out(&synced.not_read)
            }),
            JobKind::ImportCorrections => read(job).map(|imported: Imported| Self {
                updated: Some(int(imported.applied)),
                unchanged: Some(int(imported.unchanged)),
                rejected: Some(int(imported.rejected)),
                ..Self::default()
            }),
            JobKind::ApplyCorrection => read(job).map(|followed: Followed| Self {
                updated: Some(int(followed.changed)),
                ..Self::left_out(&followed.skipped)
            }),
            JobKind::SuggestCorrections => read(job).map(|suggested: Suggested| Self {
                added: Some(int(suggested.added)),
                updated: Some(int(suggested.changed)),
                ..Self::default()
            }),
            JobKind::PushCorrections => read(job).map(|pushed: Pushed| Self {
                updated: Some(int(pushed.pushed)),
                skipped: Some(int(pushed.conflicts + pushed.failed)),
                ..Self::default()
            }),
            _ => None,
        }
    }

    fn of_members(changed: &Changed) -> Self {
        Self {
            list: changed.list.map(|kind| ListId(kind, changed.list_id)),
            unchanged: Some(int(changed.unchanged)),
            ..Self::left_out(&changed.skipped_by_reason)
        }
    }

    /// Those who were left out by a job whose examples are recipients or addresses, or things of the CRM.
    pub(super) fn left_out(skipped: &[Skipped]) -> Self {
        Self {
            skipped: Some(int(Skipped::total(skipped))),
            skipped_by_reason: skipped.iter().map(|skipped| SkippedCount::of_job(skipped.clone(), somebody)).collect(),
            ..Self::default()
        }
    }
}

/// An example of who or what was left out: a recipient, an address, or something of the CRM.
fn somebody(example: &str) -> Option<Key> {
    match example.split_once(':') {
        Some(("person", id)) => id.parse().ok().map(Key::Person),
        Some(("selection", id)) => id.parse().ok().map(Key::Selection),
        Some(("project", id)) => id.parse().ok().map(Key::Project),
        Some((campaign, number)) => {
            let key = RecipientKey { campaign: campaign.parse().ok()?, number: number.parse().ok()? };
            Some(Key::Recipient(key))
        }
        None => address(example),
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
            skipped: Some(int(Skipped::total(&acted.skipped))),
            skipped_by_reason: acted
                .skipped
                .iter()
                .map(|skipped| SkippedCount::of_job(skipped.clone(), address))
                .collect(),
            ..Self::default()
        }
    }
}
