//! Reading the CRM: all of it once, then what changed, from wherever it was interrupted.

use domain::crm::ListKind;
use serde_json::json;

use super::{World, moods};
use crate::crm::Persons;
use crate::crm::members::Target;
use crate::error::ServiceError;
use crate::jobs::{JobFilter, JobKind};
use crate::subject::Subject;

#[tokio::test]
async fn all_persons_are_read_whatever_fails_and_then_only_those_that_changed() {
    for seed in 0..4 {
        for world in World::each(950, 0).await {
            crate::db::execute(world.services.db.write(), "DELETE FROM person", []).await.expect("emptied");
            world.crm.expect(moods(seed, 30));
            let job = world.marketer().sync_crm(true).await.expect("ordered");
            let result = world.work_off(job.id).await;
            assert_eq!((&result["persons"], &result["changed"]), (&json!(950), &json!(950)), "seed {seed}");
            assert_eq!(world.count("SELECT count(*) FROM person WHERE deleted_at IS NULL").await, 950);
            assert_eq!(world.count("SELECT count(*) FROM person_email").await, 950);
            world.fixture.clock.advance_seconds(86_400);
            let now = world.services.now();
            world.crm.with(|state| {
                state.asked.clear();
                for number in [3, 500, 901] {
                    let (person, at) = state.persons.get_mut(&format!("p{number}")).expect("a person");
                    person.emails.insert(0, format!("new{number}@example.com"));
                    *at = now;
                }
            });
            world.crm.expect(moods(seed + 50, 5));
            let job = world.marketer().sync_crm(false).await.expect("ordered");
            let result = world.work_off(job.id).await;
            assert_eq!((&result["persons"], &result["changed"]), (&json!(3), &json!(0)), "no column of theirs differs");
            let moved = "SELECT count(*) FROM person_email WHERE email_key LIKE 'new%' AND rank = 0";
            assert_eq!(world.count(moved).await, 3);
            assert_eq!(world.count("SELECT count(*) FROM person_email WHERE rank = 1").await, 3);
            world.close().await;
        }
    }
}

#[tokio::test]
async fn who_is_gone_is_noticed_and_who_is_back_as_well() {
    for world in World::each(20, 0).await {
        let gone = world.crm.with(|state| state.persons.remove("p5").expect("a person"));
        world.fixture.clock.advance_seconds(1);
        let job = world.marketer().sync_crm(true).await.expect("ordered");
        assert_eq!(world.work_off(job.id).await["gone"], json!(1));
        assert_eq!(world.count("SELECT count(*) FROM person WHERE deleted_at IS NOT NULL AND crm_id = 'p5'").await, 1);
        world.crm.with(|state| state.persons.insert("p5".to_owned(), gone));
        let job = world.marketer().sync_crm(true).await.expect("ordered");
        world.work_off(job.id).await;
        assert_eq!(world.count("SELECT count(*) FROM person WHERE deleted_at IS NOT NULL").await, 0);
        world.close().await;
    }
}

#[tokio::test]
async fn a_crm_that_shows_next_to_nobody_is_not_believed() {
    for world in World::each(20, 0).await {
        world.crm.with(|state| state.persons.retain(|id, _| id == "p1"));
        world.fixture.clock.advance_seconds(1);
        let job = world.marketer().sync_crm(true).await.expect("ordered");
        let job = world.claim(job.id).await.expect("a job");
        let error = super::run(&world.services, &job).await.expect_err("refused");
        assert!(matches!(&error, ServiceError::Refused(refusal) if refusal.message.contains("1 of 20")), "{error:?}");
        assert_eq!(world.count("SELECT count(*) FROM person WHERE deleted_at IS NOT NULL").await, 0);
        assert_eq!(world.count("SELECT count(*) FROM crm_sync WHERE last_error IS NOT NULL").await, 1);
        world.close().await;
    }
}

#[tokio::test]
async fn members_who_left_and_joined_in_the_crm_are_noticed() {
    for world in World::each(250, 0).await {
        let target = Target::New { name: "Call them".to_owned(), description: None };
        let persons = Persons::Recipients(world.everybody());
        let job = world.marketer().add_to_list(ListKind::Selection, persons, target).await.expect("ordered");
        world.work_off(job.id).await;
        world.crm.with(|state| {
            let (_, name, members) = state.lists.values_mut().next().expect("a list");
            members.retain(|person| person != "p9");
            *name = "Called".to_owned();
            state.lists.insert("l9".to_owned(), (ListKind::Project, "Fair".to_owned(), vec!["p9".to_owned()]));
        });
        world.crm.expect(moods(3, 12));
        let job = world.marketer().sync_selections(None).await.expect("ordered");
        assert_eq!(world.work_off(job.id).await["lists"], json!(1), "nobody uses the project here");
        assert_eq!(world.count("SELECT member_count FROM selection WHERE name = 'Called'").await, 249);
        assert_eq!(world.count("SELECT count(*) FROM project WHERE name = 'Fair' AND synced_at IS NULL").await, 1);
        world.crm.with(|state| state.lists.clear());
        let job = world.marketer().sync_selections(None).await.expect("ordered");
        world.work_off(job.id).await;
        assert_eq!(world.count("SELECT count(*) FROM selection WHERE deleted_at IS NULL").await, 0);
        world.close().await;
    }
}

#[tokio::test]
async fn the_crm_s_own_word_brings_a_reading_and_many_words_bring_one() {
    for world in World::each(1, 0).await {
        assert!(!world.services.hear_crm(&[], b"forged").await.expect("heard"));
        for _ in 0..5 {
            assert!(world.services.hear_crm(&[], b"signed").await.expect("heard"));
        }
        let reader = world.services.access(Subject::command_line()).reader();
        let filter = JobFilter { kind: Some(JobKind::SyncCrm), state: None };
        assert_eq!(reader.jobs(&filter, None, 10).await.expect("read").len(), 1);
        world.close().await;
    }
}
