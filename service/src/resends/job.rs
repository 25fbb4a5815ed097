//! The job that sends a campaign again to a set of its recipients.

use domain::campaign::CampaignState;
use domain::resend::{Resend, ResendScope, decide};
use domain::status::RecipientStatus;
use serde::{Deserialize, Serialize};

use super::again;
use crate::access::{Marketer, Services};
use crate::audit;
use crate::campaigns::{self, CampaignRow};
use crate::changes::Change;
use crate::db::query_one;
use crate::error::{Refusal, RefusalCode, Result};
use crate::jobs::{self, ClaimedJob, Job, JobKind, JobProgress, NewJob};
use crate::recipients::{RecipientFilter, RecipientKey, RecipientSet, RecipientsWhere};
use crate::rollup::RollUp;
use crate::skipped::Skipped;
use crate::subject::{Role, Subject};

/// As many recipients are looked at in one transaction.
pub(super) const CHUNK: i64 = 1_000;

/// What a job needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Payload {
    campaign_id: i64,
    /// The code of a [`ResendScope`].
    scope: i16,
    set: RecipientSet,
}

/// How far a job is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Position {
    after: Option<RecipientKey>,
    total: i64,
    resent: Resent,
}

/// What a resend did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resent {
    /// The campaign.
    pub campaign_id: i64,
    /// Recipients that are to be sent to and were not before.
    pub added: i64,
    /// Recipients that were to be sent to already.
    pub unchanged: i64,
    /// Recipients that are not sent to, by the name of the [`ResendExclusion`](domain::resend::ResendExclusion). Examples are
    /// `campaign:number`.
    pub skipped_by_reason: Vec<Skipped>,
}

impl Marketer {
    /// Has a campaign sent again, by a job: the recipients become `READY`, and the campaign `SENDING` where it was `SENT`, so that sending
    /// picks them up. `chosen` are those that somebody chose, for [`ResendScope::Chosen`] only; the other scopes look at the whole campaign.
    /// Nobody is made ready twice, however often this is asked for.
    ///
    /// # Errors
    /// A refusal where there is no such campaign, where it was cancelled, where recipients of another one are chosen, or some are chosen
    /// and the scope says whom it is for by itself; those of the database.
    pub async fn resend(&self, campaign: i64, scope: ResendScope, chosen: Option<RecipientSet>) -> Result<Job> {
        let set = match (scope, chosen) {
            (ResendScope::Chosen, Some(set)) if set.campaign() == Some(campaign) => set,
            (ResendScope::Chosen, Some(_)) => {
                let message = "these are not all recipients of this campaign";
                return Err(Refusal::field(RefusalCode::Invalid, &["recipients"], message).into());
            }
            (ResendScope::OnlyUpdated, None) => whole(campaign, RecipientFilter::Corrected(true)),
            (ResendScope::NotYetSent, None) => {
                whole(campaign, RecipientFilter::Status(vec![RecipientStatus::Ready, RecipientStatus::Blocked]))
            }
            _ => {
                let message = "give recipients, or onlyUpdated, or notYetSent: exactly one of them";
                return Err(Refusal::new(RefusalCode::Invalid, message).into());
            }
        };
        let now = self.services.now();
        let transaction = self.services.db.begin().await?;
        let row = campaigns::lock(&transaction, self.services.db.is_postgres(), campaign).await?;
        refuse_canceled(&row)?;
        let payload = serde_json::to_value(Payload { campaign_id: campaign, scope: scope.code(), set })?;
        let job = NewJob::new(JobKind::Resend, payload, &self.subject.id, now);
        let job = jobs::enqueue(&transaction, job, now).await?;
        let detail = serde_json::json!({ "job": job, "scope": scope.as_str() });
        let object = format!("campaign:{campaign}");
        audit::record(&transaction, now, &self.subject, "recipients.resend", object, Some(detail)).await?;
        let job = jobs::get(&transaction, job).await?;
        transaction.commit().await?;
        self.services.jobs_were_added();
        Ok(job)
    }
}

