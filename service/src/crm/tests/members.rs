//! Nobody twice on a list, and nobody left out, whatever happens.

use domain::crm::ListKind;
use domain::health::AddressHealth;
use serde_json::json;

use super::{How, World, moods};
use crate::addresses::complaints::ComplaintFilter;
use crate::addresses::{AddressFilter, AddressSet};
use crate::crm::members::Target;
use crate::crm::{ListQuery, Persons};
use crate::error::{RefusalCode, ServiceError};
use crate::jobs::JobState;
use crate::recipients::paging::PageArgs;
use crate::recipients::{RecipientFilter, RecipientSet, RecipientsWhere};
use crate::subject::Subject;

fn new(name: &str) -> Target {
    Target::New { name: name.to_owned(), description: None }
}

/// Who is on the only list of the CRM, in order.
fn on_the_list(world: &World) -> Vec<String> {
    let mut members = world.crm.with(|state| {
        assert_eq!(state.lists.len(), 1, "it was made once");
        state.lists.values().next().map(|(_, _, members)| members.clone()).unwrap_or_default()
    });
    members.sort_by_key(|person| person.trim_start_matches('p').parse::<usize>().expect("a number"));
    members
}

fn everybody(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("p{number}")).collect()
}

async fn add(world: &World, target: Target) -> i64 {
    let persons = Persons::Recipients(world.everybody());
    world.marketer().add_to_list(ListKind::Selection, persons, target).await.expect("ordered").id
}

#[tokio::test]
async fn whatever_fails_each_person_gets_on_the_list_once() {
    for seed in 0..5 {
        for world in World::each(1_203, 2).await {
            world.crm.expect(moods(seed, 60));
            let job = add(&world, new("Call them")).await;
            let result = world.work_off(job).await;
            assert_eq!(on_the_list(&world), everybody(1_203), "seed {seed}");
            assert_eq!((&result["added"], &result["unchanged"]), (&json!(1_203), &json!(0)), "seed {seed}");
            let skipped = &result["skippedByReason"][0];
            assert_eq!((&skipped["reason"], &skipped["count"]), (&json!("NOT_IN_CRM"), &json!(2)));
            // Once more: they are all there.
            let job = add(&world, Target::Existing(1)).await;
            world.crm.expect(moods(seed + 100, 20));
            let result = world.work_off(job).await;
            assert_eq!((&result["added"], &result["unchanged"]), (&json!(0), &json!(1_203)), "seed {seed}");
            assert_eq!(on_the_list(&world), everybody(1_203));
            assert_eq!(world.count("SELECT member_count FROM selection").await, 1_203);
            world.close().await;
        }
    }
}

/// Also from clicks, blocked addresses, complaints and reminders: each names persons in its own way.
#[tokio::test]
async fn whoever_clicked_complained_or_is_blocked_can_be_added() {
    for world in World::each(6, 1).await {
        let campaign = world.fixture.campaign;
        for sql in [
            format!(
                "INSERT INTO tracked_link (id, campaign_id, url, url_hash) VALUES (5, {campaign}, 'https://x.example', 'h')"
            ),
            format!(
                "INSERT INTO click (campaign_id, id, recipient, link_id, occurred_at, verdict) VALUES ({campaign}, 1, 2, 5, 1, 0), ({campaign}, 2, 7, 5, 1, 0)"
            ),
            format!(
                "INSERT INTO complaint (campaign_id, recipient, address_id, complained_at) SELECT {campaign}, number, address_id, 1 FROM recipient WHERE number = 4"
            ),
            "UPDATE address SET health = 3, blocked_at = 1, block_reason = 1 WHERE email_key = 'p6@example.com'"
                .to_owned(),
        ] {
            crate::db::execute(world.services.db.write(), &sql, []).await.expect("changed");
        }
        let filter = RecipientFilter::ClickedLink(vec![5]);
        let clicked = RecipientSet::Where(RecipientsWhere { campaign, filter, search: None });
        let blocked = AddressFilter { health: vec![AddressHealth::Blocked], ..AddressFilter::default() };
        let mut expected = Vec::new();
        for (persons, person, skipped) in [
            (Persons::Recipients(clicked), "p2", 1),
            (Persons::Complaints(ComplaintFilter { campaign: Some(campaign), ..ComplaintFilter::default() }), "p4", 0),
            (Persons::Addresses(AddressSet::Where(blocked)), "p6", 0),
        ] {
            let target = if expected.is_empty() { new("Call them") } else { Target::Existing(1) };
            let job = world.marketer().add_to_list(ListKind::Selection, persons, target).await.expect("ordered");
            let result = world.work_off(job.id).await;
            let left_out = result["skippedByReason"].as_array().expect("a list").len();
            assert_eq!((&result["added"], left_out), (&json!(1), skipped), "{person}: {result}");
            expected.push(person.to_owned());
            assert_eq!(on_the_list(&world), expected);
        }
        world.close().await;
    }
}

