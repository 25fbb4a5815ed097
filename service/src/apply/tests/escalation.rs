//! What bounces and complaints do to addresses, and what that does to recipients who are still to be sent to.

use domain::health::{AddressHealth, BlockReason};
use domain::reading::Create;
use domain::status::{RecipientStatus, SkipReason};

use super::{Fixture, counts};
use crate::db::{execute, query_all};
use crate::jobs::{self, JobKind, NewJob};
use crate::settings::SettingsChange;
use crate::subject::{Role, SYSTEM, Subject};
use crate::testing::{TestDb, work_off};

const ADDRESS: &str = "a@example.com";

/// Events of one recipient, a second apart, as a delivery.
fn delivery(kinds: &[&str]) -> String {
    let line =
        |(second, kind): (usize, &&str)| format!("{kind} {second} e{second} c1 - - {ADDRESS} https://x.example/");
    kinds.iter().enumerate().map(line).collect::<Vec<_>>().join("\n")
}

async fn apply(fixture: &Fixture, bodies: &[String]) {
    fixture.store(bodies).await;
    fixture.applier.apply_all().await.expect("applied");
}

async fn judged(fixture: &Fixture) -> (AddressHealth, Option<BlockReason>) {
    let sql = "SELECT health, block_reason FROM address WHERE email_key = $1";
    let row = &query_all(fixture.test.db.read(), sql, [ADDRESS.into()]).await.expect(sql)[0];
    let reason = row.try_get_by_index::<Option<i16>>(1).expect("a reason");
    let health = AddressHealth::from_code(row.try_get_by_index(0).expect("a health")).expect("known");
    (health, reason.and_then(BlockReason::from_code))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rules_of_escalation() {
    use AddressHealth as A;
    let (hard, soft) = (Some(BlockReason::HardBounce), Some(BlockReason::SoftBounces));
    const S: &str = "SOFT_BOUNCE/SOFT";
    let cases: &[(&str, &[&str], AddressHealth, Option<BlockReason>)] = &[
        ("a hard bounce", &["HARD_BOUNCE"], A::Blocked, hard),
        ("four soft ones, then delivered", &[S, S, S, S, "DELIVERED"], A::Ok, None),
        ("four soft ones", &[S, S, S, S], A::Suspect, None),
        ("five soft ones", &[S, S, S, S, S], A::Blocked, soft),
        ("a delivery between them", &[S, S, S, "DELIVERED", S, S, S], A::Suspect, None),
        ("greylisting", &["DEFERRED"; 9], A::Ok, None),
        ("refused for the sender's reputation", &["BLOCKED/BLOCK"; 9], A::Ok, None),
        ("refused for its content", &["BLOCKED/CONTENT"; 9], A::Ok, None),
        ("a full mailbox, five times", &["SOFT_BOUNCE/MAILBOX_FULL"; 5], A::Blocked, soft),
        ("a late hard bounce after a delivery", &["DELIVERED", "HARD_BOUNCE"], A::Blocked, hard),
        ("delivered again after a hard bounce", &["HARD_BOUNCE", "DELIVERED"], A::Ok, None),
        ("an automatic reply", &["DELIVERED", "AUTO_REPLY", "AUTO_REPLY"], A::Ok, None),
        ("a complaint", &["DELIVERED", "COMPLAINED"], A::Ok, None),
        ("refused by the provider", &["REJECTED", "FAILED"], A::Ok, None),
    ];
    for (name, kinds, health, reason) in cases {
        let told = delivery(kinds);
        let mut shuffled: Vec<&str> = told.lines().collect();
        shuffled.reverse();
        let doubled: Vec<String> = shuffled.iter().chain(&shuffled).map(|line| (*line).to_owned()).collect();
        for bodies in [vec![told.clone()], doubled] {
            for test in TestDb::each().await {
                let fixture = Fixture::new(test, Create::Campaigns);
                apply(&fixture, &bodies).await;
                assert_eq!(judged(&fixture).await, (*health, *reason), "{name}: {bodies:?}");
                let sql = "SELECT count(*) FROM complaint";
                let complaints = kinds.iter().filter(|kind| **kind == "COMPLAINED").count();
                assert_eq!(counts(&fixture.test.db, sql).await, [i64::try_from(complaints).expect("few")], "{name}");
                fixture.test.close().await;
            }
        }
    }
}

/// A campaign that is still to go out to the address, and how its recipient stands.
async fn plan(fixture: &Fixture) {
    for sql in [
        "INSERT INTO campaign (key, name, state, created_by, created_at, last_recipient) VALUES ('next', 'next', 1, 'test', 0, 1)",
        "INSERT INTO recipient (campaign_id, number, address_id, email_key, email, domain, status, created_at) \
         SELECT campaign.id, 1, address.id, email_key, email_key, 'example.com', 1, 0 FROM campaign, address WHERE key = 'next'",
    ] {
        execute(fixture.test.db.write(), sql, []).await.expect(sql);
    }
    crate::recount::recount(&fixture.services, None, true).await.expect("counted");
}

async fn planned(fixture: &Fixture) -> (RecipientStatus, Option<SkipReason>) {
    let sql = "SELECT status, skip_reason FROM recipient JOIN campaign ON id = campaign_id WHERE key = 'next'";
    let row = &query_all(fixture.test.db.read(), sql, []).await.expect(sql)[0];
    let skip = row.try_get_by_index::<Option<i16>>(1).expect("a reason").and_then(SkipReason::from_code);
    (RecipientStatus::from_code(row.try_get_by_index(0).expect("a status")).expect("known"), skip)
}

#[tokio::test(flavor = "multi_thread")]
async fn later_recipients_of_a_blocked_address_are_skipped_and_taken_back() {
    let ready = (RecipientStatus::Ready, None);
    let skipped = |reason| (RecipientStatus::Blocked, Some(reason));
    for test in TestDb::each().await {
        let fixture = Fixture::new(test, Create::Campaigns);
        apply(&fixture, &[format!("DELIVERED 0 a c1 - - {ADDRESS} -")]).await;
        plan(&fixture).await;
        let steps = [
            ("HARD_BOUNCE 1 b", skipped(SkipReason::BlockedAddress)),
            ("DELIVERED 2 c", ready),
            ("COMPLAINED 3 d", skipped(SkipReason::NoConsent)),
        ];
        for (event, expected) in steps {
            apply(&fixture, &[format!("{event} c1 - - {ADDRESS} -")]).await;
            assert_eq!(work_off(&fixture.services).await, 1, "{event}: one job settles it");
            assert_eq!(planned(&fixture).await, expected, "{event}");
            assert_eq!(fixture.recounted().await.different, 0, "{event}");
        }
        // Nothing is left to do where nothing changes.
        apply(&fixture, &[format!("DELIVERED 4 e c1 - - {ADDRESS} -")]).await;
        assert_eq!(work_off(&fixture.services).await, 0);
        fixture.test.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_is_audited_and_the_event_behind_it_can_be_read() {
    for test in TestDb::each().await {
        let fixture = Fixture::new(test, Create::Campaigns);
        for event in ["DELIVERED 1 a", "HARD_BOUNCE 2 b", "HARD_BOUNCE 3 c", "DELIVERED 4 d", "COMPLAINED 5 e"] {
            apply(&fixture, &[format!("{event} c1 - - {ADDRESS} -")]).await;
            if event.starts_with("HARD_BOUNCE 2") {
                let reader = fixture.services.access(Subject::command_line()).reader();
                let address = reader.address(ADDRESS).await.expect("asked").expect("an address");
                let event =
                    reader.address_event(address.id, address.block_event.expect("an event")).await.expect("asked");
                assert_eq!(event.expect("the event").diagnostic.as_deref(), Some("550 5.1.1 unknown"));
                // For viewers, only what is no personal data.
                let viewer = Subject { role: Role::Viewer, ..Subject::command_line() };
                let viewer = fixture.services.access(viewer).reader();
                let event =
                    viewer.address_event(address.id, address.block_event.expect("an event")).await.expect("asked");
                assert_eq!(event.expect("the event").diagnostic, None);
            }
        }
        let sql = "SELECT subject || ' ' || action FROM audit_entry WHERE action LIKE 'address.%' ORDER BY id";
        let rows = query_all(fixture.test.db.read(), sql, []).await.expect(sql);
        let actions: Vec<String> = rows.iter().map(|row| row.try_get_by_index(0).expect("a text")).collect();
        assert_eq!(
            actions,
            ["system address.blocked", "system address.unblocked", "system address.consent_withdrawn"],
            "the second bounce changes nothing"
        );
        fixture.test.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_rules_and_the_clock_judge_again() {
    for test in TestDb::each().await {
        let fixture = Fixture::new(test, Create::Campaigns);
        // The story of the tests lies 2.6 days before their clock.
        apply(&fixture, &[delivery(&["SOFT_BOUNCE/SOFT"; 4])]).await;
        plan(&fixture).await;
        assert_eq!(judged(&fixture).await.0, AddressHealth::Suspect);
        let admin = fixture.services.access(Subject::command_line()).admin().expect("an admin");
        let accept = |bounces| SettingsChange { accepted_soft_bounces: Some(bounces), ..SettingsChange::default() };
        admin.update_settings(accept(3)).await.expect("changed");
        assert_eq!(work_off(&fixture.services).await, 2, "a review, and settling the recipient");
        assert_eq!(judged(&fixture).await, (AddressHealth::Blocked, Some(BlockReason::SoftBounces)));
        assert_eq!(planned(&fixture).await.1, Some(SkipReason::TooManyBounces));
        // What comes in is judged by the rules as they are set.
        admin.update_settings(accept(5)).await.expect("changed");
        work_off(&fixture.services).await;
        assert_eq!(judged(&fixture).await.0, AddressHealth::Suspect);
        apply(&fixture, &[format!("SOFT_BOUNCE/DNS 8 x c1 - - {ADDRESS} -")]).await;
        assert_eq!(judged(&fixture).await.0, AddressHealth::Blocked);

        // Blocks that rest on bounces expire: when the clock says so, the nightly review notices.
        let expiry = SettingsChange { block_expiry_days: Some(Some(30)), ..SettingsChange::default() };
        admin.update_settings(expiry).await.expect("changed");
        work_off(&fixture.services).await;
        assert_eq!(judged(&fixture).await.0, AddressHealth::Blocked);
        fixture.clock.advance_seconds(30 * 86_400);
        let (db, now) = (fixture.test.db.write(), fixture.services.now());
        let nightly = NewJob::new(JobKind::ReviewAddresses, serde_json::json!({}), SYSTEM, now);
        jobs::enqueue(db, nightly, now).await.expect("enqueued");
        assert_eq!(work_off(&fixture.services).await, 2);
        assert_eq!(judged(&fixture).await, (AddressHealth::Ok, None));
        assert_eq!(planned(&fixture).await, (RecipientStatus::Ready, None));
        assert_eq!(fixture.recounted().await.different, 0);
        fixture.test.close().await;
    }
}
