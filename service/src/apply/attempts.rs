//! Events of earlier attempts: where a campaign was sent to a recipient again, what is reported late stays with the attempt that it is
//! about, in the table `attempt`, and does not touch what is known of the new one.
//!
//! Which attempt that is says [`domain::resend::attempt_of`]. Where nobody that is touched was sent to again, nothing is read or written
//! here.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::LazyLock;

use domain::Timestamp;
use domain::facts::{ClickSummary, Facts};
use domain::resend::attempt_of;
use sea_orm::ConnectionTrait;

use super::pending::{Pending, RecipientKey};
use crate::batch::{Batch, Column};
use crate::error::Result;
use crate::facts_row::{self, CHANGE_COLUMNS};

/// An attempt that was followed by another.
pub struct Attempt {
    /// The address that it had in the end.
    pub email_key: String,
    /// Its row.
    pub address_id: i64,
    /// What became of it.
    pub facts: Facts,
    /// When the next one was asked for.
    pub ended_at: Timestamp,
    is_changed: bool,
}

/// The earlier attempts of those who were sent to again; of each, the first one first.
#[derive(Default)]
pub struct Attempts {
    by_recipient: BTreeMap<RecipientKey, Vec<Attempt>>,
}

impl Attempts {
    /// Reads the earlier attempts of these recipients, who were all sent to again and are locked by the caller.
    pub async fn of<C: ConnectionTrait>(connection: &C, recipients: &[RecipientKey]) -> Result<Self> {
        if recipients.is_empty() {
            return Ok(Self::default());
        }
        let mut batch = Batch::new(&[("campaign_id", Column::Big), ("number", Column::Big)]);
        recipients.iter().for_each(|key| batch.push([key.campaign.into(), key.number.into()]));
        let facts = facts_row::columns_of("a");
        let sql = format!(
            "SELECT a.campaign_id, a.number, a.email_key, a.address_id, a.ended_at, {facts} FROM {{rows}} CROSS JOIN attempt a \
             WHERE a.campaign_id = rows.campaign_id AND a.number = rows.number ORDER BY a.campaign_id, a.number, a.attempt"
        );
        let mut attempts = Self::default();
        for row in batch.query(connection, &sql, []).await? {
            let key = RecipientKey { campaign: row.try_get_by_index(0)?, number: row.try_get_by_index(1)? };
            attempts.by_recipient.entry(key).or_default().push(Attempt {
                email_key: row.try_get_by_index(2)?,
                address_id: row.try_get_by_index(3)?,
                ended_at: Timestamp::from_micros(row.try_get_by_index(4)?),
                facts: facts_row::read(&row, 5)?,
                is_changed: false,
            });
        }
        Ok(attempts)
    }

    /// Sets the attempt of each event of these recipients.
    pub async fn assign<C: ConnectionTrait>(&self, connection: &C, events: &mut [Pending]) -> Result<()> {
        if self.by_recipient.is_empty() {
            return Ok(());
        }
        let known = self.messages(connection, events).await?;
        for event in events {
            let Some((key, attempts)) = event.matched.and_then(|key| Some((key, self.by_recipient.get(&key)?))) else {
                continue;
            };
            let known_in = event.message_id.clone().and_then(|id| known.get(&(key, id))).copied();
            let ended: Vec<Timestamp> = attempts.iter().map(|attempt| attempt.ended_at).collect();
            event.attempt = attempt_of(event.occurred_at, known_in, &ended);
        }
        Ok(())
    }

    /// During which attempt the message ids of these recipients' events were first heard of.
    async fn messages<C: ConnectionTrait>(
        &self,
        connection: &C,
        events: &[Pending],
    ) -> Result<HashMap<(RecipientKey, String), i32>> {
        let mut wanted = BTreeSet::new();
        for event in events {
            if let (Some(key), Some(id)) = (event.matched, event.message_id.as_deref())
                && self.by_recipient.contains_key(&key)
            {
                wanted.insert((key, id));
            }
        }
        if wanted.is_empty() {
            return Ok(HashMap::new());
        }
        let mut batch =
            Batch::new(&[("message_id", Column::Text), ("campaign_id", Column::Big), ("recipient", Column::Big)]);
        wanted.into_iter().for_each(|(key, id)| batch.push([id.into(), key.campaign.into(), key.number.into()]));
        let sql = "SELECT m.campaign_id, m.recipient, m.message_id, m.attempt FROM {rows} CROSS JOIN message m \
                   WHERE m.message_id = rows.message_id AND m.campaign_id = rows.campaign_id AND m.recipient = rows.recipient";
        let mut known = HashMap::new();
        for row in batch.query(connection, sql, []).await? {
            let key = RecipientKey { campaign: row.try_get_by_index(0)?, number: row.try_get_by_index(1)? };
            known.insert((key, row.try_get_by_index(2)?), row.try_get_by_index(3)?);
        }
        Ok(known)
    }

    /// Adds an event to the earlier attempt that it is about, if it is about one.
    pub fn add(&mut self, key: RecipientKey, event: &Pending) -> Option<&Attempt> {
        let attempt = self.by_recipient.get_mut(&key)?.get_mut(place(event.attempt)?)?;
        attempt.facts.add(&event.report());
        attempt.is_changed = true;
        Some(attempt)
    }

    /// Sets what all clicks of an earlier attempt add up to; says whether there is such an attempt.
    pub fn set_clicks(&mut self, key: RecipientKey, attempt: i32, summary: ClickSummary) -> bool {
        let attempts = self.by_recipient.get_mut(&key);
        let Some(attempt) = attempts.zip(place(attempt)).and_then(|(attempts, place)| attempts.get_mut(place)) else {
            return false;
        };
        attempt.facts.set_clicks(summary);
        attempt.is_changed = true;
        true
    }

    /// The address from which a recipient complained at this moment, where that was about an earlier attempt.
    pub fn complained_from(&self, key: RecipientKey, at: Timestamp) -> Option<i64> {
        let attempts = self.by_recipient.get(&key)?;
        attempts.iter().find(|attempt| attempt.facts.complained_at == Some(at)).map(|attempt| attempt.address_id)
    }

    /// Writes those that changed.
    pub async fn write<C: ConnectionTrait>(&self, connection: &C) -> Result<()> {
        let mut batch = Batch::new(&COLUMNS);
        for (key, attempts) in &self.by_recipient {
            for (number, attempt) in (1_i64..).zip(attempts).filter(|(_, attempt)| attempt.is_changed) {
                let facts = facts_row::batch_row(key.campaign, key.number, &attempt.facts);
                batch.push_row(facts.chain([number.into()]));
            }
        }
        if batch.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "UPDATE attempt SET {} FROM {{rows}} WHERE attempt.campaign_id = rows.campaign_id AND attempt.number = rows.number \
             AND attempt.attempt = rows.attempt",
            facts_row::assignments()
        );
        batch.execute(connection, &sql, []).await?;
        Ok(())
    }
}

/// The key, the derived status, the facts, and the number of the attempt.
static COLUMNS: LazyLock<Vec<(&str, Column)>> =
    LazyLock::new(|| CHANGE_COLUMNS.iter().copied().chain([("attempt", Column::Big)]).collect());

/// Where an attempt stands among the earlier ones.
fn place(attempt: i32) -> Option<usize> {
    usize::try_from(attempt).ok()?.checked_sub(1)
}
