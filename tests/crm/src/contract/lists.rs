//! Selections and projects with their members.

use std::collections::BTreeSet;

use domain::crm::{Crm, CrmError, List, ListKind, Member, NewList, SelectionKind};

use super::{World, all, somebody};

async fn lists(crm: &dyn Crm, kind: ListKind) -> Vec<List> {
    all(async |after| crm.lists(kind, after.as_deref()).await.expect("a page")).await
}

async fn members(crm: &dyn Crm, kind: ListKind, list: &str) -> Vec<Member> {
    all(async |after| crm.members(kind, list, after.as_deref()).await.expect("a page")).await
}

pub(super) async fn are_read(crm: &dyn Crm, world: &dyn World) {
    let ways = [SelectionKind::Static, SelectionKind::Dynamic, SelectionKind::Combined];
    for (kind, ways) in [(ListKind::Selection, ways.as_slice()), (ListKind::Project, &ways[..1])] {
        for how in ways {
            let name = format!("{how} list for reading");
            let Some(id) = world.make_list(kind, &name, *how).await else { continue };
            let all = lists(crm, kind).await;
            let found = all.iter().find(|list| list.id == id).expect("listed");
            assert_eq!((&found.name, found.kind), (&name, *how));
            assert_eq!(members(crm, kind, &id).await, []);
        }
        for id in ["", "nothing", "999999999"] {
            let error = crm.members(kind, id, None).await.expect_err("there is no such list");
            assert!(matches!(error, CrmError::NotFound), "{error:?}");
        }
    }
}

fn new(kind: ListKind, key: &str) -> NewList {
    let description = Some("Who it did not reach".to_owned());
    NewList { key: key.to_owned(), kind, name: "It's \"made\" once".to_owned(), description }
}

pub(super) async fn are_made_once(crm: &dyn Crm, kind: ListKind) {
    let (one, two) = (new(kind, "0190a-one"), new(kind, "0190a-two"));
    let id = crm.create_list(&one, false).await.expect("made");
    assert_eq!(crm.create_list(&one, true).await.expect("found"), id, "a try that got no answer is found again");
    let other = crm.create_list(&two, true).await.expect("made");
    assert_ne!(other, id, "another list may have the same name");
    assert_eq!(crm.create_list(&one, true).await.expect("found"), id);
    let named: Vec<List> = lists(crm, kind).await.into_iter().filter(|list| list.name == one.name).collect();
    let ids: BTreeSet<&str> = named.iter().map(|list| list.id.as_str()).collect();
    assert_eq!(ids, BTreeSet::from([id.as_str(), other.as_str()]));
    assert!(named.iter().all(|list| list.kind == SelectionKind::Static));
}

pub(super) async fn gain_and_lose_members(crm: &dyn Crm, world: &dyn World, kind: ListKind) {
    let [company, _] = world.companies().await;
    let list = crm.create_list(&new(kind, "0190a-members"), false).await.expect("made");
    let mut all = Vec::new();
    for number in 0..7 {
        let mut person = somebody("Member", &[]);
        let of = (number % 2 == 0).then(|| company.clone());
        person.company = of.clone().map(|id| domain::crm::Company { id, name: String::new() });
        all.push(Member { person: world.enter(&person).await, company: of });
    }
    let set = |members: &[Member]| members.iter().cloned().collect::<BTreeSet<Member>>();
    crm.add_members(kind, &list, &all[..3]).await.expect("added");
    crm.add_members(kind, &list, &all[3..]).await.expect("added");
    crm.add_members(kind, &list, &[]).await.expect("nobody added");
    let found = members(crm, kind, &list).await;
    assert_eq!((found.len(), set(&found)), (7, set(&all)));
    for _ in 0..2 {
        crm.remove_members(kind, &list, &all[..2]).await.expect("removed, or not there any more");
        let found = members(crm, kind, &list).await;
        assert_eq!((found.len(), set(&found)), (5, set(&all[2..])));
    }
    crm.add_members(kind, &list, &all[..1]).await.expect("added again");
    assert_eq!(members(crm, kind, &list).await.len(), 6);
    let error = crm.add_members(kind, "999999999", &all[..1]).await.expect_err("no such list");
    assert!(matches!(error, CrmError::NotFound), "{error:?}");
}
