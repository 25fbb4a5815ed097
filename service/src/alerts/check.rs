//! Looking for what is wrong: at campaigns whose figures have moved since the last look, and at those that were sent and of which
//! nothing is heard.
//!
//! Campaigns are looked at a batch at a time, each batch in one transaction, which first takes the lock on the row that says how far
//! the last look went: of two looks at the same time the second sees what the first has raised.

use domain::Timestamp;
use domain::alerts::{self, AlertPolicy, Course, WATCHED_DAYS};
use domain::campaign::CampaignState;
use domain::contribution::{Figure, Figures};
use domain::event::BounceClass;
use domain::notify::Channel;
use sea_orm::{DatabaseTransaction, DbErr, QueryResult};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Alert, COLUMNS};
use crate::access::Services;
use crate::audit;
use crate::batch::{Batch, Column};
use crate::db::{execute, query_all, query_one};
use crate::error::Result;
use crate::jobs::{self, ClaimedJob, JobKind, JobProgress, NewJob};
use crate::recipients::row::coded;
use crate::rollup::figure_names;
use crate::settings;
use crate::statistics::CampaignStatistics;
use crate::subject::SYSTEM;
use crate::subject::Subject;

/// So many campaigns are looked at in one transaction.
const BATCH: i64 = 200;
/// Figures carry the time at which their transaction began: one that took so many seconds to commit is still seen.
const SLACK_SECONDS: i64 = 120;
/// What was last looked at, in the table of settings.
const MARK: &str = "alerts.checked_until";

/// How far the last look went.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Mark {
    until: Timestamp,
    /// By which limits, as JSON: where they have changed, campaigns whose figures have not may deserve an alert now.
    policy: String,
}

/// How far this one is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Position {
    /// Looks at what has moved since then …
    since: Timestamp,
    /// … until then.
    until: Timestamp,
    /// And at all campaigns that have an alert: the limits have changed.
    anew: bool,
    /// Behind this campaign.
    after: i64,
    raised: usize,
    resolved: usize,
}

/// Raises alerts on campaigns that deserve them, resolves those that hold no longer, and has each new one told by every channel.
///
/// # Errors
/// [`crate::ServiceError::JobLost`] where the job was given to another worker; those of the database.
pub async fn check(services: &Services, job: &ClaimedJob, channels: &[Channel]) -> Result<()> {
    let mut position: Option<Position> = job.position.clone().map(serde_json::from_value).transpose()?;
    let mut done = job.progress.done;
    loop {
        let now = services.now();
        let transaction = services.db.begin_keyed().await?;
        let mark = lock_mark(&transaction, now).await?;
        let policy = settings::load(&transaction).await?.alerts;
        let limits = serde_json::to_string(&policy)?;
        let mut at = position.unwrap_or_else(|| begin(mark, &limits, now));
        let look = Look { transaction: &transaction, policy, now };
        let campaigns = look.candidates(&at).await?;
        let found = look.examine(&campaigns, job, channels).await?;
        at.after = campaigns.last().copied().unwrap_or(at.after);
        at.raised += found.raised.len();
        at.resolved += found.resolved.len();
        done += i64::try_from(campaigns.len()).unwrap_or_default();
        let progress = JobProgress { done, total: None, skipped: 0 };
        let is_last = i64::try_from(campaigns.len()).unwrap_or_default() < BATCH;
        if is_last {
            write_mark(&transaction, &Mark { until: at.until, policy: limits }, now).await?;
            let result = json!({ "campaigns": done, "raised": at.raised, "resolved": at.resolved });
            jobs::finish(&transaction, services, job, progress, &result).await?;
        } else {
            jobs::checkpoint(&transaction, services, job, progress, &at).await?;
        }
        transaction.commit().await?;
        found.log();
        if !found.raised.is_empty() && !channels.is_empty() {
            services.jobs_were_added();
        }
        if is_last {
            return Ok(());
        }
        position = Some(at);
    }
}

