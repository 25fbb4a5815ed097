//! Giving recipients another address: which columns change by that, and how it is counted.

use domain::Timestamp;
use domain::contribution::{Contribution, contribution};
use domain::email::{domain_of_key, is_simulator};
use domain::facts::Facts;
use domain::status::{SkipReason, status};
use sea_orm::ConnectionTrait;

use super::RecipientKey;
use crate::batch::{Batch, Column};
use crate::error::Result;
use crate::rollup::RollUp;

/// An address, as recipients have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecipientAddress {
    /// Its row.
    pub id: i64,
    /// As it is written.
    pub email: String,
    /// What identifies the mailbox.
    pub key: String,
    /// The domain that recipients with it are counted under.
    pub domain: String,
    /// Whether it is a provider's simulator.
    pub is_simulator: bool,
}

impl RecipientAddress {
    /// That of a valid address.
    pub fn new(id: i64, email: String, key: String) -> Self {
        let (domain, is_simulator) = (domain_of_key(&key).to_owned(), is_simulator(&key));
        Self { id, email, key, domain, is_simulator }
    }
}

/// A recipient before the change, under lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before<'a> {
    /// Which one.
    pub key: RecipientKey,
    /// The domain that it is counted under.
    pub domain: &'a str,
    /// Whether it is a provider's simulator.
    pub is_simulator: bool,
    /// What is known of it.
    pub facts: &'a Facts,
}

const COLUMNS: &[(&str, Column)] = &[
    ("campaign_id", Column::Big),
    ("number", Column::Big),
    ("address_id", Column::Big),
    ("email_key", Column::Text),
    ("email", Column::Text),
    ("domain", Column::Text),
    ("is_simulator", Column::Bool),
    ("status", Column::Small),
    ("skip_reason", Column::Small),
    ("skip", Column::Small),
    ("canceled", Column::Bool),
    ("corrected_at", Column::Big),
];

/// Recipients who get other addresses, or are to be sent to or not on account of theirs.
#[derive(Debug)]
pub(crate) struct NewAddresses {
    batch: Batch,
}

impl NewAddresses {
    /// Nobody.
    pub fn new() -> Self {
        Self { batch: Batch::new(COLUMNS) }
    }

    /// Adds somebody, with the address and the facts from now on, and when the address was corrected, if it was; adds the difference to
    /// `rollup`. Of the facts, only whether somebody is to be sent to may be others than before.
    pub fn push(
        &mut self,
        before: Before<'_>,
        address: RecipientAddress,
        facts: &Facts,
        corrected_at: Option<Timestamp>,
        rollup: &mut RollUp,
    ) {
        let RecipientKey { campaign, number } = before.key;
        let (was, (is, reason)) = (status(before.facts).0, status(facts));
        // Counted under the one domain no longer, and under the other instead.
        let nothing = Contribution::default();
        rollup.change(campaign, before.domain, &contribution(before.facts, before.is_simulator), &nothing);
        rollup.change(campaign, &address.domain, &nothing, &contribution(facts, address.is_simulator));
        rollup.by_status.change(campaign, number, Some(was), is);
        self.batch.push([
            campaign.into(),
            number.into(),
            address.id.into(),
            address.key.into(),
            address.email.into(),
            address.domain.into(),
            address.is_simulator.into(),
            is.code().into(),
            reason.map(SkipReason::code).into(),
            facts.skip.map(SkipReason::code).into(),
            facts.canceled.into(),
            corrected_at.map(Timestamp::micros).into(),
        ]);
    }

    /// Writes them.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn write<C: ConnectionTrait>(self, connection: &C) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let sql = "UPDATE recipient SET address_id = rows.address_id, email_key = rows.email_key, email = rows.email, \
                      domain = rows.domain, is_simulator = rows.is_simulator, status = rows.status, \
                      skip_reason = rows.skip_reason, skip = rows.skip, canceled = rows.canceled, \
                      corrected_at = COALESCE(rows.corrected_at, recipient.corrected_at) \
                   FROM {rows} WHERE recipient.campaign_id = rows.campaign_id AND recipient.number = rows.number";
        self.batch.execute(connection, sql, []).await?;
        Ok(())
    }
}
