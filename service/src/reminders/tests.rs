//! Reminders over real databases: campaigns whose recipients have given facts, and jobs as a worker does them.

mod actions;
mod rules;
mod runs;
mod schedule;
mod taken_out;

use std::sync::Arc;

use domain::Timestamp;
use domain::campaign::CampaignState;
use domain::facts::Facts;
use domain::health::AddressHealth;
use domain::reminder::{Address, ReminderAction, ReminderAudience};
use domain::status::{RecipientStatus, SkipReason};
use sea_orm::Value;

use super::run::CHUNK;
use super::{Preview, Reminded, ReminderRule, ReminderTerms};
use crate::access::{Marketer, Reader, Services};
use crate::batch::{Batch, Column};
use crate::campaigns::{NewCampaign, find_or_create_campaign};
use crate::db::{execute, query_all};
use crate::error::{RefusalCode, Result, ServiceError};
use crate::facts_row::{CHANGE_COLUMNS, assignments, batch_row};
use crate::jobs::{self, ClaimedJob, JobKind, NewJob, Which};
use crate::recount::recount;
use crate::skipped::Skipped;
use crate::subject::Subject;
use crate::testing::{TestClock, TestDb};

pub const WELL: Address = Address {
    health: AddressHealth::Ok,
    is_former_employee: false,
    is_deleted: false,
    is_consent_withdrawn: false,
    is_unsubscribed: false,
};

/// A recipient.
#[derive(Clone, Debug)]
pub struct Somebody {
    pub facts: Facts,
    pub is_simulator: bool,
    pub address: Address,
}

/// Sent to at `hour` of the test, which begins at 0.
pub fn sent(hour: i64) -> Facts {
    Facts { sent_at: Some(at(hour)), ..Facts::default() }
}

/// The `hour`th hour of the test.
pub fn at(hour: i64) -> Timestamp {
    Timestamp::from_micros(1_767_225_600_000_000).plus_seconds(hour * 3_600)
}

pub fn with(facts: Facts) -> Somebody {
    Somebody { facts, is_simulator: false, address: WELL }
}

pub struct Fixture {
    test: TestDb,
    pub services: Services,
    pub clock: Arc<TestClock>,
    _folder: tempfile::TempDir,
}

impl Fixture {
    /// One of each kind of database.
    pub async fn each() -> Vec<Self> {
        let mut all = Vec::new();
        for test in TestDb::each().await {
            let (folder, clock) = (tempfile::tempdir().expect("a folder"), Arc::new(TestClock::new()));
            let services = Services::new(test.db.clone(), clock.clone(), &[1; 32], folder.path());
            all.push(Self { test, services, clock, _folder: folder });
        }
        all
    }

    pub fn marketer(&self) -> Marketer {
        self.services.access(Subject::command_line()).marketer().expect("a marketer")
    }

    pub fn reader(&self) -> Reader {
        self.services.access(Subject::command_line()).reader()
    }

    /// A campaign of this name that was sent when the test began, or is in another state.
    pub async fn campaign(&self, name: &str, state: CampaignState, people: &[Somebody]) -> i64 {
        let campaign = NewCampaign {
            key: name.to_owned(),
            name: name.to_owned(),
            subject: Some(format!("All about {name}")),
            from_address: Some("news@example.com".to_owned()),
            sent_at: Some(at(0)).filter(|_| state == CampaignState::Sent),
            state,
        };
        let (db, now) = (self.services.db.write(), self.services.now());
        let row = find_or_create_campaign(db, &Subject::command_line(), now, campaign).await.expect("a campaign");
        self.people(row.id, people).await;
        row.id
    }

