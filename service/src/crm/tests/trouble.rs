//! Members whom the CRM refuses, jobs that were called off in the middle, and recipients who are the same person.

use domain::crm::ListKind;
use serde_json::json;

use super::{How, World};
use crate::crm::Persons;
use crate::crm::lists::state;
use crate::crm::members::{Target, sql_of_count, sql_of_next};
use crate::error::ServiceError;
use crate::jobs::{self, JobState};
use crate::recipients::paging::PageArgs;
use crate::subject::Subject;

impl World {
    async fn add_everybody(&self, target: Target) -> i64 {
        let persons = Persons::Recipients(self.everybody());
        self.marketer().add_to_list(ListKind::Selection, persons, target).await.expect("ordered").id
    }

    async fn remove_everybody(&self) -> i64 {
        let persons = Persons::Recipients(self.everybody());
        self.marketer().remove_from_selection(persons, 1).await.expect("ordered").id
    }

    /// How many members our own tables show of the first selection.
    async fn shown(&self) -> usize {
        let reader = self.services.access(Subject::command_line()).reader();
        let page = reader.list_members(ListKind::Selection, 1, &PageArgs::default()).await.expect("read");
        page.rows.len()
    }

    fn on_list(&self) -> usize {
        self.crm.with(|state| state.lists.values().map(|(_, _, members)| members.len()).sum())
    }

    /// Works at a job until the CRM is busy, and puts it off.
    async fn interrupt(&self, id: i64, moods: &[How]) {
        self.crm.expect(moods.iter().copied());
        let job = self.claim(id).await.expect("a job");
        let error = super::run(&self.services, &job).await.expect_err("the CRM is busy");
        assert!(matches!(error, ServiceError::Later { .. }), "{error:?}");
        assert!(jobs::postpone(&self.services, &job, "later", self.services.now()).await.expect("put off"));
    }

    /// Works at a job that the CRM refuses; what it says.
    async fn fail(&self, id: i64) -> String {
        let job = self.claim(id).await.expect("a job");
        let error = super::run(&self.services, &job).await.expect_err("refused");
        assert!(matches!(error, ServiceError::Refused(_)), "{error:?}");
        let now = self.services.now();
        assert!(jobs::fail(&self.services, &job, &error.to_string(), None, now).await.expect("given up"));
        error.to_string()
    }
}

fn new() -> Target {
    Target::New { name: "Call them".to_owned(), description: None }
}

#[tokio::test]
async fn who_was_not_removed_after_all_is_a_member_still() {
    for world in World::each(10, 0).await {
        let job = world.add_everybody(new()).await;
        world.work_off(job).await;
        let removal = world.remove_everybody().await;
        world.interrupt(removal, &[How::Well, How::Busy]).await;
        assert_eq!(world.shown().await, 0, "they are being removed");
        world.marketer().cancel_job(removal).await.expect("called off");
        assert_eq!(world.shown().await, 10, "and are not");
        let reading = world.marketer().sync_selections(Some(vec![1])).await.expect("ordered").id;
        world.work_off(reading).await;
        assert_eq!(world.count("SELECT member_count FROM selection").await, 10);
        world.crm.with(|state| state.asked.clear());
        let job = world.add_everybody(Target::Existing(1)).await;
        let result = world.work_off(job).await;
        assert_eq!((&result["added"], &result["unchanged"]), (&json!(0), &json!(10)));
        assert!(!world.crm.with(|state| state.asked.contains(&"add_members".to_owned())));
        // Tried again, the removal removes them.
        world.marketer().retry_job(removal).await.expect("tried again");
        let result = world.work_off(removal).await;
        assert_eq!((&result["added"], world.on_list(), world.shown().await), (&json!(10), 0, 0));
        world.close().await;
    }
}

#[tokio::test]
async fn who_left_the_list_while_a_removal_was_called_off_is_gone() {
    for world in World::each(10, 0).await {
        let job = world.add_everybody(new()).await;
        world.work_off(job).await;
        let removal = world.remove_everybody().await;
        world.interrupt(removal, &[How::Well, How::Busy]).await;
        world.marketer().cancel_job(removal).await.expect("called off");
        world.crm.with(|state| state.lists.values_mut().for_each(|(_, _, members)| members.truncate(4)));
        let reading = world.marketer().sync_selections(Some(vec![1])).await.expect("ordered").id;
        world.work_off(reading).await;
        assert_eq!((world.count("SELECT member_count FROM selection").await, world.shown().await), (4, 4));
        world.close().await;
    }
}

