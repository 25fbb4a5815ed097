//! Jobs, and importing by one.

use std::io;

use super::{
    ClaimedJob, JobFilter, JobKind, JobProgress, JobState, NewJob, Queue, Which, claim, enqueue, fail, progress, renew,
    succeed,
};
use crate::access::Reader;
use crate::error::{RefusalCode, ServiceError};
use crate::import::tests::Fixture;
use crate::import::{Mapping, run_import_job};
use crate::subject::Subject;
use crate::uploads::Announced;
use futures::stream;

fn job(fixture: &Fixture, kind: JobKind, key: Option<&str>) -> NewJob {
    NewJob {
        idempotency_key: key.map(str::to_owned),
        ..NewJob::new(kind, serde_json::json!({ "campaignId": fixture.campaign }), "cli", fixture.services.now())
    }
}

async fn add(fixture: &Fixture, kind: JobKind, key: Option<&str>) -> i64 {
    enqueue(fixture.services.db.write(), job(fixture, kind, key), fixture.services.now()).await.expect("enqueued")
}

async fn take(fixture: &Fixture, which: Which) -> Option<ClaimedJob> {
    let now = fixture.services.now();
    claim(&fixture.services, which, "worker", now, now.plus_seconds(60)).await.expect("asked")
}

fn reader(fixture: &Fixture) -> Reader {
    fixture.services.access(Subject::command_line()).reader()
}

#[tokio::test]
async fn a_job_exists_exactly_if_its_transaction_does() {
    for fixture in Fixture::each().await {
        let transaction = fixture.services.db.begin().await.expect("begun");
        enqueue(&transaction, job(&fixture, JobKind::Rematch, None), fixture.services.now()).await.expect("enqueued");
        transaction.rollback().await.expect("rolled back");
        assert_eq!(fixture.count("SELECT count(*) FROM job").await, 0);
        let (first, second) =
            (add(&fixture, JobKind::Rematch, Some("a")).await, add(&fixture, JobKind::Rematch, Some("a")).await);
        assert_eq!(first, second);
        assert_ne!(add(&fixture, JobKind::Rematch, None).await, add(&fixture, JobKind::Rematch, None).await);
        fixture.close().await;
    }
}

#[tokio::test]
async fn one_worker_has_a_job_until_its_lease_is_over() {
    for fixture in Fixture::each().await {
        let db = &fixture.services;
        let id = add(&fixture, JobKind::Import, None).await;
        assert!(take(&fixture, Which::Next(Queue::Events)).await.is_none());
        let first = take(&fixture, Which::Next(Queue::Bulk)).await.expect("a job");
        assert_eq!((first.id, first.attempt, first.kind), (id, 1, JobKind::Import));
        assert!(take(&fixture, Which::Id(id)).await.is_none());

        fixture.clock.advance_seconds(50);
        let now = fixture.services.now();
        let half = JobProgress { done: 5, total: Some(10), skipped: 1 };
        assert!(progress(db, &first, half, now.plus_seconds(60)).await.expect("written"));
        fixture.clock.advance_seconds(50);
        assert!(take(&fixture, Which::Id(id)).await.is_none());
        fixture.clock.advance_seconds(50);
        let second = take(&fixture, Which::Id(id)).await.expect("the abandoned job");
        assert_eq!(second.attempt, 2);

        let now = fixture.services.now();
        let result = serde_json::json!({ "rows": 10 });
        assert!(!progress(db, &first, half, now).await.expect("asked"));
        assert!(!renew(db, &first, now).await.expect("asked"));
        assert!(!succeed(db, &first, &result, now).await.expect("asked"));
        assert!(!fail(db, &first, "late", None, now).await.expect("asked"));
        assert!(succeed(db, &second, &result, now).await.expect("written"));
        assert!(!succeed(db, &second, &result, now).await.expect("asked"));
        let shown = reader(&fixture).job(id).await.expect("asked").expect("the job");
        assert_eq!(
            (shown.state, shown.progress, shown.result, shown.attempts),
            (JobState::Succeeded, half, Some(result), 2)
        );
        fixture.close().await;
    }
}

