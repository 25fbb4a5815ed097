//! A database with a campaign, its recipients and what providers reported, and the schema over it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_graphql::{ID, Request, Response, Variables};
use domain::SystemClock;
use migration::MigratorTrait;
use serde_json::{Value, json};
use service::changes::Changes;
use service::recipients::RecipientKey;
use service::{Db, DbOptions, Role, Services, Subject};

use crate::graphql::node::Key;
use crate::graphql::{Schema, build_schema};

/// What is personal, or could be, in what is seeded: no viewer may see any of it.
pub const PERSONAL: &[&str] = &[
    "erika",
    "muster",
    "kleinfirma",
    "betreuerin",
    "crm-4711",
    "empf-0815",
    "lieblingsfarbe",
    "postfach voll",
    "t=geheim",
    "absender",
    "nachricht-77",
    "quellendatei",
    "will-nicht",
    "exportdatei",
];

const SEED: &[&str] = &[
    "INSERT INTO campaign (id, key, name, subject, from_address, state, sent_at, created_by, created_at) \
        VALUES (1, 'spring', 'Spring', 'Hello', 'absender@haus.example', 3, 1767225600000000, 'cli', 1)",
    "INSERT INTO campaign (id, key, name, state, parent_id, created_by, created_at) VALUES (2, 'again', 'Again', 1, 1, 'cli', 2)",
    "INSERT INTO campaign_statistics (campaign_id, recipients, sent_only, read, hard_bounced, opened, opens, updated_at) \
        VALUES (1, 3, 1, 1, 1, 1, 2, 1767225600000000)",
    "INSERT INTO domain_statistics (campaign_id, domain, recipients, sent_only) VALUES (1, 'kleinfirma.example', 3, 1)",
    "INSERT INTO campaign_hour (campaign_id, hour, sent) VALUES (1, 1767225600000000, 3)",
    "INSERT INTO bounce_statistics (campaign_id, bounce_class, smtp_code, enhanced_code, recipients) VALUES (1, 4, 552, '5.2.2', 1)",
    "INSERT INTO tracked_link (id, campaign_id, url, url_hash) VALUES (1, 1, 'https://haus.example/a?t=geheim', 'a')",
    "INSERT INTO link_statistics (link_id, campaign_id, clicks, clickers) VALUES (1, 1, 1, 1)",
    "INSERT INTO address (id, email_key, health, last_reason, last_reason_at, blocked_at, block_reason, block_note, block_event, \
        created_at) VALUES (1, 'erika.muster@kleinfirma.example', 3, '552 5.2.2 erika.muster: Postfach voll', 5, 5, 1, \
        'frau-muster-will-nicht', 1048577, 1)",
    "INSERT INTO complaint (id, campaign_id, recipient, address_id, complained_at) VALUES (1, 1, 1, 1, 5)",
    "INSERT INTO audit_entry (id, at, subject, action, object, detail) VALUES (1, 5, 'system', 'address.blocked', 'address:1', '{}')",
    "INSERT INTO event (provider, event_id, occurred_at, id, kind, campaign_id, recipient, url, verdict) \
        VALUES (1, 'a', 1767225600000001, 1048576, 11, 1, 1, 'https://haus.example/a?t=geheim', NULL)",
    "INSERT INTO event (provider, event_id, occurred_at, id, kind, campaign_id, recipient, bounce_class, smtp_code, \
        enhanced_code, diagnostic) VALUES (1, 'b', 1767225600000002, 1048577, 6, 1, 1, 4, 552, '5.2.2', \
        'erika.muster: Postfach voll')",
    "INSERT INTO event (provider, event_id, occurred_at, id, kind, message_id, email, recipient_ref, campaign_keys, source) \
        VALUES (2, 'c', 1767225600000003, 1048578, 3, 'nachricht-77', 'erika.muster@kleinfirma.example', 'empf-0815', 'x', 'news')",
    "INSERT INTO person (id, crm_id, name, company_id, company, owner_id, owner, created_at, updated_at) \
        VALUES (1, 'crm-4711', 'Erika Muster', 'c1', 'Kleinfirma GmbH', 'o1', 'Betreuerin', 1, 1)",
    "INSERT INTO person_email (person_id, email_key, email, rank) VALUES (1, 'erika.muster@kleinfirma.example', \
        'Erika.Muster@kleinfirma.example', 0)",
    "INSERT INTO selection (id, key, crm_id, name, kind, member_count, created_by, created_at) VALUES (1, 'k1', 's1', 'Spring', 1, 1, 'crm', 1)",
    "INSERT INTO selection_member (list_id, person_id, state, added_at) VALUES (1, 1, 3, 1)",
    "INSERT INTO project (id, key, crm_id, name, kind, member_count, created_by, created_at) VALUES (1, 'k1', 's1', 'Fair', 1, 1, 'crm', 1)",
    "INSERT INTO project_member (list_id, person_id, state, added_at) VALUES (1, 1, 3, 1)",
    "INSERT INTO follow_up (id, key, campaign_id, recipient, person_id, owner_id, owner, title, description, reason, state, job_id, \
        created_by, created_at) VALUES (1, 'k1', 1, 1, 1, 'o1', 'Betreuerin', 'Call', 'Ask Erika Muster', 'READ', 3, 1, 'user:1', 1)",
    "INSERT INTO correction (id, old_email, old_key, old_domain, new_email, new_key, new_domain, state, source, suggestion, confidence, \
        reason, created_by, created_at) VALUES (1, 'Erika.Muster@kleinfirma.exampel', 'erika.muster@kleinfirma.exampel', \
        'kleinfirma.exampel', 'Erika.Muster@kleinfirma.example', 'erika.muster@kleinfirma.example', 'kleinfirma.example', 1, 3, 1, 87, \
        'frau-muster-will-nicht', 'system', 1)",
    "INSERT INTO correction (id, old_email, old_key, old_domain, new_email, new_key, new_domain, state, source, push, crm_email, \
        created_by, created_at, decided_by, decided_at) VALUES (2, 'muster@alt.example', 'muster@alt.example', 'alt.example', \
        'muster@neu.example', 'muster@neu.example', 'neu.example', 4, 1, 5, 'muster@crm.example', 'user:1', 1, 'user:1', 2)",
    "INSERT INTO alert (campaign_id, kind, value, limit_value, raised_at, resolved_at) VALUES (1, 1, 333333, 50000, 5, 6)",
    "INSERT INTO alert (campaign_id, kind, value, limit_value, raised_at) VALUES (1, 4, 7, 6, 7)",
    "INSERT INTO job (id, kind, queue, payload, state, run_at, error, result, created_by, created_at) VALUES (1, 1, 3, '{}', 4, 1, \
        'quellendatei-erika.csv cannot be read', \
        '{\"campaignId\":1,\"importId\":1,\"read\":1,\"imported\":1,\"updated\":0,\"unchanged\":0,\"skipped\":0,\"rejected\":0}', \
        'user:1', 1)",
    "INSERT INTO job (id, kind, queue, payload, state, run_at, result, created_by, created_at) VALUES (2, 10, 3, '{}', 3, 1, \
        '{\"fileId\":\"x-1\",\"name\":\"exportdatei.csv\",\"contentType\":\"text/csv\",\"size\":1,\"rows\":1,\
        \"snapshotAt\":\"2026-01-01T00:00:00Z\",\"expiresAt\":\"2026-01-08T00:00:00Z\"}', 'user:1', 1)",
    "INSERT INTO correction_issue (job_id, line, content, reason) VALUES (1, 3, 'erika.muster,x', 'the new address cannot be used')",
];

