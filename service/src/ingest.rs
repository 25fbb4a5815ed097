//! The inbox: requests of providers, stored before they are answered.
//!
//! Many providers post one event a request. Requests that arrive together are stored by one statement and one commit: a task gathers
//! them, and each is answered after the commit that it shares. On SQLite, which has one writer, this is what makes ingest fast.

use std::time::Duration;

use domain::{Provider, Timestamp};
use sea_orm::ConnectionTrait;
use tokio::sync::{mpsc, oneshot};

use crate::batch::{Batch, Column};
use crate::db::{Db, execute, query_all, query_one};
use crate::error::{Causes, Result, ServiceError};

/// How far a delivery has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// Stored, not applied yet.
    Stored,
    /// Applied.
    Applied,
    /// Applied but for elements that could not be understood.
    Partial,
    /// As a whole not what the provider sends; kept, to be replayed.
    Unreadable,
}

impl DeliveryState {
    /// The number in the database; never reused.
    #[must_use]
    pub const fn code(self) -> i16 {
        match self {
            Self::Stored => 1,
            Self::Applied => 2,
            Self::Partial => 3,
            Self::Unreadable => 4,
        }
    }

    /// The word in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "STORED",
            Self::Applied => "APPLIED",
            Self::Partial => "PARTLY_APPLIED",
            Self::Unreadable => "UNREADABLE",
        }
    }

    /// What the database's number stands for.
    #[must_use]
    pub const fn from_code(code: i16) -> Option<Self> {
        match code {
            1 => Some(Self::Stored),
            2 => Some(Self::Applied),
            3 => Some(Self::Partial),
            4 => Some(Self::Unreadable),
            _ => None,
        }
    }
}

/// A request to be stored.
#[derive(Clone, Debug)]
pub struct NewDelivery {
    /// The source that it came to.
    pub source: String,
    /// Whose format it should be in.
    pub provider: Provider,
    /// When it came.
    pub received_at: Timestamp,
    /// The headers that reading it needs, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, after content decoding.
    pub body: Vec<u8>,
    /// Why it cannot be read; `None` where it can, and is to be applied.
    pub unreadable: Option<String>,
}

/// At most as many requests share a commit.
const MAX_BATCH: usize = 256;
/// At most as many bytes of bodies share a commit.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// As many requests may wait for the writer; more are told to come again.
const QUEUE: usize = 4_096;

/// Something to be dropped once a delivery's body is no longer in memory.
pub type Hold = Box<dyn Send>;

struct Waiting {
    delivery: NewDelivery,
    answer: oneshot::Sender<Result<(), Lost>>,
    hold: Hold,
}

/// Why a delivery was not stored: to be tried again by the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the delivery could not be stored")]
pub struct Lost;

/// The way into the inbox; cheap to clone.
#[derive(Clone, Debug)]
pub struct Inbox(mpsc::Sender<Waiting>);

impl Inbox {
    /// An inbox, and the task that writes it: to be spawned, ends when all clones of the inbox are gone. `stored` is called after
    /// each commit, to wake those who apply.
    pub fn new(db: Db, stored: impl Fn() + Send + 'static) -> (Self, impl Future<Output = ()> + Send) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self(sender), write_all(db, receiver, stored))
    }

    /// Stores a delivery; returns once it is committed.
    ///
    /// # Errors
    /// [`Lost`] where the database is down or too slow: the provider should try again.
    pub async fn store(&self, delivery: NewDelivery) -> Result<(), Lost> {
        self.store_held(delivery, Box::new(())).await
    }

    /// Like [`Inbox::store`]; drops `hold` once the delivery is committed or lost, even if the caller no longer waits.
    ///
    /// # Errors
    /// [`Lost`].
    pub async fn store_held(&self, delivery: NewDelivery, hold: Hold) -> Result<(), Lost> {
        let (answer, stored) = oneshot::channel();
        self.0.try_send(Waiting { delivery, answer, hold }).map_err(|_| Lost)?;
        stored.await.map_err(|_| Lost)?
    }
}

