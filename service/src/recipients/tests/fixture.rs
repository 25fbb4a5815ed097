//! A campaign with given recipients in each database.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use domain::BounceClass;
use domain::contribution::Figure;
use domain::status::{RecipientStatus, SkipReason};
use proptest::prelude::*;
use sea_orm::{ConnectionTrait, Value};

use crate::access::{Admin, Reader, Services};
use crate::db::execute;
use crate::subject::{Role, Subject};
use crate::testing::{TestClock, TestDb};

pub const CAMPAIGN: i64 = 1;

/// A recipient.
#[derive(Clone, Debug)]
pub struct Row {
    pub email: &'static str,
    pub domain: &'static str,
    pub name: Option<&'static str>,
    pub owner: Option<&'static str>,
    pub in_crm: bool,
    pub status: RecipientStatus,
    pub skip_reason: Option<SkipReason>,
    pub failure: Option<Option<BounceClass>>,
    pub sent_at: Option<i64>,
    pub opens: i32,
    pub clicks: i32,
    /// A link that was clicked, and whether by a person.
    pub clicked: Option<(i64, bool)>,
    pub is_simulator: bool,
}

/// Few different values, so that many rows are equal in what lists are ordered by.
pub fn any_row() -> impl Strategy<Value = Row> {
    let person = (
        proptest::sample::select(
            &["erika@example.com", "max@example.com", "MAX@example.com", "jörg_1%@example.com"][..],
        ),
        proptest::sample::select(&["example.com", "example.org"][..]),
        proptest::option::of(proptest::sample::select(&["Erika Muster", "MÜLLER", "Jörg 100%_"][..])),
        proptest::option::of(proptest::sample::select(&["anna", "bert"][..])),
        any::<bool>(),
    );
    let class = proptest::option::of(proptest::sample::select(BounceClass::ALL));
    let fate = (
        proptest::sample::select(RecipientStatus::ALL),
        proptest::sample::select(SkipReason::ALL),
        proptest::option::of(class),
        proptest::option::of(0_i64..5),
        0_i32..2,
        0_i32..2,
        proptest::option::of((1_i64..4, any::<bool>())),
        proptest::bool::weighted(0.1),
    );
    (person, fate).prop_map(
        |(
            (email, domain, name, owner, in_crm),
            (status, skip, failure, sent_at, opens, clicks, clicked, is_simulator),
        )| {
            let skip_reason = (status == RecipientStatus::Blocked).then_some(skip);
            Row {
                email,
                domain,
                name,
                owner,
                in_crm,
                status,
                skip_reason,
                failure,
                sent_at,
                opens,
                clicks,
                clicked,
                is_simulator,
            }
        },
    )
}

/// A database with the campaign, and how many statements were sent to it.
pub struct Fixture {
    test: TestDb,
    services: Services,
    statements: Arc<AtomicUsize>,
    _folder: tempfile::TempDir,
}

impl Fixture {
    pub async fn each(rows: &[Row]) -> Vec<Self> {
        let mut fixtures = Vec::new();
        for test in TestDb::each().await {
            let folder = tempfile::tempdir().expect("a folder");
            let statements = Arc::new(AtomicUsize::new(0));
            let counter = statements.clone();
            let mut db = test.db.clone();
            db.on_statement(move || {
                counter.fetch_add(1, Ordering::SeqCst);
            });
            let services = Services::new(db, Arc::new(TestClock::new()), &[1; 32], folder.path());
            let fixture = Self { test, services, statements, _folder: folder };
            fixture.seed(rows).await;
            fixtures.push(fixture);
        }
        fixtures
    }

    pub fn reader(&self, role: Role) -> Reader {
        let subject = Subject { id: "token:1".to_owned(), name: "test".to_owned(), role };
        self.services.access(subject).reader()
    }

    pub fn admin(&self) -> Admin {
        self.services.access(Subject::command_line()).admin().expect("an admin")
    }

    /// How many statements were sent since this was last asked.
    pub fn statements(&self) -> usize {
        self.statements.swap(0, Ordering::SeqCst)
    }

    pub const fn db(&self) -> &crate::Db {
        &self.services.db
    }

    pub async fn close(self) {
        self.test.close().await;
    }

    /// Runs a statement for which there is no service.
    pub async fn run<const N: usize>(&self, sql: &str, values: [Value; N]) {
        execute(self.services.db.write(), sql, values).await.expect(sql);
    }

    async fn seed(&self, rows: &[Row]) {
        let db = self.services.db.write();
        for sql in [
            "INSERT INTO campaign (id, key, name, state, created_by, created_at) VALUES (1, 'spring', 'Spring', 3, 'cli', 0)",
            "INSERT INTO campaign (id, key, name, state, created_by, created_at) VALUES (2, 'other', 'Other', 1, 'cli', 0)",
            "INSERT INTO address (id, email_key, created_at) VALUES (1, 'erika@example.com', 0)",
            "INSERT INTO campaign_statistics (campaign_id, updated_at) VALUES (1, 7)",
            "INSERT INTO tracked_link (id, campaign_id, url, url_hash) VALUES (1, 1, 'https://example.com/a?t=erika', 'a')",
            "INSERT INTO tracked_link (id, campaign_id, url, url_hash) VALUES (2, 1, 'https://example.com/b', 'b')",
            "INSERT INTO tracked_link (id, campaign_id, url, url_hash) VALUES (3, 1, 'https://example.com/c', 'c')",
        ] {
            db.execute_unprepared(sql).await.expect(sql);
        }
        for (number, row) in (1_i64..).zip(rows) {
            self.insert(number, row).await;
        }
        crate::by_status::repair(db, 1).await.expect("recipients by status");
        self.statements();
    }

    async fn insert(&self, number: i64, row: &Row) {
        let sql = "INSERT INTO recipient (campaign_id, number, address_id, email_key, email, domain, name, owner, crm_id, \
            is_simulator, status, skip_reason, sent_at, failure_at, failure_class, opens, clicks, created_at) \
            VALUES (1, $1, 1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 0)";
        let values: [Value; 15] = [
            number.into(),
            row.email.to_lowercase().into(),
            row.email.into(),
            row.domain.into(),
            row.name.map(str::to_owned).into(),
            row.owner.map(str::to_owned).into(),
            row.in_crm.then(|| format!("crm{number}")).into(),
            row.is_simulator.into(),
            row.status.code().into(),
            row.skip_reason.map(SkipReason::code).into(),
            row.sent_at.into(),
            row.failure.map(|_| 1_i64).into(),
            row.failure.flatten().map(BounceClass::code).into(),
            row.opens.into(),
            row.clicks.into(),
        ];
        self.run(sql, values).await;
        if row.in_crm {
            let sql = "INSERT INTO person (crm_id, created_at, updated_at) VALUES ($1, 0, 0)";
            self.run(sql, [format!("crm{number}").into()]).await;
        }
        if let Some((link, human)) = row.clicked {
            let sql = "INSERT INTO click (campaign_id, id, recipient, link_id, occurred_at, verdict) VALUES (1, $1, $1, $2, 0, $3)";
            self.run(sql, [number.into(), link.into(), (if human { 0_i16 } else { 4 }).into()]).await;
        }
        if !row.is_simulator {
            let figure = Figure::of_status(row.status).as_str();
            let sql = format!("UPDATE campaign_statistics SET recipients = recipients + 1, {figure} = {figure} + 1");
            self.run(&sql, []).await;
        }
    }
}