/// The recipient with this number.
fn recipient(number: i64) -> String {
    format!(
        "INSERT INTO recipient (campaign_id, number, address_id, email_key, email, domain, ref, name, company, owner, crm_id, \
         attributes, status, sent_at, failure_gravity, failure_at, failure_class, failure_smtp_code, failure_enhanced_code, \
         failure_diagnostic, opens, created_at) VALUES (1, {number}, 1, 'erika.muster@kleinfirma.example', \
         'Erika.Muster@kleinfirma.example', 'kleinfirma.example', 'empf-0815-{number}', 'Erika Muster', 'Kleinfirma GmbH', \
         'Betreuerin', 'crm-4711', '{{\"lieblingsfarbe\":\"rot\"}}', 7, 1767225600000000, 2, 5, 4, 552, '5.2.2', \
         'erika.muster: Postfach voll', 2, 1)"
    )
}

/// The ids of what is seeded.
pub fn ids() -> Vec<(&'static str, ID)> {
    vec![
        ("campaign", Key::Campaign(1).id()),
        ("recipient", Key::Recipient(RecipientKey { campaign: 1, number: 1 }).id()),
        ("address", Key::Address(1).id()),
        ("job", Key::Job(1).id()),
        ("delivery", Key::Delivery(1).id()),
    ]
}

