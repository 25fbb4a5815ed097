//! What is done again and again: the rules, and the ticks at which they are due.
//!
//! Every worker looks at every tick. Whoever inserts the row of a tick, which is unique, adds its job in the same transaction: so each
//! tick is seen to once, however many workers there are. Of a series of ticks that nobody saw, because everything was down, only the
//! latest is seen to, late.

use std::sync::Arc;

use chrono_tz::Tz;
use domain::Timestamp;
use domain::schedule::{InvalidExpression, Timetable};
use sea_orm::{ConnectionTrait, Value};

use crate::access::Services;
use crate::crm::sync;
use crate::db::{execute, query_one};
use crate::error::Result;
use crate::jobs::{self, JobKind, JobState, NewJob};
use crate::subject::SCHEDULE;

/// Something that is done again and again.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name in the database, never given to another rule.
    pub name: &'static str,
    /// When it is due.
    pub timetable: Timetable,
    /// What is done then.
    pub kind: JobKind,
    /// What that needs to know.
    pub payload: serde_json::Value,
}

/// Name, cron expression (in the configured time zone where it is at night, else in UTC) and work of each rule.
const RULES: [(&str, &str, When, JobKind); 5] = [
    ("check-alerts", "0 * * * * *", When::Always, JobKind::CheckAlerts),
    ("check-reminders", "0 * * * * *", When::Always, JobKind::CheckReminders),
    ("review-addresses", "0 10 3 * * *", When::AtNight, JobKind::ReviewAddresses),
    ("suggest-corrections", "0 20 3 * * *", When::AtNight, JobKind::SuggestCorrections),
    ("prune", "0 40 3 * * *", When::AtNight, JobKind::Prune),
];

/// Whether the time of day matters.
#[derive(Clone, Copy)]
enum When {
    Always,
    AtNight,
}

/// The rules of this version. Those at night are due by the clocks of `zone`.
///
/// # Errors
/// Where one of them is no cron expression, which a test would have found.
pub fn rules(zone: Tz) -> Result<Vec<Rule>, InvalidExpression> {
    let rule = |(name, expression, when, kind)| {
        let zone = match when {
            When::Always => Tz::UTC,
            When::AtNight => zone,
        };
        Ok(Rule { name, timetable: Timetable::new(expression, zone)?, kind, payload: serde_json::json!({}) })
    };
    RULES.into_iter().map(rule).collect()
}

/// The rules for a CRM that is connected: what changed is read every `minutes`, everything once a night by the clocks of `zone`.
///
/// # Errors
/// As [`rules`].
pub fn crm_rules(zone: Tz, minutes: u32) -> Result<Vec<Rule>, InvalidExpression> {
    let every = match minutes.max(1) {
        minutes @ 1..60 => format!("0 */{minutes} * * * *"),
        minutes => format!("0 0 */{} * * *", (minutes / 60).min(23)),
    };
    let rule = |name, expression: &str, zone, complete: bool| -> Result<Rule, InvalidExpression> {
        let payload = serde_json::json!({ "complete": complete });
        Ok(Rule { name, timetable: Timetable::new(expression, zone)?, kind: JobKind::SyncCrm, payload })
    };
    Ok(vec![rule("sync-crm", &every, Tz::UTC, false)?, rule("sync-crm-complete", "0 10 2 * * *", zone, true)?])
}

/// The time zone of this name (`Europe/Berlin`).
#[must_use]
pub fn zone(name: &str) -> Option<Tz> {
    name.parse().ok()
}

/// What came of looking at a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// It is not due: its last tick has been seen to, here or elsewhere.
    Known,
    /// The rule is new. It begins with its next tick: nothing is done for the time before it was there.
    Begun,
    /// It was due at this time, and this job does it.
    Added {
        /// When it was due.
        due: Timestamp,
        /// The job.
        job: i64,
    },
    /// It was due at this time, and a job that has not begun does for it: that of an earlier tick, or one that somebody ordered.
    Waits {
        /// When it was due.
        due: Timestamp,
        /// The job.
        job: i64,
    },
}

