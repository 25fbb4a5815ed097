//! The queue through Redis.

use std::sync::Arc;
use std::time::Duration;

use apalis::prelude::{BackendExt, Monitor, TaskSink, WorkerBuilder, WorkerBuilderExt};
use apalis_redis::{Config, RedisStorage};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{AsyncCommands, Client};
use service::jobs::Queue;
use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;

use super::{DRAIN, Handler, MOST, Pointer, queue_name, until_shutdown, worker_name};
use crate::error::WorkerError;

/// How often a worker looks for pointers.
const POLL: Duration = Duration::from_millis(50);
/// How often a worker says that it is alive; far below any lease.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// The first and the longest wait before a worker is started again after an error of Redis.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How often the cleaner looks, and how many tasks it removes at once.
const CLEAN_EVERY: Duration = Duration::from_secs(10);
const CLEAN_BATCH: usize = 1_000;
/// As many pointers are pushed before it is asked again whether there is room: other processes push at the same time, and all of them
/// together must stay far below what ends a queue.
const PUSH_TOGETHER: usize = 50;
/// What apalis keeps of a worker is forgotten so many seconds after it was last there.
const FORGET_AFTER: i64 = 600;

/// Queues through Redis; clones share the connection.
#[derive(Clone)]
pub struct RedisQueues {
    client: Client,
    connection: Arc<Mutex<Option<ConnectionManager>>>,
}

pub(super) fn config(queue: Queue) -> Config {
    Config::default().queue(queue_name(queue)).batch_size(1).heartbeat_interval(HEARTBEAT).missed_heartbeats(6)
}

impl RedisQueues {
    pub(super) fn try_new(url: &str) -> Result<Self, WorkerError> {
        Ok(Self { client: Client::open(url)?, connection: Arc::default() })
    }

    /// The connection for pushing: made once, it reconnects by itself.
    pub(super) async fn connection(&self) -> Result<ConnectionManager, WorkerError> {
        let mut connection = self.connection.lock().await;
        if let Some(connection) = connection.as_ref() {
            return Ok(connection.clone());
        }
        let new = connect(&self.client).await?;
        *connection = Some(new.clone());
        Ok(new)
    }

    pub(super) async fn is_up(&self) -> bool {
        let ping = async {
            let mut connection = self.connection().await.ok()?;
            redis::cmd("PING").query_async::<String>(&mut connection).await.ok()
        };
        tokio::time::timeout(Duration::from_secs(2), ping).await.ok().flatten().is_some()
    }

    pub(super) async fn room(&self, queue: Queue) -> Result<usize, WorkerError> {
        let waiting: usize = self.connection().await?.zcard(config(queue).scheduled_jobs_set()).await?;
        Ok(MOST.saturating_sub(waiting))
    }

    pub(super) async fn push(&self, queue: Queue, pointers: &[Pointer]) -> Result<usize, WorkerError> {
        let mut storage = RedisStorage::new(self.connection().await?).with_config(config(queue));
        let mut pushed = 0;
        for some in pointers.chunks(PUSH_TOGETHER) {
            let room = self.room(queue).await?.min(some.len());
            for pointer in some.iter().take(room) {
                storage.push(*pointer).await.map_err(|error| WorkerError::Queue(error.to_string()))?;
                pushed += 1;
            }
            if room < some.len() {
                break;
            }
        }
        Ok(pushed)
    }

    pub(super) async fn consume(self, queue: Queue, concurrency: usize, handler: Handler, shutdown: CancellationToken) {
        let cleaner = tokio::spawn(self.clone().clean(queue, shutdown.clone()));
        let places = Arc::new(Semaphore::new(concurrency));
        let handler = detached(handler, places.clone());
        let mut wait = FIRST_WAIT;
        while !shutdown.is_cancelled() {
            let started = tokio::time::Instant::now();
            if let Err(error) =
                consume_once(self.client.clone(), queue, concurrency, handler.clone(), shutdown.clone()).await
            {
                tracing::warn!(queue = queue_name(queue), error = %error, "a worker of the queue ended and is started again");
            }
            wait = if started.elapsed() > LONGEST_WAIT { FIRST_WAIT } else { (wait * 2).min(LONGEST_WAIT) };
            tokio::select! {
                () = shutdown.clone().cancelled_owned() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        cleaner.abort();
        // Also what went on while its worker had ended.
        let all = u32::try_from(concurrency).unwrap_or(u32::MAX);
        tokio::time::timeout(DRAIN, places.acquire_many(all)).await.ok();
    }

    /// The queues as apalis knows them, for its board.
    pub(crate) async fn storages(&self) -> Result<Vec<(Queue, RedisStorage<Pointer>)>, WorkerError> {
        let connection = self.connection().await?;
        let storage = |queue: &Queue| (*queue, RedisStorage::new(connection.clone()).with_config(config(*queue)));
        Ok(Queue::ALL.iter().map(storage).collect())
    }

    /// Removes what apalis leaves behind of tasks that are done.
    async fn clean(self, queue: Queue, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(CLEAN_EVERY) => {}
            }
            while let Ok(true) = self.clean_some(queue).await {}
            // Where Redis is away, there is nothing to clean.
            self.expire_workers(queue).await.ok();
        }
    }

