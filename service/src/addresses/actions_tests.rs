//! Acting on sets of addresses, on both databases.

use domain::email::EmailAddress;
use domain::health::{AddressHealth, BlockReason};

use super::{AddressSet, MAX_NOTE};
use crate::access::Marketer;
use crate::addresses::{Address, AddressFilter};
use crate::error::{RefusalCode, Result, ServiceError};
use crate::import::tests::Fixture;
use crate::jobs::{self, Job, JobState, Queue, Which};
use crate::skipped::Skipped;
use crate::subject::{Role, Subject};
use crate::testing::work_off;

fn marketer(fixture: &Fixture) -> Marketer {
    fixture.services.access(Subject::command_line()).marketer().expect("a marketer")
}

fn named(emails: &[&str]) -> AddressSet {
    AddressSet::Emails(emails.iter().map(|email| EmailAddress::parse(email).expect("an address")).collect())
}

async fn address(fixture: &Fixture, email: &str) -> Address {
    let reader = fixture.services.access(Subject::command_line()).reader();
    reader.address(email).await.expect("asked").expect("an address")
}

/// Waits for the job as a worker does it, and says what came of it: changed, unchanged, and what was left out.
async fn done(fixture: &Fixture, job: Result<Job>) -> (i64, i64, Vec<Skipped>) {
    let id = job.expect("begun").id;
    work_off(&fixture.services).await;
    let reader = fixture.services.access(Subject::command_line()).reader();
    let job = reader.job(id).await.expect("asked").expect("the job");
    assert_eq!(job.state, JobState::Succeeded);
    assert_eq!(job.progress.total, Some(job.progress.done), "it is through with all of them");
    let acted: super::Acted = serde_json::from_value(job.result.expect("a result")).expect("read");
    (acted.changed, acted.unchanged, acted.skipped)
}

async fn statuses(fixture: &Fixture) -> Vec<String> {
    fixture.recipients().await.iter().filter_map(|line| line.rsplit('|').next().map(str::to_owned)).collect()
}

#[tokio::test]
async fn addresses_are_blocked_and_cleared_and_their_recipients_follow() {
    for fixture in Fixture::each().await {
        fixture.import("email\na@x.example\nb@x.example\nc@y.example\n").await;
        work_off(&fixture.services).await;
        let (marketer, nothing) = (marketer(&fixture), Vec::<Skipped>::new());
        let job = marketer.block_addresses(named(&["A@x.example", "new@z.example"]), Some(" rude ".to_owned())).await;
        assert_eq!(done(&fixture, job).await, (2, 0, nothing.clone()));
        let blocked = address(&fixture, "a@x.example").await;
        assert_eq!((blocked.health, blocked.block_reason), (AddressHealth::Blocked, Some(BlockReason::Manual)));
        assert_eq!(blocked.block_note.as_deref(), Some("rude"));
        assert_eq!(address(&fixture, "new@z.example").await.health, AddressHealth::Blocked, "before anybody has it");
        assert_eq!(statuses(&fixture).await, ["BLOCKED_ADDRESS", "READY", "READY"]);
        fixture.check_figures().await;

        let domain =
            AddressFilter { health: Vec::new(), domains: vec!["x.example".to_owned()], ..AddressFilter::default() };
        let job = marketer.block_addresses(AddressSet::Where(domain), None).await;
        assert_eq!(done(&fixture, job).await, (1, 1, nothing.clone()), "one was blocked already");
        assert_eq!(statuses(&fixture).await, ["BLOCKED_ADDRESS", "BLOCKED_ADDRESS", "READY"]);

        let job = marketer.clear_bounces(AddressSet::Where(AddressFilter::default())).await;
        assert_eq!(done(&fixture, job).await, (3, 0, nothing));
        assert_eq!(statuses(&fixture).await, ["READY"; 3]);
        assert_eq!(address(&fixture, "a@x.example").await.block_note, None);
        fixture.check_figures().await;
        let audited = "SELECT count(*) FROM audit_entry WHERE action IN ('address.blocked', 'address.unblocked')";
        assert_eq!(fixture.count(audited).await, 6);
        fixture.close().await;
    }
}

