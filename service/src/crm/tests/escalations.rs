//! A task when bounces block an address: one each, for nothing else, and whatever is repeated.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use connectors::storage::ObjectFiles;
use connectors::tables::Formats;
use domain::Provider;
use domain::crm::{NewTask, Person};
use domain::email::EmailAddress;
use domain::reading::Create;
use serde_json::{Value, json};

use super::{World, moods};
use crate::access::Admin;
use crate::addresses::{AddressSet, actions, review};
use crate::apply::Applier;
use crate::apply::tests::Lines;
use crate::changes::Changes;
use crate::crm::follow_ups::{FollowUpFilter, campaign_link};
use crate::db::execute;
use crate::exports::ExportOptions;
use crate::ingest::{Inbox, NewDelivery};
use crate::jobs::{Job, JobFilter, JobKind};
use crate::recipients::paging::PageArgs;
use crate::settings::SettingsChange;
use crate::subject::Subject;

/// The second from which [`Lines`] count.
const BEGINNING: i64 = 1_767_000_000;

fn admin(world: &World) -> Admin {
    world.services.access(Subject::command_line()).admin().expect("an admin")
}

async fn switch(world: &World, on: bool) {
    let change = SettingsChange { escalation_tasks: Some(on), ..SettingsChange::default() };
    admin(world).update_settings(change).await.expect("changed");
}

async fn accept(world: &World, bounces: i64) {
    let change = SettingsChange { accepted_soft_bounces: Some(bounces), ..SettingsChange::default() };
    admin(world).update_settings(change).await.expect("changed");
    for job in jobs(world, JobKind::ReviewAddresses).await {
        if let Some(job) = world.claim(job.id).await {
            review::run(&world.services, &job).await.expect("reviewed");
        }
    }
}

/// Has something happen to mails to addresses, reported in one delivery; `id` tells these events from others.
async fn happens(world: &World, id: &str, kind: &str, emails: &[&str]) {
    let now = world.services.now().micros() / 1_000_000 - BEGINNING;
    let event = |(place, email): (usize, &&str)| format!("{kind} {now} {id}-{place} spring - - {email} -");
    report(world, &emails.iter().enumerate().map(event).collect::<Vec<_>>().join("\n")).await;
}

async fn report(world: &World, body: &str) {
    let (inbox, writer) = Inbox::new(world.services.db.clone(), || {});
    let writer = tokio::spawn(writer);
    let delivery = NewDelivery {
        source: "test".into(),
        provider: Provider::Generic,
        received_at: world.services.now(),
        headers: vec![("content-type".into(), "text/plain".into())],
        body: body.as_bytes().to_vec(),
        unreadable: None,
    };
    inbox.store(delivery).await.expect("stored");
    drop(inbox);
    writer.await.expect("the writer ends");
    let reader = Arc::new(Lines(Create::Nothing));
    let (db, clock) = (world.services.db.clone(), world.services.clock.clone());
    Applier::new(db, clock, reader, Changes::default()).apply_all().await.expect("applied");
}

/// The jobs of a kind, the latest first.
async fn jobs(world: &World, kind: JobKind) -> Vec<Job> {
    let reader = world.services.access(Subject::command_line()).reader();
    reader.jobs(&JobFilter { kind: Some(kind), state: None }, None, 100).await.expect("read")
}

async fn orders(world: &World) -> Vec<Job> {
    jobs(world, JobKind::CreateFollowUps).await
}

fn tasks(world: &World) -> Vec<NewTask> {
    world.crm.with(|state| state.tasks.values().cloned().collect())
}

fn skipped(result: &Value) -> BTreeMap<String, i64> {
    let each = result["skippedByReason"].as_array().expect("a list").iter();
    let entry = |entry: &Value| {
        (entry["reason"].as_str().expect("a word").to_owned(), entry["count"].as_i64().expect("a number"))
    };
    each.map(entry).collect()
}

fn set(emails: &[&str]) -> AddressSet {
    AddressSet::Emails(emails.iter().map(|email| EmailAddress::parse(email).expect("an address")).collect())
}

async fn act(world: &World, job: crate::error::Result<Job>) {
    let job = world.claim(job.expect("ordered").id).await.expect("a job");
    actions::run(&world.services, &job).await.expect("done");
}

