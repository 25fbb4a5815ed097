//! What a job would store and the database does not take: the job ends, and is not begun again for ever.

use futures::stream;
use service::Subject;
use service::campaigns::{NewCampaign, find_or_create_campaign};
use service::db::{execute, query_one};
use service::import::{Field, Mapping};
use service::jobs::{JobKind, NewJob, enqueue};
use service::uploads::Announced;
use tokio_util::sync::CancellationToken;

use super::Site;
use crate::queue::Queues;

/// On SQLite, and on PostgreSQL where there is one.
async fn each() -> Vec<Site> {
    let mut sites = vec![Site::sqlite(Queues::memory()).await];
    sites.extend(Site::postgres(Queues::memory()).await);
    sites
}

/// State, attempts and error of the job.
async fn outcome(site: &Site, job: i64) -> (i16, i32, String) {
    let sql = "SELECT state, attempt, COALESCE(error, '') FROM job WHERE id = $1";
    let row = query_one(site.services.db().read(), sql, [job.into()]).await.expect("asked").expect("a row");
    row.try_get_many_by_index().expect("a job")
}

async fn prune(site: &Site) -> i64 {
    let now = site.services.now();
    let job = NewJob::new(JobKind::Prune, serde_json::json!({}), "cli", now);
    enqueue(site.services.db().write(), job, now).await.expect("enqueued")
}

#[tokio::test]
async fn a_mapping_with_nul_fails_its_import() {
    for site in each().await {
        let subject = Subject::command_line();
        let campaign = NewCampaign {
            key: "spring".to_owned(),
            name: "Spring".to_owned(),
            subject: None,
            from_address: None,
            sent_at: None,
            state: domain::campaign::CampaignState::Draft,
        };
        let now = site.services.now();
        let campaign = find_or_create_campaign(site.services.db().write(), &subject, now, campaign).await;
        let marketer = site.services.access(subject).marketer().expect("a marketer");
        let content = stream::iter([std::io::Result::Ok("email\nerika@example.com\n")]);
        let upload = marketer.store_upload(content, Announced::default()).await.expect("stored");
        let mapping = Mapping::from([(Field::Name, format!("a\0b{}", "x".repeat(10_000)))]);
        let job =
            marketer.import_recipients(campaign.expect("made").id, &upload.id, None, mapping).await.expect("ordered");
        crate::jobs::run(&site.deps, job.id, &CancellationToken::new()).await;
        let (state, attempts, error) = outcome(&site, job.id).await;
        assert_eq!((state, attempts), (4, 1), "{error}");
        assert!(error.contains("the mapping names the column") && !error.contains('\0'), "{error}");
        assert!(error.chars().count() <= 2_000, "{}", error.len());
        site.close().await;
    }
}

#[tokio::test]
async fn a_result_that_cannot_be_written_fails_the_job() {
    for site in each().await {
        let refuse = if site.services.db().is_postgres() {
            "ALTER TABLE job ADD CONSTRAINT no_result CHECK (result IS NULL)"
        } else {
            "CREATE TRIGGER no_result BEFORE UPDATE ON job WHEN NEW.result IS NOT NULL BEGIN SELECT RAISE(ABORT, 'no'); END"
        };
        execute(site.services.db().write(), refuse, []).await.expect("made");
        let job = prune(&site).await;
        crate::jobs::run(&site.deps, job, &CancellationToken::new()).await;
        let (state, attempts, error) = outcome(&site, job).await;
        assert_eq!((state, attempts), (4, 1));
        assert!(error.contains("the database refuses what this job has to store"), "{error}");
        site.close().await;
    }
}

#[tokio::test]
async fn an_error_that_cannot_be_written_fails_the_job_with_one_that_can() {
    let site = Site::sqlite(Queues::memory()).await;
    let refuse = "CREATE TRIGGER no_error BEFORE UPDATE ON job WHEN NEW.error LIKE 'there is no%' BEGIN SELECT RAISE(ABORT, 'no'); END";
    execute(site.services.db().write(), refuse, []).await.expect("made");
    let now = site.services.now();
    let payload = serde_json::json!({ "campaignId": 1, "uploadId": "x", "importId": 7 });
    let job = NewJob::new(JobKind::Import, payload, "cli", now);
    let job = enqueue(site.services.db().write(), job, now).await.expect("enqueued");
    crate::jobs::run(&site.deps, job, &CancellationToken::new()).await;
    let (state, _, error) = outcome(&site, job).await;
    assert_eq!(state, 4);
    assert!(error.contains("the database refuses"), "{error}");
    site.close().await;
}
