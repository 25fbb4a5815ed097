//! Members of lists as recipients, over real databases: who becomes one, who not and why, and what changes when they are read again.

use domain::crm::{Company, Owner, Person};
use sea_orm::Value;

use super::{Members, MembersImported, Reloaded};
use crate::addresses;
use crate::crm::mirror;
use crate::db::execute;
use crate::error::{RefusalCode, ServiceError};
use crate::import::tests::Fixture;
use crate::jobs::{self, ClaimedJob, JobKind, Which};
use crate::recount::recount;
use crate::subject::Subject;

/// A person who may be written to.
fn person(number: usize) -> Person {
    Person {
        id: format!("p{number}"),
        name: Some(format!("Person {number}")),
        company: Some(Company { id: "c1".to_owned(), name: "Works".to_owned() }),
        owner: Some(Owner { id: "o1".to_owned(), name: "Anna".to_owned(), is_active: true }),
        emails: vec![format!("P{number}@example.com"), format!("private{number}@example.org")],
        is_former_employee: false,
        no_mailing: false,
        consent: None,
        subscriptions: None,
        updated_at: None,
    }
}

impl Fixture {
    async fn sql<const N: usize>(&self, sql: &str, values: [Value; N]) {
        execute(self.services.db.write(), sql, values).await.expect(sql);
    }

    async fn persons(&self, persons: &[Person]) {
        let transaction = self.services.db.begin_keyed().await.expect("begun");
        mirror::write(&transaction, persons, None, self.services.now()).await.expect("written");
        transaction.commit().await.expect("committed");
    }

    /// A selection (or a project) with exactly these members.
    async fn list(&self, table: &str, id: i64, members: &[usize]) {
        let sql = format!(
            "INSERT INTO {table} (id, key, name, kind, created_by, created_at) VALUES ($1, $2, 'List', 1, 'crm', 0) ON CONFLICT DO NOTHING"
        );
        self.sql(&sql, [id.into(), format!("{table}-{id}").into()]).await;
        self.sql(&format!("DELETE FROM {table}_member WHERE list_id = $1"), [id.into()]).await;
        for member in members {
            let sql = format!(
                "INSERT INTO {table}_member (list_id, person_id, state, added_at) SELECT $1, id, 3, 0 FROM person WHERE crm_id = $2"
            );
            self.sql(&sql, [id.into(), format!("p{member}").into()]).await;
        }
        // Somebody who is only to be added, and somebody who is to be removed by a job that waits, are no members.
        let sql = "INSERT INTO job (kind, queue, payload, idempotency_key, state, run_at, created_by, created_at) \
            VALUES (18, 3, '{}', 'removal', 1, 9000000000000000, 'cli', 0) ON CONFLICT DO NOTHING";
        self.sql(sql, []).await;
        let sql = format!(
            "INSERT INTO {table}_member (list_id, person_id, state, job_id, added_at) \
            SELECT $1, id, CASE WHEN crm_id = 'p98' THEN 1 ELSE 4 END, (SELECT id FROM job WHERE idempotency_key = 'removal'), 0 \
            FROM person WHERE crm_id IN ('p98', 'p99')"
        );
        self.sql(&sql, [id.into()]).await;
    }

    async fn claim(&self, id: i64) -> ClaimedJob {
        self.clock.advance_seconds(self.services.lease_seconds() + 1);
        let (now, until) = (self.services.now(), self.services.lease_until());
        jobs::claim(&self.services, Which::Id(id), "test", now, until).await.expect("asked").expect("a job")
    }

    async fn import_lists(&self, members: Members) -> MembersImported {
        let marketer = self.services.access(Subject::command_line()).marketer().expect("a marketer");
        let job = marketer.import_members(self.campaign, members).await.expect("a job");
        let imported = super::run(&self.services, &self.claim(job.id).await).await.expect("imported");
        self.settle().await;
        imported
    }

    async fn reload_lists(&self) -> Reloaded {
        let marketer = self.services.access(Subject::command_line()).marketer().expect("a marketer");
        let job = marketer.reload_recipients(self.campaign).await.expect("a job");
        let reloaded = super::reload(&self.services, &self.claim(job.id).await).await.expect("reloaded");
        self.settle().await;
        reloaded
    }