async fn write_all(db: Db, mut queue: mpsc::Receiver<Waiting>, stored: impl Fn() + Send) {
    while let Some(first) = queue.recv().await {
        let mut bytes = first.delivery.body.len();
        let mut batch = vec![first];
        // Whoever arrived during the last commit is there already; a moment more gathers those who are just arriving.
        let deadline = tokio::time::Instant::now() + Duration::from_millis(2);
        while batch.len() < MAX_BATCH && bytes < MAX_BYTES {
            let next = if batch.len() == 1 && queue.is_empty() {
                queue.try_recv().ok()
            } else {
                receive(&mut queue, deadline).await
            };
            let Some(next) = next else { break };
            bytes += next.delivery.body.len();
            batch.push(next);
        }
        let split = |Waiting { delivery, answer, hold }| (delivery, (answer, hold));
        let (deliveries, answers): (Vec<_>, Vec<_>) = batch.into_iter().map(split).unzip();
        let result = write(&db, deliveries).await.map_err(|error| {
            tracing::error!(error = %Causes(&error), "deliveries could not be stored; the providers are asked to come again");
            Lost
        });
        if result.is_ok() {
            stored();
        }
        for (answer, hold) in answers {
            drop(hold);
            // Who hung up meanwhile does not hear it; the delivery is there all the same.
            answer.send(result).ok();
        }
    }
}

async fn receive(queue: &mut mpsc::Receiver<Waiting>, deadline: tokio::time::Instant) -> Option<Waiting> {
    tokio::time::timeout_at(deadline, queue.recv()).await.ok().flatten()
}

async fn write(db: &Db, deliveries: Vec<NewDelivery>) -> Result<()> {
    let compressed = tokio::task::spawn_blocking(move || deliveries.into_iter().map(row).collect::<Result<Vec<_>>>());
    let mut rows =
        compressed.await.map_err(|error| ServiceError::Inconsistent(format!("compressing failed: {error}")))??;
    if rows.len() == 1 {
        return insert(db.write(), rows).await;
    }
    let transaction = db.begin().await?;
    while !rows.is_empty() {
        let rest = rows.split_off(rows.len().min(CHUNK));
        insert(&transaction, std::mem::replace(&mut rows, rest)).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Rows of one statement at most. Full ones are one prepared statement; what is left of a batch has another size each time.
const CHUNK: usize = 64;

type Row = [sea_orm::Value; 9];

fn row(delivery: NewDelivery) -> Result<Row> {
    let state = if delivery.unreadable.is_some() { DeliveryState::Unreadable } else { DeliveryState::Stored };
    let size = i64::try_from(delivery.body.len()).unwrap_or(i64::MAX);
    Ok([
        delivery.source.into(),
        delivery.provider.code().into(),
        delivery.received_at.micros().into(),
        serde_json::to_string(&delivery.headers)?.replace("\\u0000", "").into(),
        compress(&delivery.body)?.into(),
        size.into(),
        state.code().into(),
        i32::from(delivery.unreadable.is_some()).into(),
        delivery.unreadable.map(|reason| reason.replace('\0', "")).into(),
    ])
}

async fn insert<C: ConnectionTrait>(connection: &C, rows: Vec<Row>) -> Result<()> {
    let mut sql =
        "INSERT INTO delivery (source, provider, received_at, headers, body, body_size, state, failures, error) VALUES ".to_owned();
    for index in 0..rows.len() {
        let first = index * 9;
        let places: Vec<String> = (first + 1..=first + 9).map(|place| format!("${place}")).collect();
        sql.push_str(if index == 0 { "(" } else { ", (" });
        sql.push_str(&places.join(", "));
        sql.push(')');
    }
    execute(connection, &sql, rows.into_iter().flatten()).await?;
    Ok(())
}

/// Compresses a body for keeping: fast, because it happens before the answer.
fn compress(body: &[u8]) -> Result<Vec<u8>> {
    Ok(zstd::bulk::compress(body, 1)?)
}

/// A stored body as it came.
///
/// # Errors
/// Where the stored bytes are damaged.
pub fn decompress(stored: &[u8]) -> Result<Vec<u8>> {
    /// More than any request may hold.
    const LIMIT: usize = 64 * 1024 * 1024;
    Ok(zstd::bulk::Decompressor::new()?.decompress(stored, LIMIT.min(bound(stored)))?)
}

/// The size that the frame states, so that no more memory is taken than needed.
fn bound(stored: &[u8]) -> usize {
    let stated = zstd::zstd_safe::get_frame_content_size(stored).ok().flatten();
    stated.and_then(|size| usize::try_from(size).ok()).unwrap_or(usize::MAX).max(1)
}

/// Whether deliveries wait to be applied.
///
/// # Errors
/// Those of the database.
pub async fn is_waiting(db: &Db) -> Result<bool> {
    Ok(query_one(db.read(), "SELECT id FROM delivery WHERE state = 1 ORDER BY id LIMIT 1", []).await?.is_some())
}

/// The id of the latest delivery, 0 where there is none.
///
/// # Errors
/// Those of the database.
pub async fn last_delivery(db: &Db) -> Result<i64> {
    let row = query_one(db.read(), "SELECT id FROM delivery ORDER BY id DESC LIMIT 1", []).await?;
    Ok(row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or_default())
}

/// Which deliveries to apply again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplayFilter {
    /// Only those of this source.
    pub source: Option<String>,
    /// Only those that came then or later.
    pub since: Option<Timestamp>,
    /// Only those that could not be read, wholly or in part.
    pub failed: bool,
}

/// What came of deliveries that were applied again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Replayed {
    /// How many deliveries they were.
    pub deliveries: u64,
    /// How many events are in them.
    pub events: i64,
    /// How many of these were not known before.
    pub new: i64,
}

