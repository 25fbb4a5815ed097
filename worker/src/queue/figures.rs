//! What stands in the queues in Redis.
//!
//! apalis-redis 1.0.0 cannot say so itself: its scripts ask for the members of sorted sets where it keeps plain ones, and for data of
//! workers under keys that it never writes.

use redis::AsyncCommands;
use redis::aio::ConnectionManager;
use service::jobs::Queue;

use super::redis::{RedisQueues, config};
use crate::error::WorkerError;

/// What stands in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Figures {
    /// The queue.
    pub queue: Queue,
    /// Pointers that nobody has taken yet.
    pub waiting: u64,
    /// Those that a worker has.
    pub running: u64,
    /// Those that are done and not cleaned away yet.
    pub done: u64,
    /// Those that apalis gave up.
    pub dead: u64,
    /// The workers, and when each last said that it lives, in seconds since 1970.
    pub workers: Vec<(String, u64)>,
}

impl RedisQueues {
    /// Of each queue.
    pub(crate) async fn figures(&self) -> Result<Vec<Figures>, WorkerError> {
        let mut connection = self.connection().await?;
        let mut all = Vec::with_capacity(Queue::ALL.len());
        for queue in Queue::ALL {
            all.push(figures(&mut connection, *queue).await?);
        }
        Ok(all)
    }
}

async fn figures(connection: &mut ConnectionManager, queue: Queue) -> Result<Figures, WorkerError> {
    let config = config(queue);
    let workers: Vec<(String, f64)> = connection.zrange_withscores(config.workers_set(), 0, -1).await?;
    let mut running = 0;
    for (name, _) in &workers {
        let taken: u64 = connection.scard(format!("{}:{name}", config.inflight_jobs_set())).await?;
        running += taken;
    }
    let waiting: u64 = connection.zcard(config.scheduled_jobs_set()).await?;
    let active: u64 = connection.llen(config.active_jobs_list()).await?;
    let seconds = |score: f64| format!("{score:.0}").parse().unwrap_or_default();
    Ok(Figures {
        queue,
        waiting: waiting + active,
        running,
        done: connection.scard(config.done_jobs_set()).await?,
        dead: connection.scard(config.dead_jobs_set()).await?,
        workers: workers.into_iter().map(|(name, seen)| (name, seconds(seen))).collect(),
    })
}