    /// Does what an import asks for: the recipients follow their addresses.
    async fn settle(&self) {
        let sql = format!("SELECT id FROM job WHERE state = 1 AND kind = {}", JobKind::SettleRecipients.code());
        for row in self.rows(&sql).await {
            let job = self.claim(row.try_get_by_index(0).expect("an id")).await;
            addresses::settle::run(&self.services, &job).await.expect("settled");
        }
        let found = recount(&self.services, None, false).await.expect("recounted");
        assert_eq!(found.different, 0, "{found:?}");
    }

    /// Recipients in the order of the CRM's ids: address, status or reason.
    async fn sorted(&self) -> Vec<String> {
        let mut recipients = self.recipients().await;
        recipients.iter_mut().for_each(|line| *line = line.replace("|Works|", " "));
        recipients.sort();
        recipients
    }
}

fn reasons(skipped: &[crate::skipped::Skipped]) -> Vec<(&str, i64)> {
    let mut reasons: Vec<_> = skipped.iter().map(|skipped| (skipped.reason.as_str(), skipped.count)).collect();
    reasons.sort_unstable();
    reasons
}

fn people() -> Vec<Person> {
    vec![
        person(1),
        Person { emails: vec!["p1@EXAMPLE.com".to_owned()], ..person(2) },
        Person { emails: vec![], ..person(3) },
        Person { emails: vec!["nonsense".to_owned()], ..person(4) },
        Person { consent: Some(false), ..person(5) },
        Person { no_mailing: true, ..person(6) },
        Person { is_former_employee: true, ..person(7) },
        Person { subscriptions: Some(vec!["News".to_owned(), "Events".to_owned()]), ..person(8) },
        Person { subscriptions: Some(vec!["Events".to_owned()]), ..person(9) },
        person(10),
        person(11),
        person(12),
        person(98),
        person(99),
    ]
}

#[tokio::test]
async fn who_may_not_be_written_to_is_skipped_with_the_reason() {
    for fixture in Fixture::each().await {
        fixture.persons(&people()).await;
        for (key, set) in [
            ("p10@example.com", "health = 3, blocked_at = 1, block_reason = 1"),
            ("p11@example.com", "health = 3, blocked_at = 1, block_reason = 2"),
            ("p12@example.com", "unsubscribed_at = 5"),
        ] {
            fixture.sql("INSERT INTO address (email_key, created_at) VALUES ($1, 0)", [key.into()]).await;
            fixture.sql(&format!("UPDATE address SET {set} WHERE email_key = $1"), [key.into()]).await;
        }
        fixture.list("selection", 1, &[1, 2, 3, 4, 5, 6, 7, 8]).await;
        // Some are on both.
        fixture.list("project", 1, &[1, 8, 9, 10, 11]).await;
        let person_id = fixture.count("SELECT id FROM person WHERE crm_id = 'p12'").await;
        let members = Members {
            selections: vec![1],
            projects: vec![1],
            persons: vec![person_id],
            subscription: Some("News".to_owned()),
            upload: None,
        };
        let imported = fixture.import_lists(members.clone()).await;
        assert_eq!((imported.read, imported.counts.imported, imported.counts.skipped), (12, 2, 10));
        let want = [
            ("BLOCKED_ADDRESS", 1),
            ("DUPLICATE", 1),
            ("FORMER_EMPLOYEE", 1),
            ("INVALID_ADDRESS", 2),
            ("NO_CONSENT", 2),
            ("NO_SUBSCRIPTION", 2),
            ("TOO_MANY_BOUNCES", 1),
        ];
        assert_eq!(reasons(&imported.skipped_by_reason), want);
        let recipients = fixture.sorted().await;
        // Whoever the CRM named first of the two.
        let of_one_address = recipients.iter().filter(|line| line.to_lowercase().starts_with("p1@example.com"));
        let ends: Vec<_> = of_one_address.filter_map(|line| line.rsplit(' ').next()).collect();
        assert!(ends == ["DUPLICATE", "READY"] || ends == ["READY", "DUPLICATE"], "{recipients:#?}");
        assert!(recipients.contains(&"|Person 3 INVALID_ADDRESS".to_owned()), "{recipients:#?}");
        let sql = "SELECT count(*) FROM recipient WHERE crm_id = 'p8' AND owner = 'Anna' AND company = 'Works' AND status = 1";
        assert_eq!(fixture.count(sql).await, 1);
        assert_eq!(fixture.count("SELECT count(*) FROM campaign_source WHERE subscription = 'News'").await, 2);

        // A second time: everybody is there.
        let again = fixture.import_lists(members).await;
        assert_eq!((again.counts.imported, again.counts.skipped, again.counts.unchanged), (0, 0, 12));
        assert_eq!(fixture.sorted().await, recipients);

        // The address is well again; the person still does not consent.
        let sql = "UPDATE recipient SET skip = 4, skip_reason = 4 WHERE crm_id = 'p6'";
        fixture.sql(sql, []).await;
        fixture.settle().await;
        assert_eq!(fixture.sorted().await, recipients);
        fixture.close().await;
    }
}

