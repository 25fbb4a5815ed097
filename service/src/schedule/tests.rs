//! Ticks in real databases.

use std::sync::Arc;

use chrono_tz::Tz;
use domain::Timestamp;
use domain::schedule::Timetable;

use super::{Rule, Tick, look, rules, tick};
use crate::import::tests::Fixture;
use crate::jobs::{JobKind, Which, claim, succeed};

fn rule(expression: &str, zone: Tz) -> Rule {
    let timetable = Timetable::new(expression, zone).expect("an expression");
    Rule { name: "test", timetable, kind: JobKind::Prune, payload: serde_json::json!({}) }
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

async fn look_at(fixture: &Fixture, rule: &Rule, now: Timestamp) -> Tick {
    tick(&fixture.services, rule, now).await.expect("looked")
}

async fn jobs(fixture: &Fixture) -> i64 {
    fixture.count("SELECT count(*) FROM job").await
}

/// A worker does the job that waits.
async fn work(fixture: &Fixture, job: i64) {
    let now = fixture.services.now().plus_seconds(366 * 86_400);
    let claimed = claim(&fixture.services, Which::Id(job), "worker", now, now.plus_seconds(60)).await;
    let claimed = claimed.expect("asked").expect("the job");
    assert!(succeed(&fixture.services, &claimed, &serde_json::json!({}), now).await.expect("written"));
}

fn added(tick: Tick) -> (Timestamp, i64) {
    match tick {
        Tick::Added { due, job } => (due, job),
        other => panic!("nothing was added: {other:?}"),
    }
}

#[test]
fn the_rules_can_be_read() {
    let rules = rules(Tz::Europe__Berlin).expect("expressions");
    let mut names: Vec<_> = rules.iter().map(|rule| rule.name).collect();
    names.dedup();
    assert_eq!(names, ["check-alerts", "check-reminders", "review-addresses", "suggest-corrections", "prune"]);
    let next = |name: &str| {
        let rule = rules.iter().find(|rule| rule.name == name).expect("the rule");
        rule.timetable.next(at("2026-07-01T12:00:30Z"))
    };
    assert_eq!(next("check-alerts"), Some(at("2026-07-01T12:01:00Z")));
    assert_eq!(next("review-addresses"), Some(at("2026-07-02T01:10:00Z")));
    assert_eq!(next("suggest-corrections"), Some(at("2026-07-02T01:20:00Z")));
    assert_eq!(next("prune"), Some(at("2026-07-02T01:40:00Z")));
    assert_eq!((super::zone("Europe/Berlin"), super::zone("Berlin")), (Some(Tz::Europe__Berlin), None));
}

#[test]
fn the_crm_is_read_as_often_as_configured() {
    let next = |minutes, place: usize| {
        let rules = super::crm_rules(Tz::Europe__Berlin, minutes).expect("expressions");
        rules[place].timetable.next(at("2026-07-01T12:07:30Z"))
    };
    assert_eq!(next(15, 0), Some(at("2026-07-01T12:15:00Z")));
    assert_eq!(next(1, 0), Some(at("2026-07-01T12:08:00Z")));
    assert_eq!(next(360, 0), Some(at("2026-07-01T18:00:00Z")));
    assert_eq!(next(15, 1), Some(at("2026-07-02T00:10:00Z")));
}

#[tokio::test]
async fn a_rule_begins_with_its_next_tick() {
    for fixture in Fixture::each().await {
        let rule = rule("0 * * * * *", Tz::UTC);
        assert_eq!(look_at(&fixture, &rule, at("2026-01-01T12:00:30Z")).await, Tick::Begun);
        assert_eq!(look_at(&fixture, &rule, at("2026-01-01T12:00:59Z")).await, Tick::Known);
        assert_eq!(jobs(&fixture).await, 0);
        let (due, job) = added(look_at(&fixture, &rule, at("2026-01-01T12:01:00Z")).await);
        assert_eq!((due, jobs(&fixture).await), (at("2026-01-01T12:01:00Z"), 1));
        let row = fixture.count(&format!("SELECT count(*) FROM schedule_tick WHERE job_id = {job}")).await;
        assert_eq!(row, 1);
        fixture.close().await;
    }
}

#[tokio::test]
async fn workers_that_look_at_the_same_time_add_one_job() {
    for fixture in Fixture::each().await {
        let rule = rule("0 * * * * *", Tz::UTC);
        let begun = (0..8).map(|_| look_at(&fixture, &rule, at("2026-01-01T12:00:00Z")));
        let begun = futures::future::join_all(begun).await;
        assert_eq!(begun.iter().filter(|tick| **tick == Tick::Begun).count(), 1, "{begun:?}");
        for minute in 1..=5 {
            let now = at("2026-01-01T12:00:00Z").plus_seconds(60 * minute);
            let ticks = futures::future::join_all((0..8).map(|_| look_at(&fixture, &rule, now))).await;
            let jobs: Vec<i64> = ticks
                .iter()
                .filter_map(|tick| match tick {
                    Tick::Added { job, .. } => Some(*job),
                    _ => None,
                })
                .collect();
            assert_eq!(jobs.len(), 1, "{ticks:?}");
            work(&fixture, jobs[0]).await;
        }
        assert_eq!(jobs(&fixture).await, 5);
        fixture.close().await;
    }
}

#[tokio::test]
async fn what_was_missed_is_done_once_and_late() {
    for fixture in Fixture::each().await {
        let (nightly, minute) = (rule("0 40 3 * * *", Tz::Europe__Berlin), rule("0 * * * * *", Tz::UTC));
        let minute = Rule { name: "minute", ..minute };
        for rule in [&nightly, &minute] {
            assert_eq!(look_at(&fixture, rule, at("2026-01-01T12:00:00Z")).await, Tick::Begun);
        }
        let late = at("2026-01-04T12:00:30Z");
        assert_eq!(added(look_at(&fixture, &nightly, late).await).0, at("2026-01-04T02:40:00Z"));
        assert_eq!(added(look_at(&fixture, &minute, late).await).0, at("2026-01-04T12:00:00Z"));
        for rule in [&nightly, &minute] {
            assert_eq!(look_at(&fixture, rule, late).await, Tick::Known);
        }
        assert_eq!(jobs(&fixture).await, 2);
        fixture.close().await;
    }
}

#[tokio::test]
async fn jobs_do_not_pile_up_where_nobody_works() {
    for fixture in Fixture::each().await {
        let rule = rule("0 * * * * *", Tz::UTC);
        let start = at("2026-01-01T12:00:00Z");
        look_at(&fixture, &rule, start).await;
        let (_, first) = added(look_at(&fixture, &rule, start.plus_seconds(60)).await);
        for minute in 2..=10 {
            let now = start.plus_seconds(60 * minute);
            assert_eq!(look_at(&fixture, &rule, now).await, Tick::Waits { due: now, job: first });
            assert_eq!(look_at(&fixture, &rule, now).await, Tick::Known);
        }
        assert_eq!(jobs(&fixture).await, 1);
        work(&fixture, first).await;
        let (_, second) = added(look_at(&fixture, &rule, start.plus_seconds(60 * 11)).await);
        assert_ne!(first, second);
        fixture.close().await;
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_or_behind_repeats_nothing() {
    for fixture in Fixture::each().await {
        let rule = rule("0 * * * * *", Tz::UTC);
        let start = at("2026-01-01T12:00:00Z");
        look_at(&fixture, &rule, start).await;
        let (_, job) = added(look_at(&fixture, &rule, start.plus_seconds(300)).await);
        work(&fixture, job).await;
        for minute in 0..=5 {
            assert_eq!(look_at(&fixture, &rule, start.plus_seconds(60 * minute)).await, Tick::Known, "{minute}");
        }
        // Whoever looked before the later tick was written, and inserts after it.
        let behind = super::insert(fixture.services.db.write(), &rule, start.plus_seconds(240), start).await;
        assert!(!behind.expect("asked"));
        added(look_at(&fixture, &rule, start.plus_seconds(360)).await);
        assert_eq!(jobs(&fixture).await, 2);
        fixture.close().await;
    }
}

#[tokio::test]
async fn a_night_with_a_changed_clock_has_one_tick() {
    // 02:30 does not exist in the first, and comes twice in the second.
    for (night, wanted) in [("2026-03-29", "2026-03-29T01:00:00Z"), ("2026-10-25", "2026-10-25T00:30:00Z")] {
        for fixture in Fixture::each().await {
            let rule = rule("0 30 2 * * *", Tz::Europe__Berlin);
            let start = at(&format!("{night}T00:00:00Z")).plus_seconds(-7_200);
            assert_eq!(look_at(&fixture, &rule, start).await, Tick::Begun);
            let mut found = Vec::new();
            for minute in 1..24 * 60 {
                if let Tick::Added { due, job } = look_at(&fixture, &rule, start.plus_seconds(60 * minute)).await {
                    found.push(due);
                    work(&fixture, job).await;
                }
            }
            assert_eq!(found, [at(wanted)]);
            fixture.close().await;
        }
    }
}

#[tokio::test]
async fn all_rules_are_looked_at() {
    for fixture in Fixture::each().await {
        let rules: Arc<[Rule]> = rules(Tz::UTC).expect("expressions").into();
        assert_eq!(look(&fixture.services, &rules).await.expect("looked"), 0);
        fixture.clock.advance_seconds(60);
        assert_eq!(look(&fixture.services, &rules).await.expect("looked"), 2);
        assert_eq!(look(&fixture.services, &rules).await.expect("looked"), 0);
        fixture.clock.advance_seconds(24 * 60 * 60);
        // Those of the last minute still wait; what is done at night is added.
        assert_eq!(look(&fixture.services, &rules).await.expect("looked"), 3);
        fixture.close().await;
    }
}

#[tokio::test]
async fn what_is_done_every_minute_is_soon_forgotten_where_it_succeeds() {
    for fixture in Fixture::each().await {
        let every_minute = Rule { kind: JobKind::CheckAlerts, ..rule("0 * * * * *", Tz::UTC) };
        look_at(&fixture, &every_minute, at("2026-01-01T12:00:30Z")).await;
        let (_, done) = added(look_at(&fixture, &every_minute, at("2026-01-01T12:01:00Z")).await);
        work(&fixture, done).await;
        let (_, waits) = added(look_at(&fixture, &every_minute, at("2026-01-01T12:02:00Z")).await);
        assert_eq!(jobs(&fixture).await, 2);
        assert_eq!(
            look_at(&fixture, &every_minute, at("2026-01-01T13:30:00Z")).await,
            Tick::Waits { due: at("2026-01-01T13:30:00Z"), job: waits }
        );
        assert_eq!(fixture.count(&format!("SELECT count(*) FROM job WHERE id = {waits}")).await, jobs(&fixture).await);
        fixture.close().await;
    }
}
