//! PostgreSQL: a partition of the events for each month, made when its first event arrives.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{Datelike, Months, NaiveDate};
use domain::Timestamp;
use sea_orm::ConnectionTrait;

use super::pending::Pending;
use crate::db::Db;
use crate::error::Result;

/// The months that are known to have a partition. Shared by the clones of an applier.
#[derive(Clone, Default)]
pub struct Partitions(Arc<Mutex<HashSet<NaiveDate>>>);

/// Months further back than this have no partition of their own: their events stand in the default one.
const MONTHS_BACK: u32 = 24;

impl Partitions {
    /// Makes the partitions that these events need. Outside of the transaction: making one locks the table for a moment.
    pub async fn ensure(&self, db: &Db, events: &[Pending], now: Timestamp) -> Result<()> {
        if !db.is_postgres() {
            return Ok(());
        }
        let this_month = month(now);
        let earliest = this_month.checked_sub_months(Months::new(MONTHS_BACK)).unwrap_or(this_month);
        let latest = this_month.checked_add_months(Months::new(1)).unwrap_or(this_month);
        let wanted: HashSet<NaiveDate> = events
            .iter()
            .map(|event| month(event.occurred_at))
            .filter(|month| (earliest..=latest).contains(month))
            .collect();
        let missing: Vec<NaiveDate> = {
            let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            wanted.difference(&known).copied().collect()
        };
        for month in missing {
            create(db, month).await?;
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(month);
        }
        Ok(())
    }
}

async fn create(db: &Db, month: NaiveDate) -> Result<()> {
    let next = month.checked_add_months(Months::new(1)).unwrap_or(month);
    let sql = format!(
        "CREATE TABLE IF NOT EXISTS event_{year:04}_{number:02} PARTITION OF event FOR VALUES FROM ({from}) TO ({to})",
        year = month.year(),
        number = month.month(),
        from = micros(month),
        to = micros(next),
    );
    if let Err(error) = db.write().execute_unprepared(&sql).await {
        // Another process made it at the same moment, or the default partition holds events of that month already, in which case
        // the others join them there.
        tracing::warn!(month = %month, error = %error, "no partition of its own for a month of events");
    }
    Ok(())
}

fn month(at: Timestamp) -> NaiveDate {
    let date = at.to_chrono().date_naive();
    date.with_day(1).unwrap_or(date)
}

fn micros(date: NaiveDate) -> i64 {
    date.and_hms_opt(0, 0, 0).map_or(0, |time| time.and_utc().timestamp_micros())
}