#[tokio::test]
async fn an_upload_may_come_with_the_lists() {
    for fixture in Fixture::each().await {
        fixture.persons(&people()).await;
        fixture.list("selection", 1, &[1]).await;
        let upload = "01JTEST";
        let folder = fixture.services.data_dir.join("uploads");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join(upload), "email,name\nfile@example.com,File\np1@example.com,Somebody\n")
            .expect("a file");
        let sql = "INSERT INTO upload (id, size, gzip, created_by, created_at) VALUES ($1, 1, FALSE, 'cli', 0)";
        fixture.sql(sql, [upload.into()]).await;
        let upload = Some((upload.to_owned(), None, Default::default()));
        let imported = fixture.import_lists(Members { selections: vec![1], upload, ..Members::default() }).await;
        assert_eq!((imported.read, imported.counts.imported, imported.counts.updated), (3, 2, 1));
        assert_eq!(fixture.count("SELECT count(*) FROM recipient").await, 2);
        fixture.close().await;
    }
}

#[tokio::test]
async fn what_changed_in_the_crm_is_taken_over_and_what_was_sent_stays() {
    for fixture in Fixture::each().await {
        let mut people: Vec<Person> = (1..=9).map(person).collect();
        fixture.persons(&people).await;
        fixture.import("email,name,crm id\nP9@example.com,File,p9\n").await;
        fixture.list("selection", 1, &[1, 2, 3, 4, 5, 6, 7]).await;
        fixture.import_lists(Members { selections: vec![1], ..Members::default() }).await;
        assert_eq!(fixture.reload_lists().await.unchanged, 8, "nothing has changed");
        // 3 bounced, 4 has got it.
        let sql = "UPDATE recipient SET sent_at = 1, hard_bounced_at = 2, failure_gravity = 3, failure_at = 2, status = 7 WHERE crm_id = 'p3'";
        fixture.sql(sql, []).await;
        let sql = "UPDATE recipient SET sent_at = 1, delivered_at = 2, last_delivered_at = 2, status = 3 WHERE crm_id IN ('p4', 'p7')";
        fixture.sql(sql, []).await;
        recount(&fixture.services, None, true).await.expect("recounted");
        for number in [2, 3, 4] {
            people[number - 1].emails = vec![format!("new{number}@example.net")];
        }
        // 5 has the address of 1 now; 6 withdraws consent; 7 and 1 leave; 8 joins. 9 came by a file, and stays.
        people[4].emails = vec!["p1@example.com".to_owned()];
        people[5].consent = Some(false);
        fixture.persons(&people).await;
        fixture.list("selection", 1, &[2, 3, 4, 5, 6, 8]).await;
        let reloaded = fixture.reload_lists().await;
        assert_eq!((reloaded.added, reloaded.updated, reloaded.corrected), (1, 2, 2));
        assert_eq!(reasons(&reloaded.skipped_by_reason), [("DUPLICATE", 1), ("LEFT", 1), ("NO_CONSENT", 1)]);
        let want = [
            "P1@example.com|Person 1 CANCELED",
            "P4@example.com|Person 4 DELIVERED",
            "P5@example.com|Person 5 DUPLICATE",
            "P6@example.com|Person 6 NO_CONSENT",
            "P7@example.com|Person 7 DELIVERED",
            "P8@example.com|Person 8 READY",
            "new2@example.net|Person 2 READY",
            "new3@example.net|Person 3 HARD_BOUNCED",
        ];
        let got: Vec<String> = fixture.sorted().await.into_iter().filter(|line| !line.starts_with("P9@")).collect();
        assert_eq!(got, want);
        let corrected = "SELECT count(*) FROM recipient WHERE corrected_at IS NOT NULL AND crm_id = 'p3' AND domain = 'example.net'";
        assert_eq!(fixture.count(corrected).await, 1);
        assert_eq!(fixture.count("SELECT count(*) FROM recipient WHERE corrected_at IS NOT NULL").await, 1);

        // Again: nobody twice. Then who left is back, and may be written to.
        let again = fixture.reload_lists().await;
        assert_eq!((again.added, again.updated, again.skipped_by_reason.len()), (0, 0, 0));
        fixture.list("selection", 1, &[1, 2, 3, 4, 6, 8]).await;
        people[5].consent = None;
        fixture.persons(&people).await;
        assert_eq!(fixture.reload_lists().await.updated, 2);
        let ready = "SELECT count(*) FROM recipient WHERE crm_id IN ('p1', 'p6') AND status = 1";
        assert_eq!(fixture.count(ready).await, 2);
        fixture.close().await;
    }
}