fn begin(mark: Option<Mark>, limits: &str, now: Timestamp) -> Position {
    let known = mark.filter(|mark| mark.policy == limits);
    let anew = known.is_none();
    // The first look, and one by other limits: not at everything that ever was, but as far back as campaigns are watched.
    let since = known.map_or(now.plus_seconds(-WATCHED_DAYS * 86_400), |mark| mark.until.plus_seconds(-SLACK_SECONDS));
    Position { since, until: now, anew, after: 0, raised: 0, resolved: 0 }
}

/// How far the last look went; nobody else looks until this transaction ends.
async fn lock_mark(transaction: &DatabaseTransaction, now: Timestamp) -> Result<Option<Mark>> {
    let sql = "INSERT INTO setting (name, value, updated_by, updated_at) VALUES ($1, 'null', $2, $3) \
        ON CONFLICT (name) DO UPDATE SET value = setting.value RETURNING value";
    let row = query_one(transaction, sql, [MARK.into(), SYSTEM.into(), now.micros().into()]).await?;
    let value: Option<String> = row.map(|row| row.try_get_by_index(0)).transpose()?;
    // One of another version is as good as none.
    Ok(value.and_then(|value| serde_json::from_str::<Option<Mark>>(&value).ok()).flatten())
}

async fn write_mark(transaction: &DatabaseTransaction, mark: &Mark, now: Timestamp) -> Result<()> {
    let sql = "UPDATE setting SET value = $2, updated_at = $3 WHERE name = $1";
    let value = serde_json::to_string(mark)?;
    execute(transaction, sql, [MARK.into(), value.into(), now.micros().into()]).await?;
    Ok(())
}

/// A batch of a look.
struct Look<'a> {
    transaction: &'a DatabaseTransaction,
    policy: AlertPolicy,
    now: Timestamp,
}

/// What a batch has changed.
#[derive(Default)]
struct Found {
    raised: Vec<Alert>,
    resolved: Vec<Alert>,
}

impl Found {
    /// Tells the log, once it is committed.
    fn log(&self) {
        for Alert { id, campaign, finding, .. } in &self.raised {
            let (kind, value, limit) = (finding.kind, finding.value, finding.limit);
            tracing::warn!(alert = id, campaign, %kind, value, limit, "something is wrong with a campaign");
        }
        for Alert { id, campaign, finding, .. } in &self.resolved {
            tracing::info!(alert = id, campaign, kind = %finding.kind, "an alert holds no longer");
        }
    }
}

