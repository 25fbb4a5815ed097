//! A campaign in each database, a folder for files, and the worker's part.

use std::sync::Arc;

use connectors::storage::ObjectFiles;
use connectors::tables::Formats;
use sea_orm::{ConnectionTrait, Value};

use super::super::*;
use crate::access::Reader;
use crate::db::{execute, query_all};
use crate::jobs::{ClaimedJob, Which};
use crate::subject::{Role, Subject};
use crate::testing::{TestClock, TestDb};

pub struct Fixture {
    pub services: Services,
    pub clock: Arc<TestClock>,
    test: TestDb,
    folder: tempfile::TempDir,
}

impl Fixture {
    /// With the campaigns 1, "Spring", and 2, "Other", without recipients.
    pub async fn each() -> Vec<Self> {
        let mut fixtures = Vec::new();
        for test in TestDb::each().await {
            let folder = tempfile::tempdir().expect("a folder");
            let clock = Arc::new(TestClock::new());
            let options =
                ExportOptions { public_url: "https://nachfass.example".to_owned(), url_hours: 24, keep_days: 7 };
            let files = ObjectFiles::in_folder(&folder.path().join("exports")).expect("a store");
            let services = Services::new(test.db.clone(), clock.clone(), &[1; 32], folder.path());
            let services = services.with_exports(Arc::new(files), Arc::new(Formats), options);
            for sql in [
                "INSERT INTO campaign (id, key, name, state, created_by, created_at) VALUES (1, 'spring', 'Spring', 3, 'cli', 0)",
                "INSERT INTO campaign (id, key, name, state, created_by, created_at) VALUES (2, 'other', 'Other', 3, 'cli', 0)",
                "INSERT INTO tracked_link (id, campaign_id, url, url_hash) VALUES (1, 1, 'https://example.com/a', 'a')",
                "INSERT INTO tracked_link (id, campaign_id, url, url_hash) VALUES (2, 1, 'https://example.com/b', 'b')",
            ] {
                services.db.write().execute_unprepared(sql).await.expect(sql);
            }
            fixtures.push(Self { services, clock, test, folder });
        }
        fixtures
    }

    /// Adds recipients 1 to `count` of campaign 1: every second one was read.
    pub async fn recipients(&self, count: i64) {
        let numbers = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)";
        for sql in [
            "INSERT INTO address (id, email_key, created_at) SELECT i, 'person' || i || '@example.com', i FROM n",
            "INSERT INTO recipient (campaign_id, number, address_id, email_key, email, domain, name, status, sent_at, opens, created_at) \
             SELECT 1, i, i, 'person' || i || '@example.com', 'Person' || i || '@example.com', 'example.com', 'Person ' || i, \
             CASE WHEN i % 2 = 0 THEN 4 ELSE 2 END, 1767225600000000, CASE WHEN i % 2 = 0 THEN 3 ELSE 0 END, 0 FROM n",
        ] {
            // The statement begins with its rows on one database and with INSERT on both.
            let (into, rest) = sql.split_once(" SELECT ").expect("an INSERT … SELECT");
            self.run(&format!("{into} {numbers} SELECT {rest}"), [count.into()]).await;
        }
        crate::by_status::repair(self.services.db.write(), 1).await.expect("recipients by status");
        self.run("INSERT INTO campaign_statistics (campaign_id, updated_at) VALUES (1, 0) ON CONFLICT DO NOTHING", [])
            .await;
    }

    pub async fn run<const N: usize>(&self, sql: &str, values: [Value; N]) {
        execute(self.services.db.write(), sql, values).await.expect(sql);
    }

    pub async fn texts(&self, sql: &str) -> Vec<String> {
        let rows = query_all(self.services.db.read(), sql, []).await.expect(sql);
        rows.iter().map(|row| row.try_get_by_index(0).expect("a text")).collect()
    }

    pub async fn count(&self, table: &str) -> i64 {
        let rows =
            query_all(self.services.db.read(), &format!("SELECT count(*) FROM {table}"), []).await.expect("a count");
        rows[0].try_get_by_index(0).expect("a number")
    }

    pub fn marketer(&self) -> Marketer {
        self.services.access(Subject::command_line()).marketer().expect("a marketer")
    }

    pub fn reader(&self, role: Role) -> Reader {
        self.services.access(Subject { id: "token:1".to_owned(), name: "test".to_owned(), role }).reader()
    }

    /// Claims the next job.
    pub async fn claim(&self) -> ClaimedJob {
        let (now, until) = (self.services.now(), self.services.lease_until());
        for queue in [Queue::Interactive, Queue::Bulk] {
            let job = jobs::claim(&self.services, Which::Next(queue), "worker", now, until).await.expect("claimed");
            if let Some(job) = job {
                return job;
            }
        }
        panic!("no job waits");
    }

    /// Does the next job.
    pub async fn work(&self) {
        run_export_job(&self.services, &self.claim().await).await.expect("done");
    }

    /// The file of a job that was done, and what is known about it.
    pub async fn file(&self, job: &Job) -> (ExportResult, String) {
        let result = self.result(job).await;
        let path = self.folder.path().join("exports").join(&result.file_id);
        (result, std::fs::read_to_string(path).expect("a file with text"))
    }

    pub async fn result(&self, job: &Job) -> ExportResult {
        let job = self.reader(Role::Admin).job(job.id).await.expect("a job").expect("there");
        assert_eq!(job.state, jobs::JobState::Succeeded, "{job:?}");
        serde_json::from_value(job.result.expect("a result")).expect("a result of an export")
    }

    /// What the store holds.
    pub fn stored(&self) -> Vec<String> {
        self.names("exports")
    }

    /// Temporary files.
    pub fn unfinished(&self) -> Vec<String> {
        self.names("unfinished")
    }

    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path().join(folder)).into_iter().flatten();
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect()
    }

    pub async fn close(self) {
        self.test.close().await;
    }
}

/// The parts of a link.
pub fn parts_of(url: &str) -> (String, i64, String) {
    let rest = url.strip_prefix("https://nachfass.example/exports/").expect("our link");
    let (id, query) = rest.split_once("?expires=").expect("an end");
    let (expires, signature) = query.split_once("&signature=").expect("a signature");
    (id.to_owned(), expires.parse().expect("seconds"), signature.to_owned())
}
