//! Recipients that a campaign was sent to again: what is reported about the first mail stays with it.

use domain::Clock;
use sea_orm::Value;

use super::*;
use crate::recipients::RecipientKey;
use crate::resends::again;
use crate::rollup::RollUp;

/// The second of the stories at which the campaign is sent again: that of the test's clock.
const AGAIN: u32 = 225_600;
/// Those of them to whom it is sent again.
const SENT_AGAIN: &str = "ref IN ('r0', 'r1')";

impl Fixture {
    /// Has the campaign sent again to some, whatever became of it.
    pub(super) async fn send_again(&self, condition: &str) {
        let db = &self.test.db;
        let now = self.clock.now();
        let transaction = db.begin_keyed().await.expect("a transaction");
        let sql = format!("SELECT campaign_id, number FROM recipient WHERE {condition} ORDER BY campaign_id, number");
        let rows = query_all(&transaction, &sql, []).await.expect("recipients");
        let keys: Vec<RecipientKey> = rows
            .iter()
            .map(|row| (row.try_get_by_index(0).expect("a campaign"), row.try_get_by_index(1).expect("a number")))
            .map(|(campaign, number)| RecipientKey { campaign, number })
            .collect();
        let targets = again::lock(&transaction, &keys).await.expect("locked");
        assert!(!targets.is_empty());
        let mut rollup = RollUp::default();
        again::start(&transaction, &targets.iter().collect::<Vec<_>>(), &mut rollup, now).await.expect("started");
        rollup.write(&transaction, now).await.expect("counted");
        transaction.commit().await.expect("committed");
    }

    /// What is known of attempts and clicks, beside [`Fixture::dump`].
    async fn dump_attempts(&self) -> String {
        let mut text = self.dump().await;
        for sql in [
            "SELECT ref || ' ' || r.attempt || ' ' || a.attempt || ' ' || a.status || ' ' || a.opens || ' ' || a.machine_opens || ' ' \
             || a.clicks || ' ' || a.machine_clicks || ' ' || coalesce(a.sent_at, 0) || ' ' || coalesce(a.delivered_at, 0) || ' ' \
             || coalesce(a.last_delivered_at, 0) || ' ' || coalesce(a.failure_at, 0) || ' ' || coalesce(a.failure_diagnostic, '-') || ' ' \
             || coalesce(a.first_opened_at, 0) || ' ' || coalesce(a.last_clicked_at, 0) || ' ' || coalesce(a.complained_at, 0) || ' ' \
             || coalesce(a.unsubscribed_at, 0) || ' ' || coalesce(r.complained_at, 0) || ' ' || coalesce(r.unsubscribed_at, 0) \
             FROM attempt a JOIN recipient r ON r.campaign_id = a.campaign_id AND r.number = a.number ORDER BY 1",
            "SELECT ref || ' ' || c.attempt || ' ' || c.occurred_at || ' ' || c.verdict FROM click c \
             JOIN recipient r ON r.campaign_id = c.campaign_id AND r.number = c.recipient ORDER BY 1",
            "SELECT message_id || ' ' || ref || ' ' || m.attempt FROM message m \
             JOIN recipient r ON r.campaign_id = m.campaign_id AND r.number = m.recipient ORDER BY 1",
            "SELECT email_key || ' ' || c.complained_at FROM complaint c JOIN address ON address.id = c.address_id ORDER BY 1",
        ] {
            for row in query_all(self.test.db.read(), sql, []).await.expect(sql) {
                text.push_str(&row.try_get_by_index::<String>(0).expect("text"));
                text.push('\n');
            }
            text.push('\n');
        }
        text
    }

    async fn texts(&self, sql: &str) -> Vec<String> {
        let rows = query_all(self.test.db.read(), sql, Vec::<Value>::new()).await.expect(sql);
        rows.iter().map(|row| row.try_get_by_index(0).expect("a text")).collect()
    }
}

/// The first mails, whose ids are known before anything is sent again.
fn first_mails() -> String {
    let line = |person: i32| format!("SENT 0 s{person} c1 r{person} m{person} p{person}@example.com -");
    (0..3).map(line).collect::<Vec<_>>().join("\n")
}

