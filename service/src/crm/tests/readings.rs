//! Readings of the CRM beside each other and one after the other: what a late one says does not undo what a later one saw.

use domain::crm::{ListKind, Person};
use serde_json::json;

use super::{How, World};
use crate::crm::members::Target;
use crate::crm::read_members::{self, Reading};
use crate::crm::sync::Subject;
use crate::crm::{Persons, mirror};
use crate::error::ServiceError;
use crate::import::members::Members;
use crate::jobs::{self, JobFilter, JobKind, JobState};
use crate::schedule::{self, Tick};

impl World {
    /// A selection of this name with all recipients on it; returns its id.
    async fn selection(&self, name: &str) -> i64 {
        let target = Target::New { name: name.to_owned(), description: None };
        let persons = Persons::Recipients(self.everybody());
        let job = self.marketer().add_to_list(ListKind::Selection, persons, target).await.expect("ordered");
        self.work_off(job.id).await;
        self.count("SELECT max(id) FROM selection").await
    }

    /// The next page of a reading; where to go on.
    async fn page(&self, selection: i64, reading: &Reading) -> Option<Reading> {
        let read = read_members::page(&self.services, ListKind::Selection, selection, reading).await;
        let (transaction, next) = read.expect("read");
        transaction.commit().await.expect("committed");
        next
    }

    fn reading(&self) -> Reading {
        self.fixture.clock.advance_seconds(1);
        Reading::begin(&self.services)
    }

    /// Has a job worked at once; what stops it is an error.
    async fn try_job(&self, id: i64) -> Result<(), ServiceError> {
        let job = self.claim(id).await.expect("a job");
        let done = Box::pin(super::run(&self.services, &job)).await;
        match &done {
            Ok(()) => {}
            Err(ServiceError::Later { why, .. }) => {
                assert!(jobs::postpone(&self.services, &job, why, self.services.now()).await.expect("put off"));
            }
            Err(error) => {
                let now = self.services.now();
                assert!(jobs::fail(&self.services, &job, &error.to_string(), None, now).await.expect("given up"));
            }
        }
        done
    }

    /// The jobs that read the CRM and are not done, those that were added last first.
    async fn readings(&self) -> Vec<i64> {
        let reader = self.services.access(crate::subject::Subject::command_line()).reader();
        let filter = JobFilter { kind: Some(JobKind::SyncCrm), state: None };
        let found = reader.jobs(&filter, None, 50).await.expect("read");
        found.into_iter().filter(|job| !job.state.is_final()).map(|job| job.id).collect()
    }

    /// What the CRM was asked for since this was asked last.
    fn asked(&self) -> Vec<String> {
        self.crm.with(|state| std::mem::take(&mut state.asked))
    }
}

async fn refused(done: impl Future<Output = Result<(), ServiceError>>) -> String {
    match done.await {
        Err(ServiceError::Refused(refusal)) => refusal.message,
        other => panic!("not refused: {other:?}"),
    }
}

async fn waits(done: impl Future<Output = Result<(), ServiceError>>) -> &'static str {
    match done.await {
        Err(ServiceError::Later { why, .. }) => why,
        other => panic!("it does not wait: {other:?}"),
    }
}

#[tokio::test]
async fn a_reading_that_comes_late_takes_nobody_off_a_list_whom_a_later_one_has_seen() {
    for world in World::each(250, 0).await {
        let list = world.selection("Call them").await;
        // The first one is put off behind its first page, the second one overtakes it, and ends last.
        let first = world.reading();
        let first = world.page(list, &first).await.expect("more");
        let second = world.reading();
        let second = world.page(list, &second).await.expect("more");
        let second = world.page(list, &second).await.expect("more");
        let first = world.page(list, &first).await.expect("more");
        assert_eq!(world.page(list, &first).await, None);
        assert_eq!(world.page(list, &second).await, None);
        assert_eq!(world.count("SELECT member_count FROM selection").await, 250);
        world.close().await;
    }
}

