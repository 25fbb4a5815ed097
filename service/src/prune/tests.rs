//! What is old goes, what is young stays, on both databases.

use std::pin::pin;
use std::task::Poll;

use futures::future::poll_fn;
use sea_orm::ConnectionTrait;
use serde_json::json;

use super::{Item, Pruned, Retention, run_job};
use crate::access::Admin;
use crate::db::execute;
use crate::import::tests::Fixture;
use crate::jobs::{JobKind, JobState, NewJob, Which, claim, enqueue};
use crate::subject::Subject;

/// 2026-01-01, where the test's clock stands.
const NOW: i64 = 1_767_225_600_000_000;
const DAY: i64 = 86_400_000_000;
/// Old rows of each kind: more than two chunks.
const OLD: i64 = 10;

fn admin(fixture: &Fixture) -> Admin {
    fixture.services.access(Subject::command_line()).admin().expect("an admin")
}

async fn insert(fixture: &Fixture, sql: &str) {
    fixture.services.db.write().execute_unprepared(sql).await.expect(sql);
}

/// Ten rows that are just too old, and ten that are just young enough, with numbers from 1,000 on.
async fn both(fixture: &Fixture, days: u32, row: impl Fn(i64, i64) -> String) {
    let limit = NOW - i64::from(days) * DAY;
    for number in 0..OLD {
        insert(fixture, &row(number, limit - 1)).await;
        insert(fixture, &row(number + 1_000, limit)).await;
    }
}

/// Rows on both sides of every limit, those that are never removed, and one upload with its file.
async fn fill(fixture: &Fixture) {
    let keep = Retention::default();
    let campaign = fixture.campaign;
    both(fixture, keep.deliveries, |number, at| {
        format!(
            "INSERT INTO delivery (id, source, provider, received_at, headers, body, body_size, state) \
             VALUES ({number} + 1, 's', 1, {at}, '[]', '', 0, 2 + {number} % 3)"
        )
    })
    .await;
    // Waits, however old it is.
    insert(fixture, "INSERT INTO delivery (id, source, provider, received_at, headers, body, body_size, state) VALUES (500, 's', 1, 1, '[]', '', 0, 1)").await;
    both(fixture, keep.unmatched_events, |number, at| event(number, at, None)).await;
    both(fixture, keep.import_reports, |number, at| {
        format!("INSERT INTO import (id, campaign_id, created_by, created_at, finished_at) VALUES ({number} + 1, {campaign}, 'cli', 1, {at}); \
             INSERT INTO import_issue (import_id, line, content, reason) VALUES ({number} + 1, 1, 'x', 'y'), ({number} + 1, 2, 'x', 'y')")
    })
    .await;
    both(fixture, keep.jobs, |number, at| {
        format!(
            "INSERT INTO job (kind, queue, payload, state, run_at, created_by, created_at, finished_at) \
             VALUES (2, 1, '{{}}', 3 + {number} % 3, 1, 'cli', 1, {at})"
        )
    })
    .await;
    // Before the one of the campaign, and one that a clock in disorder has left.
    both(fixture, keep.audit, |number, at| {
        let id = number - 5_000;
        format!("INSERT INTO audit_entry (id, at, subject, action, object) VALUES ({id}, {at}, 'cli', 'x', 'y:1')")
    })
    .await;
    insert(
        fixture,
        &format!(
            "INSERT INTO audit_entry (id, at, subject, action, object) VALUES (-6000, {NOW} + 1, 'cli', 'x', 'y:1')"
        ),
    )
    .await;
    insert(fixture, "INSERT INTO user_account (id, email, email_key, password_hash, role, created_at) VALUES (1, 'a', 'a', 'x', 1, 1)").await;
    both(fixture, 0, |number, at| {
        format!(
            "INSERT INTO session (token_hash, user_id, created_at, expires_at) VALUES ('t{number}', 1, 1, {at} + 1 - 1)"
        )
    })
    .await;
    // Until the very moment at which it ends, a session is one.
    insert(fixture, &format!("UPDATE session SET expires_at = {NOW} + 1 WHERE expires_at = {NOW}")).await;
    both(fixture, keep.schedule_ticks, |number, at| {
        let at = if number < OLD { at - number } else { at + number };
        format!("INSERT INTO schedule_tick (rule, due_at, created_at) VALUES ('r', {at}, 1)")
    })
    .await;
    // The latest of its rule, however old it is.
    insert(fixture, "INSERT INTO schedule_tick (rule, due_at, created_at) VALUES ('old', 1, 1)").await;
    both(fixture, keep.alerts, |_, at| {
        format!("INSERT INTO alert (campaign_id, kind, value, limit_value, raised_at, resolved_at) VALUES ({campaign}, 1, 1, 1, 1, {at})")
    })
    .await;
    insert(
        fixture,
        &format!(
            "INSERT INTO alert (campaign_id, kind, value, limit_value, raised_at) VALUES ({campaign}, 1, 1, 1, 1)"
        ),
    )
    .await;
    events(fixture).await;
    both(fixture, keep.uploads, |number, at| {
        format!(
            "INSERT INTO upload (id, size, gzip, created_by, created_at) VALUES ('u{number:04}', 1, FALSE, 'cli', {at})"
        )
    })
    .await;
    let folder = fixture.services.data_dir.join("uploads");
    std::fs::create_dir_all(&folder).expect("a folder");
    for name in ["u0000", "u0003", "u1000"] {
        std::fs::write(folder.join(name), "x").expect("written");
    }
    // An import waits for it.
    let job = NewJob::new(JobKind::Import, json!({ "uploadId": "u0003" }), "cli", fixture.services.now());
    enqueue(fixture.services.db.write(), job, fixture.services.now()).await.expect("enqueued");
}

