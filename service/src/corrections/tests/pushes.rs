//! What the CRM is told, and what becomes of it there.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use domain::correction::PushState;
use domain::crm::{
    Account, Answer, Bounce, Crm, CrmError, EmailChange, List, ListKind, Member, NewList, NewTask, Page, Person,
    PersonQuery, Told,
};

use super::*;
use crate::access::Services;
use crate::corrections::ConflictSide;
use crate::corrections::push::{self, Pushed};
use crate::error::RefusalCode;
use crate::jobs::{self, NewJob};

/// How a request goes wrong.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// It does not come through.
    Unreached,
    /// It takes effect, and its answer is lost.
    AnswerLost,
}

/// A CRM that knows persons and their addresses.
#[derive(Default)]
struct Fake {
    emails: Mutex<HashMap<String, Vec<String>>>,
    trouble: Mutex<VecDeque<Trouble>>,
    changes: Mutex<Vec<EmailChange>>,
}

fn gone(may_have_happened: bool) -> CrmError {
    CrmError::Unavailable { source: "no answer".into(), may_have_happened, retry_after: None }
}

fn nothing<'a, T: Send + 'a>() -> Answer<'a, T> {
    Box::pin(std::future::ready(Err(CrmError::Refused("not here".to_owned()))))
}

impl Fake {
    fn set(&self, person: &str, emails: &[&str]) {
        let emails = emails.iter().map(|email| (*email).to_owned()).collect();
        self.emails.lock().expect("a lock").insert(person.to_owned(), emails);
    }

    fn of(&self, person: &str) -> Vec<String> {
        self.emails.lock().expect("a lock").get(person).cloned().unwrap_or_default()
    }

    fn change(&self, change: &EmailChange) -> Result<(), CrmError> {
        self.changes.lock().expect("a lock").push(change.clone());
        let trouble = self.trouble.lock().expect("a lock").pop_front();
        if matches!(trouble, Some(Trouble::Unreached)) {
            return Err(gone(false));
        }
        let mut all = self.emails.lock().expect("a lock");
        let emails = all.get_mut(&change.person).ok_or(CrmError::NotFound)?;
        match &change.old {
            // To the letter: a CRM compares texts.
            Some(old) => {
                let place = emails.iter().position(|email| email == old).ok_or(CrmError::Conflict)?;
                emails[place].clone_from(&change.new);
            }
            None => emails.push(change.new.clone()),
        }
        if trouble.is_some() { Err(gone(true)) } else { Ok(()) }
    }
}

impl Crm for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }
    fn check(&self) -> Answer<'_, Account> {
        nothing()
    }
    fn persons<'a>(&'a self, _query: &'a PersonQuery) -> Answer<'a, Page<Person>> {
        nothing()
    }
    fn person<'a>(&'a self, id: &'a str) -> Answer<'a, Option<Person>> {
        let known = self.emails.lock().expect("a lock").get(id).cloned();
        let person = known.map(|emails| Person { id: id.to_owned(), emails, ..Person::default() });
        Box::pin(std::future::ready(Ok(person)))
    }
    fn lists<'a>(&'a self, _kind: ListKind, _after: Option<&'a str>) -> Answer<'a, Page<List>> {
        nothing()
    }
    fn members<'a>(&'a self, _: ListKind, _: &'a str, _: Option<&'a str>) -> Answer<'a, Page<Member>> {
        nothing()
    }
    fn create_list<'a>(&'a self, _new: &'a NewList, _again: bool) -> Answer<'a, String> {
        nothing()
    }
    fn add_members<'a>(&'a self, _: ListKind, _: &'a str, _: &'a [Member]) -> Answer<'a, ()> {
        nothing()
    }
    fn remove_members<'a>(&'a self, _: ListKind, _: &'a str, _: &'a [Member]) -> Answer<'a, ()> {
        nothing()
    }
    fn create_task<'a>(&'a self, _task: &'a NewTask, _again: bool) -> Answer<'a, String> {
        nothing()
    }
    fn change_email<'a>(&'a self, change: &'a EmailChange) -> Answer<'a, ()> {
        Box::pin(std::future::ready(self.change(change)))
    }
    fn withdraw_consent<'a>(&'a self, _person: &'a str) -> Answer<'a, ()> {
        nothing()
    }
    fn mark_former_employee<'a>(&'a self, _person: &'a str) -> Answer<'a, ()> {
        nothing()
    }
    fn add_bounce<'a>(&'a self, _bounce: &'a Bounce) -> Answer<'a, ()> {
        nothing()
    }
    fn told(&self, _headers: &[(String, String)], _body: &[u8]) -> Option<Vec<Told>> {
        None
    }
}

