//! Importing an upload by a job.

use domain::campaign::CampaignState;
use serde::{Deserialize, Serialize};

use super::{Format, Import, ImportOptions, ImportResult, Mapping, Position, Source, note, position};
use crate::access::{Marketer, Services};
use crate::audit;
use crate::campaigns;
use crate::error::{Refusal, RefusalCode, Result};
use crate::jobs::{self, ClaimedJob, Job, JobKind, JobProgress, NewJob};
use crate::uploads;

/// What an import job needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    campaign_id: i64,
    upload_id: String,
    import_id: i64,
    #[serde(flatten)]
    options: ImportOptions,
}

impl Marketer {
    /// Has the recipients in an upload imported into a campaign.
    ///
    /// # Errors
    /// A refusal where there is no such campaign or upload, or the campaign was cancelled.
    pub async fn import_recipients(
        &self,
        campaign: i64,
        upload: &str,
        format: Option<Format>,
        mapping: Mapping,
    ) -> Result<Job> {
        let now = self.services.now();
        let transaction = self.services.db.begin().await?;
        let state = campaigns::lock(&transaction, self.services.db.is_postgres(), campaign).await?.state;
        if state == CampaignState::Canceled {
            let message = "this campaign was cancelled: it takes no recipients";
            return Err(Refusal::field(RefusalCode::Conflict, &["campaignId"], message).into());
        }
        uploads::take(&transaction, upload, now).await?;
        let import_id = note(&transaction, campaign, &self.subject.id, now).await?;
        let options = ImportOptions { format, mapping };
        let payload = Payload { campaign_id: campaign, upload_id: upload.to_owned(), import_id, options };
        let job = NewJob::new(JobKind::Import, serde_json::to_value(payload)?, &self.subject.id, now);
        let job = jobs::enqueue(&transaction, job, now).await?;
        let detail = serde_json::json!({ "job": job, "import": import_id, "upload": upload });
        let object = format!("campaign:{campaign}");
        audit::record(&transaction, now, &self.subject, "recipients.import", object, Some(detail)).await?;
        let job = jobs::get(&transaction, job).await?;
        transaction.commit().await?;
        self.services.jobs_were_added();
        Ok(job)
    }
}

/// Does an import job, from where it was left. `None`: the job was given to another worker meanwhile, and this one stopped.
///
/// `report` is told how far it is after every few thousand rows, when that is committed.
///
/// # Errors
/// A refusal where the file or the campaign does not allow it: trying again is of no use. Those of the database and of reading.
pub async fn run_import_job(
    services: &Services,
    job: &ClaimedJob,
    mut report: impl FnMut(JobProgress),
) -> Result<Option<ImportResult>> {
    let payload: Payload = serde_json::from_value(job.payload.clone())?;
    let position = position(services, payload.import_id).await?;
    if position.is_finished {
        return Ok(Some(finished(&payload, &position)));
    }
    let source = Source::file(uploads::open(services, &payload.upload_id).await?)?;
    let mut import = Import::resume(services, payload.import_id, position, source, payload.options).await?;
    loop {
        let Some(progress) = import.step().await? else { break };
        let progress = JobProgress { done: progress.counts.read(), total: None, skipped: progress.counts.skipped };
        if !jobs::progress(services, job, progress, services.lease_until()).await? {
            return Ok(None);
        }
        report(progress);
    }
    import.finish().await.map(Some)
}

/// What an import did that ended before its job did.
fn finished(payload: &Payload, position: &Position) -> ImportResult {
    let counts = position.counts;
    ImportResult { campaign_id: position.campaign, import_id: payload.import_id, read: counts.read(), counts }
}