#[tokio::test]
async fn a_reading_that_comes_late_makes_nobody_gone_whom_a_later_one_has_seen() {
    for world in World::each(10, 0).await {
        let persons: Vec<Person> = world.crm.all_persons();
        let transaction = world.services.db.begin_keyed().await.expect("begun");
        for reading in [7, 5] {
            mirror::write(&transaction, &persons, Some(reading), world.services.now()).await.expect("written");
        }
        let gone = mirror::forget_unseen(&transaction, 7, world.services.now()).await.expect("looked");
        assert_eq!(gone, 0);
        transaction.commit().await.expect("committed");
        world.close().await;
    }
}

#[tokio::test]
async fn who_is_imported_is_read_before_and_what_could_not_be_read_is_not_imported() {
    for world in World::each(5, 0).await {
        let (here, gone) = (world.selection("Here").await, world.selection("Gone").await);
        let removed = world.crm.with(|state| {
            let id = state.lists.iter().find(|(_, (_, name, _))| name.starts_with("Gone")).expect("a list").0.clone();
            (id.clone(), state.lists.remove(&id).expect("a list"))
        });
        let campaign = world.fixture.campaign("autumn", domain::campaign::CampaignState::Draft).await;
        let members = Members { selections: vec![here, gone], ..Members::default() };
        let job = world.marketer().import_members(campaign, members).await.expect("ordered").id;
        let imported = format!("SELECT count(*) FROM recipient WHERE campaign_id = {campaign}");
        assert_eq!(waits(world.try_job(job)).await, "the CRM is being read");
        let reading = world.readings().await[0];
        assert_eq!(world.work_off(reading).await["failed"], json!(1));
        let message = refused(world.try_job(job)).await;
        assert!(message.contains("\"Gone\"") && message.contains("does not know it"), "{message}");
        assert_eq!(world.count(&imported).await, 0);

        // What was wrong is put right, and the job tried again: the lists are read anew.
        world.crm.with(|state| state.lists.insert(removed.0, removed.1));
        world.marketer().retry_job(job).await.expect("tried again");
        assert_eq!(waits(world.try_job(job)).await, "the CRM is being read");
        let reading = world.readings().await[0];
        world.work_off(reading).await;
        world.try_job(job).await.expect("imported");
        assert_eq!(world.count(&imported).await, 5);

        // Once a selection is known to be gone, the recipients that came from it stay, and are read again without it.
        let sql = format!("UPDATE selection SET deleted_at = 1 WHERE id = {gone}");
        crate::db::execute(world.services.db.write(), &sql, []).await.expect("deleted");
        world.crm.with(|state| state.lists.retain(|_, (_, name, _)| name.starts_with("Here")));
        let job = world.marketer().reload_recipients(campaign).await.expect("ordered").id;
        assert_eq!(waits(world.try_job(job)).await, "the CRM is being read");
        world.work_off(world.readings().await[0]).await;
        world.try_job(job).await.expect("read again");
        assert_eq!(world.count(&format!("{imported} AND status = 1")).await, 5);
        world.close().await;
    }
}

#[tokio::test]
async fn an_import_whose_reading_failed_can_be_tried_again() {
    for world in World::each(3, 0).await {
        let list = world.selection("Here").await;
        let campaign = world.fixture.campaign("autumn", domain::campaign::CampaignState::Draft).await;
        let members = Members { selections: vec![list], ..Members::default() };
        let job = world.marketer().import_members(campaign, members).await.expect("ordered").id;
        assert_eq!(waits(world.try_job(job)).await, "the CRM is being read");
        world.marketer().cancel_job(world.readings().await[0]).await.expect("called off");
        let message = refused(world.try_job(job)).await;
        assert_eq!(message, "the CRM could not be read: that was called off");
        world.marketer().retry_job(job).await.expect("tried again");
        assert_eq!(waits(world.try_job(job)).await, "the CRM is being read");
        world.work_off(world.readings().await[0]).await;
        world.try_job(job).await.expect("imported");
        world.close().await;
    }
}

