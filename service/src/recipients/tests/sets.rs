//! Sets: read in pieces they are what a list of them is, and they survive the way through a job's payload.

use super::*;
use crate::error::RefusalCode;
use crate::recipients::set::MAX_IDS;
use crate::subject::Subject;

fn marketer() -> Subject {
    Subject { id: "token:1".to_owned(), name: "test".to_owned(), role: Role::Marketer }
}

/// All keys, three at a time.
async fn walk(fixture: &Fixture, set: &RecipientSet) -> Vec<RecipientKey> {
    let (mut keys, mut after) = (Vec::new(), None);
    loop {
        let chunk = set.chunk(fixture.db().read(), after, 3).await.expect("a chunk");
        after = chunk.last().copied();
        let is_last = chunk.len() < 3;
        keys.extend(chunk);
        if is_last {
            return keys;
        }
    }
}

#[tokio::test]
async fn in_pieces_it_is_the_whole() {
    let mut runner = TestRunner::deterministic();
    let rows = proptest::collection::vec(any_row(), 25).new_tree(&mut runner).expect("rows").current();
    for fixture in Fixture::each(&rows).await {
        let reader = fixture.reader(Role::Marketer);
        for _ in 0..80 {
            let filter = any_filter().new_tree(&mut runner).expect("a filter").current();
            let query = RecipientQuery { campaign: CAMPAIGN, filter: filter.clone(), ..RecipientQuery::default() };
            let args = PageArgs { first: Some(500), ..PageArgs::default() };
            let page = reader.recipients(&query, &args, false).await.expect("a page");
            let wanted: Vec<RecipientKey> = page.rows.iter().map(|row| row.key).collect();
            let all = RecipientsWhere { campaign: CAMPAIGN, filter, search: None };
            let set = RecipientSet::new(None, Some(all), &marketer()).expect("a set");
            let payload = serde_json::to_value(&set).expect("JSON");
            assert_eq!(serde_json::from_value::<RecipientSet>(payload).expect("a set"), set);
            assert_eq!(walk(&fixture, &set).await, wanted, "{set:?}");
            let size = set.size(&reader, 1_000).await.expect("a size");
            assert_eq!((size.value, size.exact), (i64::try_from(wanted.len()).expect("few"), true));
        }
        let key = |number| RecipientKey { campaign: CAMPAIGN, number };
        let ids =
            vec![key(9), key(2), key(25), key(2), key(26), RecipientKey { campaign: 2, number: 1 }, key(11), key(12)];
        let set = RecipientSet::new(Some(ids), None, &marketer()).expect("a set");
        let payload = serde_json::to_value(&set).expect("JSON");
        assert_eq!(payload, serde_json::json!({ "ids": [[1, 2], [1, 9], [1, 11], [1, 12], [1, 25], [1, 26], [2, 1]] }));
        assert_eq!(serde_json::from_value::<RecipientSet>(payload).expect("a set"), set);
        assert_eq!(walk(&fixture, &set).await, [2, 9, 11, 12, 25].map(key));
        fixture.close().await;
    }
}

#[test]
fn it_is_one_of_the_two_and_within_limits() {
    let key = |number| RecipientKey { campaign: 1, number };
    let all = |filter: RecipientFilter, search: Option<&str>| {
        Some(RecipientsWhere { campaign: 1, filter, search: search.map(str::to_owned) })
    };
    let refused = |ids: Option<Vec<RecipientKey>>, all| {
        let refusal = RecipientSet::new(ids, all, &marketer()).expect_err("refused");
        assert_eq!(refusal.code, RefusalCode::Invalid);
        refusal.field.join(".")
    };
    let everybody = || all(RecipientFilter::default(), None);
    assert_eq!(refused(None, None), "");
    assert_eq!(refused(Some(vec![key(1)]), everybody()), "");
    assert_eq!(refused(Some(Vec::new()), None), "ids");
    let too_many = (0..=i64::try_from(MAX_IDS).expect("small")).map(key).collect();
    assert_eq!(refused(Some(too_many), None), "ids");
    let domains = RecipientFilter::Domain(vec!["example.com".to_owned(); filter::MAX_SIZE]);
    assert_eq!(refused(None, all(domains, None)), "where.filter");
    assert_eq!(
        refused(None, all(RecipientFilter::default(), Some(&"x".repeat(filter::MAX_SEARCH + 1)))),
        "where.search"
    );

    let found = RecipientSet::new(None, all(RecipientFilter::default(), Some("  ")), &marketer()).expect("a set");
    assert_eq!(found, RecipientSet::Where(everybody().expect("all")));
    let viewer = Subject { role: Role::Viewer, ..marketer() };
    assert_eq!(RecipientSet::new(Some(vec![key(1)]), None, &viewer).expect_err("refused").code, RefusalCode::Forbidden);
    let both = RecipientSet::Ids(vec![key(1), RecipientKey { campaign: 2, number: 1 }]);
    assert_eq!((both.campaign(), RecipientSet::Ids(vec![key(1), key(2)]).campaign()), (None, Some(1)));
}
