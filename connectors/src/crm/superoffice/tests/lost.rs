//! Answers that are lost, late, torn or broken.

use std::time::Duration;

use crm_testing::superoffice::Misbehaviour;
use domain::crm::{Bounce, Crm, ListKind, Member, NewTask};

use super::{Site, is_unavailable};

const BROKEN: Misbehaviour = Misbehaviour::Answer { status: 500, retry_after: None };

#[tokio::test]
async fn reading_goes_on_after_one_failure() {
    for what in [BROKEN, Misbehaviour::LoseAnswer, Misbehaviour::TearBody] {
        for path in ["api/state", "oauth/tokens", "GET Person", "GET Archive", "MDOList"] {
            let site = Site::new();
            site.server.generate(1_200);
            site.server.misbehave(path, 1, what.clone());
            assert_eq!(site.all_persons().await.expect("read").len(), 1_200, "{path} {what:?}");
        }
    }
}

#[tokio::test]
async fn reading_that_fails_for_good_has_changed_nothing() {
    let site = Site::new();
    site.server.misbehave("GET Person", 3, BROKEN);
    let error = site.all_persons().await.expect_err("broken");
    assert!(is_unavailable(&error, false), "{error:?}");
    assert!(super::chain(&error).contains("500 (SoInternalException)"));
}

#[tokio::test]
async fn a_list_whose_answer_is_lost_is_found_again() {
    for what in [Misbehaviour::LoseAnswer, Misbehaviour::TearBody, Misbehaviour::NeverAnswer] {
        let site = Site::with(|settings| settings.timeout = Duration::from_millis(700));
        site.server.misbehave("POST Selection", 1, what.clone());
        let error = site.list("key-1", false).await.expect_err("no answer");
        assert!(is_unavailable(&error, true), "{what:?} {error:?}");
        assert_eq!(site.server.count("POST Selection"), 1, "what may have happened is not done again");
        let id = site.list("key-1", true).await.expect("found");
        let lists = site.server.lists(ListKind::Selection);
        assert_eq!(lists.iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>(), [id]);
    }
}

#[tokio::test]
async fn a_list_that_was_not_made_is_made_by_the_next_try() {
    let site = Site::new();
    site.server.misbehave("POST Selection", 1, BROKEN);
    let error = site.list("key-1", false).await.expect_err("broken");
    assert!(is_unavailable(&error, true), "nobody can know: {error:?}");
    site.list("key-1", true).await.expect("made");
    assert_eq!(site.server.lists(ListKind::Selection).len(), 1);
}

#[tokio::test]
async fn a_task_whose_answer_is_lost_is_found_again() {
    let site = Site::new();
    site.server.generate(10);
    let task = NewTask {
        key: "task-1".to_owned(),
        owner: "1".to_owned(),
        person: "3".to_owned(),
        company: Some("1".to_owned()),
        title: "Ask".to_owned(),
        description: None,
        due: None,
    };
    site.server.misbehave("POST Appointment", 1, Misbehaviour::LoseAnswer);
    let error = site.crm.create_task(&task, false).await.expect_err("no answer");
    assert!(is_unavailable(&error, true), "{error:?}");
    for _ in 0..2 {
        site.crm.create_task(&task, true).await.expect("found");
        assert_eq!(site.server.count_tasks(), 1);
    }
}

#[tokio::test]
async fn members_and_bounces_whose_answer_is_lost_are_sent_once() {
    let site = Site::new();
    site.server.generate(10);
    for kind in [ListKind::Selection, ListKind::Project] {
        let new = domain::crm::NewList { key: "k".to_owned(), kind, name: "N".to_owned(), description: None };
        let list = site.crm.create_list(&new, false).await.expect("made");
        site.server.misbehave("AddPerson", 1, Misbehaviour::LoseAnswer);
        site.server.misbehave("AddProjectMembers", 1, Misbehaviour::LoseAnswer);
        let members = [Member { person: "3".to_owned(), company: Some("1".to_owned()) }];
        let error = site.crm.add_members(kind, &list, &members).await.expect_err("no answer");
        assert!(is_unavailable(&error, true), "{error:?}");
        assert_eq!(site.server.members(kind, list.parse().expect("a number")), [(3, 1)]);
        site.server.behave();
        // To remove somebody twice does no harm, so that is tried again.
        site.server.misbehave("RemovePerson", 1, Misbehaviour::LoseAnswer);
        site.server.misbehave("DeleteProjectMemberByIds", 1, Misbehaviour::LoseAnswer);
        site.crm.remove_members(kind, &list, &members).await.expect("removed");
        assert_eq!(site.server.members(kind, list.parse().expect("a number")), []);
        site.server.behave();
    }
    let bounce = Bounce { email: "person3@example.com".to_owned(), smtp_code: Some(550), reason: "no".to_owned() };
    site.server.misbehave("AddBounce", 1, Misbehaviour::LoseAnswer);
    let error = site.crm.add_bounce(&bounce).await.expect_err("no answer");
    assert!(is_unavailable(&error, true), "{error:?}");
    assert_eq!(site.server.count("AddBounce"), 1);
}

#[tokio::test]
async fn what_never_went_out_has_not_happened() {
    let site = Site::new();
    let url = site.server.url();
    site.crm.person("1").await.expect("answered");
    // Nobody listens on a port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let other = Site::with(|settings| settings.login_url = format!("http://{free}").parse().expect("a URL"));
    assert_ne!(url, format!("http://{free}"));
    let error = other.list("k", false).await.expect_err("nobody there");
    assert!(is_unavailable(&error, false), "{error:?}");
}