#[tokio::test]
async fn one_reading_goes_on_and_one_waits_however_many_are_ordered() {
    for world in World::each(250, 0).await {
        let marketer = world.marketer();
        let order = async || marketer.sync_crm(false).await.expect("ordered").id;
        let first = order().await;
        assert_eq!(order().await, first, "it has not begun");
        world.crm.expect([How::Well, How::Busy]);
        assert_eq!(waits(world.try_job(first)).await, "the CRM cannot be reached");
        let second = order().await;
        assert_ne!(second, first, "what changed since the first one began is to be read as well");
        assert!(world.services.hear_crm(&[], b"signed").await.expect("heard"));
        assert_eq!(order().await, second);
        assert_eq!(world.readings().await, [second, first]);
        assert_eq!(waits(world.try_job(second)).await, "another reading of the CRM goes on");
        assert_eq!(order().await, second, "it waits still");
        world.work_off(first).await;
        world.work_off(second).await;
        // A complete one is more than the other; the other way round it is not.
        let some = order().await;
        let all = marketer.sync_crm(true).await.expect("ordered").id;
        assert_ne!(some, all);
        marketer.cancel_job(some).await.expect("called off");
        assert_eq!(order().await, all);
        world.close().await;
    }
}

#[tokio::test]
async fn a_tick_of_the_schedule_finds_the_reading_that_waits() {
    for world in World::each(3, 0).await {
        let rules = schedule::crm_rules(chrono_tz::Tz::UTC, 15).expect("rules");
        let rule = &rules[0];
        let tick = async || schedule::tick(&world.services, rule, world.services.now()).await.expect("looked");
        assert_eq!(tick().await, Tick::Begun);
        let waiting = world.marketer().sync_crm(false).await.expect("ordered").id;
        world.fixture.clock.advance_seconds(900);
        assert!(matches!(tick().await, Tick::Waits { job, .. } if job == waiting));
        world.work_off(waiting).await;
        world.fixture.clock.advance_seconds(900);
        assert!(matches!(tick().await, Tick::Added { job, .. } if job != waiting));
        world.close().await;
    }
}

#[tokio::test]
async fn what_the_crm_tells_is_read_and_nothing_else() {
    for world in World::each(3, 0).await {
        world.selection("Call them").await;
        let first = world.marketer().sync_crm(true).await.expect("ordered").id;
        world.work_off(first).await;
        world.asked();
        for (told, asked) in [
            (&b"signed"[..], &["persons"][..]),
            (b"signed: projects", &["persons", "lists"]),
            (b"signed: both", &["persons", "lists"]),
        ] {
            assert!(world.services.hear_crm(&[], told).await.expect("heard"));
            world.work_off(world.readings().await[0]).await;
            assert_eq!(world.asked(), asked, "{}", String::from_utf8_lossy(told));
        }
        assert!(world.services.hear_crm(&[], b"signed: nothing").await.expect("heard"));
        assert_eq!(world.readings().await, Vec::<i64>::new());
        world.close().await;
    }
}

#[tokio::test]
async fn a_named_list_that_cannot_be_read_fails_the_job_and_others_are_named() {
    for world in World::each(3, 0).await {
        let (here, gone) = (world.selection("Here").await, world.selection("Gone").await);
        world.crm.with(|state| state.lists.retain(|_, (_, name, _)| name.starts_with("Here")));
        let marketer = world.marketer();
        let failed = marketer.sync_selections(Some(vec![gone])).await.expect("ordered").id;
        // Ordered before a reading finds that there is no such selection any more.
        let job = marketer.sync_selections(Some(vec![here, gone])).await.expect("ordered").id;
        let message = refused(world.try_job(failed)).await;
        assert!(message.contains("the selection \"Gone\": the CRM does not know it"), "{message}");
        assert_eq!(world.marketer_reader_job(failed).await.state, JobState::Failed);
        let result = world.work_off(job).await;
        assert_eq!((&result["lists"], &result["failed"]), (&json!(1), &json!(1)));
        let left_out =
            json!([{ "reason": "SELECTION_NOT_READ", "count": 1, "examples": [format!("selection:{gone}")] }]);
        assert_eq!(result["notRead"], left_out);
        // Tried again, the one that failed reads again.
        world.marketer().retry_job(failed).await.expect("tried again");
        world.asked();
        refused(world.try_job(failed)).await;
        assert_eq!(world.asked(), ["members"]);
        world.close().await;
    }
}