#[tokio::test]
async fn who_was_put_there_in_the_crm_itself_is_not_added_again() {
    for world in World::each(10, 0).await {
        let job = add(&world, new("Call them")).await;
        world.work_off(job).await;
        world.crm.with(|state| {
            let (_, _, members) = state.lists.values_mut().next().expect("a list");
            members.retain(|person| person == "p1" || person == "p2");
        });
        // Our tables still say that all of them are on it; reading it first tells otherwise.
        let job = add(&world, Target::Existing(1)).await;
        let result = world.work_off(job).await;
        assert_eq!(on_the_list(&world), everybody(10));
        assert_eq!((&result["added"], &result["unchanged"]), (&json!(8), &json!(2)));
        world.close().await;
    }
}

#[tokio::test]
async fn one_whom_the_crm_refuses_costs_nobody_else_the_place() {
    for world in World::each(40, 0).await {
        world.crm.with(|state| state.refused = vec!["p7".to_owned(), "p33".to_owned()]);
        let job = add(&world, new("Call them")).await;
        let result = world.work_off(job).await;
        let wanted: Vec<String> = everybody(40).into_iter().filter(|id| id != "p7" && id != "p33").collect();
        assert_eq!(on_the_list(&world), wanted);
        assert_eq!(result["added"], json!(38));
        let refused = world.fixture.rows("SELECT id FROM person WHERE crm_id IN ('p7', 'p33') ORDER BY id").await;
        let id = |row: &sea_orm::QueryResult| format!("person:{}", row.try_get_by_index::<i64>(0).expect("an id"));
        let examples: Vec<String> = refused.iter().map(id).collect();
        let skipped = json!([{ "reason": "REFUSED_BY_CRM", "count": 2, "examples": examples }]);
        assert_eq!(result["skippedByReason"], skipped);
        world.close().await;
    }
}

#[tokio::test]
async fn two_jobs_have_a_list_in_hand_one_after_the_other() {
    for world in World::each(30, 0).await {
        let (first, second) = (add(&world, new("Call them")).await, add(&world, Target::Existing(1)).await);
        let job = world.claim(first).await.expect("a job");
        world.crm.expect([How::Well, How::Busy]); // the list is made, nobody is added
        let error = super::run(&world.services, &job).await.expect_err("the CRM is busy");
        assert!(matches!(error, ServiceError::Later { .. }), "{error:?}");
        let waiting = world.claim(second).await.expect("a job");
        let error = super::run(&world.services, &waiting).await.expect_err("it waits");
        assert!(matches!(error, ServiceError::Later { why: "another job has the same list in hand", .. }), "{error:?}");
        crate::jobs::postpone(&world.services, &job, "later", world.services.now()).await.expect("put off");
        world.work_off(first).await;
        world.work_off(second).await;
        assert_eq!(on_the_list(&world), everybody(30));
        world.close().await;
    }
}

