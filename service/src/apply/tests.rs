//! Applying on real databases: whatever the order, the repeats, the batches and the number of appliers, the rows are the same.

mod attempts;
mod beside;
mod corrected;
mod escalation;
mod pruned;

use std::sync::Arc;

use domain::event::BounceClass;
use domain::reading::{BadElement, Create, DeliveryReader, ReadError, Reading, StoredDelivery};
use domain::smtp::Reply;
use domain::{Event, EventKind, Provider, Timestamp};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use super::Applier;
use crate::access::Services;
use crate::changes::Changes;
use crate::db::{Db, query_all};
use crate::ingest::{Inbox, NewDelivery};
use crate::testing::{TestClock, TestDb};

/// Reads lines of `kind second id campaign ref message address url`, a dash for nothing. A bounce's kind may be followed by its
/// class: `SOFT_BOUNCE/MAILBOX_FULL`.
pub struct Lines(pub Create);

impl DeliveryReader for Lines {
    fn read(&self, delivery: &StoredDelivery) -> Result<Reading, ReadError> {
        let text = String::from_utf8_lossy(&delivery.body);
        if text == "rubbish" {
            return Err(ReadError::NotThisProvider { provider: Provider::Generic, reason: "rubbish".into() });
        }
        let mut reading = Reading::default();
        for (index, line) in text.lines().enumerate() {
            match event(line) {
                Some(event) => reading.events.push(event),
                None => reading.failures.push(BadElement { index, reason: "not a line of an event".into() }),
            }
        }
        Ok(reading)
    }

    fn may_create(&self, _source: &str) -> Create {
        self.0
    }
}

fn event(line: &str) -> Option<Event> {
    let fields: Vec<Option<String>> = line.split(' ').map(|field| (field != "-").then(|| field.to_owned())).collect();
    let [Some(kind), Some(second), Some(id), campaign, reference, message, address, url] = fields.as_slice() else {
        return None;
    };
    let (kind, class) = kind.split_once('/').unwrap_or((kind, "HARD"));
    let kind = EventKind::ALL.iter().find(|known| known.as_str() == kind)?;
    let class = BounceClass::ALL.iter().copied().find(|known| known.as_str() == class)?;
    let words = match kind {
        EventKind::HardBounce => Some("550 5.1.1 unknown"),
        EventKind::SoftBounce => Some("452 4.2.2 full"),
        _ => None,
    };
    let reply = words.map(Reply::find).unwrap_or_default();
    Some(Event {
        provider: Provider::Generic,
        event_id: id.clone(),
        kind: *kind,
        message_id: message.clone(),
        recipient: address.clone(),
        occurred_at: Timestamp::from_seconds(1_767_000_000 + second.parse::<i64>().ok()?),
        bounce_class: kind.is_failure().then_some(class).filter(|_| words.is_some() || class != BounceClass::Hard),
        smtp_code: reply.code,
        enhanced_code: reply.enhanced,
        diagnostic: words.map(str::to_owned),
        url: url.clone(),
        verdict: None,
        campaign: campaign.clone(),
        recipient_ref: reference.clone(),
        tags: Default::default(),
        metadata: Default::default(),
    })
}

struct Fixture {
    test: TestDb,
    applier: Applier,
    services: Services,
    clock: Arc<TestClock>,
}

impl Fixture {
    fn new(test: TestDb, create: Create) -> Self {
        let clock = Arc::new(TestClock::new());
        let applier = Applier::new(test.db.clone(), clock.clone(), Arc::new(Lines(create)), Changes::default());
        let folder = std::path::Path::new("/nonexistent");
        let services = Services::new(test.db.clone(), clock.clone(), &[1; 32], folder);
        Self { test, applier, services, clock }
    }

    async fn store(&self, bodies: &[String]) {
        let (inbox, writer) = Inbox::new(self.test.db.clone(), || {});
        let writer = tokio::spawn(writer);
        for body in bodies {
            let delivery = NewDelivery {
                source: "test".into(),
                provider: Provider::Generic,
                received_at: Timestamp::from_seconds(1_767_100_000),
                headers: vec![("content-type".into(), "text/plain".into())],
                body: body.clone().into_bytes(),
                unreadable: None,
            };
            inbox.store(delivery).await.expect("stored");
        }
        drop(inbox);
        writer.await.expect("the writer ends");
    }

