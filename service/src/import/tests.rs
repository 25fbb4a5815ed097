//! Imports into real databases, from the bytes of a file to what stands in the tables.

mod columns;
mod files;
mod limits;
mod reading;
mod rows;
mod speed;

use std::sync::Arc;

use domain::Timestamp;
use domain::campaign::CampaignState;
use sea_orm::{QueryResult, Value};

use super::{Import, ImportOptions, ImportResult, Source};
use crate::access::Services;
use crate::campaigns::{NewCampaign, find_or_create_campaign};
use crate::db::query_all;
use crate::error::{Refusal, Result, ServiceError};
use crate::subject::Subject;
use crate::testing::{TestClock, TestDb};

/// A database with a campaign.
pub struct Fixture {
    test: TestDb,
    pub services: Services,
    pub clock: Arc<TestClock>,
    pub campaign: i64,
    _folder: tempfile::TempDir,
}

impl Fixture {
    /// One of each kind of database, with a campaign that is a draft.
    pub async fn each() -> Vec<Self> {
        let mut all = Vec::new();
        for test in TestDb::each().await {
            let (folder, clock) = (tempfile::tempdir().expect("a folder"), Arc::new(TestClock::new()));
            let services = Services::new(test.db.clone(), clock.clone(), &[1; 32], folder.path());
            let mut fixture = Self { test, services, clock, campaign: 0, _folder: folder };
            fixture.campaign = fixture.campaign("spring", CampaignState::Draft).await;
            all.push(fixture);
        }
        all
    }

    pub async fn campaign(&self, key: &str, state: CampaignState) -> i64 {
        let campaign = NewCampaign {
            key: key.to_owned(),
            name: key.to_owned(),
            subject: None,
            from_address: None,
            sent_at: Some(Timestamp::from_seconds(1_767_000_000)),
            state,
        };
        let subject = Subject::command_line();
        let row = find_or_create_campaign(self.services.db.write(), &subject, self.services.now(), campaign).await;
        row.expect("a campaign").id
    }

    pub async fn start(&self, content: impl AsRef<[u8]>) -> Result<Import> {
        let source = Source::reader(std::io::Cursor::new(content.as_ref().to_vec()));
        Import::start(&self.services, &Subject::command_line(), self.campaign, source, ImportOptions::default()).await
    }

    pub async fn import(&self, content: impl AsRef<[u8]>) -> ImportResult {
        self.start(content).await.expect("started").run(|_| ()).await.expect("imported")
    }

    pub async fn refusal(&self, content: impl AsRef<[u8]>) -> Refusal {
        let result = match self.start(content).await {
            Ok(import) => import.run(|_| ()).await.map(|_| ()),
            Err(error) => Err(error),
        };
        match result {
            Err(ServiceError::Refused(refusal)) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    pub async fn rows(&self, sql: &str) -> Vec<QueryResult> {
        query_all(self.services.db.read(), sql, Vec::<Value>::new()).await.expect(sql)
    }

    /// Everything that an import leaves, but for the mark of the import, one line a recipient.
    pub async fn dump(&self) -> Vec<String> {
        let sql = "SELECT r.campaign_id, r.number, r.email, r.email_key, r.domain, r.ref, r.name, r.company, r.owner, r.crm_id, \
                r.attributes, r.is_simulator, r.attempt, r.status, r.skip_reason, r.skip, r.sent_at, a.email_key, \
                (SELECT count(*) FROM message m WHERE m.campaign_id = r.campaign_id AND m.recipient = r.number) \
            FROM recipient r JOIN address a ON a.id = r.address_id ORDER BY r.campaign_id, r.number";
        let text = |row: &QueryResult, index: usize| {
            let number = || row.try_get_by_index::<Option<i64>>(index).ok().flatten().map(|number| number.to_string());
            let small = || row.try_get_by_index::<Option<i16>>(index).ok().flatten().map(|number| number.to_string());
            let int = || row.try_get_by_index::<Option<i32>>(index).ok().flatten().map(|number| number.to_string());
            let flag = || row.try_get_by_index::<Option<bool>>(index).ok().flatten().map(|flag| flag.to_string());
            let words = row.try_get_by_index::<Option<String>>(index).ok().flatten();
            words.or_else(number).or_else(small).or_else(int).or_else(flag).unwrap_or_else(|| "-".to_owned())
        };
        self.rows(sql)
            .await
            .iter()
            .map(|row| (0..19).map(|index| text(row, index)).collect::<Vec<_>>().join("|"))
            .collect()
    }

    /// The recipients: address, name, company, and `READY`, `SENT` or the reason for which they are skipped.
    pub async fn recipients(&self) -> Vec<String> {
        let sql = "SELECT email, COALESCE(name, ''), COALESCE(company, ''), status, skip_reason FROM recipient ORDER BY campaign_id, number";
        let line = |row: &QueryResult| {
            let text = |index| row.try_get_by_index::<String>(index).expect("a text");
            let status: i16 = row.try_get_by_index(3).expect("a status");
            let skip: Option<i16> = row.try_get_by_index(4).expect("a reason");
            let word = skip.and_then(domain::status::SkipReason::from_code).map(|reason| reason.as_str());
            let word =
                word.or_else(|| domain::status::RecipientStatus::from_code(status).map(|status| status.as_str()));
            format!("{}|{}|{}|{}", text(0), text(1), text(2), word.expect("known"))
        };
        self.rows(sql).await.iter().map(line).collect()
    }

    pub async fn count(&self, sql: &str) -> i64 {
        self.rows(sql).await[0].try_get_by_index(0).expect("a number")
    }

    /// The roll-ups are what counting anew gives.
    pub async fn check_figures(&self) {
        for (figure, status) in [("recipients", 0), ("ready", 1), ("sent_only", 2), ("blocked", 8), ("canceled", 11)] {
            let what = if status == 0 { "1 = 1".to_owned() } else { format!("status = {status}") };
            let counted =
                self.count(&format!("SELECT count(*) FROM recipient WHERE NOT is_simulator AND {what}")).await;
            for table in ["campaign_statistics", "domain_statistics"] {
                let kept = self.count(&format!("SELECT CAST(COALESCE(sum({figure}), 0) AS BIGINT) FROM {table}")).await;
                assert_eq!(kept, counted, "{figure} in {table}");
            }
        }
        let sent = self.count("SELECT count(*) FROM recipient WHERE NOT is_simulator AND status = 2").await;
        assert_eq!(self.count("SELECT CAST(COALESCE(sum(sent), 0) AS BIGINT) FROM campaign_hour").await, sent);
        let counts =
            "SELECT count(*) FROM import WHERE read_count <> imported + updated + unchanged + skipped + rejected";
        assert_eq!(self.count(counts).await, 0);
    }

    pub async fn close(self) {
        self.test.close().await;
    }
}

/// imported, updated, unchanged, skipped, rejected
pub fn counts(result: &ImportResult) -> [i64; 5] {
    let counts = result.counts;
    assert_eq!(result.read, counts.read());
    [counts.imported, counts.updated, counts.unchanged, counts.skipped, counts.rejected]
}
