//! The members of selections and projects, and single persons, as the recipients of a campaign.
//!
//! Persons are read in the order of their ids over all lists at once, so that somebody who is on several is one recipient; a chunk of them
//! is decided on and written as the rows of a file are ([`super::plan`], [`super::write`]). A person who is a recipient already, by the
//! CRM's id, is left alone. Where a campaign's recipients come from is kept in `campaign_source`; [`reload`](mod@reload) reads that again.

mod reload;
mod sources;
#[cfg(test)]
mod tests;

use domain::Timestamp;
use domain::crm::ListKind;
use domain::status::SkipReason;
use sea_orm::{ConnectionTrait, DatabaseTransaction};
use serde::{Deserialize, Serialize};

use super::write::{Target, Written, advance, open, write_rows};
use super::{Counts, Format, Import, ImportOptions, ImportResult, Mapping, Source, end, note, position};
use crate::access::{Marketer, Services};
use crate::audit;
use crate::campaigns;
use crate::changes::Change;
use crate::crm::lists::table;
use crate::crm::sync;
use crate::db::{execute, query_one};
use crate::error::{Refusal, RefusalCode, Result};
use crate::jobs::{self, ClaimedJob, Job, JobKind, JobProgress, NewJob};
use crate::rollup::RollUp;
use crate::skipped::Skipped;
use crate::uploads;
pub use reload::{Reloaded, reload};
use sources::{Member, Sources, WantedList};

/// As many persons are dealt with in one transaction.
const CHUNK: usize = 1_000;
/// As many lists may be named at once.
const MAX_LISTS: usize = 100;
/// As many persons may be named at once.
const MAX_PERSONS: usize = 10_000;

/// Whom to import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// The members of these selections.
    pub selections: Vec<i64>,
    /// The members of these projects.
    pub projects: Vec<i64>,
    /// These persons.
    pub persons: Vec<i64>,
    /// The subscription without which nobody of them is written to.
    pub subscription: Option<String>,
    /// A file besides, and how to read it.
    pub upload: Option<(String, Option<Format>, Mapping)>,
}

/// What a job needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    campaign_id: i64,
    import_id: i64,
    sources: Sources,
    upload: Option<Upload>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Upload {
    upload_id: String,
    import_id: i64,
    #[serde(flatten)]
    options: ImportOptions,
}

/// How far a job is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Position {
    /// Behind this person.
    after: i64,
    /// All members are done; the file is what is left.
    are_members_done: bool,
    counts: Counts,
    skipped: Vec<Skipped>,
}

/// What an import of members did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MembersImported {
    /// The campaign.
    pub campaign_id: i64,
    /// Persons, and lines of the file that hold anything.
    pub read: i64,
    /// What became of them.
    #[serde(flatten)]
    pub counts: Counts,
    /// Members that are recipients not to be sent to, by the name of the [`SkipReason`]. Examples are `campaign:number`.
    pub skipped_by_reason: Vec<Skipped>,
}