/// A delivery that could not be read, wholly or in part, also when it was applied again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedDelivery {
    /// Its key in the database.
    pub id: i64,
    /// The source that it came to.
    pub source: String,
    /// When it came.
    pub received_at: Timestamp,
    /// `Partial` or `Unreadable`.
    pub state: DeliveryState,
    /// How many of its elements could not be read.
    pub failures: i32,
    /// Why.
    pub error: Option<String>,
}

/// Deliveries that were put back into the inbox.
pub struct Replay {
    ids: Vec<i64>,
    new_before: i64,
}

impl Replay {
    /// Puts stored deliveries back into the inbox. What of them is known already will change nothing.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn start(db: &Db, filter: &ReplayFilter) -> Result<Self> {
        let state = if filter.failed { "state >= 3" } else { "state >= 2" };
        let source = if filter.source.is_some() { "AND source = $2" } else { "" };
        let sql = format!(
            "UPDATE delivery SET state = 1, error = NULL, failures = 0 WHERE {state} AND received_at >= $1 {source} \
             RETURNING id, new_events"
        );
        let since = filter.since.map_or(i64::MIN, Timestamp::micros);
        let values = std::iter::once(since.into()).chain(filter.source.clone().map(Into::into));
        let mut replay = Self { ids: Vec::new(), new_before: 0 };
        for row in query_all(db.write(), &sql, values).await? {
            replay.ids.push(row.try_get_by_index(0)?);
            replay.new_before += i64::from(row.try_get_by_index::<i32>(1)?);
        }
        Ok(replay)
    }

    /// What came of it; `None` while some of them wait.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn result(&self, db: &Db) -> Result<Option<Replayed>> {
        let mut found = Replayed { new: -self.new_before, ..Replayed::default() };
        for ids in self.ids.chunks(10_000) {
            let mut batch = Batch::new(&[("id", Column::Big)]);
            ids.iter().for_each(|id| batch.push([(*id).into()]));
            let sql = "SELECT delivery.state, delivery.events, delivery.new_events FROM {rows} JOIN delivery ON delivery.id = rows.id";
            for row in batch.query(db.read(), sql, []).await? {
                if DeliveryState::from_code(row.try_get_by_index(0)?) == Some(DeliveryState::Stored) {
                    return Ok(None);
                }
                found.deliveries += 1;
                found.events += i64::from(row.try_get_by_index::<i32>(1)?);
                found.new += i64::from(row.try_get_by_index::<i32>(2)?);
            }
        }
        Ok(Some(found))
    }

    /// Those of them that still cannot be read, wholly or in part, in the order in which they came.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn failing(&self, db: &Db) -> Result<Vec<FailedDelivery>> {
        let mut failing = Vec::new();
        for ids in self.ids.chunks(10_000) {
            let mut batch = Batch::new(&[("id", Column::Big)]);
            ids.iter().for_each(|id| batch.push([(*id).into()]));
            let sql = "SELECT d.id, d.source, d.received_at, d.state, d.failures, d.error FROM {rows} \
                       JOIN delivery d ON d.id = rows.id WHERE d.state >= 3 ORDER BY d.id";
            for row in batch.query(db.read(), sql, []).await? {
                let Some(state) = DeliveryState::from_code(row.try_get_by_index(3)?) else { continue };
                failing.push(FailedDelivery {
                    id: row.try_get_by_index(0)?,
                    source: row.try_get_by_index(1)?,
                    received_at: Timestamp::from_micros(row.try_get_by_index(2)?),
                    state,
                    failures: row.try_get_by_index(4)?,
                    error: row.try_get_by_index(5)?,
                });
            }
        }
        failing.sort_by_key(|delivery| delivery.id);
        Ok(failing)
    }
}