impl Look<'_> {
    /// The next campaigns to look at, in the order of their keys.
    async fn candidates(&self, at: &Position) -> Result<Vec<i64>, DbErr> {
        // What was heard before shows in the figures; alerts that nothing was heard are looked at until they are over, because an event
        // that changes no figure ends them as well.
        let open = if at.anew { "" } else { "AND kind = 4" };
        let sql = format!(
            "SELECT id FROM (\
                SELECT campaign_id AS id FROM campaign_statistics WHERE updated_at >= $1 AND campaign_id > $2 \
                UNION SELECT c.id FROM campaign c JOIN campaign_statistics s ON s.campaign_id = c.id \
                    WHERE c.state = 3 AND c.sent_at BETWEEN $3 AND $4 AND c.id > $2 AND s.sent_only > 0 \
                    AND s.delivered_only + s.read + s.clicked_only + s.soft_bounced + s.hard_bounced + s.complained_only \
                        + s.unsubscribed_only + s.opened + s.machine_opened + s.clicked + s.machine_clicked = 0 \
                UNION SELECT campaign_id FROM alert WHERE resolved_at IS NULL AND campaign_id > $2 {open}\
             ) AS candidate ORDER BY id LIMIT $5"
        );
        let from = self.now.plus_seconds(-WATCHED_DAYS * 86_400);
        let to = self.now.plus_seconds(-i64::from(self.policy.silent_hours) * 3_600);
        let values = [at.since.micros(), at.after, from.micros(), to.micros(), BATCH].map(Into::into);
        query_all(self.transaction, &sql, values).await?.iter().map(|row| row.try_get_by_index(0)).collect()
    }

    async fn examine(&self, campaigns: &[i64], job: &ClaimedJob, channels: &[Channel]) -> Result<Found> {
        if campaigns.is_empty() {
            return Ok(Found::default());
        }
        let mut open = self.open(campaigns).await?;
        let mut raised = Batch::new(ALERT_COLUMNS);
        let mut worse = Batch::new(VALUE_COLUMNS);
        let mut over = Batch::new(&[("id", Column::Big)]);
        for (campaign, course) in self.courses(campaigns).await? {
            let mine: Vec<Alert> = open.extract_if(.., |alert| alert.campaign == campaign).collect();
            for alert in mine.iter().filter(|alert| alerts::is_over(&alert.finding, &course, &self.policy)) {
                over.push([alert.id.into()]);
            }
            for finding in alerts::alerts(&course, &self.policy, self.now) {
                let (kind, value) = (finding.kind, finding.kind.encode(finding.value));
                match mine.iter().find(|alert| alert.finding.kind == kind) {
                    Some(known) if kind.encode(known.finding.value) < value => {
                        worse.push([known.id.into(), value.into()]);
                    }
                    Some(_) => {}
                    None => {
                        let limit = kind.encode(finding.limit);
                        raised.push([campaign.into(), kind.code().into(), value.into(), limit.into()]);
                    }
                }
            }
        }
        if !worse.is_empty() {
            let sql = "UPDATE alert SET value = rows.value FROM {rows} WHERE alert.id = rows.id";
            worse.execute(self.transaction, sql, []).await?;
        }
        let found = Found { raised: self.raise(raised).await?, resolved: self.resolve(over).await? };
        self.record(&found, job, channels).await?;
        Ok(found)
    }

    /// The alerts on these campaigns that are open.
    async fn open(&self, campaigns: &[i64]) -> Result<Vec<Alert>> {
        let columns = COLUMNS.split(", ").map(|column| format!("a.{column}")).collect::<Vec<_>>().join(", ");
        let sql = format!(
            "SELECT {columns} FROM {{rows}} CROSS JOIN alert AS a WHERE a.campaign_id = rows.id AND a.resolved_at IS NULL"
        );
        let rows = ids(campaigns).query(self.transaction, &sql, []).await?;
        Ok(rows.iter().map(super::read).collect::<Result<_, DbErr>>()?)
    }

    /// What is known of these campaigns, from the roll-ups; whether there is an event is asked for only where they show nothing.
    async fn courses(&self, campaigns: &[i64]) -> Result<Vec<(i64, Course)>> {
        let senders = BounceClass::ALL.iter().filter(|class| class.is_senders_own());
        let senders = senders.map(|class| class.code().to_string()).collect::<Vec<_>>().join(", ");
        let sql = format!(
            "SELECT c.id, c.state, c.sent_at, c.created_at, \
                (SELECT CAST(COALESCE(sum(b.recipients), 0) AS BIGINT) FROM bounce_statistics b \
                    WHERE b.campaign_id = c.id AND b.bounce_class IN ({senders})), \
                CAST(CASE WHEN EXISTS (SELECT 1 FROM event e WHERE e.campaign_id = c.id AND e.recipient IS NOT NULL) \
                    THEN 1 ELSE 0 END AS BIGINT), {} \
             FROM {{rows}} CROSS JOIN campaign AS c CROSS JOIN campaign_statistics AS s \
             WHERE c.id = rows.id AND s.campaign_id = rows.id",
            figure_names("s.")
        );
        let rows = ids(campaigns).query(self.transaction, &sql, []).await?;
        Ok(rows.iter().map(course).collect::<Result<_, DbErr>>()?)
    }

    /// Opens alerts; those that another look has opened meanwhile are not among the answered ones.
    async fn raise(&self, alerts: Batch) -> Result<Vec<Alert>> {
        if alerts.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "INSERT INTO alert (campaign_id, kind, value, limit_value, raised_at) \
             SELECT campaign_id, kind, value, limit_value, {{1}} FROM {{rows}} WHERE true \
             ON CONFLICT (campaign_id, kind) WHERE resolved_at IS NULL DO NOTHING RETURNING {COLUMNS}"
        );
        let rows = alerts.query(self.transaction, &sql, [self.now.micros().into()]).await?;
        Ok(rows.iter().map(super::read).collect::<Result<_, DbErr>>()?)
    }

    async fn resolve(&self, alerts: Batch) -> Result<Vec<Alert>> {
        if alerts.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "UPDATE alert SET resolved_at = {{1}} WHERE id IN (SELECT id FROM {{rows}}) AND resolved_at IS NULL RETURNING {COLUMNS}"
        );
        let rows = alerts.query(self.transaction, &sql, [self.now.micros().into()]).await?;
        Ok(rows.iter().map(super::read).collect::<Result<_, DbErr>>()?)
    }

    /// Audits what was found, and has it told.
    async fn record(&self, found: &Found, job: &ClaimedJob, channels: &[Channel]) -> Result<()> {
        let subject = Subject::system();
        let changes = found.raised.iter().map(|alert| ("alert.raised", alert));
        for (action, alert) in changes.chain(found.resolved.iter().map(|alert| ("alert.resolved", alert))) {
            let Alert { campaign, finding, .. } = alert;
            let detail = json!({
                "campaignId": campaign, "kind": finding.kind, "value": finding.value, "limit": finding.limit, "jobId": job.id,
            });
            let object = format!("alert:{}", alert.id);
            audit::record(self.transaction, self.now, &subject, action, object, Some(detail)).await?;
        }
        for alert in &found.raised {
            for channel in channels {
                let payload = json!({ "alertId": alert.id, "channel": channel });
                let tell = NewJob {
                    idempotency_key: Some(format!("notify:{}:{}", alert.id, channel.as_str())),
                    ..NewJob::new(JobKind::Notify, payload, SYSTEM, self.now)
                };
                jobs::enqueue(self.transaction, tell, self.now).await?;
            }
        }
        Ok(())
    }
}

