//! The schedule with the real apalis-cron and the real clock.

use std::time::Duration;

use domain::schedule::Timetable;
use service::db::execute;
use service::jobs::JobKind;
use service::schedule::{Rule, rules, tick, zone};

use super::{Redis, Site, eventually};
use crate::queue::Queues;

/// A rule that is due every second.
fn every_second(name: &'static str) -> Rule {
    let timetable = Timetable::new("* * * * * *", zone("UTC").expect("a zone")).expect("an expression");
    Rule { name, timetable, kind: JobKind::Rematch, payload: serde_json::json!({}) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tick_leads_to_a_job_that_is_done() {
    let site = Site::sqlite(Queues::memory()).await;
    let running = site.start(2, vec![every_second("test")]);
    eventually("three jobs are done", async || site.count("state = 3 AND created_by = 'schedule'").await >= 3).await;
    let ticks = "id IN (SELECT job_id FROM schedule_tick WHERE rule = 'test' GROUP BY job_id HAVING count(*) = 1)";
    assert!(site.count(ticks).await >= 1, "each tick has a job of its own as long as somebody works");
    assert!(running.end().await < Duration::from_secs(5));
    site.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_share_the_ticks() {
    let Some(redis) = Redis::start().await else { return };
    let Some(site) = Site::postgres(redis.queues()).await else { return };
    let running: Vec<_> = (0..3).map(|_| site.start(2, vec![every_second("test")])).collect();
    eventually("five jobs are done", async || site.count("state = 3").await >= 5).await;
    for running in running {
        running.end().await;
    }
    assert_eq!(site.count("idempotency_key NOT LIKE 'schedule:test:%'").await, 0);
    // No more jobs than ticks: the first one began the rule.
    let more = "1 = 1 AND (SELECT count(*) FROM job) > (SELECT count(*) - 1 FROM schedule_tick)";
    assert_eq!(site.count(more).await, 0);
    site.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_missed_while_all_were_down_is_seen_at_the_start() {
    let site = Site::sqlite(Queues::memory()).await;
    let nightly = rules(zone("Europe/Berlin").expect("a zone")).expect("rules");
    let nightly: Vec<Rule> = nightly.into_iter().filter(|rule| rule.kind == JobKind::Prune).collect();
    tick(&site.services, &nightly[0], site.services.now()).await.expect("looked");
    // As if it had last been seen to three days ago.
    let sql = "UPDATE schedule_tick SET due_at = due_at - 259200000000";
    execute(site.services.db().write(), sql, []).await.expect("moved");
    let running = site.start(2, nightly);
    eventually("it is done", async || site.count("state = 3 AND kind = 15").await == 1).await;
    running.end().await;
    assert_eq!(site.count("1 = 1").await, 1);
    site.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_ends_no_clock() {
    let Some(site) = Site::postgres(Queues::memory()).await else { return };
    let running = site.start(2, vec![every_second("test")]);
    eventually("it works", async || site.count("state = 3").await >= 1).await;
    let rename = |from: &str, to: &str| format!("ALTER TABLE {from} RENAME TO {to}");
    execute(site.services.db().write(), &rename("schedule_tick", "gone"), []).await.expect("renamed");
    let done = site.count("state = 3").await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    execute(site.services.db().write(), &rename("gone", "schedule_tick"), []).await.expect("renamed");
    eventually("it goes on", async || site.count("state = 3").await > done + 1).await;
    running.end().await;
    site.close().await;
}
