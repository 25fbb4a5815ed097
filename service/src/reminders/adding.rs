//! Adding those who are due to the reminder of a round: recipients of a child campaign, members of a selection, or the next attempt of
//! the campaign itself.

use std::collections::HashSet;

use domain::Timestamp;
use domain::campaign::CampaignState;
use domain::reminder::ReminderAction;
use sea_orm::DatabaseTransaction;

use super::people::Person;
use super::rules::{Original, ReminderRule};
use crate::batch::{Batch, Column};
use crate::campaigns;
use crate::db::{execute, query_one};
use crate::error::{Result, ServiceError};
use crate::recipients::RecipientKey;
use crate::resends::again::{self, Target};
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
    /// So many are new; the others were there. The campaign that they are to be sent to by, if any.
    To(Option<i64>, usize),
    /// The reminder was called off.
    Canceled,
}

/// What somebody is reminded by; nothing of it: a selection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct By {
    /// A campaign, and the number of its recipient.
    pub child: Option<(i64, i64)>,
    /// An attempt.
    pub attempt: Option<i64>,
}

impl Adding<'_> {
    /// Adds recipients to the reminder of a round, which is made where there is none: those who are in it already are left alone.
    pub(super) async fn add(&self, round: i64, people: &[&Person], rollup: &mut RollUp) -> Result<Added> {
        // Whoever adds to this reminder has waited for the lock, and sees who was added under it before.
        let made = self.lock(round).await?;
        let child = match self.rule.action {
            ReminderAction::NewCampaign => Some(self.child(round, made).await?),
            ReminderAction::Selection | ReminderAction::Resend => None,
        };
        if let Some(child) = child
            && campaigns::lock(self.transaction, self.is_postgres, child).await?.state == CampaignState::Canceled
        {
            return Ok(Added::Canceled);
        }
        let is_resend = self.rule.action == ReminderAction::Resend;
        let known = self.known(round, people).await?;
        let fresh: Vec<&Person> = people.iter().copied().filter(|person| !known.contains(&person.recipient)).collect();
        if !fresh.is_empty() {
            match child {
                Some(child) => self.insert(child, round, &fresh, rollup).await?,
                None if is_resend => self.send_again(round, &fresh, rollup).await?,
                None => self.note(round, fresh.iter().map(|person| (person.recipient, By::default()))).await?,
            }
            self.mark(round, if is_resend { "has_attempts" } else { "is_unreported" }).await?;
        }
        Ok(Added::To(child.or(is_resend.then_some(self.campaign.id)), fresh.len()))
    }

    /// Locks the reminder of a round, which is made where there is none; the campaign that was made for it, if any.
    async fn lock(&self, round: i64) -> Result<Option<i64>> {
        let sql = "INSERT INTO reminder (rule_id, campaign_id, round, created_at, checked_at) VALUES ($1, $2, $3, $4, $4) \
                   ON CONFLICT (rule_id, campaign_id, round) DO UPDATE SET round = excluded.round RETURNING child_id";
        let values = [self.rule.id, self.campaign.id, round, self.now.micros()].map(Into::into);
        let row = query_one(self.transaction, sql, values).await?;
        let row = row.ok_or_else(|| ServiceError::Inconsistent("a reminder was not stored".to_owned()))?;
        Ok(row.try_get_by_index(0)?)
    }

    /// Those of `people` who are in the reminder of a round already.
    async fn known(&self, round: i64, people: &[&Person]) -> Result<HashSet<i64>> {
        let mut batch = Batch::new(&[
            ("rule_id", Column::Big),
            ("campaign_id", Column::Big),
            ("recipient", Column::Big),
            ("round", Column::Big),
        ]);
        for person in people {
            batch.push([self.rule.id, self.campaign.id, person.recipient, round].map(Into::into));
        }
        let sql = "SELECT t.recipient FROM {rows} CROSS JOIN reminder_target t WHERE t.rule_id = rows.rule_id \
                   AND t.campaign_id = rows.campaign_id AND t.recipient = rows.recipient AND t.round = rows.round";
        let rows = batch.query(self.transaction, sql, []).await?;
        Ok(rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?)
    }

    /// Writes down who is reminded, and by what.
    pub(super) async fn note(&self, round: i64, targets: impl Iterator<Item = (i64, By)>) -> Result<()> {
        let mut batch = Batch::new(&[
            ("recipient", Column::Big),
            ("child_id", Column::Big),
            ("child_recipient", Column::Big),
            ("attempt", Column::Big),
        ]);
        for (recipient, By { child, attempt }) in targets {
            let (child, number) = child.unzip();
            batch.push([recipient.into(), child.into(), number.into(), attempt.into()]);
        }
        let sql = "INSERT INTO reminder_target \
                (rule_id, campaign_id, recipient, round, child_id, child_recipient, attempt, created_at) \
            SELECT {1}, {2}, recipient, {3}, child_id, child_recipient, attempt, {4} FROM {rows}";
        let more = [self.rule.id, self.campaign.id, round, self.now.micros()].map(Into::into);
        batch.execute(self.transaction, sql, more).await?;
        Ok(())
    }

    /// Marks a reminder that got somebody new: as one to be reported as a selection, or as one whose attempts are to be looked at again
    /// before they are sent.
    async fn mark(&self, round: i64, what: &str) -> Result<()> {
        let sql = format!(
            "UPDATE reminder SET {what} = TRUE WHERE rule_id = $1 AND campaign_id = $2 AND round = $3 AND NOT {what}"
        );
        execute(self.transaction, &sql, [self.rule.id, self.campaign.id, round].map(Into::into)).await?;
        Ok(())
    }

    /// Starts the next attempt of recipients of the campaign, which was locked with them before it was decided that they are due.
    async fn send_again(&self, round: i64, people: &[&Person], rollup: &mut RollUp) -> Result<()> {
        let key = |person: &&Person| RecipientKey { campaign: self.campaign.id, number: person.recipient };
        let keys: Vec<RecipientKey> = people.iter().map(key).collect();
        let targets = again::lock(self.transaction, &keys).await?;
        again::start(self.transaction, &targets.iter().collect::<Vec<_>>(), rollup, self.now).await?;
        let by = |target: &Target| (target.key.number, By { child: None, attempt: Some(target.attempt + 1) });
        self.note(round, targets.iter().map(by)).await?;
        let campaign = campaigns::lock(self.transaction, self.is_postgres, self.campaign.id).await?;
        again::reopen(self.transaction, &campaign, self.subject, self.now).await
    }
}