#[tokio::test]
async fn an_address_that_was_corrected_here_is_not_taken_back() {
    for fixture in Fixture::each().await {
        fixture.persons(&[person(1)]).await;
        fixture.list("selection", 1, &[1]).await;
        fixture.import_lists(Members { selections: vec![1], ..Members::default() }).await;
        let sql = "INSERT INTO correction (old_email, old_key, old_domain, new_email, new_key, new_domain, state, source, created_by, \
            created_at) VALUES ('p1@example.com', 'p1@example.com', 'example.com', 'q@example.com', 'q@example.com', 'example.com', 2, 1, \
            'cli', 0)";
        fixture.sql(sql, []).await;
        fixture.sql("UPDATE recipient SET email = 'q@example.com', email_key = 'q@example.com'", []).await;
        assert_eq!(fixture.reload_lists().await.corrected, 0);
        assert_eq!(fixture.sorted().await, ["q@example.com|Person 1 READY"]);

        // The CRM has another one by now: a conflict (4) that nobody has decided on, or ours is kept (2) and not told yet (push 2, 3).
        let elsewhere = "UPDATE person_email SET email = 'z@example.com', email_key = 'z@example.com' WHERE email_key = 'p1@example.com'";
        fixture.sql(elsewhere, []).await;
        for (state, push) in [(4_i16, 5_i16), (2, 2), (2, 3)] {
            let sql = "UPDATE correction SET person_id = (SELECT id FROM person), state = $1, push = $2";
            fixture.sql(sql, [state.into(), push.into()]).await;
            assert_eq!(fixture.reload_lists().await.corrected, 0, "{state} {push}");
        }
        assert_eq!(fixture.sorted().await, ["q@example.com|Person 1 READY"]);
        // It was told, and somebody has changed it in the CRM since.
        fixture.sql("UPDATE correction SET push = 4", []).await;
        assert_eq!(fixture.reload_lists().await.corrected, 1);
        assert_eq!(fixture.sorted().await, ["z@example.com|Person 1 READY"]);
        fixture.close().await;
    }
}