/// A campaign with one recipient, a person whose address the CRM writes in its own way.
async fn with_person(fixture: &mut Fixture) -> Arc<Fake> {
    let crm = Arc::new(Fake::default());
    fixture.services = fixture.services.clone().with_crm(crm.clone());
    fixture.import("email\nerika@x.example\n").await;
    run(fixture, "INSERT INTO person (id, crm_id, created_at, updated_at) VALUES (7, 'p7', 1, 1)").await;
    run(fixture, "INSERT INTO person_email (person_id, email_key, email, rank) VALUES (7, 'erika@x.example', 'Erika@X.example', 0)").await;
    crm.set("p7", &["Erika@X.example"]);
    work_off(&fixture.services).await;
    crm
}

async fn tell(fixture: &Fixture) -> Result<Pushed> {
    let job = claim(fixture, JobKind::PushCorrections).await;
    push::run(&fixture.services, &job).await
}

/// Puts the job back, as a worker does with one that waits.
async fn wait(fixture: &Fixture) {
    run(fixture, "UPDATE job SET state = 1, lease_until = NULL, worker = NULL WHERE kind = 28 AND state = 2").await;
}

async fn ask(fixture: &Fixture, id: i64) -> Correction {
    reader(fixture).correction(id).await.expect("asked").expect("a correction")
}

fn services_follow(fixture: &Fixture) -> &Services {
    &fixture.services
}

#[tokio::test]
async fn the_crm_takes_the_new_address_in_place_of_the_old_one() {
    for mut fixture in Fixture::each().await {
        let crm = with_person(&mut fixture).await;
        let corrected = marketer(&fixture)
            .correct_address(correction("erika@x.example", "Erika@y.example"))
            .await
            .expect("corrected");
        assert_eq!((corrected.push, corrected.person_id), (PushState::Pending, Some(7)));
        assert_eq!(tell(&fixture).await.expect("told"), Pushed { pushed: 1, conflicts: 0, failed: 0 });
        assert_eq!(crm.of("p7"), ["Erika@y.example"]);
        let told = crm.changes.lock().expect("a lock").clone();
        assert_eq!(told.len(), 1);
        assert_eq!(
            (told[0].person.as_str(), told[0].old.as_deref()),
            ("p7", Some("Erika@X.example")),
            "as the CRM writes it"
        );
        assert_eq!(ask(&fixture, corrected.id).await.push, PushState::Pushed);
        let mirrored = "SELECT count(*) FROM person_email WHERE person_id = 7 AND email_key = 'erika@y.example'";
        assert_eq!(fixture.count(mirrored).await, 1);
        fixture.close().await;
    }
}

#[tokio::test]
async fn lost_answers_and_lost_requests_end_in_one_change() {
    for mut fixture in Fixture::each().await {
        let crm = with_person(&mut fixture).await;
        crm.trouble.lock().expect("a lock").extend([Trouble::Unreached, Trouble::AnswerLost]);
        let corrected = marketer(&fixture)
            .correct_address(correction("erika@x.example", "Erika@y.example"))
            .await
            .expect("corrected");
        assert!(matches!(tell(&fixture).await, Err(ServiceError::Later { .. })), "it is not reached");
        assert_eq!(ask(&fixture, corrected.id).await.push, PushState::Pending, "nothing has happened");
        wait(&fixture).await;
        assert!(matches!(tell(&fixture).await, Err(ServiceError::Later { .. })), "the answer is lost");
        assert_eq!(ask(&fixture, corrected.id).await.push, PushState::Pushing, "nobody knows");
        wait(&fixture).await;
        assert_eq!(tell(&fixture).await.expect("told"), Pushed { pushed: 1, conflicts: 0, failed: 0 });
        assert_eq!(crm.changes.lock().expect("a lock").len(), 2, "the person was read, not changed again");
        assert_eq!(crm.of("p7"), ["Erika@y.example"]);
        fixture.close().await;
    }
}