/// 400 days before are 2024-11-27: October goes, November stays as a whole. What is far older stands in no partition of its own.
async fn events(fixture: &Fixture) {
    const OCTOBER: i64 = 1_727_740_800_000_000;
    const NOVEMBER: i64 = OCTOBER + 31 * DAY;
    if fixture.services.db.is_postgres() {
        for (name, from, days) in [("2024_10", OCTOBER, 31), ("2024_11", NOVEMBER, 30)] {
            let to = from + days * DAY;
            insert(
                fixture,
                &format!("CREATE TABLE event_{name} PARTITION OF event FOR VALUES FROM ({from}) TO ({to})"),
            )
            .await;
        }
    }
    for number in 0..5 {
        insert(fixture, &event(10_000 + number, NOVEMBER - 1 - number * DAY, Some(1))).await;
        insert(fixture, &event(11_000 + number, OCTOBER - 200 * DAY, Some(1))).await;
        insert(fixture, &event(12_000 + number, NOVEMBER + number, Some(1))).await;
    }
    // Of those, one that matched nobody goes as such, wherever it stands.
    insert(fixture, &event(13_000, NOVEMBER - 1, None)).await;
}

fn event(number: i64, at: i64, recipient: Option<i64>) -> String {
    let recipient = recipient.map_or("NULL".to_owned(), |recipient| recipient.to_string());
    format!(
        "INSERT INTO event (provider, event_id, occurred_at, id, kind, campaign_id, recipient) \
         VALUES (1, 'e{number}', {at}, {number}, 3, {recipient}, {recipient})"
    )
}

/// What should be removed of each item.
const WANTED: [(&str, u64); 11] = [
    ("deliveries", 10),
    ("unmatched_events", 11),
    ("events", 10),
    ("uploads", 9),
    ("exports", 0),
    ("import_reports", 20),
    ("jobs", 10),
    ("audit", 10),
    ("sessions", 10),
    ("schedule_ticks", 10),
    ("alerts", 10),
];

fn numbers(pruned: &[Pruned], of: impl Fn(&Pruned) -> u64) -> Vec<(&'static str, u64)> {
    pruned.iter().map(|pruned| (pruned.what, of(pruned))).collect()
}

/// How many rows each table has.
async fn rows(fixture: &Fixture) -> Vec<i64> {
    let mut counts = Vec::new();
    for table in [
        "delivery",
        "event",
        "upload",
        "import_issue",
        "import",
        "job",
        "audit_entry",
        "session",
        "schedule_tick",
        "alert",
    ] {
        counts.push(fixture.count(&format!("SELECT count(*) FROM {table}")).await);
    }
    counts
}

async fn assert_young_stay(fixture: &Fixture) {
    let left = |sql: &'static str| fixture.count(sql);
    assert_eq!(left("SELECT count(*) FROM delivery WHERE id > 1000").await, OLD);
    assert_eq!(left("SELECT count(*) FROM delivery").await, OLD + 1);
    assert_eq!(left("SELECT count(*) FROM event WHERE recipient IS NULL").await, OLD);
    assert_eq!(left("SELECT count(*) FROM event WHERE recipient = 1").await, 5);
    assert_eq!(left("SELECT count(*) FROM import").await, 2 * OLD);
    assert_eq!(left("SELECT count(*) FROM import_issue WHERE import_id > 1000").await, 2 * OLD);
    assert_eq!(left("SELECT count(*) FROM import_issue").await, 2 * OLD);
    assert_eq!(left("SELECT count(*) FROM session").await, OLD);
    assert_eq!(left("SELECT count(*) FROM schedule_tick WHERE rule = 'old'").await, 1);
    assert_eq!(left("SELECT count(*) FROM alert WHERE resolved_at IS NULL").await, 1);
    assert_eq!(left("SELECT count(*) FROM alert").await, OLD + 1);
    assert_eq!(left("SELECT count(*) FROM upload").await, OLD + 1);
    let file = |name: &str| fixture.services.data_dir.join("uploads").join(name).exists();
    assert_eq!((file("u0000"), file("u0003"), file("u1000")), (false, true, true));
    assert_eq!(left("SELECT count(*) FROM audit_entry WHERE action = 'retention.applied'").await, 1);
    if fixture.services.db.is_postgres() {
        let partitions =
            "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname IN ('event_2024_10', 'event_2024_11')";
        assert_eq!(left(partitions).await, 1);
        assert_eq!(left("SELECT count(*) FROM event_default WHERE recipient = 1").await, 0);
    }
}

