//! The campaigns that remind of others, and their recipients.

use domain::campaign::CampaignState;
use domain::contribution::{Contribution, contribution};
use domain::facts::Facts;
use domain::status::RecipientStatus;

use super::adding::{Adding, By};
use super::people::Person;
use super::rules::{Original, ReminderRule};
use crate::batch::{Batch, Column};
use crate::campaigns::{self, MAX_LINE, MAX_NAME, NewCampaign};
use crate::db::{execute, query_one};
use crate::error::{Refusal, RefusalCode, Result, ServiceError};
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
