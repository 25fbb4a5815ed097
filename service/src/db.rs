//! The database behind all services: PostgreSQL, or an SQLite file.

mod readers;
mod requests;

use std::path::Path;
use std::time::Duration;

use domain::text::without_nul;
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::{
    AccessMode, ConnectOptions, ConnectionTrait, Database, DatabaseBackend, DatabaseConnection, DatabaseTransaction,
    DbErr, ExecResult, IsolationLevel, QueryResult, RuntimeErr, SqliteTransactionMode, SqlxPostgresConnector,
    Statement, TransactionOptions, TransactionTrait, Value,
};

use readers::Readers;
use requests::Unfinished;

/// How to reach the database.
#[derive(Clone)]
pub struct DbOptions {
    /// `postgres://…` or `sqlite:PATH`.
    pub url: String,
    /// The most connections that this process opens.
    pub max_connections: u32,
}

/// A handle on the database; cheap to clone.
///
/// SQLite has one connection for writing (there can only be one writer; a second would wait with its lock timer running),
/// several for reading, and others for transactions that read for long. On PostgreSQL all are the same pool.
#[derive(Clone, Debug)]
pub struct Db {
    write: DatabaseConnection,
    read: Readers,
    snapshots: DatabaseConnection,
}

impl Db {
    /// Connects, and creates an SQLite file that does not exist.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    pub async fn connect(options: &DbOptions) -> Result<Self, DbErr> {
        if options.url.starts_with("sqlite:") {
            let most = options.max_connections.clamp(2, 8);
            let write = Database::connect(sqlite_options(&options.url, 1, WRITER_CACHE)).await?;
            let read = Readers::open(&sqlite_options(&options.url, 1, READER_CACHE), most).await?;
            let mut snapshots = sqlite_options(&options.url, most, READER_CACHE);
            snapshots.min_connections(0).connect_lazy(true);
            return Ok(Self { write, read, snapshots: Database::connect(snapshots).await? });
        }
        let mut connect = ConnectOptions::new(&options.url);
        connect
            .max_connections(options.max_connections)
            .min_connections(options.max_connections.min(4))
            .acquire_timeout(Duration::from_secs(10))
            // A ping on every acquire costs a round trip on every request. Under load a connection that is gone is noticed by its
            // next statement; one that has waited for a while may be gone since the database was restarted.
            .test_before_acquire_if_idle_for(PING_AFTER)
            .sqlx_logging(false);
        let pool = Database::connect(connect).await?;
        Ok(Self::of_pool(pool))
    }

    fn of_pool(pool: DatabaseConnection) -> Self {
        Self { write: pool.clone(), read: Readers::one(pool.clone()), snapshots: pool }
    }

    /// The same database with connections of its own, for one of `threads` threads with a runtime each: opened when they are first
    /// needed, by that thread. A connection's answers come to the runtime that opened it; where that is another thread's, each
    /// statement costs waking it and being woken by it, which is more than a small statement takes. Their statements end when the
    /// request that sent them is dropped, and after 35 seconds.
    ///
    /// SQLite has threads of its own for its connections, and nothing to gain.
    #[must_use]
    pub fn of_thread(&self, threads: u32) -> Self {
        if !self.is_postgres() {
            return self.clone();
        }
        let shared = self.write.get_postgres_connection_pool();
        let most = shared.options().get_max_connections();
        let options = shared.options().clone().min_connections(0).max_connections(share(most, threads));
        let pool = requests::interruptible(options).connect_lazy_with(shared.connect_options().as_ref().clone());
        Self::of_pool(SqlxPostgresConnector::from_sqlx_postgres_pool(pool))
    }

    /// The URL of an SQLite file.
    #[must_use]
    pub fn sqlite_url(path: &Path) -> String {
        format!("sqlite:{}?mode=rwc", path.display())
    }

    /// For queries outside of a transaction. They see what is committed. On SQLite they end when they are dropped.
    #[must_use]
    pub fn read(&self) -> &DatabaseConnection {
        self.read.pick()
    }

    /// For single statements that write, and for migrations.
    #[must_use]
    pub const fn write(&self) -> &DatabaseConnection {
        &self.write
    }

    /// Has `hook` called after each statement that is sent through this handle or a clone of it made from now on.
    pub fn on_statement(&mut self, hook: impl Fn() + Clone + Send + Sync + 'static) {
        let others = [&mut self.write, &mut self.snapshots];
        for connection in self.read.each_mut().chain(others) {
            let hook = hook.clone();
            connection.set_metric_callback(move |_| hook());
        }
    }

    /// Which of the two it is.
    #[must_use]
    pub fn backend(&self) -> DatabaseBackend {
        self.write.get_database_backend()
    }

    /// Whether it is PostgreSQL.
    #[must_use]
    pub fn is_postgres(&self) -> bool {
        self.backend() == DatabaseBackend::Postgres
    }

    /// Begins a transaction that will write. On SQLite it takes the write lock at once: upgrading later fails instead of waiting.
    ///
    /// # Errors
    /// Where no connection is to be had.
    pub async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        begin(&self.write, options).await
    }

    /// Begins a transaction that looks up and changes many rows by their keys, a [`Batch`](crate::batch::Batch) at a time.
    ///
    /// PostgreSQL has no true statistics of a table that is being filled, and may read all of it instead of a few thousand keys: with
    /// each transaction, and long after the table has grown. Here it begins with the batch, which statements name first, and
    /// looks up the rest by the keys.
    ///
    /// # Errors
    /// Where no connection is to be had.
    pub async fn begin_keyed(&self) -> Result<DatabaseTransaction, DbErr> {
        let transaction = self.begin().await?;
        if self.is_postgres() {
            transaction.execute_unprepared(BY_KEY).await?;
        }
        Ok(transaction)
    }

    /// Begins a transaction that only reads, and sees everything as it was at its first statement.
    ///
    /// # Errors
    /// Where no connection is to be had.
    pub async fn begin_snapshot(&self) -> Result<DatabaseTransaction, DbErr> {
        // In SQLite's WAL every transaction that reads is one.
        let options = if self.is_postgres() {
            TransactionOptions {
                isolation_level: Some(IsolationLevel::RepeatableRead),
                access_mode: Some(AccessMode::ReadOnly),
                ..TransactionOptions::default()
            }
        } else {
            TransactionOptions::default()
        };
        begin(&self.snapshots, options).await
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// Where it does not.
    pub async fn ping(&self) -> Result<(), DbErr> {
        query_all(self.read(), "SELECT 1", []).await.map(|_| ())
    }
}

