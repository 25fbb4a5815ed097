//! Many jobs at once: all of them are done, and what carries the pointers stays small.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use service::jobs::Queue;

use super::{Redis, Site, eventually};
use crate::queue::{MOST, Pointer, Queues, queue_name};

/// More than apalis-redis bears in a queue, more than once.
const MANY: usize = 20_000;
/// As long they may take together, however busy the machine is.
const LIMIT: Duration = Duration::from_secs(240);

async fn all_done(site: &Site, count: usize, limit: Duration) {
    let (count, started) = (i64::try_from(count).expect("a number"), Instant::now());
    loop {
        let done = site.count("state = 3").await;
        if done == count {
            return;
        }
        assert!(started.elapsed() < limit, "{done} of {count} within {limit:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_passes_through_redis_and_leaves_nothing() {
    let Some(redis) = Redis::start().await else { return };
    let Some(site) = Site::postgres(redis.queues()).await else { return };
    let running = site.carry(8);
    // What the workers need for themselves, and what a first job leaves in caches of scripts.
    site.add(10).await;
    all_done(&site, 10, LIMIT).await;
    let (memory, keys) = (redis.memory().await, redis.ask::<i64>(&["DBSIZE"]).await);

    site.add(MANY).await;
    let most = Arc::new(AtomicI64::new(0));
    let set = format!("{}:scheduled", queue_name(Queue::Events));
    let watched = async {
        loop {
            most.fetch_max(redis.ask::<i64>(&["ZCARD", &set]).await, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        () = watched => {}
        () = all_done(&site, MANY + 10, LIMIT) => {}
    }
    let most = most.load(Ordering::Relaxed);
    assert!(most > 0 && most <= i64::try_from(MOST).expect("a number"), "{most} pointers in the queue");
    assert_eq!(site.count("attempt <> 1").await, 0, "each was begun once");
    eventually("Redis is as small as before", async || {
        redis.memory().await < memory + 512 * 1024 && redis.ask::<i64>(&["DBSIZE"]).await <= keys + 5
    })
    .await;
    running.end().await;
    site.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn emptying_redis_loses_no_job() {
    const SOME: usize = 1_500;
    let Some(redis) = Redis::start().await else { return };
    let Some(site) = Site::postgres(redis.queues()).await else { return };
    let running = site.start(4, Vec::new());
    site.add(SOME).await;
    for share in 1..=2 {
        eventually("it goes on", async || site.count("state = 3").await > share * 400).await;
        redis.ask::<String>(&["FLUSHALL"]).await;
    }
    all_done(&site, SOME, LIMIT).await;
    running.end().await;
    site.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_push_at_once_fill_no_queue_to_its_end() {
    const PROCESSES: usize = 40;
    let Some(redis) = Redis::start().await else { return };
    let pointers: Vec<Pointer> = (0..500).map(Pointer::Job).collect();
    let processes: Vec<Queues> = (0..PROCESSES).map(|_| redis.queues()).collect();
    let pushed = processes.iter().map(|queues| queues.push(Queue::Bulk, &pointers));
    let pushed: usize = try_join_all(pushed).await.expect("pushed").into_iter().sum();
    let waiting: usize = redis.ask(&["ZCARD", &format!("{}:scheduled", queue_name(Queue::Bulk))]).await;
    assert_eq!(waiting, pushed);
    assert!((MOST..MOST + PROCESSES * 50).contains(&waiting), "{waiting} pointers");
    assert_eq!(processes[0].room(Queue::Bulk).await.expect("asked"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_passes_through_memory() {
    const SOME: usize = 2_000;
    let site = Site::sqlite(Queues::memory()).await;
    let running = site.start(4, Vec::new());
    site.add(SOME).await;
    let mut most = 0;
    eventually("all are done", async || {
        let room = site.queues.room(Queue::Events).await.expect("it is there");
        most = most.max(MOST - room);
        site.count("state = 3").await == i64::try_from(SOME).expect("a number")
    })
    .await;
    assert!(most > 0 && most <= MOST, "{most} pointers in the queue");
    assert_eq!(site.count("attempt <> 1").await, 0);
    running.end().await;
    site.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_jobs_are_done_the_slow_way() {
    // Nobody listens there.
    let queues = Queues::redis("redis://127.0.0.1:1").expect("a URL");
    let site = Site::sqlite(queues).await;
    let running = site.start(4, Vec::new());
    site.add(12).await;
    all_done(&site, 12, LIMIT).await;
    running.end().await;
    site.close().await;
}
