//! Transactions that are given up at any moment.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use sea_orm::SqlxPostgresConnector;

use super::{Db, execute, query_all};
use crate::testing::TestDb;

/// Runs a future for so many steps, then drops it.
async fn dropped_after<T>(steps: usize, work: impl Future<Output = T>) {
    let (mut work, mut left) = (pin!(work), steps);
    poll_fn(|context| {
        left = left.saturating_sub(1);
        if left == 0 { Poll::Ready(()) } else { work.as_mut().poll(context).map(|_| ()) }
    })
    .await;
}

/// The same database over a single connection, so that each statement comes behind the one before.
fn narrow(db: &Db) -> Db {
    if !db.is_postgres() {
        return db.clone();
    }
    let pool = db.write.get_postgres_connection_pool();
    let options = pool.options().clone().min_connections(0).max_connections(1);
    let pool = options.connect_lazy_with(pool.connect_options().as_ref().clone());
    Db::of_pool(SqlxPostgresConnector::from_sqlx_postgres_pool(pool))
}

#[tokio::test]
async fn what_was_answered_stays_whoever_gave_up_beginning_a_transaction_before() {
    const INSERT: &str = "INSERT INTO setting (name, value, updated_by, updated_at) VALUES ($1, '1', 'test', 0)";
    for test in TestDb::each().await {
        let db = narrow(&test.db);
        for steps in 1..40_usize {
            dropped_after(steps % 10, db.begin_keyed()).await;
            execute(db.write(), INSERT, [format!("test.{steps}").into()]).await.expect("inserted");
            // Whoever has the connection next, and undoes what it did.
            let transaction = db.begin().await.expect("begun");
            transaction.rollback().await.expect("rolled back");
        }
        let rows = query_all(db.read(), "SELECT name FROM setting", []).await.expect("read");
        assert_eq!(rows.len(), 39);
        db.write.clone().close().await.expect("closed");
        test.close().await;
    }
}

/// A statement that takes for ever, one step after the other.
fn endless(db: &Db) -> &'static str {
    if db.is_postgres() {
        "SELECT pg_sleep(100000)"
    } else {
        "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number) SELECT max(n) FROM number"
    }
}

#[tokio::test]
async fn statements_end_with_whoever_asked() {
    for test in TestDb::each().await {
        let db = test.db.of_thread(1);
        // Several times as many as there are connections.
        for _ in 0..20 {
            let asked = query_all(db.read(), endless(&db), []);
            let waited = tokio::time::timeout(Duration::from_millis(30), asked).await;
            assert!(waited.is_err(), "it ended by itself");
        }
        query_all(db.read(), "SELECT 1", []).await.expect("a connection is free");
        if db.is_postgres() {
            const LEFT: &str = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(100000)' AND state = 'active' \
                AND datname = current_database()";
            while !query_all(db.read(), LEFT, []).await.expect("read").is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        // A transaction that is given up in the middle leaves its connection usable.
        let transaction = db.begin_snapshot().await.expect("begun");
        let asked = query_all(&transaction, if db.is_postgres() { endless(&db) } else { "SELECT 1" }, []);
        drop(tokio::time::timeout(Duration::from_millis(30), asked).await);
        drop(transaction);
        for _ in 0..20 {
            db.begin_snapshot().await.expect("begun").rollback().await.expect("rolled back");
        }
        test.close().await;
    }
}