#[tokio::test]
async fn what_was_changed_in_the_crm_meanwhile_is_a_conflict_and_ours_may_be_kept() {
    for mut fixture in Fixture::each().await {
        let crm = with_person(&mut fixture).await;
        crm.set("p7", &["Frau.Muster@z.example"]);
        let corrected = marketer(&fixture)
            .correct_address(correction("erika@x.example", "erika@y.example"))
            .await
            .expect("corrected");
        assert_eq!(tell(&fixture).await.expect("told"), Pushed { pushed: 0, conflicts: 1, failed: 0 });
        let conflict = ask(&fixture, corrected.id).await;
        assert_eq!((conflict.state, conflict.push), (CorrectionState::Conflict, PushState::Conflict));
        assert_eq!(conflict.crm_email.as_deref(), Some("Frau.Muster@z.example"));
        assert_eq!(crm.of("p7"), ["Frau.Muster@z.example"], "nothing was overwritten");
        let kept = marketer(&fixture).resolve_conflict(corrected.id, ConflictSide::Ours).await.expect("solved");
        assert_eq!((kept.state, kept.push), (CorrectionState::Applied, PushState::Pending));
        let again = marketer(&fixture).resolve_conflict(corrected.id, ConflictSide::Crm).await;
        assert_eq!(refused(again).code, RefusalCode::Conflict);
        assert_eq!(tell(&fixture).await.expect("told").pushed, 1);
        assert_eq!(crm.of("p7"), ["erika@y.example"]);
        let kept = ask(&fixture, corrected.id).await;
        assert_eq!((kept.push, kept.crm_email), (PushState::Pushed, None));
        work_off(services_follow(&fixture)).await;
        assert_eq!(recipients(&fixture).await, ["erika@y.example READY corrected"]);
        fixture.close().await;
    }
}

/// Of several addresses the one is shown that stands in the place of the old one, and no other is touched.
#[tokio::test]
async fn keeping_ours_touches_no_other_address_of_the_person() {
    for mut fixture in Fixture::each().await {
        let crm = with_person(&mut fixture).await;
        run(&fixture, "UPDATE person_email SET rank = 1").await;
        run(&fixture, "INSERT INTO person_email (person_id, email_key, email, rank) VALUES (7, 'main@x.example', 'main@x.example', 0)").await;
        crm.set("p7", &["main@x.example", "erika@z.example"]);
        let wanted = correction("erika@x.example", "erika@y.example");
        let corrected = marketer(&fixture).correct_address(wanted).await.expect("corrected");
        assert_eq!(tell(&fixture).await.expect("told").conflicts, 1);
        assert_eq!(ask(&fixture, corrected.id).await.crm_email.as_deref(), Some("erika@z.example"));
        marketer(&fixture).resolve_conflict(corrected.id, ConflictSide::Ours).await.expect("solved");
        assert_eq!(tell(&fixture).await.expect("told").pushed, 1);
        assert_eq!(crm.of("p7"), ["main@x.example", "erika@y.example"]);
        fixture.close().await;
    }
}

/// The old address was removed in the CRM: ours is added to what is there, and the CRM's side cannot be taken.
#[tokio::test]
async fn keeping_ours_adds_it_where_the_old_one_is_gone() {
    for mut fixture in Fixture::each().await {
        let crm = with_person(&mut fixture).await;
        run(&fixture, "INSERT INTO person_email (person_id, email_key, email, rank) VALUES (7, 'main@x.example', 'main@x.example', 1)").await;
        for (left, expected) in
            [(&["main@x.example"][..], &["main@x.example", "erika@y.example"][..]), (&[], &["erika@v.example"])]
        {
            crm.set("p7", left);
            let (old, new) = if left.is_empty() {
                ("erika@y.example", "erika@v.example")
            } else {
                ("erika@x.example", "erika@y.example")
            };
            let corrected = marketer(&fixture).correct_address(correction(old, new)).await.expect("corrected");
            assert_eq!(tell(&fixture).await.expect("told").conflicts, 1);
            assert_eq!(ask(&fixture, corrected.id).await.crm_email, None);
            let theirs = marketer(&fixture).resolve_conflict(corrected.id, ConflictSide::Crm).await;
            assert_eq!(refused(theirs).code, RefusalCode::Conflict);
            crm.trouble.lock().expect("a lock").push_back(Trouble::AnswerLost);
            marketer(&fixture).resolve_conflict(corrected.id, ConflictSide::Ours).await.expect("solved");
            assert!(tell(&fixture).await.is_err(), "the answer is lost");
            wait(&fixture).await;
            assert_eq!(tell(&fixture).await.expect("told").pushed, 1);
            assert_eq!(crm.of("p7"), expected, "once");
            let mirrored = format!("SELECT count(*) FROM person_email WHERE person_id = 7 AND email_key = '{new}'");
            assert_eq!(fixture.count(&mirrored).await, 1);
            work_off(services_follow(&fixture)).await;
        }
        fixture.close().await;
    }
}

