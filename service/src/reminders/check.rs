//! What is done every minute: taking out who responded, and looking which campaigns may have somebody who is due.
//!
//! Walking over a campaign is a job. Whether it is worth one is told by the roll-ups: there are recipients with a status that counts,
//! and since the last look the campaign changed, or mails that were sent grew old enough. What changes outside of the campaign (a
//! block that ends, consent that is given again) is found by a look a day while the campaign is young.

use domain::Timestamp;
use domain::campaign::CampaignState;
use domain::reminder::{self, ReminderAudience};
use sea_orm::{ConnectionTrait, Value};
use serde::{Deserialize, Serialize};

use super::rules::{self, ReminderRule, Scope};
use super::run::Payload;
use super::take_out::take_out;
use crate::access::Services;
use crate::db::{execute, query_all, query_one};
use crate::error::Result;
use crate::jobs::{self, ClaimedJob, JobProgress, JobState, NewJob};

/// A campaign is looked at again only after so long: its figures may change every second.
const PAUSE: i64 = 600;
/// A transaction that changes figures may commit so long after the time that it writes down.
const SLACK: i64 = 60;
/// What no figure tells is looked for once a day …
const DAY: i64 = 86_400;
/// … until so long after the first reminders were due.
const YOUNG: i64 = 30 * DAY;
/// Those who are still to get a reminder are looked at this often even where no figure changed. A job that was given up is followed by
/// another after so long.
const HOUR: i64 = 3_600;

/// What a look did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Checked {
    /// Recipients that were taken out of reminders.
    pub taken_out: usize,
    /// Jobs that were added to make reminders.
    pub jobs: usize,
}

/// Does the job of the schedule. All of it may be done twice without harm.
///
/// # Errors
/// [`JobLost`](crate::ServiceError::JobLost); those of the database.
pub async fn check(services: &Services, job: &ClaimedJob) -> Result<Checked> {
    let mut checked = Checked::default();
    for child in changed_reminders(services).await? {
        checked.taken_out += take_out(services, child).await?;
    }
    for rule in rules::all(services.db.read()).await? {
        let now = services.now();
        let opens = reminder::next_run(rule.window.as_ref(), &rule.time_zone, now);
        if rule.is_enabled && opens == Some(now) {
            checked.jobs += add_jobs(services, &rule, &job.created_by).await?;
        }
    }
    if checked.jobs > 0 {
        services.jobs_were_added();
    }
    let done = i64::try_from(checked.taken_out + checked.jobs).unwrap_or(i64::MAX);
    let transaction = services.db.begin().await?;
    jobs::finish(&transaction, services, job, JobProgress { done, ..JobProgress::default() }, &checked).await?;
    transaction.commit().await?;
    Ok(checked)
}

/// The reminders that somebody is still to get, and in whose campaign, or reminders before them, something changed since they were
/// last compared.
async fn changed_reminders(services: &Services) -> Result<Vec<i64>> {
    /// A few seconds: a transaction may be committed after another that came later.
    const SLACK: i64 = 10_000_000;
    let canceled = CampaignState::Canceled.code();
    let sql = format!(
        "SELECT DISTINCT own.campaign_id FROM reminder m \
         JOIN campaign c ON c.id = m.child_id OR c.id = m.campaign_id AND m.has_attempts \
         JOIN campaign_statistics own ON own.campaign_id = c.id \
         WHERE own.ready > 0 AND c.state <> {canceled} AND (m.checked_at <= $1 OR EXISTS (\
            SELECT 1 FROM campaign_statistics s WHERE s.campaign_id = m.campaign_id AND s.updated_at > m.checked_at - {SLACK}) \
         OR EXISTS (SELECT 1 FROM reminder e JOIN campaign_statistics s ON s.campaign_id = e.child_id \
            WHERE e.rule_id = m.rule_id AND e.campaign_id = m.campaign_id AND e.round < m.round \
            AND s.updated_at > m.checked_at - {SLACK})) ORDER BY own.campaign_id"
    );
    let since = services.now().plus_seconds(-HOUR).micros();
    let rows = query_all(services.db.read(), &sql, [since.into()]).await?;
    Ok(rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?)
}

/// A campaign in which somebody may be due, and when it was last looked at.
struct Worth {
    campaign: i64,
    checked_at: Option<Timestamp>,
}

async fn add_jobs(services: &Services, rule: &ReminderRule, created_by: &str) -> Result<usize> {
    let mut added = 0;
    for worth in worth_a_look(services, rule).await? {
        let now = services.now();
        let transaction = services.db.begin().await?;
        let payload = Payload { rule_id: rule.id, campaign_id: Some(worth.campaign) };
        if ask(&transaction, &payload, Some(worth.checked_at), created_by, now).await?.is_new {
            transaction.commit().await?;
            added += 1;
        }
    }
    Ok(added)
}