#[tokio::test]
async fn who_is_removed_is_gone_whatever_fails() {
    for seed in 0..6 {
        for world in World::each(25, 0).await {
            let job = add(&world, new("Call them")).await;
            world.work_off(job).await;
            world.crm.expect(moods(seed, 10));
            let persons = Persons::Recipients(world.everybody());
            let job = world.marketer().remove_from_selection(persons, 1).await.expect("ordered");
            let result = world.work_off(job.id).await;
            assert_eq!((on_the_list(&world), &result["added"]), (Vec::new(), &json!(25)), "seed {seed}");
            assert_eq!(world.count("SELECT count(*) FROM selection_member").await, 0);
            world.close().await;
        }
    }
}

#[tokio::test]
async fn the_built_in_crm_has_lists_as_well() {
    for world in World::each(1_100, 1).await {
        let services = &world.fixture.services;
        let marketer = services.access(Subject::command_line()).marketer().expect("a marketer");
        let persons = Persons::Recipients(world.everybody());
        let job = marketer.add_to_list(ListKind::Project, persons, new("Spring")).await.expect("ordered");
        let job = world.claim(job.id).await.expect("a job");
        let changed = crate::crm::members::run(services, &job).await.expect("added");
        assert_eq!((changed.added, changed.unchanged), (1_100, 0));
        let reader = services.access(Subject::command_line()).reader();
        let query = ListQuery { list: ListKind::Project, kind: None, search: Some("spring".to_owned()) };
        let lists = reader.person_lists(&query, &PageArgs::default()).await.expect("read");
        let list = lists.rows.first().expect("a project");
        assert_eq!((list.name.as_str(), list.member_count, list.crm_id.as_deref()), ("Spring", 1_100, Some("1")));
        let members = reader.list_members(ListKind::Project, list.id, &PageArgs::default()).await.expect("read");
        assert!(members.rows.iter().all(|person| person.email.is_some() && person.name.is_some()));
        world.close().await;
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused() {
    for world in World::each(1, 0).await {
        let marketer = world.marketer();
        let persons = || Persons::Recipients(world.everybody());
        let refusal = |result: crate::error::Result<crate::jobs::Job>| match result {
            Err(ServiceError::Refused(refusal)) => (refusal.code, refusal.field.join(".")),
            other => panic!("not refused: {other:?}"),
        };
        let add = |target| marketer.add_to_list(ListKind::Selection, persons(), target);
        assert_eq!(refusal(add(Target::Existing(9)).await), (RefusalCode::NotFound, "selectionId".to_owned()));
        assert_eq!(refusal(add(new(" ")).await), (RefusalCode::Invalid, "newSelection.name".to_owned()));
        world.fixture.rows("SELECT 1").await;
        let sql = "INSERT INTO selection (key, crm_id, name, kind, created_by, created_at) VALUES ('x', 'x', 'Of the CRM', 2, 'crm', 0)";
        crate::db::execute(world.services.db.write(), sql, []).await.expect("stored");
        assert_eq!(refusal(add(Target::Existing(1)).await), (RefusalCode::Conflict, "selectionId".to_owned()));
        world.close().await;
    }
}

#[tokio::test]
async fn a_list_that_is_gone_in_the_crm_fails_the_job_and_says_so() {
    for world in World::each(3, 0).await {
        let job = add(&world, new("Call them")).await;
        world.work_off(job).await;
        world.crm.with(|state| state.lists.clear());
        let job = add(&world, Target::Existing(1)).await;
        let claimed = world.claim(job).await.expect("a job");
        let error = super::run(&world.services, &claimed).await.expect_err("refused");
        assert_eq!(error.to_string(), "the CRM does not know it (any more)");
        assert_ne!(world.marketer_reader_job(job).await.state, JobState::Succeeded);
        world.close().await;
    }
}