#[tokio::test]
async fn a_failed_job_waits_and_is_given_up_in_the_end() {
    for fixture in Fixture::each().await {
        let db = &fixture.services;
        let id = add(&fixture, JobKind::Rematch, None).await;
        let now = fixture.services.now();
        let first = take(&fixture, Which::Id(id)).await.expect("a job");
        assert!(fail(db, &first, "the database is away", Some(now.plus_seconds(30)), now).await.expect("written"));
        assert!(take(&fixture, Which::Next(Queue::Events)).await.is_none());
        fixture.clock.advance_seconds(30);
        let second = take(&fixture, Which::Next(Queue::Events)).await.expect("the job again");
        assert!(fail(db, &second, "no", None, fixture.services.now()).await.expect("written"));
        assert!(take(&fixture, Which::Id(id)).await.is_none());
        let shown = reader(&fixture).job(id).await.expect("asked").expect("the job");
        assert_eq!((shown.state, shown.error.as_deref()), (JobState::Failed, Some("no")));
        fixture.close().await;
    }
}

#[tokio::test]
async fn many_workers_take_each_job_once() {
    for fixture in Fixture::each().await {
        for _ in 0..20 {
            add(&fixture, JobKind::Rematch, None).await;
        }
        let taken = futures::future::join_all((0..30).map(|_| take(&fixture, Which::Next(Queue::Events)))).await;
        let mut ids: Vec<i64> = taken.into_iter().flatten().map(|job| job.id).collect();
        // Those that met a row which another was taking may have gone away empty-handed.
        while let Some(job) = take(&fixture, Which::Next(Queue::Events)).await {
            ids.push(job.id);
        }
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 20);
        assert_eq!(fixture.count("SELECT CAST(sum(attempt) AS BIGINT) FROM job").await, 20);
        fixture.close().await;
    }
}

#[tokio::test]
async fn jobs_are_listed_the_newest_first() {
    for fixture in Fixture::each().await {
        for kind in [JobKind::Import, JobKind::Rematch, JobKind::Import] {
            add(&fixture, kind, None).await;
        }
        let reader = reader(&fixture);
        let all = reader.jobs(&JobFilter::default(), None, 2).await.expect("listed");
        assert_eq!(all.len(), 2);
        let rest = reader.jobs(&JobFilter::default(), all.last().map(|job| job.id), 2).await.expect("listed");
        assert_eq!(rest.iter().map(|job| job.kind).collect::<Vec<_>>(), [JobKind::Import]);
        let imports = JobFilter { kind: Some(JobKind::Import), state: Some(JobState::Queued) };
        assert_eq!(reader.jobs(&imports, None, 10).await.expect("listed").len(), 2);
        fixture.close().await;
    }
}

#[tokio::test]
async fn an_upload_is_imported_by_a_job() {
    for fixture in Fixture::each().await {
        let marketer = fixture.services.access(Subject::command_line()).marketer().expect("a marketer");
        let content = stream::iter([io::Result::Ok("Adresse;name\nerika@example.com;Erika\nnonsense;x\n;nobody\n")]);
        let upload = marketer.store_upload(content, Announced::default()).await.expect("stored");
        let mapping = Mapping::from([(crate::import::Field::Email, "Adresse".to_owned())]);
        let asked =
            marketer.import_recipients(fixture.campaign, &upload.id, None, mapping.clone()).await.expect("asked");
        assert_eq!((asked.kind, asked.state), (JobKind::Import, JobState::Queued));
        let job = take(&fixture, Which::Next(Queue::Bulk)).await.expect("the job");
        let mut last = JobProgress::default();
        let result = run_import_job(&fixture.services, &job, |progress| last = progress)
            .await
            .expect("done")
            .expect("still ours");
        assert_eq!((result.read, result.counts.imported, last.done, last.skipped), (3, 1, 3, 1));
        let issues = marketer.import_issues(result.import_id, 0, 10).await.expect("listed");
        assert_eq!((issues[0].line, issues[0].content.as_str()), (4, ";nobody"));
        // A worker that died before it could say so finds the import done.
        let again = run_import_job(&fixture.services, &job, |_| ()).await.expect("done").expect("still ours");
        assert_eq!(again, result);
        assert_eq!(fixture.count("SELECT count(*) FROM job WHERE kind = 2").await, 1);

        let refused = |result: crate::Result<super::Job>| match result {
            Err(ServiceError::Refused(refusal)) => (refusal.code, refusal.field),
            other => panic!("not refused: {other:?}"),
        };
        let nowhere = marketer.import_recipients(99, &upload.id, None, mapping.clone()).await;
        assert_eq!(refused(nowhere), (RefusalCode::NotFound, vec!["campaignId".to_owned()]));
        let nothing = marketer.import_recipients(fixture.campaign, "x", None, mapping).await;
        assert_eq!(refused(nothing), (RefusalCode::NotFound, vec!["uploadId".to_owned()]));
        fixture.close().await;
    }
}