/// What happened before the second sending (about the first mails), and after it (about both).
fn long_story() -> impl Strategy<Value = (Vec<String>, Vec<String>)> {
    let event = |later: bool| {
        let kinds: Vec<_> = EventKind::ALL.to_vec();
        (proptest::sample::select(kinds), 1_u32..4_000, 0_u8..3, 0_u8..4, 0_u8..4).prop_map(
            move |(kind, second, person, how, link)| {
                let second = if later { AGAIN + second } else { second };
                let address = format!("p{person}@example.com");
                let url = format!("https://example.com/{link}");
                match how {
                    0 => format!("{kind} {second} ID c1 r{person} m{person} {address} {url}"),
                    1 => format!("{kind} {second} ID - - m{person} - {url}"),
                    2 if later => format!("{kind} {second} ID c1 r{person} n{person} {address} {url}"),
                    _ => format!("{kind} {second} ID c1 - - {address} {url}"),
                }
            },
        )
    };
    let numbered = |prefix: char, lines: Vec<String>| -> Vec<String> {
        (0..).zip(lines).map(|(id, line): (i32, _)| line.replace("ID", &format!("{prefix}{id:03}"))).collect()
    };
    let lines = |later| proptest::collection::vec(event(later), 0..40);
    (lines(false), lines(true)).prop_map(move |(before, after)| (numbered('b', before), numbered('a', after)))
}

async fn told(test: TestDb, parts: [&[String]; 2], appliers: usize) -> (String, u64) {
    let fixture = Fixture::new(test, Create::Campaigns);
    fixture.store(&[first_mails()]).await;
    fixture.applier.apply_all().await.expect("applied");
    for (part, is_first) in parts.into_iter().zip([true, false]) {
        fixture.store(part).await;
        let running: Vec<_> = (0..appliers)
            .map(|_| {
                let applier = fixture.applier.clone();
                tokio::spawn(async move { applier.apply_all().await })
            })
            .collect();
        for applier in running {
            applier.await.expect("no panic").expect("applied");
        }
        if is_first {
            fixture.send_again(SENT_AGAIN).await;
        }
    }
    let result = (fixture.dump_attempts().await, fixture.recounted().await.different);
    fixture.test.close().await;
    result
}