const ALERT_COLUMNS: &[(&str, Column)] =
    &[("campaign_id", Column::Big), ("kind", Column::Small), ("value", Column::Big), ("limit_value", Column::Big)];

const VALUE_COLUMNS: &[(&str, Column)] = &[("id", Column::Big), ("value", Column::Big)];

fn ids(campaigns: &[i64]) -> Batch {
    let mut batch = Batch::new(&[("id", Column::Big)]);
    campaigns.iter().for_each(|id| batch.push([(*id).into()]));
    batch
}

fn course(row: &QueryResult) -> Result<(i64, Course), DbErr> {
    let state = coded(row.try_get_by_index(1)?, CampaignState::from_code, "campaign.state")?;
    let sent_at: Option<i64> = row.try_get_by_index(2)?;
    let created_at: i64 = row.try_get_by_index(3)?;
    let mut figures = Figures::default();
    for (index, figure) in (6..).zip(Figure::ALL) {
        figures.add(*figure, row.try_get_by_index(index)?);
    }
    let statistics = CampaignStatistics { figures, updated_at: Timestamp::default() };
    let responses = [
        Figure::Opened,
        Figure::MachineOpened,
        Figure::Clicked,
        Figure::MachineClicked,
        Figure::Complained,
        Figure::Unsubscribed,
    ];
    let was_heard = statistics.sent() > statistics.get(Figure::SentOnly)
        || responses.iter().any(|figure| statistics.get(*figure) > 0)
        || row.try_get_by_index::<i64>(5)? > 0;
    // Nobody can have listened before the campaign was known here.
    let sent_at = sent_at.filter(|_| state == CampaignState::Sent).map(|sent| sent.max(created_at));
    let course = Course {
        sent: statistics.sent(),
        delivered: statistics.delivered(),
        bounced: statistics.bounced(),
        refused: row.try_get_by_index(4)?,
        complained: statistics.get(Figure::Complained),
        sent_at: sent_at.map(Timestamp::from_micros),
        has_events: was_heard,
    };
    Ok((row.try_get_by_index(0)?, course))
}

#[cfg(test)]
mod tests {
    use domain::alerts::AlertKind;

    use super::*;

    #[test]
    fn silence_is_asked_for_by_its_number() {
        assert_eq!((AlertKind::NoEvents.code(), CampaignState::Sent.code()), (4, 3), "as the statements say");
    }
}