#[tokio::test]
async fn whoever_is_killed_nobody_is_there_twice() {
    for fixture in Fixture::each().await {
        let people: Vec<Person> = (1..=2_300).map(person).collect();
        fixture.persons(&people).await;
        fixture.list("selection", 1, &[]).await;
        fixture.sql("DELETE FROM selection_member", []).await;
        let sql = "INSERT INTO selection_member (list_id, person_id, state, added_at) SELECT 1, id, 3, 0 FROM person";
        fixture.sql(sql, []).await;
        let marketer = fixture.services.access(Subject::command_line()).marketer().expect("a marketer");
        let members = Members { selections: vec![1], ..Members::default() };
        let job = marketer.import_members(fixture.campaign, members).await.expect("a job");
        let lost = fixture.claim(job.id).await;
        let payload = serde_json::from_value(lost.payload.clone()).expect("a payload");
        let mut at = super::Position::default();
        super::step(&fixture.services, &lost, &payload, &mut at).await.expect("a part");
        let claimed = fixture.claim(job.id).await;
        let error = super::step(&fixture.services, &lost, &payload, &mut at).await;
        assert!(matches!(error, Err(ServiceError::JobLost | ServiceError::Inconsistent(_))), "{error:?}");
        let imported = super::run(&fixture.services, &claimed).await.expect("imported");
        assert_eq!((imported.read, imported.counts.imported), (2_300, 2_300));
        assert_eq!(fixture.count("SELECT count(DISTINCT crm_id) FROM recipient").await, 2_300);
        assert_eq!(fixture.count("SELECT count(*) FROM recipient").await, 2_300);

        // All leave, and as many others join; the worker is killed after the first part.
        let others: Vec<Person> = (3_001..=4_100).map(person).collect();
        fixture.persons(&others).await;
        fixture.sql("DELETE FROM selection_member", []).await;
        let sql = "INSERT INTO selection_member (list_id, person_id, state, added_at) SELECT 1, id, 3, 0 FROM person \
            WHERE length(crm_id) = 5 AND crm_id > 'p3000'";
        fixture.sql(sql, []).await;
        let job = marketer.reload_recipients(fixture.campaign).await.expect("a job");
        let lost = fixture.claim(job.id).await;
        let payload = serde_json::from_value(lost.payload.clone()).expect("a payload");
        let mut at = super::reload::Position::default();
        super::reload::step(&fixture.services, &lost, &payload, &mut at).await.expect("a part");
        let claimed = fixture.claim(job.id).await;
        let reloaded = super::reload(&fixture.services, &claimed).await.expect("reloaded");
        assert_eq!((reloaded.added, reasons(&reloaded.skipped_by_reason)), (1_100, vec![("LEFT", 2_300)]));
        assert_eq!(fixture.count("SELECT count(*) FROM recipient WHERE status = 11").await, 2_300);
        assert_eq!(fixture.count("SELECT count(*) FROM recipient").await, 3_400);
        fixture.settle().await;
        fixture.close().await;
    }
}

#[tokio::test]
async fn what_cannot_be_imported_is_refused() {
    for fixture in Fixture::each().await {
        fixture.list("selection", 1, &[]).await;
        let marketer = fixture.services.access(Subject::command_line()).marketer().expect("a marketer");
        let lists = |selections: Vec<i64>| Members { selections, ..Members::default() };
        let upload = Some(("nothing".to_owned(), None, Default::default()));
        for (members, code, field) in [
            (lists(vec![]), RefusalCode::Invalid, "selectionIds"),
            (lists((0..101).collect()), RefusalCode::Invalid, "selectionIds"),
            (lists(vec![7]), RefusalCode::NotFound, "selectionIds"),
            (Members { projects: vec![1], ..lists(vec![1]) }, RefusalCode::NotFound, "projectIds"),
            (Members { persons: vec![1], ..lists(vec![1]) }, RefusalCode::NotFound, "personIds"),
            (Members { upload, ..lists(vec![1]) }, RefusalCode::NotFound, "uploadId"),
        ] {
            match marketer.import_members(fixture.campaign, members).await {
                Err(ServiceError::Refused(refusal)) => {
                    assert_eq!((refusal.code, refusal.field), (code, vec![field.to_owned()]));
                }
                other => panic!("not refused: {other:?}"),
            }
        }
        assert_eq!(fixture.count("SELECT count(*) FROM campaign_source").await, 0, "nothing stays of what was refused");
        marketer.cancel_campaign(fixture.campaign).await.expect("cancelled");
        for refused in [
            marketer.import_members(fixture.campaign, lists(vec![1])).await,
            marketer.reload_recipients(fixture.campaign).await,
        ] {
            assert!(
                matches!(&refused, Err(ServiceError::Refused(refusal)) if refusal.code == RefusalCode::Conflict),
                "{refused:?}"
            );
        }
        fixture.close().await;
    }
}
