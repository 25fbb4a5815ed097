//! Applying what providers reported: from the inbox to recipients, addresses and figures, in one transaction.
//!
//! [`Applier::apply_next`] claims waiting deliveries (other appliers skip them while it holds their locks), reads them, finds out
//! whom each event is about ([`matching`]), inserts the events — only those that are new by their key count — and folds these into
//! the recipients ([`fold`]), the addresses ([`addresses`]), the clicks ([`clicks`]) and the roll-ups. A crash at any point leaves
//! everything as it was, deliveries waiting; running it twice finds the events there already.
//!
//! Locks are taken in the same order by everybody, so that two appliers wait for each other but never in a circle: deliveries,
//! campaigns (only to create), events by key, recipients by key, addresses by id, roll-ups by key. What deadlocks all the same
//! (PostgreSQL then ends one of them) is simply done again.

mod addresses;
mod attempts;
mod claim;
mod clicks;
pub(crate) mod create;
mod events;
mod fold;
mod matching;
mod partitions;
mod pending;
pub mod rematch;
mod too_old;

use std::sync::Arc;

use domain::reading::DeliveryReader;
use domain::{Clock, Timestamp};
use sea_orm::DatabaseTransaction;

use crate::changes::{Change, Changes};
use crate::db::Db;
use crate::error::{Causes, Result, ServiceError};
use crate::rollup::RollUp;
use claim::Claim;
use partitions::Partitions;
use pending::Pending;

/// As many events are applied in one transaction: enough to spread the cost of a commit, few enough to keep locks short.
const EVENTS_PER_TRANSACTION: usize = 8_000;

/// What one transaction applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Deliveries that are done.
    pub deliveries: u64,
    /// Events in them.
    pub events: u64,
    /// Events that were not known before.
    pub new: u64,
}

impl std::ops::AddAssign for Applied {
    fn add_assign(&mut self, other: Self) {
        self.deliveries += other.deliveries;
        self.events += other.events;
        self.new += other.new;
    }
}

/// Applies stored deliveries. Any number of them may run beside each other, in any number of processes.
#[derive(Clone)]
pub struct Applier {
    db: Db,
    clock: Arc<dyn Clock>,
    reader: Arc<dyn DeliveryReader>,
    changes: Changes,
    partitions: Partitions,
}

impl Applier {
    /// An applier that reads deliveries with `reader` and tells `changes` which campaigns changed.
    #[must_use]
    pub fn new(db: Db, clock: Arc<dyn Clock>, reader: Arc<dyn DeliveryReader>, changes: Changes) -> Self {
        Self { db, clock, reader, changes, partitions: Partitions::default() }
    }

    /// Applies until no delivery waits; says how much it was.
    ///
    /// # Errors
    /// Those of the database, after deadlocks and the like have been tried again.
    pub async fn apply_all(&self) -> Result<Applied> {
        let mut total = Applied::default();
        loop {
            let applied = self.apply_next().await?;
            total += applied;
            if applied.deliveries == 0 {
                return Ok(total);
            }
        }
    }

    /// Applies the next few waiting deliveries in one transaction; zero deliveries where none waits.
    ///
    /// A delivery that the database refuses for what it holds does not stop the others: they are applied without it, and it is
    /// marked as unreadable, with the reason.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn apply_next(&self) -> Result<Applied> {
        const TRIES: u32 = 5;
        let mut limit = Claim::UNLIMITED;
        let mut tries = 0;
        loop {
            match self.apply_once(limit).await {
                Ok(applied) => return Ok(applied),
                Err(Failed { error, .. }) if error.is_transient() && tries < TRIES => {
                    tries += 1;
                    tracing::debug!(tries, error = %error, "applying deliveries is tried again");
                    tokio::time::sleep(std::time::Duration::from_millis(10 << tries)).await;
                }
                Err(Failed { error, .. }) if error.is_transient() => return Err(error),
                Err(Failed { error, claimed: Some(delivery) }) if limit == 1 => {
                    tracing::error!(delivery, error = %Causes(&error), "a delivery cannot be applied and is set aside");
                    claim::set_aside(&self.db, delivery, &error, self.clock.now()).await?;
                    return Ok(Applied { deliveries: 1, ..Applied::default() });
                }
                // One of several is to blame: find it by taking them one by one.
                Err(Failed { error, claimed: Some(_) }) => {
                    tracing::warn!(error = %Causes(&error), "deliveries could not be applied together and are applied one by one");
                    limit = 1;
                }
                Err(Failed { error, claimed: None }) => return Err(error),
            }
        }
    }

    async fn apply_once(&self, limit: u64) -> Result<Applied, Failed> {
        let now = self.clock.now();
        let unclaimed = |error: ServiceError| Failed { error, claimed: None };
        let transaction = self.db.begin_keyed().await.map_err(|error| unclaimed(error.into()))?;
        let claim = Claim::take(&transaction, self.reader.as_ref(), limit).await.map_err(unclaimed)?;
        let Some(first) = claim.first() else { return Ok(Applied::default()) };
        let failed = |error: ServiceError| Failed { error, claimed: Some(first) };
        let (applied, changed) = self.write(&transaction, claim, now).await.map_err(failed)?;
        transaction.commit().await.map_err(|error| failed(error.into()))?;
        changed.into_iter().for_each(|campaign| self.changes.publish(Change::Campaign(campaign)));
        Ok(applied)
    }

    async fn write(
        &self,
        transaction: &DatabaseTransaction,
        mut claim: Claim,
        now: Timestamp,
    ) -> Result<(Applied, Vec<i64>)> {
        let mut pending = claim.take_events();
        too_old::refuse(transaction, &mut claim, &mut pending, now).await?;
        let mut applied =
            Applied { deliveries: claim.len(), events: pending.len().try_into().unwrap_or(u64::MAX), new: 0 };
        let mut rollup = RollUp::default();
        let new = if pending.is_empty() {
            Vec::new()
        } else {
            self.partitions.ensure(&self.db, &pending, now).await?;
            matching::match_all(transaction, &mut pending).await?;
            create::missing(transaction, &mut pending, &mut rollup, now).await?;
            let new = events::insert(transaction, pending).await?;
            applied.new = new.len().try_into().unwrap_or(u64::MAX);
            new
        };
        claim.finish(transaction, &new, now).await?;
        settle(transaction, new, &mut rollup, now).await?;
        let changed = rollup.campaigns().collect();
        rollup.write(transaction, now).await?;
        Ok((applied, changed))
    }
}

/// Folds new events, and those older ones that can be matched now that their message ids are known; says how many it were.
async fn settle(
    transaction: &DatabaseTransaction,
    new: Vec<Pending>,
    rollup: &mut RollUp,
    now: Timestamp,
) -> Result<usize> {
    let mut events: Vec<Pending> = new.into_iter().filter(|event| event.matched.is_some()).collect();
    let learned = events::learn_message_ids(transaction, &events).await?;
    if !learned.is_empty() {
        events.extend(rematch::by_message_ids(transaction, learned).await?);
    }
    fold::fold(transaction, &mut events, rollup, now).await?;
    Ok(events.len())
}

/// A transaction that failed, and the first delivery that it had claimed.
struct Failed {
    error: ServiceError,
    claimed: Option<i64>,
}

#[cfg(test)]
pub(crate) mod tests;
