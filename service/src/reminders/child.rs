//! The campaigns that remind of others, and their recipients.

use std::collections::HashSet;

use domain::Timestamp;
use domain::campaign::CampaignState;
use domain::contribution::{Contribution, contribution};
use domain::facts::Facts;
use domain::status::{RecipientStatus, SkipReason, status};
use sea_orm::{ConnectionTrait, DatabaseTransaction};

use super::people::{Person, Reminder};
use super::rules::{Original, ReminderRule};
use crate::batch::{Batch, Column};
use crate::campaigns::{self, MAX_LINE, MAX_NAME, NewCampaign};
use crate::db::{execute, query_one};
use crate::error::{Refusal, RefusalCode, Result, ServiceError};
use crate::facts_row::{self, FACT_COLUMNS};
use crate::rollup::RollUp;
use crate::subject::Subject;

/// A transaction that adds to reminders.
pub(super) struct Adding<'a> {
    pub transaction: &'a DatabaseTransaction,
    pub is_postgres: bool,
    pub rule: &'a ReminderRule,
    pub campaign: &'a Original,
    pub subject: &'a Subject,
    pub now: Timestamp,
}

/// What came of adding to a reminder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// So many are new in this campaign; the others were there.
    To(i64, usize),
    /// The reminder was called off.
    Canceled,
}

impl Adding<'_> {
    /// Adds recipients to the reminder of a round, which is made where there is none: those who are in it already are left alone.
    pub(super) async fn add(&self, round: i64, people: &[&Person], rollup: &mut RollUp) -> Result<Added> {
        let child = self.child(round).await?;
        // Whoever adds to this reminder has waited for the lock, and sees who was added under it before.
        let locked = campaigns::lock(self.transaction, self.is_postgres, child).await?;
        if locked.state == CampaignState::Canceled {
            return Ok(Added::Canceled);
        }
        let known = self.known(round, people).await?;
        let fresh: Vec<&Person> = people.iter().copied().filter(|person| !known.contains(&person.recipient)).collect();
        if !fresh.is_empty() {
            self.insert(child, round, &fresh, rollup).await?;
        }
        Ok(Added::To(child, fresh.len()))
    }

    /// The reminder of a round.
    async fn child(&self, round: i64) -> Result<i64> {
        if let Some(child) = self.find(round).await? {
            return Ok(child);
        }
        let key = format!("reminder-{}-{}-{round}", self.rule.id, self.campaign.id);
        let prefix = self.rule.subject_prefix.as_deref();
        let subject = self.campaign.subject.as_deref();
        let numbered = if round > 1 { format!(" ({round})") } else { String::new() };
        let name = format!("{} {}", prefix.unwrap_or("Reminder:"), self.campaign.name);
        let campaign = NewCampaign {
            name: cut(&name, MAX_NAME - numbered.len()) + &numbered,
            subject: subject.map(|subject| {
                let whole = prefix.map_or_else(|| subject.to_owned(), |prefix| format!("{prefix} {subject}"));
                cut(&whole, MAX_LINE)
            }),
            from_address: self.campaign.from_address.clone(),
            sent_at: None,
            state: CampaignState::Draft,
            key,
        };
        let Some(made) = campaigns::insert(self.transaction, self.subject, self.now, &campaign).await? else {
            // Somebody else made it at the same moment, and we have waited until that was committed.
            return self.find(round).await?.ok_or_else(|| {
                let message = format!("a campaign has the key \"{}\", which the reminder needs", campaign.key);
                Refusal::new(RefusalCode::Conflict, message).into()
            });
        };
        let parent = "UPDATE campaign SET parent_id = $2 WHERE id = $1";
        execute(self.transaction, parent, [made.id.into(), self.campaign.id.into()]).await?;
        let reminder = "INSERT INTO reminder (rule_id, campaign_id, round, child_id, created_at, checked_at) \
                        VALUES ($1, $2, $3, $4, $5, $5)";
        let values = [self.rule.id, self.campaign.id, round, made.id, self.now.micros()].map(Into::into);
        execute(self.transaction, reminder, values).await?;
        Ok(made.id)
    }

    async fn find(&self, round: i64) -> Result<Option<i64>> {
        let sql = "SELECT child_id FROM reminder WHERE rule_id = $1 AND campaign_id = $2 AND round = $3";
        let values = [self.rule.id, self.campaign.id, round].map(Into::into);
        Ok(query_one(self.transaction, sql, values).await?.map(|row| row.try_get_by_index(0)).transpose()?)
    }

    /// Those of `people` who are in the reminder of a round already.
    async fn known(&self, round: i64, people: &[&Person]) -> Result<HashSet<i64>> {
        let mut batch = Batch::new(TARGET);
        for person in people {
            batch.push([self.rule.id, self.campaign.id, person.recipient, round].map(Into::into));
        }
        let sql = "SELECT t.recipient FROM {rows} CROSS JOIN reminder_target t WHERE t.rule_id = rows.rule_id \
                   AND t.campaign_id = rows.campaign_id AND t.recipient = rows.recipient AND t.round = rows.round";
        let rows = batch.query(self.transaction, sql, []).await?;
        Ok(rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?)
    }

    /// Makes the recipients, and writes down whom they remind.
    async fn insert(&self, child: i64, round: i64, people: &[&Person], rollup: &mut RollUp) -> Result<()> {
        let count = i64::try_from(people.len()).unwrap_or(i64::MAX);
        let sql = "UPDATE campaign SET last_recipient = last_recipient + $2 WHERE id = $1 RETURNING last_recipient";
        let row = query_one(self.transaction, sql, [child.into(), count.into()]).await?;
        let last: i64 =
            row.ok_or_else(|| ServiceError::Inconsistent("a reminder is gone".to_owned()))?.try_get_by_index(0)?;
        let ready = Facts::default();
        let mut batch =
            Batch::new(&[("campaign_id", Column::Big), ("recipient", Column::Big), ("number", Column::Big)]);
        for (number, person) in (last - count + 1..).zip(people) {
            batch.push([self.campaign.id, person.recipient, number].map(Into::into));
            rollup.change(child, &person.domain, &Contribution::default(), &contribution(&ready, false));
            rollup.by_status.change(child, number, None, RecipientStatus::Ready);
        }
        let sql = "INSERT INTO recipient (campaign_id, number, address_id, email_key, email, domain, ref, name, company, owner, \
                crm_id, attributes, is_simulator, status, created_at) \
            SELECT {1}, rows.number, r.address_id, r.email_key, r.email, r.domain, r.ref, r.name, r.company, r.owner, \
                r.crm_id, r.attributes, FALSE, {2}, {3} \
            FROM {rows} CROSS JOIN recipient r WHERE r.campaign_id = rows.campaign_id AND r.number = rows.recipient";
        let more = [child.into(), RecipientStatus::Ready.code().into(), self.now.micros().into()];
        let made = batch.clone().execute(self.transaction, sql, more).await?;
        if made != count.unsigned_abs() {
            return Err(ServiceError::Inconsistent("a recipient is gone while its reminder is made".to_owned()));
        }
        let sql = "INSERT INTO reminder_target (rule_id, campaign_id, recipient, round, child_id, child_recipient, created_at) \
            SELECT {1}, campaign_id, recipient, {2}, {3}, number, {4} FROM {rows}";
        let more = [self.rule.id, round, child, self.now.micros()].map(Into::into);
        batch.execute(self.transaction, sql, more).await?;
        Ok(())
    }
}