/// The campaigns of a rule in which somebody may be due.
async fn worth_a_look(services: &Services, rule: &ReminderRule) -> Result<Vec<Worth>> {
    let now = services.now();
    let after = i64::from(rule.targeting.after_hours) * HOUR;
    let before = |seconds: i64| Value::from(now.plus_seconds(-seconds).micros());
    let counts = match rule.targeting.audience {
        ReminderAudience::NoHumanSignal => "s.sent_only + s.delivered_only",
        ReminderAudience::NotClicked => "s.sent_only + s.delivered_only + s.read",
    };
    let mut values = vec![
        rule.id.into(),
        before(after),
        before(PAUSE),
        before(DAY),
        before(after + YOUNG),
        rule.updated_at.micros().into(),
        before(HOUR),
    ];
    let only = match rule.scope {
        Scope::Campaign(campaign) => {
            values.push(campaign.into());
            "c.id = $8"
        }
        Scope::Pattern(_) => "c.parent_id IS NULL",
    };
    // Mails of an hour grow old enough from the beginning of an hour on, and until its end.
    let (wait, hour, slack) = (after * 1_000_000, Timestamp::HOUR, SLACK * 1_000_000);
    let aged = format!("h.sent > 0 AND h.hour <= $2 AND h.hour + {hour} > k.checked_at - {wait}");
    let sql = format!(
        "SELECT c.id, c.name, k.checked_at FROM campaign c JOIN campaign_statistics s ON s.campaign_id = c.id \
         LEFT JOIN reminder_check k ON k.rule_id = $1 AND k.campaign_id = c.id \
         WHERE {} AND {only} AND COALESCE(c.sent_at, c.created_at) <= $2 AND {counts} > 0 \
         AND (k.rule_id IS NULL OR k.checked_at < $6 OR (k.checked_at <= $3 AND (s.updated_at > k.checked_at - {slack} \
            OR (k.checked_at <= $7 AND EXISTS (SELECT 1 FROM job j WHERE j.id = k.job_id AND j.state = {})) \
            OR (k.checked_at <= $4 AND COALESCE(c.sent_at, c.created_at) > $5) \
            OR EXISTS (SELECT 1 FROM campaign_hour h WHERE h.campaign_id = c.id AND {aged}) \
            OR EXISTS (SELECT 1 FROM reminder m JOIN campaign_hour h ON h.campaign_id = m.child_id \
                WHERE m.rule_id = $1 AND m.campaign_id = c.id AND {aged}) \
            OR EXISTS (SELECT 1 FROM reminder m WHERE m.rule_id = $1 AND m.campaign_id = c.id AND m.child_id IS NULL \
                AND m.created_at <= $2 AND m.created_at > k.checked_at - {wait})))) ORDER BY c.id",
        rules::was_sent(),
        JobState::Failed.code(),
    );
    let mut found = Vec::new();
    for row in query_all(services.db.read(), &sql, values).await? {
        let (campaign, name): (i64, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        if rule.scope.holds(campaign, &name, false) {
            let checked_at = row.try_get_by_index::<Option<i64>>(2)?.map(Timestamp::from_micros);
            found.push(Worth { campaign, checked_at });
        }
    }
    Ok(found)
}

/// The job that somebody asked for.
pub(super) struct Asked {
    pub job: i64,
    /// Whether it was added now.
    pub is_new: bool,
}

/// Adds a job that makes reminders, or finds the one that is waiting or at work. With `expected`, also where somebody else has looked
/// since then: nothing is added.
pub(super) async fn ask<C: ConnectionTrait>(
    connection: &C,
    payload: &Payload,
    expected: Option<Option<Timestamp>>,
    created_by: &str,
    now: Timestamp,
) -> Result<Asked> {
    let (rule, campaign) = (payload.rule_id, payload.campaign_id.unwrap_or_default());
    // The row is the lock: who asks for the same at the same moment waits here.
    let sql = "INSERT INTO reminder_check (rule_id, campaign_id, job_id, checked_at) VALUES ($1, $2, 0, 0) \
               ON CONFLICT (rule_id, campaign_id) DO UPDATE SET job_id = reminder_check.job_id RETURNING job_id, checked_at";
    let row = query_one(connection, sql, [rule.into(), campaign.into()]).await?;
    let (last, checked_at): (i64, i64) = match row {
        Some(row) => (row.try_get_by_index(0)?, row.try_get_by_index(1)?),
        None => (0, 0),
    };
    let active = format!("SELECT 1 WHERE {}", jobs::is_active("$1"));
    let is_active = query_one(connection, &active, [last.into()]).await?.is_some();
    let is_late = expected.is_some_and(|expected| checked_at != expected.map_or(0, Timestamp::micros));
    if is_active || is_late {
        return Ok(Asked { job: last, is_new: false });
    }
    let job = jobs::enqueue(connection, NewJob::remind(payload, last, created_by, now)?, now).await?;
    let sql = "UPDATE reminder_check SET job_id = $3, checked_at = $4 WHERE rule_id = $1 AND campaign_id = $2";
    execute(connection, sql, [rule, campaign, job, now.micros()].map(Into::into)).await?;
    Ok(Asked { job, is_new: true })
}
