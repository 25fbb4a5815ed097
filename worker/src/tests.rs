//! The background work as a whole: real databases, a Redis of each test's own, and apalis between them.

mod backlog;
mod board;
mod ending;
mod refused;
mod schedule;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::SystemClock;
use domain::reading::{Create, DeliveryReader, ReadError, Reading, StoredDelivery};
use service::apply::Applier;
use service::db::{execute, query_one};
use service::jobs::{JobKind, NewJob, Queue, Which, claim, enqueue, succeed};
use service::schedule::Rule;
use service::{Db, DbOptions, Services};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::queue::{Handler, Pointer, Queues};
use crate::{Deps, Relay, Wake, WorkerOptions, handler, run};

/// As long a state may take to come about; much longer than it does.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for a state.
async fn eventually(what: &str, mut look: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !look().await {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// No deliveries come in these tests.
struct Nothing;

impl DeliveryReader for Nothing {
    fn read(&self, _: &StoredDelivery) -> Result<Reading, ReadError> {
        Ok(Reading::default())
    }

    fn may_create(&self, _: &str) -> Create {
        Create::Nothing
    }
}

/// An installation; its database goes with it.
struct Site {
    services: Services,
    deps: Deps,
    queues: Queues,
    wake: Wake,
    postgres: Option<(Db, String)>,
    _folder: TempDir,
}

impl Site {
    /// On SQLite.
    async fn sqlite(queues: Queues) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = Db::sqlite_url(&folder.path().join("test.db"));
        Self::new(&url, folder, queues, None).await
    }

    /// On PostgreSQL; `None` where there is none to test with.
    async fn postgres(queues: Queues) -> Option<Self> {
        let server = std::env::var("NACHFASS_TEST_POSTGRES").ok()?;
        let name = format!("nachfass_worker_{}", ulid::Ulid::generate().to_string().to_lowercase());
        let admin = Db::connect(&DbOptions { url: server.clone(), max_connections: 1 }).await.expect("the server");
        execute(admin.write(), &format!("CREATE DATABASE {name}"), []).await.expect("a database");
        let (prefix, _) = server.rsplit_once('/').expect("a database in the URL");
        let folder = tempfile::tempdir().expect("a folder");
        Some(Self::new(&format!("{prefix}/{name}"), folder, queues, Some((admin, name))).await)
    }

    async fn new(url: &str, folder: TempDir, queues: Queues, postgres: Option<(Db, String)>) -> Self {
        let db = Db::connect(&DbOptions { url: url.to_owned(), max_connections: 10 }).await.expect("a database");
        migration::bring_up_to_date(db.write()).await.expect("migrations");
        let clock = Arc::new(SystemClock);
        let services = Services::new(db.clone(), clock.clone(), &[1; 32], folder.path());
        let applier = Applier::new(db, clock, Arc::new(Nothing), services.changes().clone());
        let deps = Deps::new(services.clone(), applier);
        Self { services, deps, queues, wake: Wake::default(), postgres, _folder: folder }
    }

    /// Relay and consumers of a process, with these rules.
    fn start(&self, concurrency: usize, rules: Vec<Rule>) -> Running {
        let shutdown = CancellationToken::new();
        let deps = Deps::new(self.services.clone(), self.deps.applier.clone());
        let relay = Relay::new(self.services.clone(), self.queues.clone(), self.wake.clone(), 1)
            .with_worker(Queue::ALL.to_vec(), handler(deps.clone(), self.wake.clone(), shutdown.clone()));
        let options =
            WorkerOptions { queues: Queue::ALL.to_vec(), concurrency, appliers: concurrency, rules: rules.into() };
        let (queues, wake, token) = (self.queues.clone(), self.wake.clone(), shutdown.clone());
        let mut parts = JoinSet::new();
        parts.spawn(relay.run(shutdown.clone()));
        parts.spawn(async move { run(deps, queues, wake, options, token).await.expect("it works") });
        Running { parts, shutdown }
    }

    /// Relay and queue of a process whose jobs are done as soon as they are claimed: what carries them, alone.
    fn carry(&self, concurrency: usize) -> Running {
        let (services, shutdown) = (self.services.clone(), CancellationToken::new());
        let work: Handler = Arc::new(move |pointer| {
            let services = services.clone();
            Box::pin(async move {
                let Pointer::Job(id) = pointer else { return };
                let (now, lease) = (services.now(), services.lease_until());
                let claimed = claim(&services, Which::Id(id), "test", now, lease).await.expect("asked");
                if let Some(job) = claimed {
                    assert!(succeed(&services, &job, &serde_json::json!({}), now).await.expect("written"));
                }
            })
        });
        let relay = Relay::new(self.services.clone(), self.queues.clone(), self.wake.clone(), 1);
        let mut parts = JoinSet::new();
        parts.spawn(relay.run(shutdown.clone()));
        let consume = self.queues.clone().consume(Queue::Events, concurrency, work, shutdown.clone());
        parts.spawn(async move { consume.await.expect("it works") });
        Running { parts, shutdown }
    }

    /// Adds jobs that find nothing to do.
    async fn add(&self, count: usize) {
        let now = self.services.now();
        let transaction = self.services.db().begin().await.expect("begun");
        for _ in 0..count {
            let job = NewJob::new(JobKind::Rematch, serde_json::json!({}), "cli", now);
            enqueue(&transaction, job, now).await.expect("enqueued");
        }
        transaction.commit().await.expect("committed");
    }

    async fn count(&self, condition: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM job WHERE {condition}");
        let row = query_one(self.services.db().read(), &sql, []).await.expect("asked").expect("a row");
        row.try_get_by_index(0).expect("a number")
    }

    async fn close(self) {
        if let Some((admin, name)) = self.postgres {
            // Whoever still holds a connection loses it.
            execute(admin.write(), &format!("DROP DATABASE {name} WITH (FORCE)"), []).await.expect("dropped");
        }
    }
}

/// What runs.
struct Running {
    parts: JoinSet<()>,
    shutdown: CancellationToken,
}

impl Running {
    /// Ends it as SIGTERM does; says how long that took.
    async fn end(mut self) -> Duration {
        let started = Instant::now();
        self.shutdown.cancel();
        while let Some(ended) = self.parts.join_next().await {
            ended.expect("ended well");
        }
        started.elapsed()
    }
}

/// A Redis of the test's own, which it may empty and whose memory it may measure.
struct Redis {
    server: Child,
    url: String,
    _folder: TempDir,
}

impl Redis {
    /// Starts one; `None` where there is none to test with.
    async fn start() -> Option<Self> {
        std::env::var("NACHFASS_TEST_REDIS").ok()?;
        let folder = tempfile::tempdir().expect("a folder");
        let port =
            std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address").port();
        let server = spawn(port, folder.path());
        let redis = Self { server, url: format!("redis://127.0.0.1:{port}"), _folder: folder };
        eventually("Redis answers", async || redis.try_ask::<String>(&["PING"]).await.is_ok()).await;
        Some(redis)
    }

    fn queues(&self) -> Queues {
        Queues::redis(&self.url).expect("a URL")
    }

    async fn try_ask<T: redis::FromRedisValue>(&self, command: &[&str]) -> redis::RedisResult<T> {
        let client = redis::Client::open(self.url.as_str())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let (name, arguments) = command.split_first().expect("a command");
        redis::cmd(name).arg(arguments).query_async(&mut connection).await
    }

    async fn ask<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        self.try_ask(command).await.unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    /// Bytes in use.
    async fn memory(&self) -> i64 {
        let info: String = self.ask(&["INFO", "memory"]).await;
        let line = info.lines().find_map(|line| line.strip_prefix("used_memory:")).expect("used_memory");
        line.trim().parse().expect("a number")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.server.kill().ok();
        self.server.wait().ok();
    }
}

fn spawn(port: u16, folder: &Path) -> Child {
    Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "no", "--dir"])
        .arg(folder)
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server starts")
}