const P1: &str = "p1@example.com";
const P3: &str = "p3@example.com";

#[tokio::test]
async fn all_that_is_blocked_together_is_one_job_and_each_is_one_task_whatever_fails() {
    for seed in 0..6 {
        for world in World::each(8, 2).await {
            switch(&world, true).await;
            // `p2` and `p5` have nobody who still works with the CRM.
            let now = world.services.now().micros() / 1_000_000 - BEGINNING;
            let mut told: Vec<String> = ["p1", "p2", "p3", "p4", "p5"]
                .iter()
                .map(|person| format!("HARD_BOUNCE {now} {person} spring - - {person}@example.com -"))
                .collect();
            told.push(format!("HARD_BOUNCE {now} o1 spring - - other1@example.org -"));
            told.extend(
                (0..5).map(|bounce| format!("SOFT_BOUNCE/MAILBOX_FULL {now} s{bounce} spring - - p6@example.com -")),
            );
            // Not often enough.
            told.push(format!("SOFT_BOUNCE/SOFT {now} t spring - - p7@example.com -"));
            let told = told.join("\n");
            report(&world, &told).await;
            // The same again, and more of it about addresses that are blocked already.
            report(&world, &told).await;
            happens(&world, "again", "HARD_BOUNCE", &[P1, P3, "p6@example.com"]).await;
            let ordered = orders(&world).await;
            assert_eq!(ordered.len(), 1, "seed {seed}");
            assert_eq!(ordered[0].created_by, "system");

            world.crm.expect(moods(seed, 30));
            let result = world.work_off(ordered[0].id).await;
            assert_eq!((&result["added"], &result["unchanged"]), (&json!(4), &json!(0)), "seed {seed}");
            assert_eq!(skipped(&result), [("NOT_IN_CRM".to_owned(), 1), ("NO_OWNER".to_owned(), 2)].into());
            let made = tasks(&world);
            let whom: BTreeSet<&str> = made.iter().map(|task| task.person.as_str()).collect();
            assert_eq!((made.len(), whom), (4, BTreeSet::from(["p1", "p3", "p4", "p6"])), "seed {seed}");
            let text = |person| {
                let task = made.iter().find(|task| task.person == person).expect("a task");
                assert_eq!(task.title, "E-mail address bounces: please correct it");
                task.description.clone().expect("a text")
            };
            let begin = |person| format!("Mails to {person}@example.com come back. It is not written to any more.\n");
            assert_eq!(text("p1"), begin("p1") + "Bounce: HARD, 550, 5.1.1\nReason: HARD_BOUNCE");
            assert_eq!(text("p6"), begin("p6") + "Bounce: MAILBOX_FULL, 452, 4.2.2\nReason: SOFT_BOUNCES");

            // The whole job from its beginning.
            let sql = "UPDATE job SET state = 1, position = NULL, finished_at = NULL WHERE id = $1";
            execute(world.services.db.write(), sql, [ordered[0].id.into()]).await.expect("tried again");
            let result = world.work_off(ordered[0].id).await;
            assert_eq!((&result["added"], &result["unchanged"]), (&json!(0), &json!(4)));
            assert_eq!(tasks(&world).len(), 4);

            // They are listed with their recipients, under their campaign.
            let reader = world.services.access(Subject::command_line()).reader();
            let filter = FollowUpFilter { campaign: Some(world.fixture.campaign), ..FollowUpFilter::default() };
            let listed = reader.follow_ups(&filter, &PageArgs::default()).await.expect("read").rows;
            assert_eq!(listed.len(), 4);
            assert!(listed.iter().all(|task| task.recipient.is_some() && task.crm_id.is_some()));
            let audited = "SELECT count(*) FROM audit_entry WHERE action = 'follow_ups.create' AND subject = 'system'";
            assert_eq!(world.count(audited).await, 1);
            world.close().await;
        }
    }
}