/// Begins a transaction, in a task of its own: dropping this does not interrupt it.
///
/// Where the future of sqlx's `begin` is dropped before PostgreSQL has answered, the connection goes back to the pool in an open
/// transaction that sqlx does not know of. Whatever the next one sends over it is lost if that is rolled back later, although it was
/// answered with success. See docs/decisions/0017.
async fn begin(pool: &DatabaseConnection, options: TransactionOptions) -> Result<DatabaseTransaction, DbErr> {
    let pool = pool.clone();
    let begun = tokio::spawn(async move { pool.begin_with_options(options).await });
    begun.await.map_err(|error| DbErr::Custom(format!("beginning a transaction ended early: {error}")))?
}

/// Connections that were not used for so long are asked whether they are still there.
const PING_AFTER: Duration = Duration::from_millis(100);

/// How many connections each of `threads` threads may open where `most` are the most of a pool: together twice as many, but for
/// each at least two, so that nothing waits for a single slow statement, and not more than half of them.
fn share(most: u32, threads: u32) -> u32 {
    (most.saturating_mul(2) / threads.max(1)).min(most / 2).max(2)
}

/// What leaves the planner no other way than a loop over the batch and an index scan for each row. It plans each time: a plan from
/// the time when a table was empty may use the wrong index of it.
const BY_KEY: &str = "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_seqscan = off; \
    SET LOCAL enable_material = off; SET LOCAL join_collapse_limit = 1; SET LOCAL max_parallel_workers_per_gather = 0; \
    SET LOCAL plan_cache_mode = force_custom_plan";

