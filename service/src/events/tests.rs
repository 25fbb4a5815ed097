//! Events, clicks and deliveries over both databases.

use super::*;
use crate::recipients::tests::fixture::{CAMPAIGN, Fixture, any_row};
use crate::subject::Role;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

const RECIPIENT: RecipientKey = RecipientKey { campaign: CAMPAIGN, number: 1 };

/// One recipient; its events at few different moments, some of them clicks, and some events that match nobody.
async fn seeded() -> Vec<Fixture> {
    let mut row = any_row().new_tree(&mut TestRunner::deterministic()).expect("a row").current();
    row.clicked = None;
    let fixtures = Fixture::each(&[row]).await;
    for fixture in &fixtures {
        for id in 1..=9_i64 {
            let sql = "INSERT INTO event (provider, event_id, occurred_at, id, kind, campaign_id, recipient, diagnostic, url, verdict) \
                VALUES (1, $1, $2, $3, 11, 1, 1, 'erika: full', 'https://example.com/a?t=erika#erika', 0)";
            fixture.run(sql, [id.to_string().into(), (id % 3).into(), id.into()]).await;
            let sql = "INSERT INTO click (campaign_id, id, recipient, link_id, occurred_at, verdict) VALUES (1, $1, 1, $2, 0, $3)";
            fixture.run(sql, [id.into(), (1 + id % 2).into(), (if id > 6 { 4_i16 } else { 0 }).into()]).await;
            let sql = "INSERT INTO event (provider, event_id, occurred_at, id, kind, email, campaign_keys, source) \
                VALUES (2, $1, $2, $3, 3, 'erika@example.com', 'a\nb', $4)";
            let source = if id < 4 { "news" } else { "shop" };
            fixture.run(sql, [id.to_string().into(), id.into(), (100 + id).into(), source.to_owned().into()]).await;
            let sql = "INSERT INTO delivery (id, source, provider, received_at, headers, body, body_size, state) \
                VALUES ($1, $2, 1, 0, '[]', $3, 5, $4)";
            let state = i16::try_from(1 + id % 4).expect("small");
            let body = zstd::stream::encode_all(&b"hello"[..], 1).expect("packed");
            fixture.run(sql, [id.into(), source.to_owned().into(), body.into(), state.into()]).await;
        }
    }
    fixtures
}

fn page_of(size: i64, after: Option<String>) -> PageArgs {
    PageArgs { first: Some(size), after, ..PageArgs::default() }
}

#[tokio::test]
async fn the_events_of_a_recipient_come_in_their_order_with_the_final_verdict() {
    for fixture in seeded().await {
        let reader = fixture.reader(Role::Marketer);
        let mut events = Vec::new();
        let mut after = None;
        loop {
            let page = reader.recipient_events(RECIPIENT, &page_of(2, after)).await.expect("a page");
            after = page.end_cursor().expect("sealed");
            events.extend(page.rows);
            if !page.has_next {
                break;
            }
        }
        assert_eq!(events.iter().map(|event| event.id).collect::<Vec<_>>(), [3, 6, 9, 1, 4, 7, 2, 5, 8]);
        assert!(events.iter().all(|event| event.machine == Some(event.id > 6)));
        assert_eq!(events[0].diagnostic.as_deref(), Some("erika: full"));
        assert_eq!(
            reader.count_recipient_events(RECIPIENT, 5).await.expect("a count"),
            Count { value: 5, exact: false }
        );

        let seen =
            fixture.reader(Role::Viewer).recipient_events(RECIPIENT, &PageArgs::default()).await.expect("a page");
        assert!(seen.rows.iter().all(|event| event.diagnostic.is_none()));
        assert_eq!(seen.rows[0].url.as_deref(), Some("https://example.com"), "the rest may name somebody");
        fixture.close().await;
    }
}

#[tokio::test]
async fn what_matches_nobody_is_listed_and_filtered() {
    for fixture in seeded().await {
        let reader = fixture.reader(Role::Marketer);
        let ids = async |filter: &EventFilter| {
            let page = reader.unmatched_events(filter, &PageArgs::default()).await.expect("a page");
            page.rows.iter().map(|event| event.id).collect::<Vec<_>>()
        };
        assert_eq!(ids(&EventFilter::default()).await, (101..=109).collect::<Vec<_>>());
        assert_eq!(
            ids(&EventFilter { sources: vec!["news".to_owned()], ..EventFilter::default() }).await,
            [101, 102, 103]
        );
        let window = EventFilter {
            since: Some(Timestamp::from_micros(2)),
            until: Some(Timestamp::from_micros(4)),
            providers: vec![Provider::Sendgrid],
            kinds: vec![EventKind::Delivered],
            ..EventFilter::default()
        };
        assert_eq!(ids(&window).await, [102, 103]);
        assert_eq!(reader.count_unmatched_events(&window, 10).await.expect("a count").value, 2);
        let page = reader.unmatched_events(&window, &PageArgs::default()).await.expect("a page");
        let unmatched = page.rows[0].unmatched.as_ref().expect("for marketers");
        assert_eq!(unmatched.campaign_keys, ["a", "b"]);
        let seen = fixture.reader(Role::Viewer).unmatched_events(&window, &PageArgs::default()).await.expect("a page");
        assert!(seen.rows.iter().all(|event| event.unmatched.is_none()));
        fixture.close().await;
    }
}

#[tokio::test]
async fn clicks_are_filtered_by_link_and_by_who_clicked() {
    for fixture in seeded().await {
        let reader = fixture.reader(Role::Viewer);
        for (link, machine, wanted) in [
            (None, None, (1..=9).collect::<Vec<i64>>()),
            (Some(1), None, vec![2, 4, 6, 8]),
            (None, Some(true), vec![7, 8, 9]),
            (Some(2), Some(false), vec![1, 3, 5]),
        ] {
            let query = ClickQuery { campaign: CAMPAIGN, link, machine };
            let page = reader.clicks(query, &PageArgs::default()).await.expect("a page");
            assert_eq!(page.rows.iter().map(|click| click.id).collect::<Vec<_>>(), wanted);
            let count = reader.count_clicks(query, 100).await.expect("a count");
            assert_eq!(usize::try_from(count.value), Ok(wanted.len()));
        }
        fixture.close().await;
    }
}

#[tokio::test]
async fn admins_look_at_deliveries() {
    for fixture in seeded().await {
        let admin = fixture.admin();
        let query = DeliveryQuery { source: Some("shop".to_owned()), state: Some(DeliveryState::Stored) };
        let page = admin.deliveries(&query, &PageArgs::default()).await.expect("a page");
        assert_eq!(page.rows.iter().map(|delivery| delivery.id).collect::<Vec<_>>(), [8, 4]);
        assert_eq!(admin.count_deliveries(&query, 10).await.expect("a count"), Count { value: 2, exact: true });
        assert_eq!(admin.delivery(4).await.expect("an answer").expect("there").source, "shop");
        assert_eq!(admin.delivery_body(4).await.expect("an answer").as_deref(), Some("hello"));
        assert_eq!(admin.delivery_body(99).await.expect("an answer"), None);
        fixture.close().await;
    }
}