#[test]
fn late_events_stay_with_their_attempt_in_any_order() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let mut runner = TestRunner::new(Config::default());
    let stories = std::env::var("NACHFASS_TEST_STORIES").ok().and_then(|number| number.parse().ok()).unwrap_or(4);
    for _ in 0..stories {
        let (before, after) = long_story().new_tree(&mut runner).expect("a tree").current();
        // Told otherwise: some of what happened before is heard of only after the second sending, and all of it twice.
        let (kept, late): (Vec<_>, Vec<_>) = (0..).zip(before.clone()).partition(|(place, _): &(i32, _)| place % 3 > 0);
        let lines = |some: Vec<(i32, String)>| some.into_iter().map(|(_, line)| line).collect::<Vec<_>>();
        let heard_later = [lines(late), after.clone(), before.clone()].concat();
        let (kept, heard_later) = (lines(kept), heard_later);
        let tell =
            |lines: &[String], runner: &mut TestRunner| if lines.is_empty() { vec![] } else { retold(lines, runner) };
        let (first, second) = (tell(&kept, &mut runner), tell(&heard_later, &mut runner));
        runtime.block_on(async {
            let plain = [vec![before.join("\n")], vec![after.join("\n")]];
            let (want, different) = told(TestDb::sqlite().await, [&plain[0], &plain[1]], 1).await;
            assert_eq!(different, 0, "{before:#?} {after:#?}");
            let mut all = vec![(told(TestDb::sqlite().await, [&first, &second], 2).await, "sqlite")];
            if let Some(postgres) = TestDb::postgres().await {
                all.push((told(postgres, [&first, &second], 4).await, "postgres"));
            }
            for ((got, different), name) in all {
                assert_eq!(got, want, "{name}: {first:#?} {second:#?}");
                assert_eq!(different, 0, "{name}: {first:#?} {second:#?}");
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_heard_late_of_the_first_mail_does_not_touch_the_second() {
    const STATUSES: &str = "SELECT ref || ' ' || status || ' ' || opens FROM recipient ORDER BY ref";
    const FIRST: &str = "SELECT number || ' ' || status || ' ' || opens || ' ' || clicks FROM attempt ORDER BY number";
    const COUNTED: &str = "SELECT ready || ' ' || read || ' ' || hard_bounced || ' ' || complained || ' ' || opens FROM campaign_statistics";
    for test in TestDb::each().await {
        let fixture = Fixture::new(test, Create::Campaigns);
        let bounced = "HARD_BOUNCE 5 b0 - - m0 - -\nSOFT_BOUNCE 5 b1 - - m1 - -";
        fixture.store(&[first_mails(), bounced.to_owned()]).await;
        fixture.applier.apply_all().await.expect("applied");
        fixture.send_again(SENT_AGAIN).await;
        assert_eq!(fixture.texts(STATUSES).await, ["r0 1 0", "r1 1 0", "r2 2 0"]);
        assert_eq!(fixture.texts(COUNTED).await, ["2 0 0 0 0"]);

        // The first mail was there after all; and an out-of-office answer was taken for nothing.
        let late = format!(
            "OPENED {0} o0 - - m0 - -\nCLICKED {0} k0 - - m0 - https://example.com/\nDELIVERED 9 d1 c1 - - p1@example.com -",
            AGAIN + 10
        );
        fixture.store(&[late]).await;
        fixture.applier.apply_all().await.expect("applied");
        assert_eq!(fixture.texts(STATUSES).await, ["r0 1 0", "r1 1 0", "r2 2 0"]);
        assert_eq!(fixture.texts(FIRST).await, ["1 5 1 1", "2 3 0 0"], "clicked, and delivered");
        assert_eq!(fixture.texts(COUNTED).await, ["2 0 0 0 0"]);

        // The second mail has an id of its own, and is counted.
        let second = format!("DELIVERED {0} d2 c1 r0 n0 p0@example.com -\nOPENED {0} o2 - - n0 - -", AGAIN + 20);
        // Whoever complains about the first mail does not get the second.
        let complaint = format!("COMPLAINED {} c1 - - m1 - -", AGAIN + 20);
        fixture.store(&[second, complaint]).await;
        fixture.applier.apply_all().await.expect("applied");
        assert_eq!(fixture.texts(STATUSES).await, ["r0 4 1", "r1 9 0", "r2 2 0"]);
        assert_eq!(fixture.texts(COUNTED).await, ["0 1 0 1 1"]);
        assert_eq!(
            counts(&fixture.test.db, "SELECT CAST(attempt AS bigint) FROM message ORDER BY message_id").await,
            [1, 1, 1, 2]
        );
        assert_eq!(counts(&fixture.test.db, "SELECT count(*) FROM complaint").await, [1]);
        assert_eq!(fixture.recounted().await.different, 0);
        fixture.test.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_never_sent_to_again_costs_no_statement_more() {
    for mut test in TestDb::each().await {
        let statements = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counter = statements.clone();
        test.db.on_statement(move || {
            counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        });
        let fixture = Fixture::new(test, Create::Campaigns);
        let spent = async |line: &str| {
            fixture.store(&[line.to_owned()]).await;
            statements.store(0, std::sync::atomic::Ordering::SeqCst);
            fixture.applier.apply_next().await.expect("applied");
            statements.load(std::sync::atomic::Ordering::SeqCst)
        };
        fixture.store(&[first_mails()]).await;
        fixture.applier.apply_all().await.expect("applied");
        // The first one also finds out which partitions there are.
        spent("OPENED 4 z - - m2 - -").await;
        let before = spent("OPENED 5 a - - m2 - -").await;
        fixture.send_again(SENT_AGAIN).await;
        assert_eq!(spent("OPENED 6 b - - m2 - -").await, before);
        assert!(spent("OPENED 6 c - - m1 - -").await > before);
        fixture.test.close().await;
    }
}