impl Marketer {
    /// Has the members of selections and projects, single persons and an upload imported into a campaign, by a job.
    ///
    /// # Errors
    /// A refusal where there is no such campaign, list, person or upload, where nobody or too many are named, or the campaign was
    /// cancelled.
    pub async fn import_members(&self, campaign: i64, members: Members) -> Result<Job> {
        let Members { mut selections, mut projects, mut persons, subscription, upload } = members;
        for ids in [&mut selections, &mut projects, &mut persons] {
            ids.sort_unstable();
            ids.dedup();
        }
        let refuse = |field: &str, message: String| Err(Refusal::field(RefusalCode::Invalid, &[field], message));
        if selections.is_empty() && projects.is_empty() && persons.is_empty() {
            refuse("selectionIds", "say whom to import".to_owned())?;
        }
        if selections.len() + projects.len() > MAX_LISTS {
            let size = (selections.len() + projects.len(), MAX_LISTS, "selections and projects");
            return Err(Refusal::exceeds(&["selectionIds"], "the import", size, "import them in several steps").into());
        }
        if persons.len() > MAX_PERSONS {
            let size = (persons.len(), MAX_PERSONS, "persons");
            return Err(Refusal::exceeds(&["personIds"], "the import", size, "put them on a selection").into());
        }
        let subscription = campaigns::optional("subscription", subscription.as_deref())?;
        let now = self.services.now();
        let transaction = self.services.db.begin_keyed().await?;
        let row = campaigns::lock(&transaction, self.services.db.is_postgres(), campaign).await?;
        reload::refuse_canceled(&row)?;
        let mut lists = Vec::new();
        let named = [(ListKind::Selection, selections, "selectionIds"), (ListKind::Project, projects, "projectIds")];
        for (kind, ids, field) in named {
            for id in ids {
                require(&transaction, table(kind), id, field).await?;
                lists.push(WantedList { kind, id, subscription: subscription.clone() });
            }
        }
        sources::require_persons(&transaction, &persons).await?;
        sources::keep(&transaction, campaign, &lists, now).await?;
        let import_id = note_lists(&transaction, campaign, &self.subject.id, now).await?;
        let upload = match upload {
            Some((upload_id, format, mapping)) => {
                uploads::take(&transaction, &upload_id, now).await?;
                let import_id = note(&transaction, campaign, &self.subject.id, now).await?;
                Some(Upload { upload_id, import_id, options: ImportOptions { format, mapping } })
            }
            None => None,
        };
        let counted = serde_json::json!({ "lists": lists.len(), "persons": persons.len(), "import": import_id });
        let sources = Sources { lists, persons, subscription };
        let payload = serde_json::to_value(Payload { campaign_id: campaign, import_id, sources, upload })?;
        let job = NewJob::new(JobKind::ImportMembers, payload, &self.subject.id, now);
        let job = jobs::enqueue(&transaction, job, now).await?;
        let detail = serde_json::json!({ "job": job, "of": counted });
        let object = format!("campaign:{campaign}");
        audit::record(&transaction, now, &self.subject, "recipients.import", object, Some(detail)).await?;
        let job = jobs::get(&transaction, job).await?;
        transaction.commit().await?;
        self.services.jobs_were_added();
        Ok(job)
    }
}

/// Notes an import of members down; returns its id.
async fn note_lists<C: ConnectionTrait>(
    connection: &C,
    campaign: i64,
    created_by: &str,
    now: Timestamp,
) -> Result<i64> {
    let import = note(connection, campaign, created_by, now).await?;
    execute(connection, "UPDATE import SET from_lists = TRUE WHERE id = $1", [import.into()]).await?;
    Ok(import)
}

async fn require<C: ConnectionTrait>(connection: &C, table: &str, id: i64, field: &str) -> Result<()> {
    let sql = format!("SELECT id FROM {table} WHERE id = $1 AND deleted_at IS NULL");
    if query_one(connection, &sql, [id.into()]).await?.is_some() {
        return Ok(());
    }
    Err(Refusal::field(RefusalCode::NotFound, &[field], format!("there is no such {table}")).into())
}

/// Does a job that [`Marketer::import_members`] asked for, from where it was left.
///
/// # Errors
/// A refusal where the campaign was cancelled meanwhile, or the file cannot be read; [`JobLost`](crate::ServiceError::JobLost); those of
/// the database and of reading.
pub async fn run(services: &Services, job: &ClaimedJob) -> Result<MembersImported> {
    let payload: Payload = serde_json::from_value(job.payload.clone())?;
    if job.position.is_none() {
        read_before(services, job, &payload.sources).await?;
    }
    let mut at: Position = job.position.clone().map(serde_json::from_value).transpose()?.unwrap_or_default();
    while !at.are_members_done {
        step(services, job, &payload, &mut at).await?;
    }
    let mut counts = at.counts;
    if let Some(upload) = &payload.upload {
        counts += import_upload(services, job, upload, counts).await?;
    }
    let result = MembersImported {
        campaign_id: payload.campaign_id,
        read: counts.read(),
        counts,
        skipped_by_reason: at.skipped,
    };
    let transaction = services.db.begin().await?;
    jobs::finish(&transaction, services, job, progress(counts), &result).await?;
    transaction.commit().await?;
    Ok(result)
}