    /// Everything that a user sees, as text, without the ids that depend on the order of arrival.
    async fn dump(&self) -> String {
        let mut text = String::new();
        for sql in [
            "SELECT campaign.key || ' ' || email_key || ' ' || coalesce(ref, '-') || ' ' || status || ' ' || opens || ' ' || clicks \
             || ' ' || machine_clicks || ' ' || coalesce(recipient.sent_at, 0) || ' ' || coalesce(delivered_at, 0) || ' ' \
             || coalesce(failure_diagnostic, '-') || ' ' || coalesce(failure_at, 0) || ' ' || coalesce(first_clicked_at, 0) \
             FROM recipient JOIN campaign ON campaign.id = campaign_id ORDER BY 1",
            "SELECT email_key || ' ' || health || ' ' || consecutive_soft_bounces || ' ' || outcomes || ' ' || coalesce(blocked_at, 0) \
             FROM address ORDER BY 1",
            "SELECT key || ' ' || recipients || ' ' || ready || ' ' || sent_only || ' ' || delivered_only || ' ' || read || ' ' \
             || clicked_only || ' ' || soft_bounced || ' ' || hard_bounced || ' ' || blocked || ' ' || opens || ' ' || clicks || ' ' \
             || machine_clicked FROM campaign_statistics JOIN campaign ON campaign.id = campaign_id ORDER BY 1",
            "SELECT hour || ' ' || sent || ' ' || delivered || ' ' || opened || ' ' || clicked FROM campaign_hour \
             WHERE sent + delivered + opened + clicked > 0 ORDER BY 1",
            "SELECT url || ' ' || clicks || ' ' || clickers || ' ' || machine_clicks FROM link_statistics \
             JOIN tracked_link ON tracked_link.id = link_id ORDER BY 1",
            "SELECT enhanced_code || ' ' || recipients FROM bounce_statistics WHERE recipients <> 0 ORDER BY 1",
            "SELECT event_id FROM event WHERE recipient IS NULL ORDER BY 1",
        ] {
            for row in query_all(self.test.db.read(), sql, []).await.expect(sql) {
                text.push_str(&row.try_get_by_index::<String>(0).expect("text"));
                text.push('\n');
            }
            text.push('\n');
        }
        text
    }

    async fn recounted(&self) -> crate::recount::Recounted {
        crate::recount::recount(&self.services, None, false).await.expect("recounted")
    }
}

/// A story: some events name our id, some only the message, some only campaign and address.
fn story() -> impl Strategy<Value = Vec<String>> {
    let kinds: Vec<_> = EventKind::ALL.to_vec();
    let line = (proptest::sample::select(kinds), 0_u32..7_300, 0_u8..4, 0_u8..3, 0_u8..4).prop_map(
        |(kind, second, person, how, link)| {
            let (reference, message) = (format!("r{person}"), format!("m{person}"));
            let address = format!("p{person}@example.com");
            let url = format!("https://example.com/{link}");
            match how {
                0 => format!("{kind} {second} ID c1 {reference} {message} {address} {url}"),
                1 => format!("{kind} {second} ID - - {message} - {url}"),
                _ => format!("{kind} {second} ID c1 - - {address} {url}"),
            }
        },
    );
    proptest::collection::vec(line, 1..60)
        .prop_map(|lines| lines.iter().enumerate().map(|(id, line)| line.replace("ID", &format!("e{id:03}"))).collect())
}

/// The same story, told otherwise: shuffled, with repeats, cut into other deliveries.
fn retold(story: &[String], runner: &mut TestRunner) -> Vec<String> {
    let repeated: Vec<String> = story.iter().chain(story.iter().step_by(3)).cloned().collect();
    let shuffled = Just(repeated).prop_shuffle().new_tree(runner).expect("a tree").current();
    let size = (1..=shuffled.len()).new_tree(runner).expect("a tree").current();
    shuffled.chunks(size).map(|chunk| chunk.join("\n")).collect()
}

async fn applied(test: TestDb, bodies: &[String], appliers: usize) -> (String, u64) {
    let fixture = Fixture::new(test, Create::Campaigns);
    fixture.store(bodies).await;
    let running: Vec<_> = (0..appliers)
        .map(|_| {
            let applier = fixture.applier.clone();
            tokio::spawn(async move { applier.apply_all().await })
        })
        .collect();
    for applier in running {
        applier.await.expect("no panic").expect("applied");
    }
    fixture.applier.rematch(0).await.expect("rematched");
    let result = (fixture.dump().await, fixture.recounted().await.different);
    fixture.test.close().await;
    result
}

#[test]
fn any_order_repeats_batches_and_appliers_give_the_same_rows() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let mut runner = TestRunner::new(Config::default());
    // A story is a database of each kind for each way to tell it: more of them by NACHFASS_TEST_STORIES.
    let stories = std::env::var("NACHFASS_TEST_STORIES").ok().and_then(|number| number.parse().ok()).unwrap_or(4);
    for _ in 0..stories {
        let story = story().new_tree(&mut runner).expect("a tree").current();
        let told: Vec<_> = (0..2).map(|_| retold(&story, &mut runner)).collect();
        runtime.block_on(async {
            let (want, different) = applied(TestDb::sqlite().await, &[story.join("\n")], 1).await;
            assert_eq!(different, 0, "{story:#?}");
            for bodies in told {
                let mut all = vec![(applied(TestDb::sqlite().await, &bodies, 2).await, "sqlite")];
                if let Some(postgres) = TestDb::postgres().await {
                    all.push((applied(postgres, &bodies, 4).await, "postgres"));
                }
                for ((got, different), name) in all {
                    assert_eq!(got, want, "{name}: {bodies:#?}");
                    assert_eq!(different, 0, "{name}: {bodies:#?}");
                }
            }
        });
    }
}