#[tokio::test]
async fn a_set_that_is_larger_than_a_chunk_is_one_job_as_well() {
    for world in World::each(6, 600).await {
        switch(&world, true).await;
        let emails: Vec<String> = (1..=600)
            .map(|number| format!("other{number}@example.org"))
            .chain((1..=6).map(|number| format!("p{number}@example.com")))
            .collect();
        // The last one is somebody of the CRM, behind all of the first chunk.
        let late = Person { id: "late".to_owned(), emails: vec!["other600@example.org".to_owned()], ..p(&world, "p1") };
        let transaction = world.services.db.begin_keyed().await.expect("begun");
        crate::crm::mirror::write(&transaction, &[late], None, world.services.now()).await.expect("written");
        transaction.commit().await.expect("committed");
        happens(&world, "h", "HARD_BOUNCE", &emails.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let ordered = orders(&world).await;
        assert_eq!(ordered.len(), 1);
        let result = world.work_off(ordered[0].id).await;
        assert_eq!(result["added"], json!(5));
        assert_eq!(skipped(&result), [("NOT_IN_CRM".to_owned(), 599), ("NO_OWNER".to_owned(), 2)].into());
        assert!(tasks(&world).iter().any(|task| task.person == "late"));
        world.close().await;
    }
}

fn p(world: &World, id: &str) -> Person {
    world.crm.all_persons().into_iter().find(|person| person.id == id).expect("a person")
}

#[tokio::test]
async fn what_is_cleared_or_delivered_to_and_blocked_again_is_a_new_task() {
    for world in World::each(3, 0).await {
        switch(&world, true).await;
        happens(&world, "a", "HARD_BOUNCE", &[P1]).await;
        assert_eq!(orders(&world).await.len(), 1);
        act(&world, world.marketer().clear_bounces(set(&[P1])).await).await;
        // What is reported late, about the time before, blocks nothing.
        report(&world, &format!("HARD_BOUNCE 1 late spring - - {P1} -")).await;
        assert_eq!(orders(&world).await.len(), 1, "clearing is no escalation");
        world.fixture.clock.advance_seconds(60);
        happens(&world, "b", "HARD_BOUNCE", &[P1]).await;
        assert_eq!(orders(&world).await.len(), 2, "cleared and blocked again");
        world.fixture.clock.advance_seconds(60);
        happens(&world, "c", "HARD_BOUNCE", &[P1]).await;
        assert_eq!(orders(&world).await.len(), 2, "blocked already");
        happens(&world, "d", "DELIVERED", &[P1]).await;
        world.fixture.clock.advance_seconds(60);
        happens(&world, "e", "HARD_BOUNCE", &[P1]).await;
        let ordered = orders(&world).await;
        assert_eq!(ordered.len(), 3, "delivered to and blocked again");
        // Bounces that are reported late make another reason of it, and another beginning, but no other block.
        happens(&world, "f", "HARD_BOUNCE", &[P3]).await;
        let soft = |number| format!("SOFT_BOUNCE/SOFT {number} late{number} spring - - {P3} -");
        report(&world, &(1..=5).map(soft).collect::<Vec<_>>().join("\n")).await;
        let other = "SELECT count(*) FROM address WHERE block_reason = 2 AND blocked_at < 1767001000000000";
        assert_eq!(world.count(other).await, 1);
        let ordered = orders(&world).await;
        assert_eq!(ordered.len(), 4);
        for job in ordered {
            assert_eq!(world.work_off(job.id).await["added"], json!(1));
        }
        let keys: BTreeSet<String> = tasks(&world).into_iter().map(|task| task.key).collect();
        assert_eq!((keys.len(), tasks(&world).len()), (4, 4));
        world.close().await;
    }
}

#[tokio::test]
async fn stricter_rules_make_tasks_and_the_same_bounces_make_no_second_one() {
    for world in World::each(3, 0).await {
        switch(&world, true).await;
        for (id, person) in [("a", P1), ("b", P1), ("c", P1), ("d", P3)] {
            happens(&world, id, "SOFT_BOUNCE/SOFT", &[person]).await;
            world.fixture.clock.advance_seconds(60);
        }
        assert!(orders(&world).await.is_empty());
        accept(&world, 3).await;
        let ordered = orders(&world).await;
        assert_eq!((ordered.len(), ordered[0].created_by.as_str()), (1, "system"));
        assert_eq!(world.work_off(ordered[0].id).await["added"], json!(1));
        let text = tasks(&world)[0].description.clone().expect("a text");
        assert_eq!(text, format!("Mails to {P1} come back. It is not written to any more.\nReason: SOFT_BOUNCES"));
        accept(&world, 9).await;
        accept(&world, 3).await;
        let ordered = orders(&world).await;
        let result = world.work_off(ordered[0].id).await;
        assert_eq!((ordered.len(), &result["added"], &result["unchanged"]), (2, &json!(0), &json!(1)));
        assert_eq!(tasks(&world).len(), 1);
        world.close().await;
    }
}

#[tokio::test]
async fn nothing_but_an_escalation_makes_a_task_and_that_only_where_it_is_wanted() {
    for world in World::each(9, 0).await {
        happens(&world, "off", "HARD_BOUNCE", &["p9@example.com"]).await;
        assert_eq!(world.count("SELECT count(*) FROM address WHERE health = 3").await, 1);
        assert!(orders(&world).await.is_empty(), "by default there are none");
        switch(&world, true).await;
        happens(&world, "more", "HARD_BOUNCE", &["p9@example.com"]).await;

        let marketer = world.marketer();
        act(&world, marketer.block_addresses(set(&[P1]), Some("rude".to_owned())).await).await;
        act(&world, marketer.mark_former_employees(set(&["p3@example.com"])).await).await;
        act(&world, marketer.delete_addresses(set(&["p4@example.com"])).await).await;
        happens(&world, "late", "HARD_BOUNCE", &[P1, "p3@example.com", "p4@example.com"]).await;
        happens(&world, "refused", "BLOCKED/BLOCK", &["p6@example.com"]).await;
        for number in 0..9 {
            happens(&world, &format!("s{number}"), "SOFT_BOUNCE/BLOCK", &["p6@example.com"]).await;
        }
        happens(&world, "rejected", "REJECTED", &["p6@example.com"]).await;
        happens(&world, "complained", "COMPLAINED", &["p7@example.com"]).await;
        assert!(orders(&world).await.is_empty());
        assert_eq!(world.count("SELECT count(*) FROM address WHERE health = 3").await, 4);

        // It is switched off again before the next one.
        switch(&world, false).await;
        happens(&world, "off again", "HARD_BOUNCE", &["p6@example.com"]).await;
        assert_eq!(world.count("SELECT count(*) FROM follow_up").await, 0);
        assert!(orders(&world).await.is_empty());
        world.close().await;
    }
}

#[tokio::test]
async fn a_simulator_is_nobody() {
    const SIMULATOR: &str = "bounce@simulator.amazonses.com";
    for world in World::each(1, 0).await {
        switch(&world, true).await;
        world.fixture.import(format!("email,crm id\n{SIMULATOR},p1\n")).await;
        let person = Person { emails: vec![P1.to_owned(), SIMULATOR.to_owned()], ..p(&world, "p1") };
        let transaction = world.services.db.begin_keyed().await.expect("begun");
        crate::crm::mirror::write(&transaction, &[person], None, world.services.now()).await.expect("written");
        transaction.commit().await.expect("committed");
        happens(&world, "a", "HARD_BOUNCE", &[SIMULATOR]).await;
        let result = world.work_off(orders(&world).await[0].id).await;
        assert_eq!((&result["added"], skipped(&result)), (&json!(0), [("SIMULATOR".to_owned(), 1)].into()));
        assert!(tasks(&world).is_empty());
        world.close().await;
    }
}

#[tokio::test]
async fn a_task_says_where_to_look() {
    for mut world in World::each(1, 0).await {
        let folder = tempfile::tempdir().expect("a folder");
        let options = ExportOptions { public_url: "https://nachfass.example".to_owned(), url_hours: 24, keep_days: 7 };
        let files = ObjectFiles::in_folder(folder.path()).expect("a store");
        world.services = world.services.with_exports(Arc::new(files), Arc::new(Formats), options);
        switch(&world, true).await;
        happens(&world, "a", "HARD_BOUNCE", &[P1]).await;
        world.work_off(orders(&world).await[0].id).await;
        let text = tasks(&world)[0].description.clone().expect("a text");
        let link = campaign_link("https://nachfass.example", world.fixture.campaign);
        assert!(text.lines().any(|line| line == link), "{text}");
        world.close().await;
    }
}
