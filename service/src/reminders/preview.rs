//! Who would get a reminder, and who not, and why: counted exactly, and nothing is made.
//!
//! Recipients that are the same in everything that a rule looks at are counted together by the database, and the domain is asked
//! about one of each group: the rule stays in one place, and half a million recipients need no half a million rows.

use std::collections::BTreeMap;

use domain::Timestamp;
use domain::reminder::{self, Exclusion};
use domain::status::{RecipientStatus, status};
use sea_orm::{ConnectionTrait, DatabaseTransaction};

use super::people::{self, NO_CONSENT, Rounds, UNSUBSCRIBED};
use super::rules::{self, Original, ReminderRule, ReminderTerms};
use super::run::decide;
use crate::access::Reader;
use crate::db::{Db, query_all};
use crate::error::{Refusal, RefusalCode, Result, ServiceError};
use crate::recipients::{Recipient, RecipientKey};

/// As many recipients of several campaigns are counted at most: what takes a database some seconds.
const MAX_RECIPIENTS: i64 = 2_000_000;
/// As many campaigns are looked at, at most.
const MAX_CAMPAIGNS: usize = 500;
/// As many examples are shown of each reason.
const EXAMPLES: usize = 5;
/// As many are shown of those who would get a reminder.
const SAMPLE: usize = 10;
/// Among so many recipients they are looked for, from the first on who would get one.
const SAMPLE_AMONG: i64 = 500;

/// What a rule would do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// How many would get a reminder.
    pub eligible: i64,
    /// How many would not, by reason, most of them first.
    pub not_eligible: Vec<NotEligible>,
    /// A few of those who would.
    pub sample: Vec<Recipient>,
    /// When the schedule makes the next reminders; `None` where nobody is to get one, or the rule is not enabled.
    pub next_run_at: Option<Timestamp>,
}

/// Those who get no reminder for the same reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotEligible {
    /// Why not.
    pub reason: Exclusion,
    /// How many.
    pub count: i64,
    /// A few of them.
    pub examples: Vec<RecipientKey>,
}

impl Reader {
    /// What a rule with these terms would do now; with `id`, as the change of that rule, so that whom it has reminded counts.
    ///
    /// # Errors
    /// Refusals as for [`Marketer::save_reminder_rule`](crate::Marketer::save_reminder_rule), and where the rule is for more recipients
    /// than can be counted at once; those of the database.
    pub async fn reminder_preview(&self, id: Option<i64>, terms: ReminderTerms) -> Result<Preview> {
        let now = self.services.now();
        let transaction = snapshot(&self.services.db).await?;
        let known = rules::known(&transaction, id).await?;
        let rule =
            ReminderRule { id: known.map_or(0, |rule| rule.id), ..rules::checked(&transaction, terms, now).await? };
        let campaigns = campaigns(&transaction, &rule).await?;
        let mut counted = Counted::default();
        for campaign in &campaigns {
            counted.count(&transaction, &rule, campaign, now).await?;
        }
        transaction.commit().await?;
        let mut recipients = self.recipients_by_key(&counted.sample).await?;
        let sample = counted.sample.iter().filter_map(|key| recipients.remove(key)).collect();
        let next = if counted.eligible > 0 { Some(now) } else { counted.next_due };
        let next = next.filter(|_| rule.is_enabled);
        let next = next.and_then(|at| reminder::next_run(rule.window.as_ref(), &rule.time_zone, at.max(now)));
        let excluded = counted.excluded.into_iter();
        let mut not_eligible: Vec<NotEligible> =
            excluded.map(|(reason, (count, examples))| NotEligible { reason, count, examples }).collect();
        not_eligible.sort_by_key(|skipped| std::cmp::Reverse(skipped.count));
        Ok(Preview { eligible: counted.eligible, not_eligible, sample, next_run_at: next })
    }
}

/// A transaction in which everything is read as of one moment.
async fn snapshot(db: &Db) -> Result<DatabaseTransaction> {
    let transaction = db.begin_snapshot().await?;
    if db.is_postgres() {
        // So that half a million recipients are hashed in memory, and not sorted on disk.
        transaction.execute_unprepared("SET LOCAL work_mem = '64MB'").await?;
    }
    Ok(transaction)
}

