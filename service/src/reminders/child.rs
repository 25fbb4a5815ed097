//! The campaigns that remind of others, and their recipients.

use domain::campaign::CampaignState;
use domain::contribution::{Contribution, contribution};
use domain::facts::Facts;
use domain::status::{RecipientStatus, SkipReason, status};
use sea_orm::ConnectionTrait;

use super::adding::{Adding, By};
use super::people::Person;
use super::rules::{Original, ReminderRule};
use crate::batch::{Batch, Column};
use crate::campaigns::{self, MAX_LINE, MAX_NAME, NewCampaign};
use crate::db::{execute, query_one};
use crate::error::{Refusal, RefusalCode, Result, ServiceError};
use crate::facts_row::{self, FACT_COLUMNS};
use crate::rollup::RollUp;

impl Adding<'_> {
    /// The campaign of a round, which is made where there is none. The caller has locked the reminder.
    pub(super) async fn child(&self, round: i64, known: Option<i64>) -> Result<i64> {
        if let Some(child) = known {
            return Ok(child);
        }
        let subject = self.campaign.subject.as_deref();
        let campaign = NewCampaign {
            name: name(self.rule, self.campaign, round, MAX_NAME),
            subject: subject.map(|subject| match self.rule.subject_prefix.as_deref() {
                Some(prefix) => cut(&format!("{prefix} {subject}"), MAX_LINE),
                None => cut(subject, MAX_LINE),
            }),
            from_address: self.campaign.from_address.clone(),
            sent_at: None,
            state: CampaignState::Draft,
            key: format!("reminder-{}-{}-{round}", self.rule.id, self.campaign.id),
        };
        let Some(made) = campaigns::insert(self.transaction, self.subject, self.now, &campaign).await? else {
            let message = format!("a campaign has the key \"{}\", which the reminder needs", campaign.key);
            return Err(Refusal::new(RefusalCode::Conflict, message).into());
        };
        let parent = "UPDATE campaign SET parent_id = $2 WHERE id = $1";
        execute(self.transaction, parent, [made.id.into(), self.campaign.id.into()]).await?;
        let sql = "UPDATE reminder SET child_id = $4 WHERE rule_id = $1 AND campaign_id = $2 AND round = $3";
        execute(self.transaction, sql, [self.rule.id, self.campaign.id, round, made.id].map(Into::into)).await?;
        Ok(made.id)
    }

    /// Makes the recipients, and writes down whom they remind.
    pub(super) async fn insert(&self, child: i64, round: i64, people: &[&Person], rollup: &mut RollUp) -> Result<()> {
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
        let by =
            |(number, person): (i64, &&Person)| (person.recipient, By { child: Some((child, number)), attempt: None });
        self.note(round, (last - count + 1..).zip(people).map(by)).await
    }
}

/// What a reminder is called, in at most `most` characters; the last of them say which round it is.
pub(super) fn name(rule: &ReminderRule, campaign: &Original, round: i64, most: usize) -> String {
    let prefix = rule.subject_prefix.as_deref().unwrap_or("Reminder:");
    let numbered = if round > 1 { format!(" ({round})") } else { String::new() };
    cut(&format!("{prefix} {}", campaign.name), most.saturating_sub(numbered.len())) + &numbered
}

/// A text of at most `most` characters.
fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// Skips recipients of a campaign that have not been sent to yet; says how many they were.
pub(super) async fn skip<C: ConnectionTrait>(
    connection: &C,
    is_postgres: bool,
    campaign: i64,
    reasons: &[(i64, SkipReason)],
    rollup: &mut RollUp,
) -> Result<usize> {
    let locked = campaigns::lock(connection, is_postgres, campaign).await?;
    if locked.state == CampaignState::Canceled {
        return Ok(0);
    }
    let mut batch = Batch::new(&[("campaign_id", Column::Big), ("number", Column::Big), ("reason", Column::Small)]);
    for (number, reason) in reasons {
        batch.push([campaign.into(), (*number).into(), reason.code().into()]);
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
        rollup.change(campaign, &domain, &before, &contribution(&facts, is_simulator));
        rollup.by_status.change(campaign, number, Some(RecipientStatus::Ready), after);
        changed.push([campaign.into(), number.into(), after.code().into(), reason.into()]);
    }
    let count = changed.len();
    if count > 0 {
        let sql = "UPDATE recipient SET status = rows.status, skip = rows.reason, skip_reason = rows.reason FROM {rows} \
                   WHERE recipient.campaign_id = rows.campaign_id AND recipient.number = rows.number";
        changed.execute(connection, sql, []).await?;
    }
    Ok(count)
}