#[tokio::test]
async fn former_employees_and_deleted_addresses_are_only_cleared_on_purpose() {
    for fixture in Fixture::each().await {
        fixture.import("email\na@x.example\nb@x.example\nc@x.example\n").await;
        let marketer = marketer(&fixture);
        done(&fixture, marketer.mark_former_employees(named(&["a@x.example"])).await).await;
        done(&fixture, marketer.delete_addresses(named(&["b@x.example"])).await).await;
        done(&fixture, marketer.block_addresses(named(&["c@x.example"]), None).await).await;
        assert_eq!(statuses(&fixture).await, ["BLOCKED_ADDRESS"; 3]);
        let former = address(&fixture, "a@x.example").await.id;

        // Deleted ones are not even found without their reason.
        let job = marketer.clear_bounces(AddressSet::Where(AddressFilter::default())).await;
        let skipped = Skipped { reason: "FORMER_EMPLOYEE".to_owned(), count: 1, examples: vec![former.to_string()] };
        assert_eq!(done(&fixture, job).await, (1, 0, vec![skipped]));
        assert_eq!(statuses(&fixture).await, ["BLOCKED_ADDRESS", "BLOCKED_ADDRESS", "READY"]);

        let deleted = AddressFilter { reasons: vec![BlockReason::Deleted], ..AddressFilter::default() };
        assert_eq!(done(&fixture, marketer.clear_bounces(AddressSet::Where(deleted)).await).await.0, 1);
        let unknown = Skipped { reason: "UNKNOWN_ADDRESS".to_owned(), count: 1, examples: Vec::new() };
        let job = marketer.clear_bounces(named(&["a@x.example", "nobody@x.example"])).await;
        assert_eq!(done(&fixture, job).await, (1, 0, vec![unknown]));
        assert_eq!(statuses(&fixture).await, ["READY"; 3]);
        fixture.close().await;
    }
}

#[tokio::test]
async fn consent_is_withdrawn_by_a_complaint_and_given_again() {
    for fixture in Fixture::each().await {
        fixture.import("email\na@x.example\n").await;
        let sql = "UPDATE address SET complained_at = 5, last_complained_at = 5";
        crate::db::execute(fixture.services.db.write(), sql, []).await.expect(sql);
        fixture.import("email\na@x.example\nb@x.example\n").await;
        work_off(&fixture.services).await;
        assert_eq!(statuses(&fixture).await, ["NO_CONSENT", "READY"], "imports settle what changed meanwhile");
        assert!(address(&fixture, "a@x.example").await.consent_withdrawn);
        let withdrawn = AddressFilter { health: Vec::new(), consent_withdrawn: Some(true), ..AddressFilter::default() };
        let job = marketer(&fixture).restore_consent(AddressSet::Where(withdrawn)).await;
        assert_eq!(done(&fixture, job).await, (1, 0, Vec::new()));
        assert_eq!(statuses(&fixture).await, ["READY", "READY"]);
        fixture.check_figures().await;
        fixture.close().await;
    }
}

#[tokio::test]
async fn a_set_of_thousands_goes_on_where_a_worker_died() {
    for fixture in Fixture::each().await {
        let list: String = (0..2_500).map(|number| format!("p{number}@x.example\n")).collect();
        fixture.import(format!("email\n{list}")).await;
        work_off(&fixture.services).await;
        let all = AddressFilter { health: Vec::new(), ..AddressFilter::default() };
        let job = marketer(&fixture).block_addresses(AddressSet::Where(all), None).await.expect("begun");
        let services = &fixture.services;
        let take = async || {
            let claimed = jobs::claim(services, Which::Next(Queue::Bulk), "w", services.now(), services.lease_until());
            claimed.await.expect("asked").expect("the job")
        };
        let first = take().await;
        fixture.clock.advance_seconds(3_600);
        let second = take().await;
        assert_eq!((first.id, second.id), (job.id, job.id));
        // The one whose lease is over changes nothing …
        assert!(matches!(super::run(services, &first).await, Err(ServiceError::JobLost)));
        assert_eq!(fixture.count("SELECT count(*) FROM address WHERE health = 3").await, 0);
        // … also where it comes in between: the first chunk is the second's, and so is the rest.
        let acted = super::run(services, &second).await.expect("done");
        assert_eq!((acted.changed, acted.unchanged), (2_500, 0));
        work_off(services).await;
        assert_eq!(fixture.count("SELECT count(*) FROM recipient WHERE status = 8").await, 2_500);
        let audited = "SELECT count(*) FROM audit_entry WHERE action = 'address.blocked'";
        assert_eq!(fixture.count(audited).await, 2_500, "each once");
        fixture.check_figures().await;
        fixture.close().await;
    }
}

#[tokio::test]
async fn what_is_no_set_is_refused() {
    for fixture in Fixture::each().await {
        let marketer = marketer(&fixture);
        let code = |result: Result<Job>| match result {
            Err(ServiceError::Refused(refusal)) => refusal.code,
            other => panic!("not refused: {other:?}"),
        };
        assert_eq!(code(marketer.clear_bounces(AddressSet::Emails(Vec::new())).await), RefusalCode::Invalid);
        let long = Some("x".repeat(MAX_NOTE + 1));
        assert_eq!(code(marketer.block_addresses(named(&["a@x.example"]), long).await), RefusalCode::Invalid);
        let long = AddressFilter { search: Some("x".repeat(1_000)), ..AddressFilter::default() };
        assert_eq!(code(marketer.clear_bounces(AddressSet::Where(long)).await), RefusalCode::Invalid);
        let viewer = Subject { role: Role::Viewer, ..Subject::command_line() };
        assert!(fixture.services.access(viewer).marketer().is_err());
        fixture.close().await;
    }
}