/// The global id of the campaign.
pub fn campaign() -> String {
    Key::Campaign(1).id().0
}

/// A schema over a seeded SQLite database.
pub struct Fixture {
    pub services: Services,
    pub schema: Schema,
    pub changes: Changes,
    statements: Arc<AtomicUsize>,
    _folder: tempfile::TempDir,
}

impl Fixture {
    /// With the campaign and `recipients` recipients.
    pub async fn with(recipients: i64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = Db::sqlite_url(&folder.path().join("test.db"));
        let mut db = Db::connect(&DbOptions { url, max_connections: 4 }).await.expect("a database");
        migration::Migrator::up(db.write(), None).await.expect("migrations");
        let run = async |sql: &str| service::db::execute(db.write(), sql, []).await.map(|_| ()).expect(sql);
        for sql in SEED {
            run(sql).await;
        }
        for number in 1..=recipients {
            run(&recipient(number)).await;
        }
        if recipients > 0 {
            run("INSERT INTO click (campaign_id, id, recipient, link_id, occurred_at, verdict) VALUES (1, 1048576, 1, 1, 6, 4)").await;
        }
        run("INSERT INTO delivery (id, source, provider, received_at, headers, body, body_size, state) \
            VALUES (1, 'news', 1, 1, '[]', X'28B52FFD20021100007B7D', 2, 2)")
        .await;
        let statements = Arc::new(AtomicUsize::new(0));
        let counter = statements.clone();
        db.on_statement(move || {
            counter.fetch_add(1, Ordering::SeqCst);
        });
        let services = Services::new(db, Arc::new(SystemClock), &[1; 32], folder.path());
        let changes = Changes::default();
        Self { services, schema: build_schema(&changes), changes, statements, _folder: folder }
    }

    /// A request of somebody with this role.
    pub fn request(&self, role: Role, query: &str, variables: Value) -> Request {
        // Whoever changes users or tokens has to be an admin in the database, or sit at the command line.
        let id = if role == Role::Admin { Subject::command_line().id } else { "token:1".to_owned() };
        let subject = Subject { id, name: "test".to_owned(), role };
        let access = self.services.access(subject);
        Request::new(query).variables(Variables::from_json(variables)).data(access)
    }

    /// What is answered.
    pub async fn ask(&self, role: Role, query: &str, variables: Value) -> Response {
        self.schema.execute(self.request(role, query, variables)).await
    }

    /// What a marketer is answered, without errors.
    pub async fn data(&self, query: &str) -> Value {
        let response = self.ask(Role::Marketer, query, json!({ "campaign": campaign() })).await;
        assert!(response.errors.is_empty(), "{query}: {:?}", response.errors);
        response.data.into_json().expect("JSON")
    }

    /// The code of the first error that somebody is answered.
    pub async fn error(&self, role: Role, query: &str) -> String {
        let response = self.ask(role, query, json!({ "campaign": campaign() })).await;
        let error = response.errors.first().unwrap_or_else(|| panic!("{query} is answered {}", response.data));
        let code = error.extensions.as_ref().and_then(|extensions| extensions.get("code").cloned());
        code.map_or_else(
            || error.message.clone(),
            |code| code.into_json().expect("JSON").as_str().expect("a text").to_owned(),
        )
    }

    /// How many statements were sent since this was last asked.
    pub fn statements(&self) -> usize {
        self.statements.swap(0, Ordering::SeqCst)
    }
}