const TARGET: &[(&str, Column)] =
    &[("rule_id", Column::Big), ("campaign_id", Column::Big), ("recipient", Column::Big), ("round", Column::Big)];

/// A text of at most `most` characters.
fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// Skips recipients of a reminder that have not been sent to yet; says how many they were.
pub(super) async fn skip<C: ConnectionTrait>(
    connection: &C,
    is_postgres: bool,
    reminder: Reminder,
    reasons: &[(i64, SkipReason)],
    rollup: &mut RollUp,
) -> Result<usize> {
    let locked = campaigns::lock(connection, is_postgres, reminder.child).await?;
    if locked.state == CampaignState::Canceled {
        return Ok(0);
    }
    let mut batch = Batch::new(&[("campaign_id", Column::Big), ("number", Column::Big), ("reason", Column::Small)]);
    for (number, reason) in reasons {
        batch.push([reminder.child.into(), (*number).into(), reason.code().into()]);
    }
    let facts = FACT_COLUMNS.split(", ").map(|name| format!("r.{name}")).collect::<Vec<_>>().join(", ");
    let lock = if is_postgres { "FOR UPDATE OF r" } else { "" };
    let sql = format!(
        "SELECT r.number, rows.reason, r.domain, r.is_simulator, {facts} FROM {{rows}} CROSS JOIN recipient r \
         WHERE r.campaign_id = rows.campaign_id AND r.number = rows.number ORDER BY r.number {lock}"
    );
    let mut changed = Batch::new(&[
        ("campaign_id", Column::Big),
        ("number", Column::Big),
        ("status", Column::Small),
        ("reason", Column::Small),
    ]);
    for row in batch.query(connection, &sql, []).await? {
        let number: i64 = row.try_get_by_index(0)?;
        let reason: i16 = row.try_get_by_index(1)?;
        let (domain, is_simulator): (String, bool) = (row.try_get_by_index(2)?, row.try_get_by_index(3)?);
        let mut facts = facts_row::read(&row, 4)?;
        if status(&facts).0 != RecipientStatus::Ready {
            // Sent meanwhile, or skipped by somebody else.
            continue;
        }
        let before = contribution(&facts, is_simulator);
        facts.skip = SkipReason::from_code(reason);
        let after = status(&facts).0;
        rollup.change(reminder.child, &domain, &before, &contribution(&facts, is_simulator));
        rollup.by_status.change(reminder.child, number, Some(RecipientStatus::Ready), after);
        changed.push([reminder.child.into(), number.into(), after.code().into(), reason.into()]);
    }
    let count = changed.len();
    if count > 0 {
        let sql = "UPDATE recipient SET status = rows.status, skip = rows.reason, skip_reason = rows.reason FROM {rows} \
                   WHERE recipient.campaign_id = rows.campaign_id AND recipient.number = rows.number";
        changed.execute(connection, sql, []).await?;
    }
    Ok(count)
}