    async fn people(&self, campaign: i64, people: &[Somebody]) {
        let mut batch = Batch::new(&[
            ("id", Column::Big),
            ("number", Column::Big),
            ("email", Column::Text),
            ("health", Column::Small),
            ("blocked_at", Column::Big),
            ("former", Column::Big),
            ("deleted", Column::Big),
            ("complained", Column::Big),
            ("unsubscribed", Column::Big),
            ("is_simulator", Column::Bool),
        ]);
        for (number, person) in (1_i64..).zip(people) {
            let since = |is_so: bool| Value::from(is_so.then(|| at(0).micros()));
            let address = person.address;
            batch.push([
                (campaign * 1_000_000 + number).into(),
                number.into(),
                format!("p{number}@c{campaign}.example").into(),
                address.health.code().into(),
                since(address.health == AddressHealth::Blocked),
                since(address.is_former_employee),
                since(address.is_deleted),
                since(address.is_consent_withdrawn),
                since(address.is_unsubscribed),
                person.is_simulator.into(),
            ]);
        }
        let db = self.services.db.write();
        let sql = "INSERT INTO address (id, email_key, health, blocked_at, former_employee_at, deleted_at, last_complained_at, \
            unsubscribed_at, created_at) SELECT id, email, health, blocked_at, former, deleted, complained, unsubscribed, 0 FROM {rows}";
        batch.clone().execute(db, sql, []).await.expect("addresses");
        let sql = "INSERT INTO recipient (campaign_id, number, address_id, email_key, email, domain, ref, name, attributes, is_simulator, \
            status, created_at) SELECT {1}, number, id, email, email, 'example.com', 'r' || number, 'N' || number, '{\"a\":\"b\"}', \
            is_simulator, 1, 0 FROM {rows}";
        batch.execute(db, sql, [campaign.into()]).await.expect("recipients");
        self.set_many(campaign, (1_i64..).zip(people.iter().map(|person| person.facts.clone()))).await;
    }

    /// Sets what is known of a recipient.
    pub async fn set(&self, campaign: i64, number: i64, known: &Facts) {
        self.set_many(campaign, [(number, known.clone())]).await;
    }

    /// Sets what is known of recipients.
    pub async fn set_many(&self, campaign: i64, known: impl IntoIterator<Item = (i64, Facts)>) {
        let sql = format!(
            "UPDATE recipient SET {} FROM {{rows}} WHERE recipient.campaign_id = rows.campaign_id AND recipient.number = rows.number",
            assignments()
        );
        let known: Vec<(i64, Facts)> = known.into_iter().collect();
        // SQLite reads wide rows out of JSON, which takes long for many in one statement.
        for some in known.chunks(500) {
            let mut batch = Batch::new(CHANGE_COLUMNS);
            some.iter().for_each(|(number, facts)| batch.push_row(batch_row(campaign, *number, facts)));
            batch.execute(self.services.db.write(), &sql, []).await.expect("facts");
        }
        recount(&self.services, Some(campaign), true).await.expect("recounted");
        let sql = "UPDATE campaign_statistics SET updated_at = $2 WHERE campaign_id = $1";
        self.run_sql(sql, [campaign.into(), self.services.now().micros().into()]).await;
    }

    /// Has a reminder go out to everybody who is to get it.
    pub async fn send(&self, child: i64) {
        let sql = "UPDATE recipient SET status = 2, sent_at = $2 WHERE campaign_id = $1 AND status = 1";
        self.run_sql(sql, [child.into(), self.services.now().micros().into()]).await;
        let sql = "UPDATE campaign SET state = 3, sent_at = $2 WHERE id = $1";
        self.run_sql(sql, [child.into(), self.services.now().micros().into()]).await;
        recount(&self.services, Some(child), true).await.expect("recounted");
    }

    pub async fn run_sql<const N: usize>(&self, sql: &str, values: [Value; N]) {
        execute(self.services.db.write(), sql, values).await.expect(sql);
    }

    pub async fn count(&self, sql: &str) -> i64 {
        let rows = query_all(self.services.db.read(), sql, []).await.expect(sql);
        rows[0].try_get_by_index(0).expect("a number")
    }

    pub async fn rule(&self, terms: ReminderTerms) -> ReminderRule {
        self.marketer().save_reminder_rule(None, terms).await.expect("a rule")
    }

    pub async fn preview(&self, id: Option<i64>, terms: ReminderTerms) -> Preview {
        self.reader().reminder_preview(id, terms).await.expect("a preview")
    }

    pub async fn claim(&self, id: i64) -> ClaimedJob {
        let (now, until) = (self.services.now(), self.services.lease_until());
        jobs::claim(&self.services, Which::Id(id), "worker", now, until).await.expect("asked").expect("a job")
    }

    /// Makes the reminders of a rule, as somebody asks for it.
    pub async fn remind(&self, rule: i64) -> Reminded {
        let job = self.marketer().run_reminder_now(rule).await.expect("a job");
        super::run(&self.services, &self.claim(job.id).await).await.expect("done")
    }

