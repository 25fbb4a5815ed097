//! Events: whole months, as partitions where there are any.

use chrono::{Datelike, Months, NaiveDate};
use domain::Timestamp;
use sea_orm::{ConnectionTrait, Value};
use serde::{Deserialize, Serialize};

use super::table::number;
use super::{CHUNK, Item, Run};
use crate::access::Services;
use crate::db::{execute, query_all, query_one};
use crate::error::Result;

/// Where the limit stands among the settings.
const SETTING: &str = "events.pruned_before";

/// A partition is dropped once nobody uses the table, which has to be now and then for a moment; until then, newcomers wait behind
/// the one who wants to drop it. After so long that is tried again later.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '5s'";

/// Up to when events were removed: older ones are unknown, whether or not they have been counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Events that occurred before this, in microseconds since 1970, are gone, or about to be.
    before: i64,
    /// Whether they are gone.
    done: bool,
}

impl Limit {
    /// The limit; `None` where no event was ever removed.
    pub async fn read<C: ConnectionTrait>(connection: &C) -> Result<Option<Self>> {
        let row = query_one(connection, "SELECT value FROM setting WHERE name = $1", [SETTING.into()]).await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(serde_json::from_str(&row.try_get_by_index::<String>(0)?)?))
    }

    /// Events that occurred before this are unknown.
    pub const fn before(self) -> Timestamp {
        Timestamp::from_micros(self.before)
    }

    async fn write<C: ConnectionTrait>(self, connection: &C, now: Timestamp) -> Result<()> {
        let sql = "INSERT INTO setting (name, value, updated_by, updated_at) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at";
        let values: [Value; 4] =
            [SETTING.into(), serde_json::to_string(&self)?.into(), "retention".into(), now.micros().into()];
        execute(connection, sql, values).await?;
        Ok(())
    }
}

/// The beginning of the month, by UTC, that this moment lies in.
pub fn beginning_of_month(at: Timestamp) -> Timestamp {
    let date = at.to_chrono().date_naive();
    start(date.with_day(1).unwrap_or(date))
}

fn start(date: NaiveDate) -> Timestamp {
    date.and_hms_opt(0, 0, 0).map_or(Timestamp::default(), |time| time.and_utc().into())
}

/// How many events occurred before the cutoff, without those that are removed because they matched nobody.
pub async fn count(services: &Services, cutoff: Timestamp) -> Result<u64> {
    let unmatched = Item::UnmatchedEvents.cutoff(&services.retention, services.now());
    let unmatched = unmatched.map_or(i64::MIN, Timestamp::micros);
    let sql = "SELECT count(*) FROM event WHERE occurred_at < $1 AND NOT (recipient IS NULL AND occurred_at < $2)";
    number(query_one(services.db.read(), sql, [cutoff.micros().into(), unmatched.into()]).await?.as_ref())
}

/// Removes them.
pub async fn remove(run: &mut Run<'_>, cutoff: Timestamp) -> Result<()> {
    let services = run.services;
    let known = Limit::read(services.db.read()).await?;
    // Where events are now kept for longer than they were, what is gone is gone.
    let before = known.map_or(cutoff, |known| cutoff.max(known.before()));
    if known.is_some_and(|known| known.done && known.before() == before) {
        return Ok(());
    }
    let limit = Limit { before: before.micros(), done: false };
    // Before the first of them goes: from now on they are refused.
    limit.write(services.db.write(), services.now()).await?;
    let rest = if services.db.is_postgres() {
        drop_partitions(run, before).await?;
        "event_default"
    } else {
        "event"
    };
    let key = "provider, event_id, occurred_at";
    let sql =
        format!("DELETE FROM {rest} WHERE ({key}) IN (SELECT {key} FROM {rest} WHERE occurred_at < $1 LIMIT {CHUNK})");
    loop {
        let transaction = services.db.begin_keyed().await?;
        let removed = execute(&transaction, &sql, [before.micros().into()]).await?.rows_affected();
        if removed == 0 {
            Limit { done: true, ..limit }.write(&transaction, services.now()).await?;
            return run.commit(transaction, Item::Events, 0).await;
        }
        run.commit(transaction, Item::Events, removed).await?;
    }
}

/// Drops the months that lie wholly before the cutoff.
async fn drop_partitions(run: &mut Run<'_>, cutoff: Timestamp) -> Result<()> {
    let sql = "SELECT CAST(child.relname AS TEXT) FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid \
               WHERE inhparent = CAST('event' AS regclass) ORDER BY 1";
    let rows = query_all(run.services.db.read(), sql, []).await?;
    for row in rows {
        let name: String = row.try_get_by_index(0)?;
        // Names that are no month's are not ours to drop; those that are hold no character that needs quoting.
        if end_of_partition(&name).is_none_or(|end| end > cutoff) {
            continue;
        }
        let counted = query_one(run.services.db.read(), &format!("SELECT count(*) FROM {name}"), []).await?;
        let removed = number(counted.as_ref())?;
        let transaction = run.services.db.begin().await?;
        transaction.execute_unprepared(LOCK_TIMEOUT).await?;
        transaction.execute_unprepared(&format!("DROP TABLE {name}")).await?;
        run.commit(transaction, Item::Events, removed).await?;
        tracing::info!(partition = name, events = removed, "a month of events was removed");
    }
    Ok(())
}

/// When the month of a partition (`event_2026_01`) ends.
fn end_of_partition(name: &str) -> Option<Timestamp> {
    let (year, month) = name.strip_prefix("event_")?.split_once('_')?;
    let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(year, 4) || !digits(month, 2) {
        return None;
    }
    let month = NaiveDate::from_ymd_opt(year.parse().ok()?, month.parse().ok()?, 1)?;
    month.checked_add_months(Months::new(1)).map(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_known_by_their_names() {
        let end = |name: &str| end_of_partition(name).map(|end| end.to_string());
        assert_eq!(end("event_2025_12").as_deref(), Some("2026-01-01T00:00:00Z"));
        for other in
            ["event_default", "event_2025_13", "event_25_1", "event_2025_1x", "event_2025_01; x", "click_2025_01"]
        {
            assert_eq!(end(other), None, "{other}");
        }
    }
}
