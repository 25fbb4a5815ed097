//! Pages by key, and only what changed.

use std::collections::BTreeSet;

use domain::Clock;
use domain::crm::{Crm, CrmError, ListKind, Member, PersonQuery};

use super::Site;

#[tokio::test]
async fn persons_are_read_by_key_a_thousand_at_a_time() {
    let site = Site::new();
    site.server.generate(2_500);
    site.server.change(7, |person| {
        person.deleted = true;
    });
    site.server.change(2_000, |person| person.retired = true);
    let persons = site.all_persons().await.expect("read");
    let ids: Vec<i64> = persons.iter().map(|person| person.id.parse().expect("a number")).collect();
    let expected: Vec<i64> = (1..=2_500).filter(|id| *id != 7).collect();
    assert_eq!(ids, expected);
    assert!(persons.iter().all(|person| person.emails == [format!("person{}@example.com", person.id)]));
    assert!(persons.iter().find(|person| person.id == "2000").is_some_and(|person| person.is_former_employee));

    let requests = site.server.requests();
    let pages: Vec<&str> = requests
        .iter()
        .filter(|seen| seen.path == "Person")
        .map(|seen| seen.parameter("$filter").expect("a filter"))
        .collect();
    assert_eq!(pages, ["personId gt 0", "personId gt 1001", "personId gt 2001"]);
    assert_eq!(site.server.count("MDOList/associate"), 1, "users are asked for once in a while");
}

#[tokio::test]
async fn who_is_removed_between_pages_moves_nobody_past_the_reader() {
    let site = Site::new();
    site.server.generate(1_500);
    let first = site.crm.persons(&PersonQuery::default()).await.expect("a page");
    for id in 1..=400 {
        site.server.change(id, |person| person.deleted = true);
    }
    let query = PersonQuery { after: first.next, ..PersonQuery::default() };
    let second = site.crm.persons(&query).await.expect("a page");
    assert_eq!((first.rows.len(), second.rows.len(), second.next), (1_000, 500, None));
}