fn whole(campaign: i64, filter: RecipientFilter) -> RecipientSet {
    RecipientSet::Where(RecipientsWhere { campaign, filter, search: None })
}

fn refuse_canceled(campaign: &CampaignRow) -> Result<(), Refusal> {
    if campaign.state != CampaignState::Canceled {
        return Ok(());
    }
    Err(Refusal::field(RefusalCode::Conflict, &["campaignId"], "this campaign was cancelled: it is not sent"))
}

/// Does a job that [`Marketer::resend`] asked for, from where it was left.
///
/// # Errors
/// A refusal where the campaign was cancelled meanwhile; [`JobLost`](crate::ServiceError::JobLost); those of the database.
pub async fn run(services: &Services, job: &ClaimedJob) -> Result<Resent> {
    let payload: Payload = serde_json::from_value(job.payload.clone())?;
    let mut position = match &job.position {
        Some(position) => serde_json::from_value(position.clone())?,
        None => begin(services, &payload).await?,
    };
    while !step(services, job, &payload, &mut position).await? {}
    Ok(position.resent)
}

pub(super) async fn begin(services: &Services, payload: &Payload) -> Result<Position> {
    let (text, values) = payload.set.scan().count(i64::MAX - 1).into_parts();
    let row = query_one(services.db.read(), &text, values).await?;
    let total = row.map_or(Ok(0), |row| row.try_get_by_index(0))?;
    let resent = Resent { campaign_id: payload.campaign_id, ..Resent::default() };
    Ok(Position { total, resent, after: None })
}

/// Does the next part, in one transaction. Says whether it was the last.
pub(super) async fn step(
    services: &Services,
    job: &ClaimedJob,
    payload: &Payload,
    position: &mut Position,
) -> Result<bool> {
    let now = services.now();
    let scope = ResendScope::from_code(payload.scope).unwrap_or(ResendScope::Chosen);
    let subject = Subject { id: job.created_by.clone(), name: "resend".to_owned(), role: Role::Marketer };
    let transaction = services.db.begin_keyed().await?;
    let campaign = campaigns::lock(&transaction, services.db.is_postgres(), payload.campaign_id).await?;
    refuse_canceled(&campaign)?;
    let keys = payload.set.chunk(&transaction, position.after, CHUNK).await?;
    let targets = again::lock(&transaction, &keys).await?;
    let resent = &mut position.resent;
    let (mut again, mut back, mut is_ready) = (Vec::new(), Vec::new(), false);
    for target in &targets {
        match decide(&target.candidate(), scope) {
            Resend::Again => again.push(target),
            Resend::TakeBack => back.push(target),
            Resend::Unchanged => {
                resent.unchanged += 1;
                is_ready = true;
            }
            Resend::Not(reason) => {
                let example = format!("{}:{}", target.key.campaign, target.key.number);
                Skipped::add(&mut resent.skipped_by_reason, reason.as_str(), &example);
            }
        }
    }
    let added = again.len() + back.len();
    resent.added += i64::try_from(added).unwrap_or(i64::MAX);
    let mut rollup = RollUp::default();
    again::start(&transaction, &again, &mut rollup, now).await?;
    again::take_back(&transaction, &back, &mut rollup).await?;
    if added > 0 || is_ready {
        again::reopen(&transaction, &campaign, &subject, now).await?;
    }
    rollup.write(&transaction, now).await?;
    let is_last = i64::try_from(keys.len()).unwrap_or(i64::MAX) < CHUNK;
    position.after = keys.last().copied().or(position.after);
    let progress = position.progress();
    if is_last {
        jobs::finish(&transaction, services, job, progress, &position.resent).await?;
    } else {
        jobs::checkpoint(&transaction, services, job, progress, position).await?;
    }
    transaction.commit().await?;
    services.changes.publish(Change::Campaign(payload.campaign_id));
    Ok(is_last)
}

impl Position {
    fn progress(&self) -> JobProgress {
        let skipped = Skipped::total(&self.resent.skipped_by_reason);
        let done = self.resent.added + self.resent.unchanged + skipped;
        JobProgress { done, total: Some(self.total.max(done)), skipped }
    }
}
