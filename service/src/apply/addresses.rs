//! What events say about addresses, over all campaigns.

use std::collections::BTreeMap;

use domain::health::{AddressHealth, BlockReason, Judgement, Marks, Outcome, Outcomes, Policy};
use domain::{EventKind, Timestamp};
use sea_orm::{ConnectionTrait, DatabaseBackend};

use super::create;
use super::pending::Pending;
use crate::batch::{Batch, Column};
use crate::error::Result;

/// What a transaction's events say about addresses.
#[derive(Default)]
pub struct Reports {
    by_key: BTreeMap<String, Report>,
}

#[derive(Default)]
struct Report {
    outcomes: Vec<(Timestamp, Outcome)>,
    /// The latest failure in the server's words.
    reason: Option<(Timestamp, String)>,
    complained_at: Option<Timestamp>,
}

/// An address under lock.
struct Address {
    id: i64,
    outcomes: Outcomes,
    reason: Option<(Timestamp, String)>,
    complained_at: Option<Timestamp>,
}

impl Reports {
    /// Notes what an event says about the address with this key.
    pub fn add(&mut self, email_key: &str, event: &Pending) {
        let outcome = Outcome::of(event.kind, event.class);
        let complained = event.kind == EventKind::Complained;
        if outcome.is_none() && !complained {
            return;
        }
        if !self.by_key.contains_key(email_key) {
            self.by_key.insert(email_key.to_owned(), Report::default());
        }
        let Some(report) = self.by_key.get_mut(email_key) else { return };
        if complained {
            report.complained_at = earliest(report.complained_at, Some(event.occurred_at));
        }
        if let Some(outcome) = outcome {
            report.outcomes.push((event.occurred_at, outcome));
            if outcome != Outcome::Delivered {
                let reason = event.diagnostic.clone().map(|words| (event.occurred_at, words));
                report.reason = report.reason.take().max(reason);
            }
        }
    }

    /// Adds them to the addresses, which it locks in the order of their ids.
    pub async fn write<C: ConnectionTrait>(self, connection: &C, now: Timestamp) -> Result<()> {
        if self.by_key.is_empty() {
            return Ok(());
        }
        let mut addresses = lock(connection, self.by_key.keys()).await?;
        if addresses.len() < self.by_key.len() {
            // Written to, but no recipient's: an address that was corrected since, or changed on the way.
            let missing = self.by_key.keys().filter(|key| !addresses.contains_key(*key));
            create::addresses(connection, missing, now).await?;
            addresses = lock(connection, self.by_key.keys()).await?;
        }
        let mut batch = Batch::new(&[
            ("id", Column::Big),
            ("health", Column::Small),
            ("consecutive_soft_bounces", Column::Int),
            ("outcomes", Column::Text),
            ("last_reason", Column::Text),
            ("last_reason_at", Column::Big),
            ("blocked_at", Column::Big),
            ("block_reason", Column::Small),
            ("complained_at", Column::Big),
        ]);
        for (key, report) in self.by_key {
            let Some(mut address) = addresses.remove(&key) else { continue };
            for (at, outcome) in report.outcomes {
                address.outcomes.add(at, outcome);
            }
            let Judgement { health, consecutive_soft_bounces, blocked } =
                address.outcomes.judge(&Policy::default(), &Marks::default(), now);
            let (last_reason_at, last_reason) = address.reason.max(report.reason).unzip();
            batch.push([
                address.id.into(),
                health.code().into(),
                consecutive_soft_bounces.into(),
                address.outcomes.encode().into(),
                last_reason.into(),
                last_reason_at.map(Timestamp::micros).into(),
                blocked.filter(|_| health == AddressHealth::Blocked).map(|(at, _)| at.micros()).into(),
                blocked.map(|(_, reason)| BlockReason::code(reason)).into(),
                earliest(address.complained_at, report.complained_at).map(Timestamp::micros).into(),
            ]);
        }
        let sql = "UPDATE address SET health = rows.health, consecutive_soft_bounces = rows.consecutive_soft_bounces, \
                   outcomes = rows.outcomes, last_reason = rows.last_reason, last_reason_at = rows.last_reason_at, \
                   blocked_at = rows.blocked_at, block_reason = rows.block_reason, complained_at = rows.complained_at \
                   FROM {rows} WHERE address.id = rows.id";
        batch.execute(connection, sql, []).await?;
        Ok(())
    }
}

async fn lock<C: ConnectionTrait>(
    connection: &C,
    keys: impl Iterator<Item = &String>,
) -> Result<BTreeMap<String, Address>> {
    let mut batch = Batch::new(&[("email_key", Column::Text)]);
    keys.for_each(|key| batch.push([key.clone().into()]));
    let lock = match connection.get_database_backend() {
        DatabaseBackend::Postgres => "FOR UPDATE OF address",
        _ => "",
    };
    let sql = format!(
        "SELECT address.email_key, address.id, address.outcomes, address.last_reason, address.last_reason_at, \
         address.complained_at FROM {{rows}} JOIN address ON address.email_key = rows.email_key ORDER BY address.id {lock}"
    );
    let mut addresses = BTreeMap::new();
    for row in batch.query(connection, &sql, []).await? {
        let time = |index: usize| -> Result<Option<Timestamp>, sea_orm::DbErr> {
            Ok(row.try_get_by_index::<Option<i64>>(index)?.map(Timestamp::from_micros))
        };
        let address = Address {
            id: row.try_get_by_index(1)?,
            outcomes: Outcomes::decode(&row.try_get_by_index::<String>(2)?),
            reason: time(4)?.zip(row.try_get_by_index(3)?),
            complained_at: time(5)?,
        };
        addresses.insert(row.try_get_by_index(0)?, address);
    }
    Ok(addresses)
}

fn earliest(left: Option<Timestamp>, right: Option<Timestamp>) -> Option<Timestamp> {
    match (left, right) {
        (Some(left), Some(right)) => Some(left.min(right)),
        (left, right) => left.or(right),
    }
}
