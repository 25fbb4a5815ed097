//! What comes in by each source: how often requests were accepted and rejected, and why.
//!
//! Requests are counted in memory, and the counts are added to a small table every few seconds ([`SourceTally::write_every`]). So a flood of
//! requests costs a count each and no statement, and the table has a few rows for each configured source, whoever posts what.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::source::{RejectionReason, SourceOutcome};
use domain::{Provider, Timestamp};
use sea_orm::ConnectionTrait;

use crate::access::{Admin, Services};
use crate::batch::{Batch, Column};
use crate::db::{Db, query_all};
use crate::error::{Causes, Result, ServiceError};

/// Under this name requests to sources are counted that are not configured.
const UNKNOWN: &str = "";

/// Between two writes of the counts. A process that is killed loses those of this time at most.
pub const WRITE_EVERY: Duration = Duration::from_secs(5);

/// A source as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfiguredSource {
    /// The last part of `/ingest/{name}`.
    pub name: String,
    /// Whose format it is in.
    pub provider: Provider,
    /// Where its provider posts to.
    pub url: String,
}

/// How often something happened, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// How often.
    pub requests: i64,
    /// The first time.
    pub first_at: Timestamp,
    /// The last time.
    pub last_at: Timestamp,
}

impl Tally {
    const fn once(at: Timestamp) -> Self {
        Self { requests: 1, first_at: at, last_at: at }
    }

    fn add(&mut self, other: Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.first_at = self.first_at.min(other.first_at);
        self.last_at = self.last_at.max(other.last_at);
    }
}

type Counts = HashMap<(String, SourceOutcome), Tally>;

fn add(counts: &mut Counts, more: impl IntoIterator<Item = ((String, SourceOutcome), Tally)>) {
    for (key, tally) in more {
        counts.entry(key).and_modify(|known| known.add(tally)).or_insert(tally);
    }
}

/// Counts what becomes of requests to sources; cheap to clone.
#[derive(Clone, Default)]
pub struct SourceTally(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// What is not written yet.
    counted: Mutex<Counts>,
    /// Held while counts move into the table, so that whoever adds up both sees them once.
    moving: tokio::sync::Mutex<()>,
}

impl SourceTally {
    /// Counts a request to a configured source; `None` for one to a name that is not.
    pub fn count(&self, source: Option<&str>, outcome: SourceOutcome, at: Timestamp) {
        let key = (source.unwrap_or(UNKNOWN).to_owned(), outcome);
        add(&mut self.counted(), [(key, Tally::once(at))]);
    }

    /// Adds what was counted to the table. Where that fails it is added by the next call.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn write(&self, db: &Db) -> Result<()> {
        let _moving = self.0.moving.lock().await;
        let counts = std::mem::take(&mut *self.counted());
        if counts.is_empty() {
            return Ok(());
        }
        let written = insert(db.write(), &counts).await;
        if written.is_err() {
            add(&mut self.counted(), counts);
        }
        written
    }

    /// Writes every few seconds, and once more when `over` is.
    pub async fn write_every(self, db: Db, pause: Duration, over: impl Future<Output = ()>) {
        let mut over = pin!(over);
        let mut is_over = false;
        while !is_over {
            is_over = tokio::time::timeout(pause, &mut over).await.is_ok();
            if let Err(error) = self.write(&db).await {
                tracing::warn!(error = %Causes(&error), "writing source counts failed; will retry");
            }
        }
    }

    /// What was counted, in the table and out of it.
    async fn all(&self, db: &Db) -> Result<Counts> {
        let _moving = self.0.moving.lock().await;
        let mut counts = read(db).await?;
        add(&mut counts, self.counted().clone());
        Ok(counts)
    }

    fn counted(&self) -> MutexGuard<'_, Counts> {
        self.0.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn insert<C: ConnectionTrait>(connection: &C, counts: &Counts) -> Result<()> {
    let mut batch = Batch::new(&[
        ("source", Column::Text),
        ("outcome", Column::Small),
        ("requests", Column::Big),
        ("first_at", Column::Big),
        ("last_at", Column::Big),
    ]);
    // In one order, so that two processes do not wait for each other's rows.
    let mut rows: Vec<_> = counts.iter().collect();
    rows.sort_unstable_by(|a, b| a.0.cmp(b.0));
    for ((source, outcome), Tally { requests, first_at, last_at }) in rows {
        batch.push([
            source.clone().into(),
            outcome.code().into(),
            (*requests).into(),
            first_at.micros().into(),
            last_at.micros().into(),
        ]);
    }
    let sql = "INSERT INTO source_tally (source, outcome, requests, first_at, last_at) \
               SELECT source, outcome, requests, first_at, last_at FROM {rows} WHERE true \
               ON CONFLICT (source, outcome) DO UPDATE SET requests = source_tally.requests + excluded.requests, \
               last_at = CASE WHEN excluded.last_at > source_tally.last_at THEN excluded.last_at ELSE source_tally.last_at END";
    batch.execute(connection, sql, []).await?;
    Ok(())
}