/// The campaigns that a rule is for, if they can be counted at once.
async fn campaigns(transaction: &DatabaseTransaction, rule: &ReminderRule) -> Result<Vec<Original>> {
    let too_many = || {
        let message = "this rule is for more recipients than can be counted at once: look at it for one campaign";
        Refusal::field(RefusalCode::Invalid, &["campaignNamePattern"], message)
    };
    let campaigns = rules::originals(transaction, &rule.scope, 0, MAX_CAMPAIGNS + 1).await?;
    let recipients: i64 = campaigns.iter().map(|campaign| campaign.last_recipient).sum();
    if campaigns.len() > MAX_CAMPAIGNS || (campaigns.len() > 1 && recipients > MAX_RECIPIENTS) {
        return Err(too_many().into());
    }
    Ok(campaigns)
}

/// What was counted by now.
#[derive(Default)]
struct Counted {
    eligible: i64,
    excluded: BTreeMap<Exclusion, (i64, Vec<RecipientKey>)>,
    sample: Vec<RecipientKey>,
    /// When the first of those who are not due yet will be.
    next_due: Option<Timestamp>,
}

/// Recipients that are the same in everything that a rule looks at.
struct Group {
    count: i64,
    first: i64,
    last: i64,
    /// When the first of their mails was sent, or of their last reminders.
    sent_at: Option<Timestamp>,
}

impl Counted {
    async fn count(
        &mut self,
        transaction: &DatabaseTransaction,
        rule: &ReminderRule,
        campaign: &Original,
        now: Timestamp,
    ) -> Result<()> {
        let rounds = Rounds::of(transaction, rule.id, campaign.id).await?;
        let key = |number: i64| RecipientKey { campaign: campaign.id, number };
        let mut first_eligible: Option<i64> = None;
        for group in groups(transaction, rule, campaign, now).await? {
            let people = people::page(transaction, rule.id, campaign, &rounds, group.first - 1, 1).await?;
            let person = people.first().filter(|person| person.number == group.first);
            let person = person.ok_or_else(|| ServiceError::Inconsistent("a recipient is gone".to_owned()))?;
            let Err(reason) = decide(person, rule, campaign, &rounds, now).1 else {
                self.eligible += group.count;
                first_eligible = Some(first_eligible.map_or(group.first, |first| first.min(group.first)));
                continue;
            };
            if reason == Exclusion::TooSoon {
                let waits = person.mails.reminders.last().is_some_and(|last| !status(last).0.is_sent());
                let due = group.sent_at.filter(|_| !waits);
                let due = due.map(|at| at.plus_seconds(i64::from(rule.targeting.after_hours) * 3_600));
                self.next_due = self.next_due.into_iter().chain(due).min();
            }
            let (count, examples) = self.excluded.entry(reason).or_default();
            *count += group.count;
            let few = [group.first, group.last];
            let few = few.into_iter().take(if group.first == group.last { 1 } else { 2 });
            examples.extend(few.map(key).take(EXAMPLES.saturating_sub(examples.len())));
        }
        if let Some(first) = first_eligible.filter(|_| self.sample.len() < SAMPLE) {
            let people = people::page(transaction, rule.id, campaign, &rounds, first - 1, SAMPLE_AMONG).await?;
            let due = people.iter().filter(|person| decide(person, rule, campaign, &rounds, now).1.is_ok());
            self.sample.extend(due.map(|person| key(person.number)).take(SAMPLE - self.sample.len()));
        }
        Ok(())
    }
}

