//! Taking deliveries from the inbox, and marking them as done.

use std::collections::HashMap;
use std::sync::Arc;

use domain::Timestamp;
use domain::reading::{Create, DeliveryReader, StoredDelivery};
use domain::text::cut;
use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseTransaction, QueryResult};

use super::EVENTS_PER_TRANSACTION;
use super::pending::{CampaignKeys, PLACE_BITS, Pending};
use crate::batch::{Batch, Column};
use crate::db::{Db, execute, query_all, query_one};
use crate::error::{Result, ServiceError};
use crate::ingest::{self, DeliveryState};

/// Deliveries that this transaction holds, and what was read in them.
pub struct Claim {
    deliveries: Vec<Claimed>,
    events: Vec<Pending>,
    /// Total size of the bodies.
    read_bytes: usize,
    /// Estimated memory of the events.
    event_bytes: usize,
}

struct Claimed {
    id: i64,
    state: DeliveryState,
    events: usize,
    failures: usize,
    error: Option<String>,
}

/// A transaction takes no further delivery once its bodies, decompressed, exceed this many bytes …
const BYTES_PER_TRANSACTION: usize = 32 * 1024 * 1024;
/// … or its events this many. They are copied several times on the way into the database.
const EVENT_BYTES_PER_TRANSACTION: usize = 16 * 1024 * 1024;
/// Maximum number of rows per query.
const MAX_ROWS: u64 = 4_096;
/// Bodies up to this size, in bytes, are fetched together with their rows.
const SMALL_BODY: usize = 8 * 1024;

impl Claim {
    /// No limit on the number of deliveries but that on their events.
    pub const UNLIMITED: u64 = u64::MAX;

    /// Claims deliveries until there are enough events for a transaction, or `limit` deliveries, or no more.
    pub async fn take(transaction: &DatabaseTransaction, reader: &dyn DeliveryReader, limit: u64) -> Result<Self> {
        let lock = match transaction.get_database_backend() {
            DatabaseBackend::Postgres => "FOR UPDATE SKIP LOCKED",
            // SQLite has one writer, and this transaction is it.
            _ => "",
        };
        // Large bodies are fetched one at a time, because many of them would not fit into memory together.
        let sql = format!(
            "SELECT id, source, received_at, headers, CASE WHEN body_size <= {SMALL_BODY} THEN body END FROM delivery \
             WHERE state = 1 AND id > $1 ORDER BY id LIMIT $2 {lock}"
        );
        let mut claim = Self { deliveries: Vec::new(), events: Vec::new(), read_bytes: 0, event_bytes: 0 };
        let mut sources = HashMap::new();
        // Deliveries hold one event or a thousand: begin with few, and take more as they turn out to be small.
        let mut step = 4_u64.min(limit);
        loop {
            let last = claim.deliveries.last().map_or(0, |delivery| delivery.id);
            let step_value = i64::try_from(step).unwrap_or(i64::MAX);
            let rows = query_all(transaction, &sql, [last.into(), step_value.into()]).await?;
            let found = rows.len();
            for row in rows {
                let body = match row.try_get_by_index::<Option<Vec<u8>>>(4)? {
                    Some(body) => body,
                    None => claim.body(transaction, row.try_get_by_index(0)?).await?,
                };
                claim.read(&row, &body, reader, &mut sources)?;
                // Remaining rows are left to the next transaction; they stay locked until the end of this one.
                if claim.is_full() || claim.len() >= limit {
                    return Ok(claim);
                }
            }
            if u64::try_from(found).unwrap_or(u64::MAX) < step {
                return Ok(claim);
            }
            let taken = claim.len();
            let room = EVENTS_PER_TRANSACTION.saturating_sub(claim.events.len());
            let per_delivery = claim.events.len().div_ceil(claim.deliveries.len().max(1)).max(1);
            let wanted = u64::try_from(room.div_ceil(per_delivery)).unwrap_or(u64::MAX);
            let most = step.saturating_mul(8).min(MAX_ROWS);
            step = wanted.clamp(1, most).min(limit.saturating_sub(taken)).max(1);
        }
    }

    /// Whether a limit per transaction is reached: number of events, size of bodies, or memory of events.
    fn is_full(&self) -> bool {
        self.events.len() >= EVENTS_PER_TRANSACTION
            || self.read_bytes >= BYTES_PER_TRANSACTION
            || self.event_bytes >= EVENT_BYTES_PER_TRANSACTION
    }

    async fn body(&self, transaction: &DatabaseTransaction, id: i64) -> Result<Vec<u8>> {
        let row = query_one(transaction, "SELECT body FROM delivery WHERE id = $1", [id.into()]).await?;
        let row =
            row.ok_or_else(|| ServiceError::Inconsistent(format!("delivery {id} vanished while it was locked")))?;
        Ok(row.try_get_by_index(0)?)
    }

