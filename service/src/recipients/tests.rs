//! Lists of recipients over both databases: filters against the same conditions in Rust, pages in both directions, what viewers
//! see, and how many statements it takes.

pub(crate) mod fixture;
mod pages;
mod queries;
mod sets;

use domain::Timestamp;
use domain::status::{RecipientStatus, SkipReason};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use self::fixture::{CAMPAIGN, Fixture, Row, any_row};
use super::*;
use crate::subject::Role;

/// The condition, as it reads in Rust.
fn holds(filter: &RecipientFilter, row: &Row) -> bool {
    match filter {
        RecipientFilter::All(parts) => parts.iter().all(|part| holds(part, row)),
        RecipientFilter::Any(parts) => parts.iter().any(|part| holds(part, row)),
        RecipientFilter::Not(part) => !holds(part, row),
        RecipientFilter::Status(list) => list.contains(&row.status),
        RecipientFilter::SkipReason(list) => row.skip_reason.is_some_and(|reason| list.contains(&reason)),
        RecipientFilter::BounceClass(list) => {
            row.failure.is_some_and(|class| list.contains(&class.unwrap_or(domain::BounceClass::Unknown)))
        }
        RecipientFilter::Opened(opened) => (row.opens > 0) == *opened,
        RecipientFilter::Clicked(clicked) => (row.clicks > 0) == *clicked,
        RecipientFilter::ClickedLink(links) => row.clicked.is_some_and(|(link, human)| human && links.contains(&link)),
        RecipientFilter::SentBefore(at) => row.sent_at.is_some_and(|sent| sent < at.micros()),
        RecipientFilter::SentAfter(at) => row.sent_at.is_some_and(|sent| sent >= at.micros()),
        RecipientFilter::Domain(list) => list.iter().any(|domain| domain.eq_ignore_ascii_case(row.domain)),
        RecipientFilter::Owner(list) => row.owner.is_some_and(|owner| list.iter().any(|wanted| wanted == owner)),
        RecipientFilter::InCrm(known) => row.in_crm == *known,
        RecipientFilter::Corrected(corrected) => !corrected,
        RecipientFilter::Simulator(simulator) => row.is_simulator == *simulator,
    }
}

fn some_of<T: Clone + std::fmt::Debug + 'static>(all: &'static [T]) -> impl Strategy<Value = Vec<T>> {
    proptest::collection::vec(proptest::sample::select(all), 0..3)
}

fn any_filter() -> impl Strategy<Value = RecipientFilter> {
    let texts =
        |all: &'static [&'static str]| some_of(all).prop_map(|list| list.into_iter().map(str::to_owned).collect());
    let leaf = prop_oneof![
        some_of(RecipientStatus::ALL).prop_map(RecipientFilter::Status),
        some_of(SkipReason::ALL).prop_map(RecipientFilter::SkipReason),
        some_of(domain::BounceClass::ALL).prop_map(RecipientFilter::BounceClass),
        any::<bool>().prop_map(RecipientFilter::Opened),
        any::<bool>().prop_map(RecipientFilter::Clicked),
        proptest::collection::vec(1_i64..4, 0..3).prop_map(RecipientFilter::ClickedLink),
        (0_i64..5).prop_map(|at| RecipientFilter::SentBefore(Timestamp::from_micros(at))),
        (0_i64..5).prop_map(|at| RecipientFilter::SentAfter(Timestamp::from_micros(at))),
        texts(&["example.com", "Example.ORG", "example.net"]).prop_map(RecipientFilter::Domain),
        texts(&["anna", "bert", "nobody"]).prop_map(RecipientFilter::Owner),
        any::<bool>().prop_map(RecipientFilter::InCrm),
        any::<bool>().prop_map(RecipientFilter::Corrected),
        any::<bool>().prop_map(RecipientFilter::Simulator),
    ];
    leaf.prop_recursive(4, 20, 3, |part| {
        prop_oneof![
            proptest::collection::vec(part.clone(), 0..3).prop_map(RecipientFilter::All),
            proptest::collection::vec(part.clone(), 0..3).prop_map(RecipientFilter::Any),
            part.prop_map(|part| RecipientFilter::Not(Box::new(part))),
        ]
    })
}

fn names_simulators(filter: &RecipientFilter) -> bool {
    format!("{filter:?}").contains("Simulator")
}

#[tokio::test]
async fn a_filter_finds_what_it_says() {
    let mut runner = TestRunner::deterministic();
    let rows = proptest::collection::vec(any_row(), 60).new_tree(&mut runner).expect("rows").current();
    for fixture in Fixture::each(&rows).await {
        let reader = fixture.reader(Role::Marketer);
        for _ in 0..150 {
            let filter = any_filter().new_tree(&mut runner).expect("a filter").current();
            let query = RecipientQuery { campaign: CAMPAIGN, filter: filter.clone(), ..RecipientQuery::default() };
            let args = PageArgs { first: Some(500), ..PageArgs::default() };
            let page = reader.recipients(&query, &args, false).await.expect("a page");
            let found: Vec<i64> = page.rows.iter().map(|row| row.key.number).collect();
            let shown = |row: &Row| names_simulators(&filter) || !row.is_simulator;
            let wanted: Vec<i64> = (1..)
                .zip(&rows)
                .filter(|(_, row)| shown(row) && holds(&filter, row))
                .map(|(number, _)| number)
                .collect();
            assert_eq!(found, wanted, "{filter:?}");
            let count = reader.count_recipients(&query, 1_000).await.expect("a count");
            assert_eq!((count.value, count.exact), (i64::try_from(wanted.len()).expect("few"), true), "{filter:?}");
        }
        fixture.close().await;
    }
}
