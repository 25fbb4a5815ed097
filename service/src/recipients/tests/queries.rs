//! Searching, counting, what viewers see, and how many statements it takes.

use domain::privacy::HIDDEN;

use super::*;
use crate::error::{RefusalCode, ServiceError};

fn rows() -> Vec<Row> {
    let mut runner = TestRunner::deterministic();
    let mut rows = proptest::collection::vec(any_row(), 4).new_tree(&mut runner).expect("rows").current();
    let persons = [
        ("erika@example.com", Some("Erika Muster")),
        ("max@example.com", Some("MÜLLER")),
        ("jörg_1%@example.com", None),
        ("x@example.com", Some("Anna Müller")),
    ];
    for (row, (email, name)) in rows.iter_mut().zip(persons) {
        *row = Row { email, name, is_simulator: false, ..row.clone() };
    }
    rows
}

#[tokio::test]
async fn a_search_finds_parts_of_address_and_name_in_any_case() {
    for fixture in Fixture::each(&rows()).await {
        let reader = fixture.reader(Role::Marketer);
        for (search, wanted) in [
            ("ERIKA", vec![1]),
            ("muster", vec![1]),
            (" müller ", vec![2, 4]),
            ("MÜLLER", vec![2, 4]),
            ("Müller", vec![2, 4]),
            ("_1%", vec![3]),
            ("g_1", vec![3]),
            ("e_ika", vec![]),
            ("%", vec![3]),
            ("\\", vec![]),
            ("", vec![1, 2, 3, 4]),
        ] {
            let query =
                RecipientQuery { campaign: CAMPAIGN, search: Some(search.to_owned()), ..RecipientQuery::default() };
            let page = reader.recipients(&query, &PageArgs::default(), false).await.expect("a page");
            let found: Vec<i64> = page.rows.iter().map(|row| row.key.number).collect();
            assert_eq!(found, wanted, "{search:?}");
        }
        fixture.close().await;
    }
}

#[tokio::test]
async fn counting_ends_where_it_shall_and_the_roll_up_is_asked_where_it_knows() {
    for fixture in Fixture::each(&rows()).await {
        let reader = fixture.reader(Role::Marketer);
        let query = RecipientQuery { campaign: CAMPAIGN, ..RecipientQuery::default() };
        assert_eq!(reader.count_recipients(&query, 2).await.expect("a count"), Count { value: 4, exact: true });
        let searched = RecipientQuery { search: Some("example.com".to_owned()), ..query.clone() };
        assert_eq!(reader.count_recipients(&searched, 2).await.expect("a count"), Count { value: 2, exact: false });
        assert_eq!(reader.count_recipients(&searched, 4).await.expect("a count"), Count { value: 4, exact: true });
        assert!(reader.count_recipients(&query, -1).await.is_err());
        fixture.close().await;
    }
}

#[tokio::test]
async fn viewers_see_no_personal_data_and_may_not_ask_for_it() {
    for fixture in Fixture::each(&rows()).await {
        let reader = fixture.reader(Role::Viewer);
        let query = RecipientQuery { campaign: CAMPAIGN, ..RecipientQuery::default() };
        let page = reader.recipients(&query, &PageArgs::default(), true).await.expect("a page");
        assert_eq!(page.rows.len(), 4);
        for row in &page.rows {
            let details = row.details.as_deref().expect("details");
            assert_eq!((row.email.as_str(), &row.name, &row.company), (HIDDEN, &None, &None));
            assert_eq!(
                (&details.owner, &details.crm_id, &details.attributes, &details.bounce_reason),
                (&None, &None, &None, &None)
            );
        }
        let forbidden = [
            RecipientQuery { order: RecipientOrder::Email, ..query.clone() },
            RecipientQuery { search: Some("erika".to_owned()), ..query.clone() },
            RecipientQuery { filter: RecipientFilter::Domain(vec!["example.com".to_owned()]), ..query.clone() },
            RecipientQuery { filter: RecipientFilter::Owner(vec!["anna".to_owned()]), ..query.clone() },
        ];
        for query in &forbidden {
            for error in [
                reader.recipients(query, &PageArgs::default(), false).await.err(),
                reader.count_recipients(query, 10).await.err(),
            ] {
                assert!(
                    matches!(error, Some(ServiceError::Refused(refusal)) if refusal.code == RefusalCode::Forbidden),
                    "{query:?}"
                );
            }
        }
        fixture.close().await;
    }
}

#[tokio::test]
async fn a_page_is_one_statement() {
    for fixture in Fixture::each(&rows()).await {
        let reader = fixture.reader(Role::Marketer);
        let query = RecipientQuery { campaign: CAMPAIGN, ..RecipientQuery::default() };
        let args = PageArgs { first: Some(2), ..PageArgs::default() };
        let page = reader.recipients(&query, &args, true).await.expect("a page");
        assert_eq!(fixture.statements(), 1);
        let args = PageArgs { after: page.end_cursor().expect("sealed"), ..args };
        reader.recipients(&query, &args, true).await.expect("a page");
        assert_eq!(fixture.statements(), 1);
        reader.campaign(CAMPAIGN).await.expect("a campaign").expect("there");
        assert_eq!(fixture.statements(), 1);
        let keys: Vec<RecipientKey> = (1..=4).map(|number| RecipientKey { campaign: CAMPAIGN, number }).collect();
        assert_eq!(reader.recipients_by_key(&keys).await.expect("recipients").len(), 4);
        assert_eq!(fixture.statements(), 1);
        fixture.close().await;
    }
}