#[tokio::test]
async fn a_worker_that_lost_its_job_stops() {
    for fixture in Fixture::each().await {
        let marketer = fixture.services.access(Subject::command_line()).marketer().expect("a marketer");
        let content = stream::iter([io::Result::Ok("email\nerika@example.com\n")]);
        let upload = marketer.store_upload(content, Announced::default()).await.expect("stored");
        marketer.import_recipients(fixture.campaign, &upload.id, None, Mapping::new()).await.expect("asked");
        let first = take(&fixture, Which::Next(Queue::Bulk)).await.expect("the job");
        fixture.clock.advance_seconds(61);
        let second = take(&fixture, Which::Next(Queue::Bulk)).await.expect("the job again");
        assert_eq!(run_import_job(&fixture.services, &first, |_| ()).await.expect("stopped"), None);
        let result = run_import_job(&fixture.services, &second, |_| ()).await.expect("done").expect("still ours");
        assert_eq!(result.counts.imported, 1);
        fixture.close().await;
    }
}

#[tokio::test]
async fn users_try_again_and_call_off() {
    for fixture in Fixture::each().await {
        let services = &fixture.services;
        let marketer = services.access(Subject::command_line()).marketer().expect("a marketer");
        let id = add(&fixture, JobKind::Rematch, None).await;
        let refused = |result: crate::Result<super::Job>| match result {
            Err(ServiceError::Refused(refusal)) => refusal.code,
            other => panic!("not refused: {other:?}"),
        };
        assert_eq!(refused(marketer.retry_job(id).await), RefusalCode::Conflict, "it waits already");
        assert_eq!(refused(marketer.cancel_job(99).await), RefusalCode::NotFound);

        // Called off while it waits, then wanted after all, then called off while somebody is at it.
        assert_eq!(marketer.cancel_job(id).await.expect("canceled").state, JobState::Canceled);
        assert!(take(&fixture, Which::Id(id)).await.is_none());
        assert_eq!(marketer.retry_job(id).await.expect("queued").state, JobState::Queued);
        let running = take(&fixture, Which::Id(id)).await.expect("the job");
        assert_eq!((running.attempt, running.tries), (1, 1));
        assert_eq!(marketer.cancel_job(id).await.expect("canceled").state, JobState::Canceled);
        let now = services.now();
        assert!(!progress(services, &running, JobProgress::default(), now.plus_seconds(60)).await.expect("asked"));
        assert!(!succeed(services, &running, &serde_json::json!({}), now).await.expect("asked"));

        // A new round of attempts, with numbers that no worker of an earlier one has.
        marketer.retry_job(id).await.expect("queued");
        let again = take(&fixture, Which::Id(id)).await.expect("the job");
        assert_eq!((again.attempt, again.tries), (2, 1));
        assert!(fail(services, &again, "no", None, now).await.expect("written"));
        let failed = marketer.retry_job(id).await.expect("queued");
        assert_eq!((failed.error, failed.finished_at), (None, None));
        let audit = "SELECT count(*) FROM audit_entry WHERE action IN ('job.retried', 'job.canceled')";
        assert_eq!(fixture.count(audit).await, 5);
        fixture.close().await;
    }
}

#[tokio::test]
async fn what_the_schedule_does_can_be_done_now() {
    for fixture in Fixture::each().await {
        let admin = fixture.services.access(Subject::command_line()).admin().expect("an admin");
        let job = admin.run_job(JobKind::CheckAlerts).await.expect("added");
        assert_eq!((job.kind, job.state, job.created_by.as_str()), (JobKind::CheckAlerts, JobState::Queued, "cli"));
        let audited =
            format!("SELECT count(*) FROM audit_entry WHERE action = 'job.added' AND object = 'job:{}'", job.id);
        assert_eq!(fixture.count(&audited).await, 1);
        match admin.run_job(JobKind::Export).await {
            Err(ServiceError::Refused(refusal)) => assert_eq!(refusal.code, RefusalCode::Invalid),
            other => panic!("{other:?}"),
        }
        fixture.close().await;
    }
    assert_eq!(JobKind::from_name("check-alerts"), Some(JobKind::CheckAlerts));
    assert_eq!(JobKind::from_name("CHECK_ALERTS"), Some(JobKind::CheckAlerts));
}