    fn read(
        &mut self,
        row: &QueryResult,
        body: &[u8],
        reader: &dyn DeliveryReader,
        sources: &mut HashMap<String, (Arc<str>, Create)>,
    ) -> Result<()> {
        let id: i64 = row.try_get_by_index(0)?;
        let source: String = row.try_get_by_index(1)?;
        let (name, create) = sources
            .entry(source.clone())
            .or_insert_with(|| (Arc::from(source.as_str()), reader.may_create(&source)))
            .clone();
        let stored = StoredDelivery {
            source,
            received_at: Timestamp::from_micros(row.try_get_by_index(2)?),
            headers: serde_json::from_str(&row.try_get_by_index::<String>(3)?)?,
            body: ingest::decompress(body)?,
        };
        self.read_bytes += stored.body.len();
        let claimed = match reader.read(&stored) {
            Ok(reading) => {
                let events = reading.events.len();
                let first = id << PLACE_BITS;
                let numbered = (first..first + (1 << PLACE_BITS)).zip(reading.events);
                let mut keys = CampaignKeys::default();
                for (id, event) in numbered {
                    let event = Pending::new(id, &name, create, event, &mut keys);
                    self.event_bytes += event.size();
                    self.events.push(event);
                }
                let failures = reading.failures.len();
                let shown = reading.failures.iter().take(20);
                let error = shown.map(|bad| format!("element {}: {}", bad.index, bad.reason)).collect::<Vec<_>>();
                let state = if failures == 0 { DeliveryState::Applied } else { DeliveryState::Partial };
                Claimed { id, state, events, failures, error: (failures > 0).then(|| error.join("\n")) }
            }
            Err(error) => {
                Claimed { id, state: DeliveryState::Unreadable, events: 0, failures: 1, error: Some(error.to_string()) }
            }
        };
        self.deliveries.push(claimed);
        Ok(())
    }

    /// The id of the first delivery; `None` where nothing waited.
    pub fn first(&self) -> Option<i64> {
        self.deliveries.first().map(|delivery| delivery.id)
    }

    /// How many deliveries are held.
    pub fn len(&self) -> u64 {
        u64::try_from(self.deliveries.len()).unwrap_or(u64::MAX)
    }

    /// The events, to be applied.
    pub fn take_events(&mut self) -> Vec<Pending> {
        std::mem::take(&mut self.events)
    }

    /// Notes that so many events of a delivery are not applied.
    pub fn refuse(&mut self, delivery: i64, events: usize, reason: &str) {
        // Deliveries are claimed in the order of their ids.
        let place = self.deliveries.binary_search_by_key(&delivery, |claimed| claimed.id);
        let Some(claimed) = place.ok().and_then(|place| self.deliveries.get_mut(place)) else { return };
        claimed.state = DeliveryState::Partial;
        claimed.events = claimed.events.saturating_sub(events);
        claimed.failures += events;
        let error = claimed.error.take().map(|error| format!("{error}\n{reason}"));
        claimed.error = Some(error.unwrap_or_else(|| reason.to_owned()));
    }

    /// Marks the deliveries as done; `new` are the events that were not known before.
    pub async fn finish(self, transaction: &DatabaseTransaction, new: &[Pending], now: Timestamp) -> Result<()> {
        let mut new_events: HashMap<i64, i32> = HashMap::new();
        for event in new {
            *new_events.entry(event.delivery()).or_default() += 1;
        }
        let mut batch = Batch::new(&[
            ("id", Column::Big),
            ("state", Column::Small),
            ("events", Column::Int),
            ("new_events", Column::Int),
            ("failures", Column::Int),
            ("error", Column::Text),
        ]);
        let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        for delivery in self.deliveries {
            batch.push([
                delivery.id.into(),
                delivery.state.code().into(),
                count(delivery.events).into(),
                new_events.get(&delivery.id).copied().unwrap_or_default().into(),
                count(delivery.failures).into(),
                delivery.error.map(|error| cut(&error, MAX_ERROR)).into(),
            ]);
        }
        // A replay finds its events known: what was new at first stays counted.
        let sql = "UPDATE delivery SET state = rows.state, events = rows.events, \
                   new_events = delivery.new_events + rows.new_events, failures = rows.failures, error = rows.error, \
                   applied_at = {1} FROM {rows} WHERE delivery.id = rows.id";
        batch.execute(transaction, sql, [now.micros().into()]).await?;
        Ok(())
    }
}

/// As much of what went wrong with a delivery is kept, in characters.
const MAX_ERROR: usize = 4_000;

/// Marks a delivery that the database refuses, so that it holds up no others; it stays, can be looked at and replayed.
pub async fn set_aside(db: &Db, delivery: i64, error: &ServiceError, now: Timestamp) -> Result<()> {
    let reason = match error {
        ServiceError::Database(_) => "the database refused what it holds; the log says why".to_owned(),
        other => other.to_string(),
    };
    let reason = cut(&reason, MAX_ERROR);
    let sql = "UPDATE delivery SET state = $2, error = $3, applied_at = $4, failures = 1 WHERE id = $1";
    let state = DeliveryState::Unreadable.code();
    execute(db.write(), sql, [delivery.into(), state.into(), reason.into(), now.micros().into()]).await?;
    Ok(())
}
