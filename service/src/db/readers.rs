//! Connections for reading an SQLite file, whose statements end when nobody waits for them any more.
//!
//! Dropping a future does not stop SQLite: its thread goes on until the statement is done, and holds the connection meanwhile. SQLite asks
//! a progress handler now and then whether to go on. Which connection a dropped future had used cannot be asked of a pool, so each
//! connection is a pool of its own, and knows from its pool whether somebody has it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use sea_orm::sqlx::sqlite::SqlitePoolOptions;
use sea_orm::{ConnectOptions, Database, DatabaseConnection, DbErr};

/// Steps of SQLite's virtual machine between two questions: some tens of microseconds.
const STEPS: i32 = 4_000;

/// At least one connection; cheap to clone.
#[derive(Clone, Debug)]
pub struct Readers {
    first: DatabaseConnection,
    more: Arc<[DatabaseConnection]>,
    next: Arc<AtomicUsize>,
}

impl Readers {
    /// What has a pool of its own.
    pub fn one(pool: DatabaseConnection) -> Self {
        Self { first: pool, more: Arc::new([]), next: Arc::default() }
    }

    /// Opens `count` connections to an SQLite file.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub async fn open(options: &ConnectOptions, count: u32) -> Result<Self, DbErr> {
        let first = open(options).await?;
        // Those that nobody has needed for a while are closed, and their memory is free.
        let mut seldom = options.clone();
        seldom.min_connections(0);
        let mut more = Vec::new();
        for _ in 1..count {
            more.push(open(&seldom).await?);
        }
        Ok(Self { first, more: more.into(), next: Arc::default() })
    }

    /// A connection that nobody has, else one after the other.
    pub fn pick(&self) -> &DatabaseConnection {
        if self.more.is_empty() || is_free(&self.first) {
            return &self.first;
        }
        let any = || self.more.get(self.next.fetch_add(1, Ordering::Relaxed) % self.more.len());
        self.more.iter().find(|reader| is_free(reader)).or_else(any).unwrap_or(&self.first)
    }

    /// All of them, to be changed.
    pub fn each_mut(&mut self) -> impl Iterator<Item = &mut DatabaseConnection> {
        std::iter::once(&mut self.first).chain(Arc::make_mut(&mut self.more))
    }
}

fn is_free(reader: &DatabaseConnection) -> bool {
    let pool = reader.get_sqlite_connection_pool();
    pool.num_idle() > 0 || pool.size() == 0
}

async fn open(options: &ConnectOptions) -> Result<DatabaseConnection, DbErr> {
    let mut options = options.clone();
    options.max_connections(1).map_sqlx_sqlite_pool_opts(interruptible);
    Database::connect(options).await
}

/// A statement ends with an error once its connection has been given back.
fn interruptible(options: SqlitePoolOptions) -> SqlitePoolOptions {
    let is_given_back = Arc::new(AtomicBool::new(false));
    let (connected, taken, given_back) = (is_given_back.clone(), is_given_back.clone(), is_given_back);
    options
        .after_connect(move |connection, _| {
            let is_given_back = connected.clone();
            is_given_back.store(false, Ordering::Relaxed);
            Box::pin(async move {
                let mut handle = connection.lock_handle().await?;
                handle.set_progress_handler(STEPS, move || !is_given_back.load(Ordering::Relaxed));
                Ok(())
            })
        })
        .before_acquire(move |_, _| {
            taken.store(false, Ordering::Relaxed);
            Box::pin(async { Ok(true) })
        })
        .after_release(move |_, _| {
            given_back.store(true, Ordering::Relaxed);
            Box::pin(async { Ok(true) })
        })
}