#[tokio::test]
async fn only_what_changed_is_asked_for() {
    let site = Site::new();
    site.server.generate(20_000);
    site.clock.pass(86_400);
    let since = site.clock.now();
    site.clock.pass(60);
    for id in 1..=120 {
        site.server.change(id * 100, |person| person.name.push('!'));
    }
    for id in 1..=30 {
        site.server.change(id * 100 + 1, |person| person.emails[0].address = format!("new{id}@example.com"));
    }
    let (mut found, mut query) = (BTreeSet::new(), PersonQuery { changed_since: Some(since), after: None });
    loop {
        let page = site.crm.persons(&query).await.expect("a page");
        found.extend(page.rows.into_iter().map(|person| person.id.parse::<i64>().expect("a number")));
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    let expected: BTreeSet<i64> = (1..=120).map(|id| id * 100).chain((1..=30).map(|id| id * 100 + 1)).collect();
    assert_eq!(found, expected);
    let requests = site
        .server
        .requests()
        .into_iter()
        .filter(|seen| seen.path.starts_with("Person") || seen.path.starts_with("Archive"));
    assert!(requests.count() <= 10, "{:#?}", site.server.requests().iter().map(|seen| &seen.path).collect::<Vec<_>>());
}

/// The persons that changed since then.
async fn changed(site: &Site, since: domain::Timestamp) -> Vec<domain::crm::Person> {
    let (mut found, mut query) = (Vec::new(), PersonQuery { changed_since: Some(since), after: None });
    loop {
        let page = site.crm.persons(&query).await.expect("a page");
        found.extend(page.rows);
        query.after = page.next;
        if query.after.is_none() {
            return found;
        }
    }
}

#[tokio::test]
async fn the_persons_of_a_company_change_with_its_owner_and_name() {
    let site = Site::new();
    site.server.generate(400);
    // More of them than are read at once, and one with an owner of their own.
    for id in 101..=250 {
        site.server.change(id, |person| person.company = 7);
    }
    site.server.change(150, |person| person.associate = 3);
    site.clock.pass(86_400);
    let since = site.clock.now();
    site.clock.pass(60);
    site.server.change_company(7, |company| (company.name, company.associate) = ("Renamed".to_owned(), 1));
    let found = changed(&site, since).await;
    let ids: Vec<i64> = found.iter().map(|person| person.id.parse().expect("a number")).collect();
    assert_eq!(ids, (61..=70).chain(101..=250).collect::<Vec<i64>>(), "each once, and nobody else");
    for person in &found {
        assert_eq!(person.company.as_ref().map(|company| company.name.as_str()), Some("Renamed"));
        let owner = person.owner.as_ref().map(|owner| owner.id.as_str());
        assert_eq!(owner, Some(if person.id == "150" { "3" } else { "1" }));
    }
    site.clock.pass(3_600);
    assert_eq!(changed(&site, site.clock.now()).await, []);
}

#[tokio::test]
async fn where_companies_cannot_be_asked_for_the_rest_is_read() {
    let site = Site::new();
    site.server.generate(30);
    site.clock.pass(86_400);
    let since = site.clock.now();
    site.clock.pass(60);
    site.server.change(3, |person| person.name.push('!'));
    site.server.change(4, |person| person.emails[0].address = "new@example.com".to_owned());
    site.server.refuse_column("person.contact_id.updated");
    let found: Vec<String> = changed(&site, since).await.into_iter().map(|person| person.id).collect();
    assert_eq!(found, ["3", "4"]);
    let account = site.crm.check().await.expect("reached");
    let refused: Vec<&str> =
        account.rights.iter().filter(|right| right.allowed == Some(false)).map(|right| right.what.as_str()).collect();
    assert_eq!(refused, ["see which companies have changed"]);
}

#[tokio::test]
async fn all_persons_of_a_large_tenant_are_two_requests_a_thousand() {
    let site = Site::new();
    site.server.generate(20_000);
    let (mut read, mut query) = (0, PersonQuery::default());
    loop {
        let page = site.crm.persons(&query).await.expect("a page");
        read += page.rows.len();
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    assert_eq!(read, 20_000);
    // Besides the tenant, a token, and the users.
    assert_eq!(site.server.requests().len(), 43);
}

#[tokio::test]
async fn owners_are_the_persons_own_or_the_companys_and_may_have_left() {
    let site = Site::new();
    site.server.generate(30);
    site.server.change(12, |person| person.associate = 4);
    site.server.change(25, |person| person.company = 0);
    let owner = async |id: &str| site.crm.person(id).await.expect("answered").expect("there").owner;
    let own = owner("12").await.expect("an owner");
    assert_eq!((own.id.as_str(), own.name.as_str(), own.is_active), ("4", "Dana Weg", false));
    // Company 2 belongs to user 3.
    let companys = owner("13").await.expect("an owner");
    assert_eq!((companys.id.as_str(), companys.name.as_str(), companys.is_active), ("3", "Chris Dahl", true));
    assert_eq!(owner("25").await, None);
}

#[tokio::test]
async fn members_are_read_by_key_and_each_once() {
    let site = Site::new();
    site.server.generate(2_200);
    for kind in [ListKind::Selection, ListKind::Project] {
        let new = domain::crm::NewList { key: "k".to_owned(), kind, name: "All".to_owned(), description: None };
        let list = site.crm.create_list(&new, false).await.expect("made");
        let member = |id: i64| Member { person: id.to_string(), company: Some(((id - 1) / 10 + 1).to_string()) };
        let all: Vec<Member> = (1..=2_200).map(member).collect();
        for part in all.chunks(500) {
            site.crm.add_members(kind, &list, part).await.expect("added");
        }
        // Somebody is careless.
        site.crm.add_members(kind, &list, &all[900..1_100]).await.expect("added");
        let number = list.parse().expect("a number");
        assert_eq!(site.server.members(kind, number).len(), 2_400);
        let (mut found, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = site.crm.members(kind, &list, after.as_deref()).await.expect("a page");
            assert!(page.rows.len() <= 1_000);
            found.extend(page.rows);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, all);
        site.crm.remove_members(kind, &list, &all[1_000..1_100]).await.expect("removed");
        assert_eq!(site.server.members(kind, number).len(), 2_200, "both times that they were there");
        let too_many = site.crm.add_members(kind, &list, &all[..501]).await.expect_err("too many");
        assert!(matches!(too_many, CrmError::Refused(_)), "{too_many:?}");
    }
    assert!(site.server.requests().iter().all(|seen| seen.parameter("$skip").is_none()));
}
