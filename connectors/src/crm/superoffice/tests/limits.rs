//! No faster than allowed, and left alone where nothing answers.

use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use crm_testing::superoffice::Misbehaviour;
use domain::crm::{Crm, CrmError};
use futures::future::join_all;

use super::{Site, is_unavailable};

fn slow(per_second: u16) -> Site {
    let site = Site::with(|settings| {
        settings.requests_per_second = NonZeroU16::new(per_second).expect("more than none");
    });
    site.server.generate(100);
    site
}

fn busy(retry_after: Option<&str>) -> Misbehaviour {
    Misbehaviour::Answer { status: 429, retry_after: retry_after.map(str::to_owned) }
}

/// The shortest time in which so many requests came.
fn shortest(site: &Site, requests: usize) -> Duration {
    let mut times: Vec<Instant> = site.server.requests().iter().map(|seen| seen.at).collect();
    times.sort_unstable();
    times.windows(requests).map(|times| times[requests - 1] - times[0]).min().expect("as many requests")
}

#[tokio::test]
async fn requests_are_no_faster_than_allowed_however_many_want_to() {
    let site = slow(40);
    let ids: Vec<String> = (1..=15).map(|id| id.to_string()).collect();
    for person in join_all(ids.iter().map(|id| site.crm.person(id))).await {
        assert!(person.expect("answered").is_some());
    }
    assert!(site.server.requests().len() >= 33, "state, token, users, and two for each");
    // 20 intervals of 25 ms, less what a busy machine makes of them.
    assert!(shortest(&site, 21) >= Duration::from_millis(400), "{:?}", shortest(&site, 21));
}

#[tokio::test]
async fn a_pause_is_kept_by_everybody() {
    let site = slow(500);
    site.crm.person("1").await.expect("answered");
    site.server.forget_requests();
    site.server.misbehave("Person", 2, busy(Some("1")));
    let ids: Vec<String> = (1..=4).map(|id| id.to_string()).collect();
    for person in join_all(ids.iter().map(|id| site.crm.person(id))).await {
        assert!(person.expect("answered").is_some(), "nothing is lost");
    }
    let requests = site.server.requests();
    let refused = requests.iter().filter(|seen| seen.status == 429).map(|seen| seen.at).max().expect("refused");
    // Those that were on their way already are not called back.
    let within = |seen: &&crm_testing::superoffice::Seen| {
        let after = seen.at.saturating_duration_since(refused);
        after > Duration::from_millis(100) && after < Duration::from_millis(950)
    };
    assert_eq!(requests.iter().find(within).map(|seen| &seen.path), None);
    let last = requests.iter().map(|seen| seen.at).max().expect("requests");
    assert!(last - refused >= Duration::from_millis(950), "{:?}", last - refused);
}

#[tokio::test]
async fn a_long_pause_is_told_instead_of_waited_for() {
    let site = slow(500);
    site.crm.person("1").await.expect("answered");
    site.server.misbehave("Person", 1, busy(Some("900")));
    for _ in 0..2 {
        match site.crm.person("1").await.expect_err("too long") {
            CrmError::Unavailable { retry_after: Some(seconds), may_have_happened: false, .. } => {
                assert!((890..=900).contains(&seconds), "{seconds}");
            }
            other => panic!("{other:?}"),
        }
    }
    let persons = |seen: &&crm_testing::superoffice::Seen| seen.path == "Person";
    assert_eq!(site.server.requests().iter().filter(persons).count(), 2, "one that was answered, one refused");
}

#[tokio::test]
async fn what_is_refused_for_the_pace_has_not_happened() {
    let site = slow(500);
    site.server.misbehave("POST Selection", 9, busy(Some("1")));
    let error = site.list("k", false).await.expect_err("refused again and again");
    assert!(is_unavailable(&error, false), "{error:?}");
    assert_eq!(site.server.lists(domain::crm::ListKind::Selection), []);
}

#[tokio::test]
async fn a_circuit_opens_and_closes() {
    let site = Site::new();
    site.server.generate(10);
    site.crm.person("1").await.expect("answered");
    site.server.misbehave("Person", 1_000, Misbehaviour::Answer { status: 500, retry_after: None });
    for _ in 0..2 {
        site.crm.person("1").await.expect_err("broken");
    }
    let sent = site.server.requests().len();
    match site.crm.person("1").await.expect_err("left alone") {
        CrmError::Unavailable { retry_after: Some(1..=5), may_have_happened: false, .. } => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(site.server.requests().len(), sent, "nothing is sent while it is open");
    site.clock.pass(5);
    site.crm.person("1").await.expect_err("one tries");
    assert_eq!(site.server.requests().len(), sent + 1);
    site.server.behave();
    site.clock.pass(10);
    assert!(site.crm.person("1").await.expect("answered").is_some());
    assert!(site.crm.person("2").await.expect("answered").is_some());
}
