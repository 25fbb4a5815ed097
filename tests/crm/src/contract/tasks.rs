//! Tasks in diaries.

use domain::crm::{Company, Crm, NewTask};

use super::{World, somebody};

pub(super) async fn are_made_once(crm: &dyn Crm, world: &dyn World) {
    let ([company, _], [owner, other_owner]) = (world.companies().await, world.owners().await);
    let mut ada = somebody("Ada", &["ada@tasks.example"]);
    ada.company = Some(Company { id: company.clone(), name: String::new() });
    let person = world.enter(&ada).await;
    let earlier = world.tasks().await.len();
    let task = NewTask {
        key: "0190b-one".to_owned(),
        owner: owner.clone(),
        person: person.clone(),
        company: Some(company),
        title: "Ask for the new address".to_owned(),
        description: Some("Her mailbox does not exist any more".to_owned()),
        due: Some("2026-05-04T00:00:00Z".parse().expect("a day")),
    };
    let id = crm.create_task(&task, false).await.expect("made");
    assert_eq!(crm.create_task(&task, true).await.expect("found"), id, "a try that got no answer is found again");
    let second = NewTask { key: "0190b-two".to_owned(), due: None, description: None, company: None, ..task.clone() };
    let second_id = crm.create_task(&second, true).await.expect("made");
    let third = NewTask { key: "0190b-three".to_owned(), owner: other_owner.clone(), ..task.clone() };
    let third_id = crm.create_task(&third, true).await.expect("made");
    assert_eq!(crm.create_task(&task, true).await.expect("found"), id);

    let tasks = world.tasks().await;
    assert_eq!(tasks.len(), earlier + 3);
    let seen = |id: &str| tasks.iter().find(|task| task.id == id).expect("there");
    let first = seen(&id);
    assert_eq!((&first.owner, &first.person, &first.title), (&owner, &person, &task.title));
    assert!(first.description.starts_with("Her mailbox does not exist any more"), "{}", first.description);
    assert_eq!(first.due, task.due);
    assert_eq!(seen(&second_id).owner, owner);
    assert_eq!(seen(&third_id).owner, other_owner);
}