/// Looks whether a rule is due at `now` and, if nobody else has, adds its job.
///
/// # Errors
/// Those of the database.
pub async fn tick(services: &Services, rule: &Rule, now: Timestamp) -> Result<Tick> {
    let Some(due) = rule.timetable.latest(now) else { return Ok(Tick::Known) };
    let previous = match last(services.db.read(), rule).await? {
        // A clock that was set back sees ticks again that are older than the last one.
        Some(last) if last.due >= due => return Ok(Tick::Known),
        Some(last) => last,
        None => {
            let is_first = insert(services.db.write(), rule, due, now).await?;
            return Ok(if is_first { Tick::Begun } else { Tick::Known });
        }
    };
    let transaction = services.db.begin().await?;
    if !insert(&transaction, rule, due, now).await? {
        return Ok(Tick::Known);
    }
    let waiting = match previous.job {
        Some(job) if waits(&transaction, job).await? => Some(job),
        _ => waits_elsewhere(&transaction, rule).await?,
    };
    let tick = match waiting {
        Some(job) => Tick::Waits { due, job },
        None => {
            let job = NewJob {
                idempotency_key: Some(format!("schedule:{}:{due}", rule.name)),
                ..NewJob::new(rule.kind, rule.payload.clone(), SCHEDULE, now)
            };
            Tick::Added { due, job: jobs::enqueue(&transaction, job, now).await? }
        }
    };
    if rule.kind.is_routine() {
        forget(&transaction, rule, now).await?;
    }
    if let Tick::Added { job, .. } | Tick::Waits { job, .. } = tick {
        let sql = "UPDATE schedule_tick SET job_id = $3 WHERE rule = $1 AND due_at = $2";
        execute(&transaction, sql, [rule.name.into(), due.micros().into(), job.into()]).await?;
    }
    transaction.commit().await?;
    if matches!(tick, Tick::Added { .. }) {
        services.jobs_were_added();
    }
    Ok(tick)
}

/// Looks at all rules; says how many jobs were added. A rule that fails keeps no other from being looked at.
///
/// # Errors
/// The last one of the database.
pub async fn look(services: &Services, rules: &Arc<[Rule]>) -> Result<usize> {
    let (mut added, mut result) = (0, Ok(()));
    for rule in rules.iter() {
        match tick(services, rule, services.now()).await {
            Ok(Tick::Added { due, job }) => {
                added += 1;
                tracing::debug!(rule = rule.name, due = %due, job, "a rule of the schedule is due");
            }
            Ok(Tick::Waits { due, job }) => {
                tracing::warn!(rule = rule.name, due = %due, job, "a rule is due while a job that does the same still waits");
            }
            Ok(Tick::Known | Tick::Begun) => {}
            Err(error) => result = Err(error),
        }
    }
    result.map(|()| added)
}

/// Removes the jobs of a rule that is due every minute, once they are an hour old and were a success: nobody wants to see them.
async fn forget<C: ConnectionTrait>(connection: &C, rule: &Rule, now: Timestamp) -> Result<()> {
    const HOUR: i64 = 3_600;
    let sql = "DELETE FROM job WHERE state = $4 AND id IN \
               (SELECT job_id FROM schedule_tick WHERE rule = $1 AND due_at BETWEEN $2 AND $3 AND job_id IS NOT NULL)";
    let (from, to) = (now.plus_seconds(-2 * HOUR), now.plus_seconds(-HOUR));
    let values = [rule.name.into(), from.micros().into(), to.micros().into(), JobState::Succeeded.code().into()];
    execute(connection, sql, values).await?;
    Ok(())
}

async fn waits<C: ConnectionTrait>(connection: &C, job: i64) -> Result<bool> {
    let values = [job.into(), JobState::Queued.code().into()];
    Ok(query_one(connection, "SELECT 1 FROM job WHERE id = $1 AND state = $2", values).await?.is_some())
}

/// The job of somebody else who ordered the same, where it has not begun either.
async fn waits_elsewhere<C: ConnectionTrait>(connection: &C, rule: &Rule) -> Result<Option<i64>> {
    match rule.kind {
        JobKind::SyncCrm => sync::waiting(connection, &serde_json::from_value(rule.payload.clone())?).await,
        _ => Ok(None),
    }
}

struct Last {
    due: Timestamp,
    job: Option<i64>,
}

async fn last<C: ConnectionTrait>(connection: &C, rule: &Rule) -> Result<Option<Last>> {
    let sql = "SELECT due_at, job_id FROM schedule_tick WHERE rule = $1 ORDER BY due_at DESC LIMIT 1";
    let Some(row) = query_one(connection, sql, [rule.name.into()]).await? else { return Ok(None) };
    Ok(Some(Last { due: Timestamp::from_micros(row.try_get_by_index(0)?), job: row.try_get_by_index(1)? }))
}

/// Inserts a tick; whether it was this call that did, and there is no later one: a worker whose clock is behind has nothing to add.
async fn insert<C: ConnectionTrait>(connection: &C, rule: &Rule, due: Timestamp, now: Timestamp) -> Result<bool> {
    let sql = "INSERT INTO schedule_tick (rule, due_at, created_at) \
               SELECT CAST($1 AS TEXT), CAST($2 AS BIGINT), CAST($3 AS BIGINT) \
               WHERE NOT EXISTS (SELECT 1 FROM schedule_tick later WHERE later.rule = $1 AND later.due_at > $2) \
               ON CONFLICT (rule, due_at) DO NOTHING";
    let values: [Value; 3] = [rule.name.into(), due.micros().into(), now.micros().into()];
    Ok(execute(connection, sql, values).await?.rows_affected() == 1)
}

#[cfg(test)]
mod tests;
