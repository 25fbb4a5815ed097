//! What the services' tests share: a migrated database of each kind, and a clock that stands still until it is moved.

use std::sync::atomic::{AtomicI64, Ordering};

use domain::{Clock, Timestamp};
use migration::MigratorTrait;
use sea_orm::ConnectionTrait;

use crate::access::Services;
use crate::addresses;
use crate::corrections;
use crate::crm;
use crate::db::{Db, DbOptions, query_one};
use crate::jobs::{self, JobKind, Queue, Which};

/// A migrated, empty database; gone when dropped.
pub struct TestDb {
    pub db: Db,
    _folder: tempfile::TempDir,
    drop_with: Option<(Db, String)>,
}

impl TestDb {
    /// An SQLite file in a folder of its own.
    pub async fn sqlite() -> Self {
        Self::sqlite_with(None).await
    }

    /// The same with only so many migrations.
    async fn sqlite_with(migrations: Option<u32>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = Db::sqlite_url(&folder.path().join("test.db"));
        let db = connect(&url, migrations).await;
        Self { db, _folder: folder, drop_with: None }
    }

    /// A database of its own on the PostgreSQL server that `NACHFASS_TEST_POSTGRES` names; `None` where it names none.
    pub async fn postgres() -> Option<Self> {
        Self::postgres_with(None).await
    }

    /// The same with only so many migrations.
    async fn postgres_with(migrations: Option<u32>) -> Option<Self> {
        let server = std::env::var("NACHFASS_TEST_POSTGRES").ok()?;
        let name = format!("nachfass_test_{}", ulid::Ulid::generate().to_string().to_lowercase());
        let admin = Db::connect(&DbOptions { url: server.clone(), max_connections: 1 }).await.expect("the test server");
        admin.write().execute_unprepared(&format!("CREATE DATABASE {name}")).await.expect("a database");
        let (base, query) = server.split_once('?').unwrap_or((server.as_str(), ""));
        let prefix = base.rsplit_once('/').map_or(base, |(prefix, _)| prefix);
        let db = connect(&format!("{prefix}/{name}?{query}"), migrations).await;
        Some(Self { db, _folder: tempfile::tempdir().expect("a folder"), drop_with: Some((admin, name)) })
    }

    /// One of each kind that is there.
    pub async fn each() -> Vec<Self> {
        Self::each_with(None).await
    }

    /// One of each kind that is there, as an earlier version left it: with only so many migrations.
    pub async fn each_with(migrations: Option<u32>) -> Vec<Self> {
        let mut all = vec![Self::sqlite_with(migrations).await];
        all.extend(Self::postgres_with(migrations).await);
        all
    }

    /// Closes the connections and drops the database.
    pub async fn close(self) {
        if let Some((admin, name)) = self.drop_with {
            let _closed = self.db.write().clone().close().await;
            let _dropped = admin.write().execute_unprepared(&format!("DROP DATABASE {name} WITH (FORCE)")).await;
        }
    }
}

async fn connect(url: &str, migrations: Option<u32>) -> Db {
    let db = Db::connect(&DbOptions { url: url.to_owned(), max_connections: 8 }).await.expect("a database");
    migration::Migrator::up(db.write(), migrations).await.expect("migrations");
    db
}

/// A clock that stands still until it is moved.
pub struct TestClock(AtomicI64);

impl TestClock {
    /// Stands at 2026-01-01T00:00:00Z.
    pub const fn new() -> Self {
        Self(AtomicI64::new(1_767_225_600_000_000))
    }

    /// Moves it forward.
    pub fn advance_seconds(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// Does the jobs that are due as a worker does, those among them that need nothing but the services; the rest stay. Says how many.
pub async fn work_off(services: &Services) -> usize {
    let mut done = 0;
    loop {
        let before = done;
        for queue in Queue::ALL {
            for id in jobs::due(&services.db, *queue, services.now(), 100).await.expect("asked") {
                done += usize::from(work(services, id).await);
            }
        }
        if done == before {
            return done;
        }
    }
}

async fn work(services: &Services, id: i64) -> bool {
    let sql = "SELECT kind FROM job WHERE id = $1";
    let row = query_one(services.db.read(), sql, [id.into()]).await.expect("asked").expect("a job");
    let kind = JobKind::from_code(row.try_get_by_index(0).expect("a number")).expect("a kind");
    let is_known = !matches!(kind, JobKind::Import | JobKind::Rematch);
    if !is_known {
        return false;
    }
    let claimed = jobs::claim(services, Which::Id(id), "test", services.now(), services.lease_until()).await;
    let job = claimed.expect("asked").expect("the job");
    match kind {
        JobKind::SettleRecipients => drop(addresses::settle::run(services, &job).await.expect("settled")),
        JobKind::ReviewAddresses => drop(addresses::review::run(services, &job).await.expect("reviewed")),
        JobKind::ApplyCorrection => drop(corrections::follow::run(services, &job).await.expect("followed")),
        JobKind::ImportCorrections => drop(corrections::file::run(services, &job).await.expect("imported")),
        JobKind::PushCorrections => drop(corrections::push::run(services, &job).await.expect("pushed")),
        JobKind::CreateFollowUps => drop(crm::follow_ups::run(services, &job).await.expect("made")),
        JobKind::ReportToCrm => drop(crm::reports::run(services, &job).await.expect("reported")),
        _ => drop(addresses::actions::run(services, &job).await.expect("acted")),
    }
    true
}