    /// Has what apalis keeps of workers end with them: each start has a new name. Whoever lives is seen again before that.
    pub(crate) async fn expire_workers(&self, queue: Queue) -> Result<(), WorkerError> {
        let mut connection = self.connection().await?;
        let workers = config(queue).workers_set();
        let alive: Vec<String> = connection.zrange(&workers, 0, -1).await?;
        if alive.is_empty() {
            return Ok(());
        }
        let mut pipe = redis::pipe();
        for name in alive {
            pipe.expire(format!("{workers}:metadata:{name}"), FORGET_AFTER).ignore();
        }
        Ok(pipe.query_async::<()>(&mut connection).await?)
    }

    /// Removes some; says whether there may be more.
    async fn clean_some(&self, queue: Queue) -> Result<bool, WorkerError> {
        let mut connection = self.connection().await?;
        let config = config(queue);
        let mut more = false;
        for set in [config.done_jobs_set(), config.dead_jobs_set()] {
            let ids: Vec<String> = redis::cmd("SPOP").arg(&set).arg(CLEAN_BATCH).query_async(&mut connection).await?;
            if ids.is_empty() {
                continue;
            }
            more |= ids.len() == CLEAN_BATCH;
            let mut pipe = redis::pipe();
            for id in ids {
                pipe.hdel(config.job_data_hash(), &id).ignore();
                pipe.del(format!("{}:{id}", config.job_meta_hash())).ignore();
            }
            pipe.query_async::<()>(&mut connection).await?;
        }
        Ok(more)
    }
}

/// The same, but what has begun goes on when apalis drops it, because Redis was away or was emptied and the worker ended: work does
/// not depend on Redis. There are never more than `places` at the same time, over all workers that follow each other.
fn detached(handler: Handler, places: Arc<Semaphore>) -> Handler {
    Arc::new(move |pointer| {
        let (handler, places) = (handler.clone(), places.clone());
        Box::pin(async move {
            let Ok(place) = places.acquire_owned().await else { return };
            let work = tokio::spawn(async move {
                handler(pointer).await;
                drop(place);
            });
            if work.await.is_err() {
                tracing::error!("work of the queue ended in a panic");
            }
        })
    })
}

async fn connect(client: &Client) -> Result<ConnectionManager, WorkerError> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(Duration::from_secs(2)))
        .set_response_timeout(Some(Duration::from_secs(5)))
        .set_number_of_retries(1);
    Ok(ConnectionManager::new_with_config(client.clone(), config).await?)
}

/// Consumes until `shutdown`, or until an error of Redis ends it.
async fn consume_once(
    client: Client,
    queue: Queue,
    concurrency: usize,
    handler: Handler,
    shutdown: CancellationToken,
) -> Result<(), WorkerError> {
    let connection = tokio::select! {
        connection = connect(&client) => connection?,
        () = shutdown.clone().cancelled_owned() => return Ok(()),
    };
    let monitor = Monitor::new().register(move |_restarts| {
        let handler = handler.clone();
        let storage = RedisStorage::<Pointer>::new(connection.clone()).with_config(config(queue));
        WorkerBuilder::new(worker_name(queue))
            .backend(storage.poll_with_interval(POLL))
            .concurrency(concurrency)
            .build(move |pointer: Pointer| super::work(&handler, pointer))
    });
    until_shutdown(queue_name(queue), shutdown, monitor).await
}