async fn counts(db: &Db, sql: &str) -> Vec<i64> {
    let rows = query_all(db.read(), sql, []).await.expect(sql);
    rows.iter().map(|row| row.try_get_by_index(0).expect("a number")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_element_loses_neither_the_others_nor_itself() {
    for test in TestDb::each().await {
        let fixture = Fixture::new(test, Create::Campaigns);
        let body = "DELIVERED 1 a c1 - - a@example.com -\nnonsense\nOPENED 2 b c1 - - a@example.com -";
        fixture.store(&[body.into(), "rubbish".into()]).await;
        let applied = fixture.applier.apply_all().await.expect("applied");
        assert_eq!((applied.deliveries, applied.events, applied.new), (2, 2, 2));
        let db = &fixture.test.db;
        assert_eq!(counts(db, "SELECT CAST(state AS bigint) FROM delivery ORDER BY id").await, [3, 4]);
        assert_eq!(counts(db, "SELECT CAST(failures AS bigint) FROM delivery ORDER BY id").await, [1, 1]);
        fixture.test.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_waits_for_its_recipient() {
    for test in TestDb::each().await {
        let fixture = Fixture::new(test, Create::Nothing);
        let db = &fixture.test.db;
        fixture.store(&["DELIVERED 1 a c1 r1 m1 a@example.com -".into(), "OPENED 9 b - - m1 - -".into()]).await;
        fixture.applier.apply_all().await.expect("applied");
        assert_eq!(counts(db, "SELECT count(*) FROM event WHERE recipient IS NULL").await, [2]);
        for sql in [
            "INSERT INTO campaign (key, name, state, created_by, created_at, last_recipient) VALUES ('c1', 'c1', 1, 'test', 0, 1)",
            "INSERT INTO address (email_key, created_at) VALUES ('a@example.com', 0)",
            "INSERT INTO recipient (campaign_id, number, address_id, email_key, email, domain, ref, status, created_at) \
             SELECT campaign.id, 1, address.id, 'a@example.com', 'a@example.com', 'example.com', 'r1', 1, 0 FROM campaign, address",
        ] {
            crate::db::execute(db.write(), sql, []).await.expect(sql);
        }
        crate::by_status::repair(db.write(), 1).await.expect("recipients by status");
        assert_eq!(fixture.applier.rematch(0).await.expect("rematched"), 2);
        assert_eq!(counts(db, "SELECT count(*) FROM event WHERE recipient IS NULL").await, [0]);
        assert_eq!(counts(db, "SELECT CAST(status AS bigint) FROM recipient").await, [4]);
        fixture.test.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_that_a_database_refuses_do_not_hold_up_others() {
    for test in TestDb::each().await {
        let fixture = Fixture::new(test, Create::Campaigns);
        let long = "x".repeat(5_000);
        let bodies = [
            "DELIVERED 1 a\0b c1 - - a@example.com -".to_owned(),
            format!("DELIVERED 1 {long} c1 - - b@example.com -"),
            format!("CLICKED 1 k c1 - {long} c@example.com https://example.com/{long}"),
            format!("DELIVERED 1 l {long} - - {long}@example.com -"),
        ];
        fixture.store(&bodies).await;
        let applied = fixture.applier.apply_all().await.expect("applied");
        assert_eq!((applied.deliveries, applied.new), (4, 4));
        assert_eq!(counts(&fixture.test.db, "SELECT count(*) FROM recipient").await, [3]);
        assert_eq!(fixture.recounted().await.different, 0);
        fixture.test.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recount_repairs_what_was_injected() {
    for test in TestDb::each().await {
        let fixture = Fixture::new(test, Create::Campaigns);
        let body = "DELIVERED 1 a c1 - - a@example.com -\nCLICKED 9 b c1 - - a@example.com https://example.com/";
        fixture.store(&[body.into()]).await;
        fixture.applier.apply_all().await.expect("applied");
        assert_eq!(fixture.recounted().await.different, 0);
        for sql in ["UPDATE campaign_statistics SET clicked = 7", "UPDATE link_statistics SET clickers = 3"] {
            crate::db::execute(fixture.test.db.write(), sql, []).await.expect(sql);
        }
        assert_eq!(fixture.recounted().await.different, 2);
        let repaired = crate::recount::recount(&fixture.services, None, true).await.expect("recounted");
        assert_eq!((repaired.different, repaired.repaired), (2, 2));
        assert_eq!(fixture.recounted().await.different, 0);
        if fixture.test.db.is_postgres() {
            let sql = "UPDATE recipient_status SET status = 7";
            crate::db::execute(fixture.test.db.write(), sql, []).await.expect(sql);
            // Listed where it does not belong, and missing where it does.
            let repaired = crate::recount::recount(&fixture.services, None, true).await.expect("recounted");
            assert_eq!((repaired.different, repaired.repaired), (2, 2));
            assert_eq!(fixture.recounted().await.different, 0);
        }
        fixture.test.close().await;
    }
}