#[tokio::test]
async fn how_the_last_readings_went_is_known() {
    for world in World::each(3, 0).await {
        let reader = world.services.access(crate::subject::Subject::command_line()).reader();
        let state = async || reader.crm_state().await.expect("read");
        assert_eq!((state().await.name, state().await.is_builtin, state().await.readings), ("fake", false, Vec::new()));
        world.selection("Call them").await;
        let first = world.marketer().sync_crm(true).await.expect("ordered").id;
        let began = world.services.now();
        world.work_off(first).await;
        let readings = state().await.readings;
        let subjects: Vec<Subject> = readings.iter().map(|reading| reading.subject).collect();
        assert_eq!(subjects, [Subject::Persons, Subject::Selections, Subject::Projects]);
        for reading in &readings {
            assert_eq!((reading.job, &reading.error), (Some(first), &None));
            assert!(reading.read_until > Some(began) && reading.tried_at >= reading.read_until);
            assert_eq!(reading.complete_at.is_some(), reading.subject == Subject::Persons);
        }
        // Persons can be read, and the names of selections cannot.
        world.crm.expect([How::Well, How::Busy]);
        let second = world.marketer().sync_crm(false).await.expect("ordered").id;
        waits(world.try_job(second)).await;
        let failed = state().await.readings;
        assert_eq!((failed[0].job, &failed[0].error), (Some(second), &None));
        assert_eq!((failed[1].job, failed[1].error.as_deref()), (Some(second), Some("the CRM cannot be reached")));
        assert_eq!((failed[1].read_until, &failed[2]), (readings[1].read_until, &readings[2]));
        // Who is on the list is not shown: that is said, and does not hold up the rest.
        world.crm.with(|state| state.members_refused = true);
        world.work_off(second).await;
        let left_out = state().await.readings;
        assert_eq!(left_out[1].error.as_deref(), Some("the members of 1 could not be read: each says why"));
        assert!(left_out[1].read_until > readings[1].read_until);
        world.close().await;
    }
}

#[tokio::test]
async fn a_crm_that_has_lost_most_persons_is_believed_once_where_somebody_says_so() {
    for world in World::each(20, 0).await {
        world.crm.with(|state| state.persons.retain(|id, _| id == "p1"));
        let doubted = world.marketer().sync_crm(true).await.expect("ordered").id;
        let accepted = world.marketer().sync_crm_accepting_missing().await.expect("ordered").id;
        assert_ne!(accepted, doubted, "one that does not accept it is not enough");
        let message = refused(world.try_job(doubted)).await;
        assert!(message.contains("1 of 20") && message.contains("--accept-missing"), "{message}");
        assert_eq!(world.work_off(accepted).await["gone"], json!(19));
        assert_eq!(world.count("SELECT count(*) FROM person WHERE deleted_at IS NULL").await, 1);
        // The next one is doubted again, if that many more are missing.
        let next = world.marketer().sync_crm(true).await.expect("ordered").id;
        assert_eq!(world.work_off(next).await["gone"], json!(0));
        world.crm.with(|state| state.persons.clear());
        let next = world.marketer().sync_crm(true).await.expect("ordered").id;
        refused(world.try_job(next)).await;
        world.close().await;
    }
}