/// The groups of a campaign's recipients.
async fn groups(
    transaction: &DatabaseTransaction,
    rule: &ReminderRule,
    campaign: &Original,
    now: Timestamp,
) -> Result<Vec<Group>> {
    const KEYS: &str = "is_simulator, status, opened, clicked, complained, unsubscribed, earlier, health, former, deleted, no_consent, \
        unsubscribed_anywhere, reminders, reminder_status, reminder_opened, reminder_clicked, reminder_complained, \
        reminder_unsubscribed, due";
    let flag = |condition: &str| format!("max(CASE WHEN {condition} THEN 1 ELSE 0 END)");
    let (sent, canceled) = (RecipientStatus::Sent.code(), RecipientStatus::Canceled.code());
    let sql = format!(
        "SELECT count(*), min(number), max(number), min(sent_at) FROM (\
            SELECT r.number, r.is_simulator, COALESCE(b.status, r.status) AS status, r.opens > 0 AS opened, r.clicks > 0 AS clicked, \
                r.complained_at IS NOT NULL AS complained, r.unsubscribed_at IS NOT NULL AS unsubscribed, e.earlier, a.health, \
                a.former_employee_at IS NOT NULL AS former, a.deleted_at IS NOT NULL AS deleted, \
                {NO_CONSENT} AS no_consent, {UNSUBSCRIBED} AS unsubscribed_anywhere, \
                COALESCE(t.reminders, 0) AS reminders, CASE WHEN t.is_attempt = 1 THEN r.status ELSE t.reminder_status END AS reminder_status, \
                t.reminder_opened, t.reminder_clicked, t.reminder_complained, t.reminder_unsubscribed, \
                {SENT_AT} AS sent_at, {SENT_AT} <= $4 AS due \
            FROM recipient r JOIN address a ON a.id = r.address_id \
            LEFT JOIN (SELECT recipient, count(*) AS reminders, min(attempt) AS first_attempt, \
                max(CASE WHEN place = 1 AND attempt IS NOT NULL THEN 1 ELSE 0 END) AS is_attempt, \
                max(CASE WHEN place = 1 THEN status END) AS reminder_status, \
                max(CASE WHEN place = 1 THEN sent_at END) AS reminder_sent_at, \
                {} AS reminder_opened, {} AS reminder_clicked, {} AS reminder_complained, {} AS reminder_unsubscribed \
                FROM (SELECT t.recipient, t.attempt, c.opens, c.clicks, c.complained_at, c.unsubscribed_at, \
                        CASE WHEN t.child_id IS NOT NULL THEN c.status WHEN t.is_taken_back THEN {canceled} ELSE {sent} END AS status, \
                        CASE WHEN t.child_id IS NOT NULL THEN COALESCE(c.sent_at, c.delivered_at) ELSE t.created_at END AS sent_at, \
                        row_number() OVER (PARTITION BY t.recipient ORDER BY t.round DESC) AS place \
                    FROM reminder_target t LEFT JOIN recipient c ON c.campaign_id = t.child_id AND c.number = t.child_recipient \
                    WHERE t.rule_id = $2 AND t.campaign_id = $1 AND (t.child_id IS NULL OR c.number IS NOT NULL)) AS made \
                GROUP BY recipient) AS t ON t.recipient = r.number \
            LEFT JOIN attempt b ON b.campaign_id = $1 AND b.number = r.number AND b.attempt = t.first_attempt - 1 \
            LEFT JOIN (SELECT number, {} + 2 * {} + 4 * {} + 8 * {} AS earlier \
                FROM attempt WHERE campaign_id = $1 GROUP BY number) AS e ON e.number = r.number \
            WHERE r.campaign_id = $1) AS people GROUP BY {KEYS} ORDER BY min(number)",
        flag(OPENED),
        flag(CLICKED),
        flag(COMPLAINED),
        flag(LEFT),
        flag(OPENED),
        flag(CLICKED),
        flag(COMPLAINED),
        flag(LEFT),
        NO_CONSENT = *NO_CONSENT,
    );
    let wait = i64::from(rule.targeting.after_hours) * 3_600;
    let values = [
        campaign.id.into(),
        rule.id.into(),
        campaign.sent_at.map(Timestamp::micros).into(),
        now.plus_seconds(-wait).micros().into(),
    ];
    let groups = query_all(transaction, &sql, values).await?.into_iter().map(|row| {
        Ok(Group {
            count: row.try_get_by_index(0)?,
            first: row.try_get_by_index(1)?,
            last: row.try_get_by_index(2)?,
            sent_at: row.try_get_by_index::<Option<i64>>(3)?.map(Timestamp::from_micros),
        })
    });
    groups.collect()
}

/// From when on the time counts until the next reminder.
const SENT_AT: &str = "CASE WHEN t.is_attempt = 1 THEN COALESCE(r.sent_at, r.delivered_at) WHEN t.reminders > 0 THEN t.reminder_sent_at \
    ELSE COALESCE(r.sent_at, r.delivered_at, $3) END";
/// What people say in answer to a mail.
const OPENED: &str = "opens > 0";
const CLICKED: &str = "clicks > 0";
const COMPLAINED: &str = "complained_at IS NOT NULL";
const LEFT: &str = "unsubscribed_at IS NOT NULL";