/// Has the lists, and the persons that changed, read from the CRM first, where one is connected.
async fn read_before(services: &Services, job: &ClaimedJob, sources: &Sources) -> Result<()> {
    let of = |kind| sources.lists.iter().filter(move |list| list.kind == kind).map(|list| list.id).collect();
    sync::read_before(services, job, of(ListKind::Selection), of(ListKind::Project)).await
}

const fn progress(counts: Counts) -> JobProgress {
    JobProgress { done: counts.read(), total: None, skipped: counts.skipped }
}

/// Imports the next members, in one transaction.
async fn step(services: &Services, job: &ClaimedJob, payload: &Payload, at: &mut Position) -> Result<()> {
    let target = Target { campaign: payload.campaign_id, import: payload.import_id };
    let transaction = services.db.begin_keyed().await?;
    let campaign = open(&transaction, services, target.campaign).await?;
    let sent_at = campaign.sent_at.filter(|_| campaign.state == domain::campaign::CampaignState::Sent);
    let joined = join(&transaction, services, target, &payload.sources, at.after, sent_at).await?;
    at.counts += joined.counts;
    for (reason, number) in joined.skipped {
        Skipped::add(&mut at.skipped, reason.as_str(), &format!("{}:{number}", target.campaign));
    }
    match joined.last {
        Some(last) => at.after = last,
        None => {
            at.are_members_done = true;
            let result = ImportResult {
                campaign_id: target.campaign,
                import_id: target.import,
                read: at.counts.read(),
                counts: at.counts,
            };
            end(&transaction, &result, &job.created_by, services.now()).await?;
        }
    }
    joined.rollup.write(&transaction, services.now()).await?;
    jobs::checkpoint(&transaction, services, job, progress(at.counts), at).await?;
    transaction.commit().await?;
    services.changes.publish(Change::Campaign(target.campaign));
    Ok(())
}

/// What became of the next members.
struct Joined {
    counts: Counts,
    skipped: Vec<(SkipReason, i64)>,
    rollup: RollUp,
    /// The last person; `None` where there are no more.
    last: Option<i64>,
}

/// Makes recipients of the next members behind the person `after`: those who are none yet.
async fn join(
    transaction: &DatabaseTransaction,
    services: &Services,
    target: Target,
    sources: &Sources,
    after: i64,
    sent_at: Option<Timestamp>,
) -> Result<Joined> {
    let members = sources.next(transaction, after, CHUNK).await?;
    let last = members.last().map(|member| member.id);
    let known = sources::recipients(transaction, target.campaign, &members).await?;
    let (there, new): (Vec<Member>, Vec<Member>) =
        members.into_iter().filter(|member| !member.is_deleted).partition(|member| known.contains(&member.crm_id));
    let rows: Vec<_> = new.into_iter().map(Member::into_row).collect();
    let Written { mut counts, rollup, skipped, .. } = write_rows(transaction, services, target, &rows, sent_at).await?;
    counts.unchanged += i64::try_from(there.len()).unwrap_or(i64::MAX);
    if let Some(last) = last {
        advance(transaction, target, (after, last), counts).await?;
    }
    Ok(Joined { counts, skipped, rollup, last })
}

/// Imports the file that was named with the members, from where that was left.
async fn import_upload(services: &Services, job: &ClaimedJob, upload: &Upload, before: Counts) -> Result<Counts> {
    let position = position(services, upload.import_id).await?;
    if position.is_finished {
        return Ok(position.counts);
    }
    let source = Source::file(uploads::open(services, &upload.upload_id).await?)?;
    let mut import = Import::resume(services, upload.import_id, position, source, upload.options.clone()).await?;
    while let Some(now) = import.step().await? {
        let mut counts = before;
        counts += now.counts;
        if !jobs::progress(services, job, progress(counts), services.lease_until()).await? {
            return Err(crate::error::ServiceError::JobLost);
        }
    }
    Ok(import.finish().await?.counts)
}
