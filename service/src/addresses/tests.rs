//! Addresses over both databases.

use domain::privacy::HIDDEN;

use super::groups::GroupKey;
use super::*;
use crate::error::{RefusalCode, ServiceError};
use crate::recipients::tests::fixture::Fixture;

/// Seven blocked ones, some since the same moment, one suspect, and the one that is always there.
async fn seeded() -> Vec<Fixture> {
    let fixtures = Fixture::each(&[]).await;
    for fixture in &fixtures {
        for id in 11..=18_i64 {
            let blocked = id < 18;
            let sql = "INSERT INTO address (id, email_key, health, last_reason, blocked_at, block_reason, created_at) \
                VALUES ($1, $2, $3, 'erika: full', $4, $5, 0)";
            let domain = if id % 2 == 0 { "exam_ple.com" } else { "example.com" };
            let health = if blocked { AddressHealth::Blocked } else { AddressHealth::Suspect };
            let reason = if id < 14 { BlockReason::HardBounce } else { BlockReason::SoftBounces };
            let values = [
                id.into(),
                format!("e{}@{domain}", 30 - id).into(),
                health.code().into(),
                blocked.then_some(id / 3).into(),
                blocked.then_some(reason.code()).into(),
            ];
            fixture.run(sql, values).await;
        }
    }
    fixtures
}

async fn walk(reader: &Reader, query: &AddressQuery) -> Vec<i64> {
    let mut ids = Vec::new();
    let mut after = None;
    loop {
        let args = PageArgs { first: Some(2), after, ..PageArgs::default() };
        let page = reader.addresses(query, &args).await.expect("a page");
        ids.extend(page.rows.iter().map(|address| address.id));
        after = page.end_cursor().expect("sealed");
        if !page.has_next {
            let count = reader.count_addresses(query, 100).await.expect("a count");
            assert_eq!(usize::try_from(count.value), Ok(ids.len()));
            return ids;
        }
    }
}

#[tokio::test]
async fn blocked_addresses_are_listed_in_order() {
    for fixture in seeded().await {
        let reader = fixture.reader(Role::Marketer);
        let query = |filter: AddressFilter, order, descending| AddressQuery { filter, order, descending };
        let default = AddressFilter::default;
        assert_eq!(
            walk(&reader, &query(default(), AddressOrder::BlockedAt, false)).await,
            [11, 12, 13, 14, 15, 16, 17]
        );
        assert_eq!(walk(&reader, &query(default(), AddressOrder::BlockedAt, true)).await, [17, 16, 15, 14, 13, 12, 11]);
        assert_eq!(walk(&reader, &query(default(), AddressOrder::Email, false)).await, [17, 16, 15, 14, 13, 12, 11]);
        let any = AddressFilter { health: Vec::new(), ..default() };
        assert_eq!(
            walk(&reader, &query(any, AddressOrder::BlockedAt, false)).await,
            [1, 18, 11, 12, 13, 14, 15, 16, 17]
        );
        let hard = AddressFilter { reasons: vec![BlockReason::HardBounce], ..default() };
        assert_eq!(walk(&reader, &query(hard, AddressOrder::BlockedAt, false)).await, [11, 12, 13]);
        let domain = AddressFilter { domains: vec![" Exam_ple.COM ".to_owned()], ..default() };
        assert_eq!(walk(&reader, &query(domain, AddressOrder::BlockedAt, false)).await, [12, 14, 16]);
        fixture.close().await;
    }
}

#[tokio::test]
async fn an_address_is_found_however_it_is_written_but_not_by_viewers() {
    for fixture in seeded().await {
        let reader = fixture.reader(Role::Marketer);
        let address = reader.address("ERIKA@Example.com").await.expect("an answer").expect("there");
        assert_eq!((address.id, address.email.as_str()), (1, "erika@example.com"));
        assert!(reader.address("nobody@example.com").await.expect("an answer").is_none());

        let viewer = fixture.reader(Role::Viewer);
        let forbidden = |error: Option<ServiceError>| matches!(error, Some(ServiceError::Refused(refusal)) if refusal.code == RefusalCode::Forbidden);
        assert!(forbidden(viewer.address("erika@example.com").await.err()));
        let by_email = AddressQuery { order: AddressOrder::Email, ..AddressQuery::default() };
        assert!(forbidden(viewer.addresses(&by_email, &PageArgs::default()).await.err()));
        let page = viewer.addresses(&AddressQuery::default(), &PageArgs::default()).await.expect("a page");
        assert!(page.rows.iter().all(|address| address.email == HIDDEN && address.last_reason.is_none()));
        fixture.close().await;
    }
}

#[tokio::test]
async fn addresses_are_grouped() {
    for fixture in seeded().await {
        let reader = fixture.reader(Role::Marketer);
        let groups = async |by| {
            let groups = reader.address_groups(by, &AddressFilter::default()).await.expect("groups");
            groups.into_iter().map(|group| (group.key.unwrap_or_default(), group.count)).collect::<Vec<_>>()
        };
        let pairs = |expected: &[(&str, i64)]| {
            expected.iter().map(|(key, count)| ((*key).to_owned(), *count)).collect::<Vec<_>>()
        };
        assert_eq!(groups(GroupKey::Domain).await, pairs(&[("example.com", 4), ("exam_ple.com", 3)]));
        assert_eq!(groups(GroupKey::Reason).await, pairs(&[("SOFT_BOUNCES", 4), ("HARD_BOUNCE", 3)]));
        assert_eq!(groups(GroupKey::Month).await, pairs(&[("1970-01", 7)]));
        assert_eq!(groups(GroupKey::Owner).await, pairs(&[("", 7)]));
        let viewer = fixture.reader(Role::Viewer);
        assert!(viewer.address_groups(GroupKey::Domain, &AddressFilter::default()).await.is_err());
        assert!(viewer.address_groups(GroupKey::Reason, &AddressFilter::default()).await.is_ok());
        fixture.close().await;
    }
}
