//! Making the reminders of a rule: a job that walks over the recipients.

use std::collections::BTreeMap;

use domain::Timestamp;
use domain::reminder::{self, Exclusion, ReminderAction};
use sea_orm::DatabaseTransaction;
use serde::{Deserialize, Serialize};

use super::adding::{Added, Adding};
use super::people::{self, Person, Rounds};
use super::rules::{self, Original, ReminderRule};
use super::{attempts, selections};
use crate::access::{Marketer, Services};
use crate::audit;
use crate::changes::Change;
use crate::error::Result;
use crate::jobs::{self, ClaimedJob, Job, JobKind, JobProgress, NewJob};
use crate::rollup::RollUp;
use crate::skipped::Skipped;
use crate::subject::{Role, Subject};

/// As many recipients are looked at in one transaction.
pub(super) const CHUNK: i64 = 2_000;

/// What a job needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Payload {
    pub rule_id: i64,
    /// Only this campaign; all of the rule's where there is none.
    pub campaign_id: Option<i64>,
}

/// How far a job is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Position {
    /// The campaigns up to this one are done.
    behind: i64,
    /// Of the next one, the recipients up to this number are.
    after: i64,
    reminded: Reminded,
}

/// What a job did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reminded {
    /// The campaigns by which somebody is to be reminded now: that remind of others, or are sent again.
    pub campaigns: Vec<i64>,
    /// The selections that those who are reminded become members of, by jobs of their own.
    #[serde(default)]
    pub selections: Vec<i64>,
    /// Recipients that are reminded and were not before.
    pub added: i64,
    /// Recipients who get none, by the name of the [`Exclusion`]. Examples are `campaign:number`.
    pub skipped_by_reason: Vec<Skipped>,
}

impl Marketer {
    /// Makes the reminders of a rule now, by a job, also where its hours are over or it is not enabled: those who are due get one. Where
    /// such a job is waiting or at work, it is that one.
    ///
    /// # Errors
    /// A refusal where there is no such rule; those of the database.
    pub async fn run_reminder_now(&self, rule: i64) -> Result<Job> {
        let now = self.services.now();
        let transaction = self.services.db.begin().await?;
        if rules::find(&transaction, rule).await?.is_none() {
            return Err(rules::not_found("ruleId").into());
        }
        let payload = Payload { rule_id: rule, campaign_id: None };
        let asked = super::check::ask(&transaction, &payload, None, &self.subject.id, now).await?;
        if asked.is_new {
            let (object, detail) = (rules::object(rule), serde_json::json!({ "job": asked.job }));
            audit::record(&transaction, now, &self.subject, "reminder_rule.run", object, Some(detail)).await?;
        }
        let job = jobs::get(&transaction, asked.job).await?;
        transaction.commit().await?;
        self.services.jobs_were_added();
        Ok(job)
    }
}

impl NewJob {
    /// The job that makes reminders, as the one that follows the job `last`.
    pub(super) fn remind(payload: &Payload, last: i64, created_by: &str, now: Timestamp) -> Result<Self> {
        let mut job = Self::new(JobKind::Remind, serde_json::to_value(payload)?, created_by, now);
        let campaign = payload.campaign_id.unwrap_or_default();
        job.idempotency_key = Some(format!("remind-{}-{campaign}-{last}", payload.rule_id));
        Ok(job)
    }
}

/// Does a job that makes reminders, from where it was left.
///
/// # Errors
/// [`JobLost`](crate::ServiceError::JobLost); a refusal where the key of a reminder is another campaign's; those of the database.
pub async fn run(services: &Services, job: &ClaimedJob) -> Result<Reminded> {
    let payload: Payload = serde_json::from_value(job.payload.clone())?;
    let mut position: Position = job.position.clone().map(serde_json::from_value).transpose()?.unwrap_or_default();
    let mut progress = job.progress;
    while !step(services, job, &payload, &mut position, &mut progress).await? {}
    Ok(position.reminded)
}