/// How much of the file an SQLite connection keeps in memory: negative, in KiB. There are up to 16 that read.
const WRITER_CACHE: &str = "-32768";
const READER_CACHE: &str = "-16384";

fn sqlite_options(url: &str, connections: u32, cache: &'static str) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(Duration::from_secs(30))
        .test_before_acquire(false)
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(move |options| {
            options
                .journal_mode(SqliteJournalMode::Wal)
                // With WAL, NORMAL survives a crash of the program; FULL also survives a loss of power without losing the
                // last commits, which the providers have been told are safe.
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(Duration::from_secs(30))
                .pragma("cache_size", cache)
                .pragma("temp_store", "memory")
        });
    options
}

/// Runs a statement that returns rows. Parameters are `$1`, `$2`, … on both databases. A `SELECT` that meets a lost connection is
/// sent again over another one.
///
/// # Errors
/// Those of the database.
pub async fn query_all<C: ConnectionTrait>(
    connection: &C,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Vec<QueryResult>, DbErr> {
    let values: Vec<Value> = values.into_iter().collect();
    let mut tries = 0;
    loop {
        let mut unfinished = Unfinished::new();
        let result = connection.query_all_raw(statement(connection, sql, values.clone())).await;
        unfinished.ended();
        match result {
            Err(error) if is_read_again(sql, &error, &mut tries) => {}
            result => return result,
        }
    }
}

/// Runs a statement that returns one row, or none; a `SELECT` as [`query_all`] does.
///
/// # Errors
/// Those of the database.
pub async fn query_one<C: ConnectionTrait>(
    connection: &C,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Option<QueryResult>, DbErr> {
    let values: Vec<Value> = values.into_iter().collect();
    let mut tries = 0;
    loop {
        let mut unfinished = Unfinished::new();
        let result = connection.query_one_raw(statement(connection, sql, values.clone())).await;
        unfinished.ended();
        match result {
            Err(error) if is_read_again(sql, &error, &mut tries) => {}
            result => return result,
        }
    }
}

/// Whether to try a `SELECT` again: as often as a pool may hold connections that were lost together. Within a transaction that is of
/// no use, and of no harm: its connection goes on being lost.
fn is_read_again(sql: &str, error: &DbErr, tries: &mut u32) -> bool {
    const TRIES: u32 = 16;
    *tries += 1;
    *tries < TRIES && sql.starts_with("SELECT") && is_lost(error)
}

/// Whether the connection is gone, so that another one may do better.
fn is_lost(error: &DbErr) -> bool {
    let (DbErr::Query(RuntimeErr::SqlxError(error)) | DbErr::Exec(RuntimeErr::SqlxError(error))) = error else {
        return false;
    };
    match error.as_ref() {
        sqlx::Error::Io(_) => true,
        // PostgreSQL: ended by an administrator or a crash; a connection exception.
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| code.starts_with("57P") || code.starts_with("08"))
        }
        _ => false,
    }
}

/// Runs a statement that returns nothing.
///
/// # Errors
/// Those of the database.
pub async fn execute<C: ConnectionTrait>(
    connection: &C,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<ExecResult, DbErr> {
    connection.execute_raw(statement(connection, sql, values)).await
}

/// Whether this is a connection to PostgreSQL, and not to SQLite.
pub fn is_postgres<C: ConnectionTrait>(connection: &C) -> bool {
    connection.get_database_backend() == DatabaseBackend::Postgres
}

fn statement<C: ConnectionTrait>(connection: &C, sql: &str, values: impl IntoIterator<Item = Value>) -> Statement {
    Statement::from_sql_and_values(connection.get_database_backend(), sql, values.into_iter().map(storable))
}

/// A value that no database refuses: PostgreSQL cannot store U+0000, and refuses a whole statement for it.
pub(crate) fn storable(value: Value) -> Value {
    match value {
        Value::String(Some(text)) if text.contains('\0') => without_nul(&text).into_owned().into(),
        other => other,
    }
}

#[cfg(test)]
#[path = "db_tests.rs"]
mod tests;
