//! Pages: every row once, in both directions, whatever the order; cursors that only open their own list.

use std::cmp::Ordering;

use super::*;
use crate::error::{RefusalCode, ServiceError};

fn some_rows(count: usize) -> Vec<Row> {
    let mut runner = TestRunner::deterministic();
    let rows = proptest::collection::vec(any_row(), count).new_tree(&mut runner).expect("rows").current();
    rows.into_iter().map(|row| Row { is_simulator: false, ..row }).collect()
}

fn query(order: RecipientOrder, descending: bool) -> RecipientQuery {
    RecipientQuery { campaign: CAMPAIGN, order, descending, ..RecipientQuery::default() }
}

fn compare(order: RecipientOrder, left: &Row, right: &Row) -> Ordering {
    match order {
        RecipientOrder::Number => Ordering::Equal,
        RecipientOrder::Email => left.email.to_lowercase().cmp(&right.email.to_lowercase()),
        RecipientOrder::Status => left.status.code().cmp(&right.status.code()),
    }
}

/// The numbers of the list, from one end to the other page by page.
async fn walk(reader: &Reader, query: &RecipientQuery, size: i64, backward: bool) -> Vec<i64> {
    let mut numbers: Vec<i64> = Vec::new();
    let mut cursor = None;
    loop {
        let args = if backward {
            PageArgs { last: Some(size), before: cursor.clone(), ..PageArgs::default() }
        } else {
            PageArgs { first: Some(size), after: cursor.clone(), ..PageArgs::default() }
        };
        let page = reader.recipients(query, &args, false).await.expect("a page");
        let (behind, ahead) =
            if backward { (page.has_next, page.has_previous) } else { (page.has_previous, page.has_next) };
        assert_eq!(behind, cursor.is_some(), "what was read lies behind");
        let found = page.rows.iter().map(|row| row.key.number);
        if backward {
            numbers.splice(0..0, found);
        } else {
            numbers.extend(found);
        }
        if !ahead {
            return numbers;
        }
        cursor = if backward { page.cursor(0) } else { page.end_cursor() }.expect("sealed");
    }
}

#[tokio::test]
async fn pages_visit_every_row_once_in_both_directions() {
    let rows = some_rows(23);
    for fixture in Fixture::each(&rows).await {
        let reader = fixture.reader(Role::Marketer);
        for order in [RecipientOrder::Number, RecipientOrder::Email, RecipientOrder::Status] {
            for descending in [false, true] {
                let mut wanted: Vec<(i64, &Row)> = (1..).zip(&rows).collect();
                wanted.sort_by(|left, right| compare(order, left.1, right.1).then(left.0.cmp(&right.0)));
                let mut wanted: Vec<i64> = wanted.into_iter().map(|(number, _)| number).collect();
                if descending {
                    wanted.reverse();
                }
                for size in [1, 4, 23, 24] {
                    for backward in [false, true] {
                        let found = walk(&reader, &query(order, descending), size, backward).await;
                        assert_eq!(found, wanted, "{order:?} {descending} {size} {backward}");
                    }
                }
            }
        }
        fixture.close().await;
    }
}

#[tokio::test]
async fn a_range_between_two_cursors_knows_what_lies_outside() {
    for fixture in Fixture::each(&some_rows(9)).await {
        let reader = fixture.reader(Role::Marketer);
        let query = query(RecipientOrder::Number, false);
        let all = reader.recipients(&query, &PageArgs::default(), false).await.expect("a page");
        let cursor = |index| all.cursor(index).expect("sealed");
        let (after, before) = (cursor(1), cursor(6));
        for (first, last, wanted, outside) in [
            (Some(2), None, vec![3, 4], (true, true)),
            (Some(10), None, vec![3, 4, 5, 6], (true, true)),
            (None, Some(2), vec![5, 6], (true, true)),
            (None, Some(4), vec![3, 4, 5, 6], (true, true)),
            (Some(0), None, vec![], (true, true)),
        ] {
            let args = PageArgs { first, last, after: after.clone(), before: before.clone() };
            let page = reader.recipients(&query, &args, false).await.expect("a page");
            let found: Vec<i64> = page.rows.iter().map(|row| row.key.number).collect();
            assert_eq!((found, (page.has_previous, page.has_next)), (wanted, outside), "{first:?} {last:?}");
        }
        let args = PageArgs { first: Some(5), after: cursor(8), ..PageArgs::default() };
        let end = reader.recipients(&query, &args, false).await.expect("a page");
        assert_eq!((end.rows.len(), end.has_previous, end.has_next), (0, true, false));
        fixture.close().await;
    }
}

#[tokio::test]
async fn a_page_is_right_where_the_row_at_its_cursor_has_left_the_list() {
    for fixture in Fixture::each(&some_rows(6)).await {
        let reader = fixture.reader(Role::Marketer);
        let query = query(RecipientOrder::Number, false);
        let all = reader.recipients(&query, &PageArgs::default(), false).await.expect("a page");
        let (first, fourth) = (all.cursor(0).expect("sealed"), all.cursor(3).expect("sealed"));
        fixture.run("UPDATE recipient SET is_simulator = TRUE WHERE number IN (1, 4)", []).await;
        let read = async |after: &Option<String>| {
            let args = PageArgs { first: Some(9), after: after.clone(), ..PageArgs::default() };
            let page = reader.recipients(&query, &args, false).await.expect("a page");
            (page.rows.iter().map(|row| row.key.number).collect::<Vec<_>>(), page.has_previous)
        };
        assert_eq!(read(&fourth).await, (vec![5, 6], true));
        assert_eq!(read(&first).await, (vec![2, 3, 5, 6], false));
        fixture.close().await;
    }
}

#[tokio::test]
async fn a_cursor_of_another_list_is_refused_and_so_are_wrong_sizes() {
    for fixture in Fixture::each(&some_rows(5)).await {
        let reader = fixture.reader(Role::Marketer);
        let own = query(RecipientOrder::Number, false);
        let page =
            reader.recipients(&own, &PageArgs { first: Some(2), ..PageArgs::default() }, false).await.expect("a page");
        let cursor = page.end_cursor().expect("sealed");
        let refused = async |query: &RecipientQuery, args: PageArgs| match reader.recipients(query, &args, false).await
        {
            Err(ServiceError::Refused(refusal)) => refusal.code,
            _ => panic!("{query:?} {args:?} was not refused"),
        };
        let with = |after: &Option<String>| PageArgs { after: after.clone(), ..PageArgs::default() };
        let others = [
            query(RecipientOrder::Email, false),
            query(RecipientOrder::Number, true),
            RecipientQuery { campaign: 2, ..own.clone() },
            RecipientQuery { search: Some("erika".to_owned()), ..own.clone() },
            RecipientQuery { filter: RecipientFilter::Opened(true), ..own.clone() },
        ];
        for other in &others {
            assert_eq!(refused(other, with(&cursor)).await, RefusalCode::Invalid);
        }
        let broken = cursor.as_ref().map(|text| text.chars().rev().collect());
        assert_eq!(refused(&own, with(&broken)).await, RefusalCode::Invalid);
        for (first, last) in [(Some(-1), None), (None, Some(-1)), (Some(501), None), (Some(1), Some(1))] {
            assert_eq!(refused(&own, PageArgs { first, last, ..PageArgs::default() }).await, RefusalCode::Invalid);
        }
        fixture.close().await;
    }
}
