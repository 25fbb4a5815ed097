//! What the services' tests share: a migrated database of each kind, and a clock that stands still until it is moved.

use std::sync::atomic::{AtomicI64, Ordering};

use domain::{Clock, Timestamp};
use migration::MigratorTrait;
use sea_orm::ConnectionTrait;

use crate::db::{Db, DbOptions};

/// A migrated, empty database; gone when dropped.
pub struct TestDb {
    pub db: Db,
    _folder: tempfile::TempDir,
    drop_with: Option<(Db, String)>,
}

impl TestDb {
    /// An SQLite file in a folder of its own.
    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = Db::sqlite_url(&folder.path().join("test.db"));
        let db = connect(&url).await;
        Self { db, _folder: folder, drop_with: None }
    }

    /// A database of its own on the PostgreSQL server that `NACHFASS_TEST_POSTGRES` names; `None` where it names none.
    pub async fn postgres() -> Option<Self> {
        let server = std::env::var("NACHFASS_TEST_POSTGRES").ok()?;
        let name = format!("nachfass_test_{}", ulid::Ulid::generate().to_string().to_lowercase());
        let admin = Db::connect(&DbOptions { url: server.clone(), max_connections: 1 }).await.expect("the test server");
        admin.write().execute_unprepared(&format!("CREATE DATABASE {name}")).await.expect("a database");
        let (base, query) = server.split_once('?').unwrap_or((server.as_str(), ""));
        let prefix = base.rsplit_once('/').map_or(base, |(prefix, _)| prefix);
        let db = connect(&format!("{prefix}/{name}?{query}")).await;
        Some(Self { db, _folder: tempfile::tempdir().expect("a folder"), drop_with: Some((admin, name)) })
    }

    /// One of each kind that is there.
    pub async fn each() -> Vec<Self> {
        let mut all = vec![Self::sqlite().await];
        all.extend(Self::postgres().await);
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

async fn connect(url: &str) -> Db {
    let db = Db::connect(&DbOptions { url: url.to_owned(), max_connections: 8 }).await.expect("a database");
    migration::Migrator::up(db.write(), None).await.expect("migrations");
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
