//! Connections of requests to PostgreSQL, whose statements end with the request.
//!
//! Dropping a future does not stop a statement there: the pool waits for its end before it lends the connection again. A connection
//! that does not answer when it is given back is closed instead, and the server looks now and then whether its client is there.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sea_orm::sqlx::postgres::{PgConnection, PgPoolOptions};
use sea_orm::sqlx::{Connection, Executor};

/// A statement of a request may take as long as the request (30 s), and a little longer: then the request says so itself.
const SETUP: &str = "SET statement_timeout = '35s'; SET idle_in_transaction_session_timeout = '60s'; \
    SELECT set_config('client_connection_check_interval', '1s', false) \
    WHERE current_setting('server_version_num')::int >= 140000";

/// As long a connection may take to answer when it is given back soon after a statement was dropped.
const PATIENCE: Duration = Duration::from_millis(50);

/// A dropped statement is given back within this time.
const RECENT: Duration = Duration::from_secs(1);

/// When a statement was last dropped before its end, in milliseconds since [`START`]; 0 for never.
static DROPPED: AtomicU64 = AtomicU64::new(0);
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

fn milliseconds() -> u64 {
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
}

/// Notes that a statement was dropped, unless it has ended.
pub struct Unfinished(bool);

impl Unfinished {
    /// A statement that begins.
    pub const fn new() -> Self {
        Self(true)
    }

    /// It has ended.
    pub const fn ended(&mut self) {
        self.0 = false;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.0 {
            DROPPED.store(milliseconds(), Ordering::Relaxed);
        }
    }
}

fn was_dropped_recently() -> bool {
    let at = DROPPED.load(Ordering::Relaxed);
    at > 0 && u128::from(milliseconds().saturating_sub(at)) <= RECENT.as_millis()
}

/// The options of a pool whose statements end with the requests that sent them.
pub fn interruptible(options: PgPoolOptions) -> PgPoolOptions {
    options
        .after_connect(|connection, _| {
            Box::pin(async move {
                connection.execute(SETUP).await?;
                Ok(())
            })
        })
        .after_release(|connection, _| {
            Box::pin(async move { Ok(!was_dropped_recently() || answers(connection).await) })
        })
}

async fn answers(connection: &mut PgConnection) -> bool {
    matches!(tokio::time::timeout(PATIENCE, connection.ping()).await, Ok(Ok(())))
}