#[tokio::test]
async fn what_is_older_goes_and_what_is_younger_stays() {
    for fixture in Fixture::each().await {
        fill(&fixture).await;
        let before = rows(&fixture).await;
        let counted = admin(&fixture).prune(true).await.expect("counted");
        assert_eq!(numbers(&counted, |pruned| pruned.older), WANTED);
        assert_eq!(numbers(&counted, |pruned| pruned.removed), WANTED.map(|(what, _)| (what, 0)));
        assert_eq!(rows(&fixture).await, before);
        assert!(fixture.services.data_dir.join("uploads/u0000").exists());
        assert_eq!(fixture.count("SELECT count(*) FROM setting").await, 0);

        let removed = admin(&fixture).prune(false).await.expect("removed");
        assert_eq!(numbers(&removed, |pruned| pruned.removed), WANTED);
        assert_young_stay(&fixture).await;
        let again = admin(&fixture).prune(false).await.expect("removed");
        assert!(again.iter().all(|pruned| pruned.removed == 0), "{again:?}");

        // A day later what was just young enough is too old. November stays until all of it is.
        fixture.clock.advance_seconds(86_400);
        let later = admin(&fixture).prune(true).await.expect("counted");
        let of = |what: &str| later.iter().find(|pruned| pruned.what == what).expect("the item").older;
        assert_eq!((of("deliveries"), of("sessions"), of("audit"), of("events")), (10, 10, 10, 0));
        fixture.close().await;
    }
}

#[tokio::test]
async fn zero_keeps_for_ever() {
    for fixture in Fixture::each().await {
        fill(&fixture).await;
        let for_ever = Retention {
            deliveries: 0,
            unmatched_events: 0,
            events: 0,
            uploads: 0,
            import_reports: 0,
            jobs: 0,
            audit: 0,
            schedule_ticks: 0,
            alerts: 0,
        };
        let services = fixture.services.clone().with_retention(for_ever);
        let removed = services.access(Subject::command_line()).admin().expect("an admin").prune(false).await;
        for pruned in removed.expect("removed") {
            assert_eq!((pruned.removed, pruned.kept_days), (if pruned.what == "sessions" { 10 } else { 0 }, None));
        }
        fixture.close().await;
    }
}

#[test]
fn events_are_kept_for_a_month_at_least() {
    let short = Retention { events: 1, ..Retention::default() };
    assert_eq!(Item::Events.kept_days(&short), Some(31));
}

/// What a future comes to, unless it is dropped after so many steps: as a process that is killed.
async fn killed_after<T>(steps: usize, work: impl Future<Output = T>) -> Option<T> {
    let (mut work, mut left) = (pin!(work), steps);
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        work.as_mut().poll(context).map(Some)
    })
    .await
}

#[tokio::test]
async fn killed_anywhere_it_goes_on() {
    for fixture in Fixture::each().await {
        fill(&fixture).await;
        let services = &fixture.services;
        let job = NewJob::new(JobKind::Prune, json!({}), "schedule", services.now());
        let id = enqueue(services.db.write(), job, services.now()).await.expect("enqueued");
        let mut kills = 0;
        for steps in 1.. {
            // As if the lease of the one that was killed had run out: the clock stands, so that nothing more gets old. One that was killed while
            // its last word was under way has ended all the same, and nobody does that again.
            let free = "UPDATE job SET state = 1 WHERE id = $1 AND state IN (1, 2)";
            if execute(services.db.write(), free, [id.into()]).await.expect("freed").rows_affected() == 0 {
                break;
            }
            let now = services.now();
            let claimed = claim(services, Which::Id(id), "worker", now, now.plus_seconds(60)).await;
            let claimed = claimed.expect("asked").expect("the job");
            match killed_after(steps * 3, run_job(services, &claimed)).await {
                Some(result) => {
                    result.expect("done");
                    break;
                }
                None => kills += 1,
            }
        }
        assert!(kills > 3, "it was killed {kills} times");
        assert_young_stay(&fixture).await;
        let job = fixture.services.access(Subject::command_line()).reader().require_job(id).await.expect("the job");
        let some = WANTED.into_iter().filter(|(_, count)| *count > 0);
        let wanted = some.map(|(what, count)| (what.to_owned(), json!(count))).collect();
        assert_eq!((job.state, job.progress.done), (JobState::Succeeded, 110));
        assert_eq!(job.result, Some(json!({ "removed": serde_json::Value::Object(wanted) })));
        fixture.close().await;
    }
}