#[tokio::test]
async fn a_job_that_is_tried_again_takes_the_list_in_hand_again() {
    for world in World::each(10, 0).await {
        let first = world.add_everybody(new()).await;
        world.interrupt(first, &[How::Well, How::Busy]).await; // the list is made, nobody is added
        world.marketer().cancel_job(first).await.expect("called off");
        let second = world.add_everybody(Target::Existing(1)).await;
        world.work_off(second).await;
        let removal = world.remove_everybody().await;
        world.interrupt(removal, &[How::Well, How::Busy]).await;
        world.marketer().retry_job(first).await.expect("tried again");
        let job = world.claim(first).await.expect("a job");
        let error = super::run(&world.services, &job).await.expect_err("it waits");
        assert!(matches!(error, ServiceError::Later { why: "another job has the same list in hand", .. }), "{error:?}");
        world.close().await;
    }
}

#[tokio::test]
async fn where_the_crm_refuses_everybody_the_job_gives_up_and_can_be_tried_again() {
    for world in World::each(600, 0).await {
        let everybody: Vec<String> = (1..=600).map(|number| format!("p{number}")).collect();
        world.crm.with(|state| state.refused = everybody);
        let job = world.add_everybody(new()).await;
        assert_eq!(world.fail(job).await, "the CRM refuses: one of them is not wanted");
        let asked = world.crm.with(|state| state.asked.iter().filter(|what| *what == "add_members").count());
        assert!(asked < 35, "{asked} requests");
        assert_eq!(
            world.count("SELECT count(*) FROM selection_member WHERE state = 1").await,
            600,
            "all are wanted still"
        );
        world.crm.with(|state| state.refused.clear());
        world.marketer().retry_job(job).await.expect("tried again");
        let result = world.work_off(job).await;
        assert_eq!((&result["added"], &result["skippedByReason"], world.on_list()), (&json!(600), &json!([]), 600));
        world.close().await;
    }
}

#[tokio::test]
async fn those_behind_whom_the_crm_refuses_are_added_when_the_job_is_tried_again() {
    for world in World::each(100, 0).await {
        // They are next to each other in the order of our ids.
        let sql = "SELECT crm_id FROM person ORDER BY id LIMIT 30";
        let first = world.fixture.rows(sql).await;
        let first: Vec<String> = first.iter().map(|row| row.try_get_by_index(0).expect("an id")).collect();
        world.crm.with(|state| state.refused = first);
        let job = world.add_everybody(new()).await;
        world.fail(job).await;
        world.marketer().retry_job(job).await.expect("tried again");
        world.fail(job).await;
        // Ten more were refused before it took somebody: they are left out. Those on whom it gave up came last, and are wanted still.
        assert_eq!(world.on_list(), 70);
        assert_eq!(world.count("SELECT count(*) FROM selection_member WHERE state = 1").await, 20);
        world.crm.with(|state| state.refused.truncate(3));
        world.marketer().retry_job(job).await.expect("tried again");
        let result = world.work_off(job).await;
        assert_eq!((world.on_list(), &result["skippedByReason"][0]["count"]), (87, &json!(13)));
        world.close().await;
    }
}

#[tokio::test]
async fn one_person_who_is_two_recipients_counts_once() {
    for world in World::each(1_050, 1).await {
        // Recipients are collected in two pieces: the first and the last one are the same person.
        let sql = "UPDATE recipient SET crm_id = (SELECT crm_id FROM recipient WHERE number = 1) WHERE email_key = 'other1@example.org'";
        crate::db::execute(world.services.db.write(), sql, []).await.expect("changed");
        let job = world.add_everybody(new()).await;
        let result = world.work_off(job).await;
        assert_eq!((&result["added"], &result["unchanged"]), (&json!(1_050), &json!(0)));
        let progress = world.marketer_reader_job(job).await.progress;
        assert_eq!((progress.done, progress.total), (1_050, Some(1_050)));
        let job = world.remove_everybody().await;
        let result = world.work_off(job).await;
        assert_eq!((&result["added"], &result["unchanged"]), (&json!(1_050), &json!(0)));
        assert_eq!(world.marketer_reader_job(job).await.state, JobState::Succeeded);
        world.close().await;
    }
}

#[tokio::test]
async fn what_is_still_to_be_done_is_found_by_its_index() {
    for world in World::each(1, 0).await {
        if world.services.db.is_postgres() {
            // It knows that whoever is in another state is not in that of a member.
            world.close().await;
            continue;
        }
        for table in ["selection_member", "project_member"] {
            for sql in [sql_of_next(table, state::WANTED, 500), sql_of_count(table, &[state::WANTED, state::IN_DOUBT])]
            {
                let sql = sql.replace("$1", "1").replace("$2", "2").replace("$3", "3");
                let plan = world.fixture.rows(&format!("EXPLAIN QUERY PLAN {sql}")).await;
                let plan: Vec<String> = plan.iter().map(|row| row.try_get("", "detail").expect("a text")).collect();
                let index = format!("{table}_open (list_id=? AND state=?");
                assert!(plan.iter().any(|line| line.contains(&index)), "{sql}: {plan:?}");
            }
        }
        world.close().await;
    }
}