    /// Does what the schedule does every minute; the jobs that it added.
    pub async fn tick(&self) -> Vec<i64> {
        let now = self.services.now();
        let before = self.count("SELECT COALESCE(max(id), 0) FROM job").await;
        let job = NewJob::new(JobKind::CheckReminders, serde_json::json!({}), "schedule", now);
        let job = jobs::enqueue(self.services.db.write(), job, now).await.expect("added");
        let checked = super::check(&self.services, &self.claim(job).await).await.expect("done");
        let sql = format!("SELECT id FROM job WHERE id > {before} AND kind = {} ORDER BY id", JobKind::Remind.code());
        let rows = query_all(self.services.db.read(), &sql, []).await.expect("jobs");
        let added: Vec<i64> = rows.iter().map(|row| row.try_get_by_index(0).expect("an id")).collect();
        assert_eq!(checked.jobs, added.len());
        added
    }

    /// The recipients of a campaign: status, and why they are skipped.
    pub async fn statuses(&self, campaign: i64) -> Vec<(RecipientStatus, Option<SkipReason>)> {
        let sql = format!("SELECT status, skip_reason FROM recipient WHERE campaign_id = {campaign} ORDER BY number");
        let rows = query_all(self.services.db.read(), &sql, []).await.expect("recipients");
        let status = |row: &sea_orm::QueryResult| {
            let status = RecipientStatus::from_code(row.try_get_by_index(0).expect("a status")).expect("known");
            let skip: Option<i16> = row.try_get_by_index(1).expect("a reason");
            (status, skip.and_then(SkipReason::from_code))
        };
        rows.iter().map(status).collect()
    }

    /// The figures of all campaigns are what counting anew gives, and nobody was reminded twice.
    pub async fn check(&self) {
        let found = recount(&self.services, None, false).await.expect("recounted");
        assert_eq!(found.different, 0, "{found:?}");
        let targets = self.count("SELECT count(*) FROM reminder_target WHERE child_id IS NOT NULL").await;
        let recipients = "SELECT count(*) FROM recipient r JOIN reminder m ON m.child_id = r.campaign_id";
        assert_eq!(self.count(recipients).await, targets, "each recipient of a reminder has one that it reminds");
        let attempts = "SELECT count(*) FROM (SELECT campaign_id, recipient, attempt FROM reminder_target WHERE attempt IS NOT NULL \
                        GROUP BY campaign_id, recipient, attempt HAVING count(*) > 1) AS doubles";
        assert_eq!(self.count(attempts).await, 0, "no attempt is two reminders");
    }

    pub async fn close(self) {
        self.check().await;
        self.test.close().await;
    }
}

/// How many were reminded by the actions together.
pub const REMINDED: &str = "SELECT count(*) FROM reminder_target";

/// A rule for a campaign: after 72 hours, once.
pub fn terms(campaign: i64) -> ReminderTerms {
    ReminderTerms {
        name: "Nobody read it".to_owned(),
        campaign: Some(campaign),
        pattern: None,
        after_hours: 72,
        audience: ReminderAudience::NoHumanSignal,
        max_reminders: 1,
        time_zone: "Europe/Berlin".to_owned(),
        window: None,
        action: ReminderAction::NewCampaign,
        subject_prefix: None,
        is_enabled: true,
    }
}

/// The same for all campaigns with such a name.
pub fn terms_for(pattern: &str) -> ReminderTerms {
    ReminderTerms { campaign: None, pattern: Some(pattern.to_owned()), ..terms(0) }
}

/// Reasons and how many, in the order of the reasons.
pub fn counts(skipped: &[Skipped]) -> Vec<(String, i64)> {
    let mut counts: Vec<_> = skipped.iter().map(|skipped| (skipped.reason.clone(), skipped.count)).collect();
    counts.sort_unstable();
    counts
}

/// The same of a preview.
pub fn preview_counts(preview: &Preview) -> Vec<(String, i64)> {
    let not_eligible = preview.not_eligible.iter();
    let mut counts: Vec<_> = not_eligible.map(|skipped| (skipped.reason.to_string(), skipped.count)).collect();
    counts.sort_unstable();
    counts
}

/// The field that a refusal is about, outermost first.
pub fn refused<T: std::fmt::Debug>(result: Result<T>) -> (RefusalCode, String) {
    match result {
        Err(ServiceError::Refused(refusal)) => (refusal.code, refusal.field.join(".")),
        other => panic!("not refused: {other:?}"),
    }
}

/// As many recipients as make `chunks` transactions.
pub fn many(chunks: i64) -> Vec<Somebody> {
    (0..CHUNK * chunks).map(|_| with(sent(0))).collect()
}