/// What a job left in doubt that will not go on is taken by the next, also while yet another one is at work.
#[tokio::test]
async fn what_a_dead_job_left_in_doubt_is_taken_by_the_next() {
    for mut fixture in Fixture::each().await {
        let crm = with_person(&mut fixture).await;
        crm.trouble.lock().expect("a lock").push_back(Trouble::AnswerLost);
        let wanted = correction("erika@x.example", "erika@y.example");
        let corrected = marketer(&fixture).correct_address(wanted).await.expect("corrected");
        assert!(tell(&fixture).await.is_err(), "the answer is lost");
        run(&fixture, "UPDATE job SET state = 4 WHERE kind = 28").await;
        for _ in 0..2 {
            let now = fixture.services.now();
            let job = NewJob::new(JobKind::PushCorrections, serde_json::json!({}), "user:1", now);
            jobs::enqueue(fixture.services.db.write(), job, now).await.expect("added");
        }
        assert_eq!(tell(&fixture).await.expect("told").pushed, 1);
        assert_eq!(ask(&fixture, corrected.id).await.push, PushState::Pushed);
        assert_eq!(crm.changes.lock().expect("a lock").len(), 1);
        fixture.close().await;
    }
}

#[tokio::test]
async fn the_crms_address_may_be_taken_instead_of_ours() {
    for mut fixture in Fixture::each().await {
        let crm = with_person(&mut fixture).await;
        sent_in_vain(&fixture, "sent", &["other@x.example"]).await;
        // Somebody else has the address that we correct to, by no correction.
        fixture.import("email\nerika@x.example\nerika@w.example\n").await;
        crm.set("p7", &["erika@z.example"]);
        let corrected = marketer(&fixture)
            .correct_address(correction("erika@x.example", "erika@y.example"))
            .await
            .expect("corrected");
        work_off(services_follow(&fixture)).await;
        assert_eq!(recipients(&fixture).await[0], "erika@y.example READY corrected");
        assert_eq!(ask(&fixture, corrected.id).await.state, CorrectionState::Conflict);
        fixture.clock.advance_seconds(5);
        let kept = marketer(&fixture).resolve_conflict(corrected.id, ConflictSide::Crm).await.expect("solved");
        assert_eq!(
            (kept.state, kept.push, kept.new_email.as_str()),
            (CorrectionState::Applied, PushState::Pushed, "erika@z.example")
        );
        work_off(services_follow(&fixture)).await;
        assert_eq!(
            recipients(&fixture).await,
            ["erika@z.example READY corrected", "erika@w.example READY", "other@x.example HARD_BOUNCED"]
        );
        assert_eq!(crm.of("p7"), ["erika@z.example"]);
        check(&fixture).await;
        let audited = "SELECT count(*) FROM audit_entry WHERE action IN ('correction.conflict', 'correction.resolved') AND COALESCE(detail, '') NOT LIKE '%@%'";
        assert_eq!(fixture.count(audited).await, 2);
        fixture.close().await;
    }
}

#[tokio::test]
async fn somebody_who_is_gone_is_reported_and_the_correction_stays() {
    for mut fixture in Fixture::each().await {
        let crm = with_person(&mut fixture).await;
        crm.emails.lock().expect("a lock").clear();
        let corrected = marketer(&fixture)
            .correct_address(correction("erika@x.example", "erika@y.example"))
            .await
            .expect("corrected");
        assert_eq!(tell(&fixture).await.expect("told"), Pushed { pushed: 0, conflicts: 0, failed: 1 });
        let failed = ask(&fixture, corrected.id).await;
        assert_eq!((failed.state, failed.push), (CorrectionState::Applied, PushState::Failed));
        assert!(failed.push_error.is_some_and(|error| !error.contains('@')));
        fixture.close().await;
    }
}

#[tokio::test]
async fn the_built_in_crm_has_the_new_address() {
    for fixture in Fixture::each().await {
        fixture.import("email;crm id\nerika@x.example;p7\n").await;
        let corrected = correct(&fixture, "erika@x.example", "erika@y.example").await;
        assert_eq!(ask(&fixture, corrected.id).await.push, PushState::Pushed);
        let emails = "SELECT count(*) FROM person_email WHERE email_key = 'erika@y.example'";
        assert_eq!((fixture.count(emails).await, fixture.count("SELECT count(*) FROM person_email").await), (1, 1));
        fixture.close().await;
    }
}
