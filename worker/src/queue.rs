//! The queue: the one module that knows apalis.
//!
//! It carries [`Pointer`]s from whoever committed something to whoever can work on it: in memory within a process, through Redis
//! between processes. It may lose them, repeat them and reorder them; nothing depends on it but how soon work begins.
//!
//! apalis-redis 1.0.0 wants care, and this is where it gets it: queue names without a colon; a worker name that is new at each start
//! (a name is held for a while after its worker ended); `batch_size(1)`, because heartbeats stop while tasks wait in its local buffer;
//! polling at an interval, because a push wakes nobody; no more than a thousand pointers in a queue, because some 8,000 due ones end it
//! for good; errors never retried by apalis; a restart with back-off when any error of Redis ended a worker; and a cleaner, because
//! nothing in its keys expires.

pub(crate) mod figures;
mod memory;
pub(crate) mod redis;

use std::sync::Arc;
use std::time::Duration;

use apalis::prelude::Monitor;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use service::jobs::Queue;
use tokio_util::sync::CancellationToken;

use crate::error::WorkerError;

/// At most so many pointers stand in a queue: what they point at stays in the database, and is found again.
pub(crate) const MOST: usize = 1_000;

/// What to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pointer {
    /// Deliveries wait in the inbox.
    Deliveries,
    /// A job is due.
    Job(i64),
}

/// Does what a pointer points at. It handles its own errors: the queue has nothing to do with them.
pub type Handler = Arc<dyn Fn(Pointer) -> BoxFuture<'static, ()> + Send + Sync>;

/// A queue for each class of work.
#[derive(Clone)]
pub enum Queues {
    /// Within this process.
    Memory(memory::MemoryQueues),
    /// Through Redis.
    Redis(redis::RedisQueues),
}

impl Queues {
    /// Queues within this process.
    #[must_use]
    pub fn memory() -> Self {
        Self::Memory(memory::MemoryQueues::default())
    }

    /// Queues through the Redis at `url`. It connects when it is first needed, and again whenever it has to.
    ///
    /// # Errors
    /// Where the URL is none of Redis.
    pub fn redis(url: &str) -> Result<Self, WorkerError> {
        Ok(Self::Redis(redis::RedisQueues::try_new(url)?))
    }

    /// How many pointers may still be put into a queue.
    ///
    /// # Errors
    /// Where the queue cannot be reached.
    pub async fn room(&self, queue: Queue) -> Result<usize, WorkerError> {
        match self {
            Self::Memory(queues) => Ok(queues.room(queue)),
            Self::Redis(queues) => queues.room(queue).await,
        }
    }

    /// Puts pointers into a queue, as many as there is [room](Self::room) for, and says how many that were.
    ///
    /// # Errors
    /// Where the queue cannot be reached. Nothing is lost by that: what they point at is found later.
    pub async fn push(&self, queue: Queue, pointers: &[Pointer]) -> Result<usize, WorkerError> {
        match self {
            Self::Memory(queues) => queues.push(queue, pointers).await,
            Self::Redis(queues) => queues.push(queue, pointers).await,
        }
    }

    /// Whether the queue can be reached.
    pub async fn is_up(&self) -> bool {
        match self {
            Self::Memory(_) => true,
            Self::Redis(queues) => queues.is_up().await,
        }
    }

    /// Hands what is in `queue` to `handler`, `concurrency` at a time, until `shutdown`; then waits for what is running.
    ///
    /// # Errors
    /// Where the queue in memory is consumed twice.
    pub fn consume(
        self,
        queue: Queue,
        concurrency: usize,
        handler: Handler,
        shutdown: CancellationToken,
    ) -> BoxFuture<'static, Result<(), WorkerError>> {
        Box::pin(async move {
            match self {
                Self::Memory(queues) => queues.consume(queue, concurrency, handler, shutdown).await,
                Self::Redis(queues) => {
                    queues.consume(queue, concurrency, handler, shutdown).await;
                    Ok(())
                }
            }
        })
    }
}

/// The name of a queue in Redis.
pub(crate) const fn queue_name(queue: Queue) -> &'static str {
    match queue {
        Queue::Events => "nachfass-events",
        Queue::Interactive => "nachfass-interactive",
        Queue::Bulk => "nachfass-bulk",
    }
}

/// A worker's name, never used before.
fn worker_name(queue: Queue) -> String {
    format!("{}-{}-{}", queue_name(queue), std::process::id(), ulid::Ulid::generate())
}

/// How long the work that is running when the process is told to end may take to finish.
const DRAIN: Duration = Duration::from_secs(25);

/// What apalis runs for a pointer: it always succeeds, because its own retries are not wanted.
fn work(
    handler: &Handler,
    pointer: Pointer,
) -> impl Future<Output = Result<(), std::convert::Infallible>> + Send + use<> {
    let work = handler(pointer);
    async move {
        work.await;
        Ok(())
    }
}

/// Runs a worker; once the end is asked for, it has [`DRAIN`] to finish what it is doing.
pub(crate) async fn until_shutdown(
    name: &'static str,
    shutdown: CancellationToken,
    monitor: Monitor,
) -> Result<(), WorkerError> {
    let context = monitor.context();
    let mut running = Box::pin(monitor.run());
    let ended = tokio::select! {
        ended = &mut running => ended,
        () = shutdown.cancelled() => {
            // Refused where it has ended by itself meanwhile: then there is nothing to wait for.
            context.shutdown().ok();
            match tokio::time::timeout(DRAIN, running).await {
                Ok(ended) => ended,
                Err(_) => {
                    tracing::warn!(worker = name, "work was still running at the end; it is taken up at the next start");
                    return Ok(());
                }
            }
        }
    };
    match ended {
        // Why a worker ended does not matter when it was told to.
        Err(error) if !shutdown.is_cancelled() => Err(WorkerError::Queue(error.to_string())),
        Ok(()) | Err(_) => Ok(()),
    }
}