/// Does the next part, in one transaction. Says whether it was the last.
pub(super) async fn step(
    services: &Services,
    job: &ClaimedJob,
    payload: &Payload,
    position: &mut Position,
    progress: &mut JobProgress,
) -> Result<bool> {
    let now = services.now();
    let transaction = services.db.begin_keyed().await?;
    let Some((rule, campaign)) = next(&transaction, payload, position.behind).await? else {
        jobs::finish(&transaction, services, job, *progress, &position.reminded).await?;
        transaction.commit().await?;
        return Ok(true);
    };
    if rule.action == ReminderAction::Resend
        && !attempts::lock(&transaction, services, &campaign, position.after).await?
    {
        // It was cancelled since it was chosen: the next step does not find it any more.
        return Ok(false);
    }
    let rounds = Rounds::of(&transaction, rule.id, campaign.id).await?;
    let people = people::page(&transaction, rule.id, &campaign, &rounds, position.after, CHUNK).await?;
    let subject = Subject { id: job.created_by.clone(), name: "reminders".to_owned(), role: Role::Marketer };
    let adding = Adding {
        transaction: &transaction,
        is_postgres: services.db.is_postgres(),
        rule: &rule,
        campaign: &campaign,
        subject: &subject,
        now,
    };
    let mut rollup = RollUp::default();
    remind(&adding, &people, &rounds, &mut position.reminded, &mut rollup).await?;
    let mut ordered = false;
    match people.last() {
        Some(last) if i64::try_from(people.len()).unwrap_or(i64::MAX) == CHUNK => position.after = last.number,
        _ => {
            (position.behind, position.after) = (campaign.id, 0);
            ordered = selections::report(&adding, services, &mut position.reminded.selections).await?;
        }
    }
    progress.done += i64::try_from(people.len()).unwrap_or(i64::MAX);
    progress.skipped = Skipped::total(&position.reminded.skipped_by_reason);
    if payload.campaign_id.is_some() || matches!(rule.scope, rules::Scope::Campaign(_)) {
        progress.total = Some(campaign.last_recipient.max(progress.done));
    }
    let changed: Vec<i64> = rollup.campaigns().collect();
    rollup.write(&transaction, now).await?;
    jobs::checkpoint(&transaction, services, job, *progress, position).await?;
    transaction.commit().await?;
    if ordered {
        services.jobs_were_added();
    }
    changed.into_iter().for_each(|campaign| services.changes.publish(Change::Campaign(campaign)));
    Ok(false)
}

/// The rule and its next campaign; `None` where nothing is left to be done, or the rule was deleted meanwhile.
async fn next(
    transaction: &DatabaseTransaction,
    payload: &Payload,
    behind: i64,
) -> Result<Option<(ReminderRule, Original)>> {
    let Some(rule) = rules::find(transaction, payload.rule_id).await? else { return Ok(None) };
    let after = payload.campaign_id.map_or(behind, |campaign| behind.max(campaign - 1));
    let found = rules::originals(transaction, &rule.scope, after, 1).await?.pop();
    let wanted = |campaign: &Original| payload.campaign_id.is_none_or(|id| id == campaign.id);
    Ok(found.filter(wanted).map(|campaign| (rule, campaign)))
}

/// Asks about each of these recipients, and adds those who are due to their reminders.
async fn remind(
    adding: &Adding<'_>,
    people: &[Person],
    rounds: &Rounds,
    reminded: &mut Reminded,
    rollup: &mut RollUp,
) -> Result<()> {
    let campaign = adding.campaign;
    let mut due: BTreeMap<i64, Vec<&Person>> = BTreeMap::new();
    let mut skip = |person: &Person, reason: Exclusion| {
        let example = format!("{}:{}", campaign.id, person.recipient);
        Skipped::add(&mut reminded.skipped_by_reason, reason.as_str(), &example);
    };
    for person in people {
        match decide(person, adding.rule, campaign, rounds, adding.now) {
            (round, Ok(())) => due.entry(round).or_default().push(person),
            (_, Err(reason)) => skip(person, reason),
        }
    }
    for (round, people) in due {
        match adding.add(round, &people, rollup).await? {
            Added::To(campaign, count) => {
                // The others were added by somebody else since this transaction looked at them.
                reminded.added += i64::try_from(count).unwrap_or(i64::MAX);
                let campaign = campaign.filter(|_| count > 0);
                reminded.campaigns.extend(campaign.filter(|campaign| !reminded.campaigns.contains(campaign)));
            }
            Added::Canceled => people.into_iter().for_each(|person| {
                let example = format!("{}:{}", campaign.id, person.recipient);
                Skipped::add(&mut reminded.skipped_by_reason, Exclusion::Canceled.as_str(), &example);
            }),
        }
    }
    Ok(())
}

/// Which reminder is the next for somebody, and whether they are to get it now.
pub(super) fn decide(
    person: &Person,
    rule: &ReminderRule,
    campaign: &Original,
    rounds: &Rounds,
    now: Timestamp,
) -> (i64, Result<(), Exclusion>) {
    let round = person.mails.next_round();
    let mut candidate = person.candidate(round, campaign.sent_at);
    candidate.is_canceled = rounds.is_canceled(round);
    (round, reminder::check(&candidate, &rule.targeting, now))
}
