//! Reading persons.

use std::collections::BTreeSet;

use domain::Timestamp;
use domain::crm::{Company, Crm, Owner, Person, PersonQuery};

use super::{World, all, somebody};

async fn read(crm: &dyn Crm, changed_since: Option<Timestamp>) -> Vec<Person> {
    all(async |after| crm.persons(&PersonQuery { changed_since, after }).await.expect("a page")).await
}

pub(super) async fn are_read(crm: &dyn Crm, world: &dyn World) {
    let ([company, _], [owner, _]) = (world.companies().await, world.owners().await);
    let mut ada = somebody("Ada Lovelace", &["ada@contract.example", "countess@contract.example"]);
    ada.company = Some(Company { id: company.clone(), name: String::new() });
    ada.owner = Some(Owner { id: owner.clone(), name: String::new(), is_active: true });
    let ada_id = world.enter(&ada).await;
    let mut left = somebody("O'Neill, \"Left\" & gone", &["left@contract.example"]);
    (left.is_former_employee, left.no_mailing) = (true, true);
    let left_id = world.enter(&left).await;
    let bare_id = world.enter(&Person::default()).await;

    let persons = read(crm, None).await;
    let ids: BTreeSet<&str> = persons.iter().map(|person| person.id.as_str()).collect();
    assert_eq!(ids.len(), persons.len(), "each once");
    for id in [&ada_id, &left_id, &bare_id] {
        let listed = persons.iter().find(|person| person.id == *id).expect("former employees as well");
        let alone = crm.person(id).await.expect("answered").expect("there");
        assert_eq!(*listed, alone, "a person is the same alone and in a list");
    }
    let found = crm.person(&ada_id).await.expect("answered").expect("there");
    assert_eq!(found.name.as_deref(), Some("Ada Lovelace"));
    assert_eq!(found.emails, ada.emails, "the one to write to first");
    let found_company = found.company.expect("a company");
    assert_eq!(found_company.id, company);
    assert!(!found_company.name.is_empty());
    let found_owner = found.owner.expect("an owner");
    assert_eq!((found_owner.id, found_owner.is_active), (owner, true));
    assert!(!found_owner.name.is_empty());
    assert!(!found.is_former_employee && !found.no_mailing);
    let found = crm.person(&left_id).await.expect("answered").expect("there");
    assert!(found.is_former_employee && found.no_mailing);
    assert_eq!(found.name, left.name);

    world.remove(&left_id).await;
    assert_eq!(crm.person(&left_id).await.expect("answered"), None);
    assert!(!read(crm, None).await.iter().any(|person| person.id == left_id));
    for id in ["", "0", "nobody", "999999999999", "../1"] {
        assert_eq!(crm.person(id).await.expect("answered"), None, "{id}");
    }
}

pub(super) async fn that_changed_are_read(crm: &dyn Crm, world: &dyn World) {
    let before = world.enter(&somebody("Before", &["before@contract.example"])).await;
    let readdressed = world.enter(&somebody("Moved", &["old@contract.example", "other@contract.example"])).await;
    let since = world.an_hour_later().await;
    let after = world.enter(&somebody("After", &["after@contract.example"])).await;
    world.readdress(&readdressed, "new@contract.example").await;
    let changed = read(crm, Some(since)).await;
    let found = |id: &str| changed.iter().find(|person| person.id == id);
    assert!(found(&before).is_none(), "who did not change for an hour is not read again");
    assert!(found(&after).is_some());
    let emails = &found(&readdressed).expect("an address is a change, too").emails;
    assert_eq!(*emails, ["new@contract.example", "other@contract.example"]);
    let later = world.an_hour_later().await;
    assert_eq!(read(crm, Some(later)).await, []);
}
