//! The CRM over real databases, with a CRM that fails in every way it can.

mod contract;
mod escalations;
mod fake;
mod follow_ups;
mod members;
mod readings;
mod reports;
mod sync;
mod tokens;
mod trouble;

use std::sync::Arc;

use domain::campaign::CampaignState;
use fake::{Fake, How};

use crate::access::{Marketer, Services};
use crate::error::{Result, ServiceError};
use crate::import::tests::Fixture;
use crate::jobs::{self, ClaimedJob, JobKind, Which};
use crate::recipients::{RecipientFilter, RecipientSet, RecipientsWhere};
use crate::subject::Subject;

/// A campaign with recipients, of whom some are persons of the CRM, and a CRM outside that can be told to fail.
struct World {
    fixture: Fixture,
    services: Services,
    crm: Arc<Fake>,
}

impl World {
    /// With `persons` persons (`p1`, …) who are recipients, and `others` recipients who are none; owners are `o1` to `o3`, of whom the
    /// last does not work with the CRM any more, companies have three persons each.
    async fn each(persons: usize, others: usize) -> Vec<Self> {
        let mut all = Vec::new();
        for fixture in Fixture::each().await {
            let crm = Arc::new(Fake::with_persons(persons));
            let mut csv = "email,name,crm id\n".to_owned();
            for number in 1..=persons {
                csv.push_str(&format!("p{number}@example.com,Person {number},p{number}\n"));
            }
            for number in 1..=others {
                csv.push_str(&format!("other{number}@example.org,Other {number},\n"));
            }
            let services = fixture.services.clone().with_crm(crm.clone());
            let mirrored = {
                let transaction = services.db.begin_keyed().await.expect("begun");
                let changed = super::mirror::write(&transaction, &crm.all_persons(), None, services.now()).await;
                transaction.commit().await.expect("committed");
                changed.expect("written")
            };
            assert_eq!(mirrored, u64::try_from(persons).expect("small"));
            fixture.import(csv).await;
            all.push(Self { fixture, services, crm });
        }
        all
    }

    fn marketer(&self) -> Marketer {
        self.services.access(Subject::command_line()).marketer().expect("a marketer")
    }

    /// All recipients.
    fn everybody(&self) -> RecipientSet {
        let filter = RecipientFilter::default();
        RecipientSet::Where(RecipientsWhere { campaign: self.fixture.campaign, filter, search: None })
    }

    /// Claims the job, whoever had it before: its lease is over.
    async fn claim(&self, id: i64) -> Option<ClaimedJob> {
        self.fixture.clock.advance_seconds(4_000);
        let (now, until) = (self.services.now(), self.services.lease_until());
        jobs::claim(&self.services, Which::Id(id), "test", now, until).await.expect("asked")
    }

    /// Does a job as workers do who are killed and see the CRM fail, until it is done.
    async fn work_off(&self, id: i64) -> serde_json::Value {
        for _ in 0..1_000 {
            let Some(job) = self.claim(id).await else { break };
            let hung = self.crm.hung();
            let done = tokio::select! {
                done = run(&self.services, &job) => done,
                // The worker is killed while the CRM does not answer.
                () = hung => continue,
            };
            match done {
                Ok(()) => break,
                Err(ServiceError::Later { why, .. }) => {
                    let now = self.services.now();
                    assert!(jobs::postpone(&self.services, &job, why, now).await.expect("put off"));
                }
                Err(error) => panic!("{error:?}"),
            }
        }
        let job = self.marketer_reader_job(id).await;
        assert_eq!(job.state, jobs::JobState::Succeeded, "{:?}", job.error);
        job.result.expect("a result")
    }

    async fn marketer_reader_job(&self, id: i64) -> jobs::Job {
        let reader = self.services.access(Subject::command_line()).reader();
        reader.job(id).await.expect("asked").expect("a job")
    }

    async fn count(&self, sql: &str) -> i64 {
        self.fixture.count(sql).await
    }

    async fn close(self) {
        self.fixture.close().await;
    }
}

async fn run(services: &Services, job: &ClaimedJob) -> Result<()> {
    match job.kind {
        JobKind::SyncCrm => super::sync::run(services, job).await.map(drop),
        JobKind::CreateFollowUps => super::follow_ups::run(services, job).await.map(drop),
        JobKind::ImportMembers => crate::import::members::run(services, job).await.map(drop),
        JobKind::ReloadRecipients => crate::import::members::reload(services, job).await.map(drop),
        JobKind::ReportToCrm => super::reports::run(services, job).await.map(drop),
        _ => super::members::run(services, job).await.map(drop),
    }
}

#[tokio::test]
async fn who_an_import_calls_a_person_of_the_crm_is_one_of_the_built_in_crm() {
    for fixture in Fixture::each().await {
        fixture
            .import("email,name,company,owner,crm id\nada@example.com,Ada,Analytical,Olga,7\nbob@example.com,Bob,,,\n")
            .await;
        fixture.campaign("autumn", CampaignState::Draft).await;
        fixture.import("email,crm id\nada@example.org,7\n").await;
        let person = "SELECT count(*) FROM person WHERE crm_id = '7' AND name = 'Ada' AND company = 'Analytical' AND owner = 'Olga'";
        assert_eq!(fixture.count(person).await, 1);
        assert_eq!(fixture.count("SELECT count(*) FROM person").await, 1);
        let emails = fixture.rows("SELECT email FROM person_email ORDER BY rank").await;
        let emails: Vec<String> = emails.iter().map(|row| row.try_get_by_index(0).expect("a text")).collect();
        assert_eq!(emails, ["ada@example.com", "ada@example.org"]);
        fixture.close().await;
    }
}

/// What the CRM does with the next requests, from a seed: mostly what it is asked for.
fn moods(seed: u64, length: usize) -> Vec<How> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..length)
        .map(|_| match next() % 8 {
            0 => How::LostAnswer,
            1 => How::Hang,
            2 => How::HangBefore,
            3 => How::Busy,
            _ => How::Well,
        })
        .collect()
}

#[tokio::test]
async fn a_recipient_is_the_person_with_its_id_or_else_with_its_address() {
    for world in World::each(3, 1).await {
        let sql = "UPDATE recipient SET crm_id = NULL WHERE email_key = 'p2@example.com'";
        crate::db::execute(world.services.db.write(), sql, []).await.expect("changed");
        let sql = "UPDATE recipient SET crm_id = 'p1' WHERE email_key = 'p3@example.com'";
        crate::db::execute(world.services.db.write(), sql, []).await.expect("changed");
        let reader = world.services.access(Subject::command_line()).reader();
        let keys: Vec<_> = (1..=4)
            .map(|number| crate::recipients::RecipientKey { campaign: world.fixture.campaign, number })
            .collect();
        let found = reader.persons_of(&keys).await.expect("read");
        let ids: Vec<Option<&str>> =
            keys.iter().map(|key| found.get(key).map(|person| person.crm_id.as_str())).collect();
        assert_eq!(ids, [Some("p1"), Some("p2"), Some("p1"), None]);
        let query = |known| RecipientsWhere {
            campaign: world.fixture.campaign,
            filter: RecipientFilter::InCrm(known),
            search: None,
        };
        for (known, count) in [(true, 3), (false, 1)] {
            let set = RecipientSet::Where(query(known));
            assert_eq!(set.size(&reader, 10).await.expect("counted").value, count);
        }
        world.close().await;
    }
}
