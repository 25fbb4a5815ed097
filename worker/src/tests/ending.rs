//! Ending a process: what it was doing is given back at once.

use std::time::Duration;

use service::db::execute;
use service::jobs::{JobKind, NewJob, Queue, Which, claim, enqueue};
use tokio_util::sync::CancellationToken;

use super::{Redis, Site, eventually};
use crate::queue::{Queues, queue_name};

async fn add_three(site: &Site) -> Vec<i64> {
    let now = site.services.now();
    let mut ids = Vec::new();
    for _ in 0..3 {
        let job = NewJob::new(JobKind::Prune, serde_json::json!({}), "cli", now);
        ids.push(enqueue(site.services.db().write(), job, now).await.expect("enqueued"));
    }
    ids
}

/// Keeps those jobs from coming to their end, which they note in the audit log.
const LOCK: &str = "LOCK TABLE audit_entry IN ACCESS EXCLUSIVE MODE";

/// Jobs that run until the process ends: they wait for a lock that the test holds. `again`: the queues of the next process.
async fn hands_back(site: Site, again: Queues) {
    let services = site.services.clone();
    let ids = add_three(&site).await;
    let lock = site.services.db().begin().await.expect("begun");
    execute(&lock, LOCK, []).await.expect("locked");
    let running = site.start(4, Vec::new());
    eventually("all are running", async || site.count("state = 2").await == 3).await;

    let took = running.end().await;
    assert!(took < Duration::from_secs(5), "it took {took:?}");
    assert_eq!(site.count("state = 1 AND lease_until IS NULL AND worker IS NULL").await, 3);
    lock.rollback().await.expect("unlocked");

    // Nobody waits for a lease to run out, and no attempt was lost by it.
    let now = services.now();
    let claimed = claim(&services, Which::Id(ids[0]), "another", now, now.plus_seconds(30)).await.expect("asked");
    let claimed = claimed.expect("the job");
    assert_eq!((claimed.attempt, claimed.tries), (2, 1));
    service::jobs::hand_back(&services, &claimed).await.expect("given back");
    let site = Site { queues: again, ..site };
    let running = site.start(4, Vec::new());
    eventually("the next process does them", async || site.count("state = 3").await == 3).await;
    running.end().await;
    site.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_is_handed_back_with_a_queue_in_memory() {
    let Some(site) = Site::postgres(Queues::memory()).await else { return };
    Box::pin(hands_back(site, Queues::memory())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_is_handed_back_with_redis() {
    let Some(redis) = Redis::start().await else { return };
    let Some(site) = Site::postgres(redis.queues()).await else { return };
    Box::pin(hands_back(site, redis.queues())).await;
}

#[tokio::test]
async fn no_job_is_begun_at_the_end() {
    let site = Site::sqlite(Queues::memory()).await;
    site.add(1).await;
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    crate::jobs::run(&site.deps, 1, &shutdown).await;
    assert_eq!(site.count("state = 1 AND attempt = 0").await, 1);
    site.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn emptying_redis_ends_no_job_that_runs() {
    let Some(redis) = Redis::start().await else { return };
    let Some(site) = Site::postgres(redis.queues()).await else { return };
    add_three(&site).await;
    let lock = site.services.db().begin().await.expect("begun");
    execute(&lock, LOCK, []).await.expect("locked");
    let running = site.start(3, Vec::new());
    eventually("all are running", async || site.count("state = 2").await == 3).await;
    let set = format!("{}:workers", queue_name(Queue::Bulk));
    let workers: Vec<String> = redis.ask(&["ZRANGE", &set, "0", "-1"]).await;
    redis.ask::<String>(&["FLUSHALL"]).await;
    eventually("a new worker has taken the place of the one that apalis ended", async || {
        let now: Vec<String> = redis.ask(&["ZRANGE", &set, "0", "-1"]).await;
        now.iter().any(|name| !workers.contains(name))
    })
    .await;
    lock.rollback().await.expect("unlocked");
    eventually("they are done", async || site.count("state = 3").await == 3).await;
    assert_eq!(site.count("attempt <> 1").await, 0, "each by the one that began it");
    running.end().await;
    site.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_ended_are_forgotten() {
    let Some(redis) = Redis::start().await else { return };
    let Queues::Redis(queues) = redis.queues() else { panic!("not in Redis") };
    let set = format!("{}:workers", queue_name(Queue::Bulk));
    let metadata = format!("{set}:metadata:one");
    redis.ask::<i64>(&["ZADD", &set, "1", "one"]).await;
    redis.ask::<i64>(&["HSET", &metadata, "service", "x"]).await;
    queues.expire_workers(Queue::Bulk).await.expect("asked");
    let seconds: i64 = redis.ask(&["TTL", &metadata]).await;
    assert!((1..=600).contains(&seconds), "{seconds}");
}