/// A source, and what came in by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The last part of `/ingest/{name}`.
    pub name: String,
    /// Whose format it is in, and where it posts to; `None` where the source is no longer configured.
    pub configured: Option<(Provider, String)>,
    /// Requests that were accepted; `None` where there were none.
    pub accepted: Option<Tally>,
    /// Requests that were rejected, most frequent reason first.
    pub rejected: Vec<(RejectionReason, Tally)>,
}

/// All sources, and what came in by none of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceReport {
    /// The configured ones in their order, then those that were configured once, by name.
    pub sources: Vec<Source>,
    /// Requests to names that are not configured.
    pub unknown: Option<Tally>,
}

impl Services {
    /// The same with these sources.
    #[must_use]
    pub fn with_sources(mut self, sources: Vec<ConfiguredSource>) -> Self {
        self.sources = sources.into();
        self
    }

    /// Counts what becomes of requests to sources.
    #[must_use]
    pub const fn source_tally(&self) -> &SourceTally {
        &self.source_tally
    }
}

impl Admin {
    /// What came in by each source, in all processes: what others have counted within the last seconds may be missing.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn sources(&self) -> Result<SourceReport> {
        let counts = self.services.source_tally.all(&self.services.db).await?;
        let mut report = SourceReport::default();
        let configured = self.services.sources.iter().map(|source| Source {
            name: source.name.clone(),
            configured: Some((source.provider, source.url.clone())),
            accepted: None,
            rejected: Vec::new(),
        });
        report.sources.extend(configured);
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        for ((name, outcome), tally) in counts {
            report.enter(name, outcome, tally);
        }
        for source in &mut report.sources {
            source.rejected.sort_by_key(|(_, tally)| std::cmp::Reverse(tally.requests));
        }
        Ok(report)
    }
}

impl SourceReport {
    fn enter(&mut self, name: String, outcome: SourceOutcome, tally: Tally) {
        if name == UNKNOWN {
            self.unknown = Some(tally);
            return;
        }
        let place = self.sources.iter().position(|source| source.name == name).unwrap_or_else(|| {
            self.sources.push(Source { name, configured: None, accepted: None, rejected: Vec::new() });
            self.sources.len() - 1
        });
        let Some(source) = self.sources.get_mut(place) else { return };
        match outcome {
            SourceOutcome::Accepted => source.accepted = Some(tally),
            SourceOutcome::Rejected(reason) => source.rejected.push((reason, tally)),
        }
    }
}

async fn read(db: &Db) -> Result<Counts> {
    let rows =
        query_all(db.read(), "SELECT source, outcome, requests, first_at, last_at FROM source_tally", []).await?;
    let entry = |row: &sea_orm::QueryResult| {
        let code: i16 = row.try_get_by_index(1)?;
        let outcome = SourceOutcome::from_code(code)
            .ok_or_else(|| ServiceError::Inconsistent(format!("there is no outcome {code} of a request")))?;
        let time = |index| row.try_get_by_index(index).map(Timestamp::from_micros);
        let tally = Tally { requests: row.try_get_by_index(2)?, first_at: time(3)?, last_at: time(4)? };
        Ok(((row.try_get_by_index(0)?, outcome), tally))
    };
    rows.iter().map(entry).collect()
}

#[cfg(test)]
mod tests;
