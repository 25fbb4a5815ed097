//! Recipients whose address was corrected since they were written to: what is reported late is not about the new address.

use domain::Clock;
use domain::email::EmailAddress;
use domain::status::RecipientStatus;
use proptest::test_runner::TestRunner;

use super::*;
use crate::corrections::NewCorrection;
use crate::subject::Subject;
use crate::testing::work_off;

/// The second of the stories at which the address is corrected: that of the test's clock.
const CORRECTED: u32 = 225_600;

impl Fixture {
    async fn told(&self, bodies: &[String]) {
        self.store(bodies).await;
        self.applier.apply_all().await.expect("applied");
    }

    /// Has `old@example.com` corrected, and everybody follow.
    async fn correct(&self) {
        let second = self.clock.now().micros() / 1_000_000 - 1_767_000_000;
        assert_eq!(second, i64::from(CORRECTED), "the clock stands where the stories expect it");
        let marketer = self.services.access(Subject::command_line()).marketer().expect("a marketer");
        let new = EmailAddress::parse("new@example.com").expect("an address");
        let wanted = NewCorrection { old: "old@example.com".to_owned(), new, person: None, reason: None };
        marketer.correct_address(wanted).await.expect("corrected");
        work_off(&self.services).await;
    }

    /// The letters of what is known of an address, and when somebody complained there last, in seconds after the correction.
    async fn known(&self, key: &str) -> (String, Option<i64>) {
        let sql = format!("SELECT outcomes, last_complained_at FROM address WHERE email_key = '{key}'");
        let rows = query_all(self.test.db.read(), &sql, []).await.expect("read");
        let row = rows.first().expect("an address");
        let outcomes: String = row.try_get_by_index(0).expect("a text");
        let complained: Option<i64> = row.try_get_by_index(1).expect("a time");
        let since = |at: i64| at / 1_000_000 - 1_767_000_000 - i64::from(CORRECTED);
        (outcomes.split_whitespace().filter_map(|it| it.chars().next()).collect(), complained.map(since))
    }
}

/// How what was sent at first went wrong.
fn in_vain() -> Vec<String> {
    vec!["SENT 1 s c1 - m1 old@example.com -\nSOFT_BOUNCE 5 b c1 - m1 old@example.com -".to_owned()]
}

fn late(after: u32, line: &str) -> String {
    let (kind, rest) = line.split_once(' ').expect("a kind");
    format!("{kind} {} {rest}", CORRECTED + after)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_bounce_is_not_blamed_on_the_new_address() {
    for test in TestDb::each().await {
        let fixture = Fixture::new(test, Create::Campaigns);
        fixture.told(&in_vain()).await;
        fixture.correct().await;
        assert_eq!(fixture.known("new@example.com").await, (String::new(), None));
        // Of before the correction, of after it, and one that names the address that it is about.
        let story = [
            "HARD_BOUNCE 9 h0 - - m1 - -".to_owned(),
            late(50, "HARD_BOUNCE h1 - - m1 - -"),
            late(60, "HARD_BOUNCE h2 c1 - - old@example.com -"),
        ];
        fixture.told(&story).await;
        let db = &fixture.test.db;
        assert_eq!(fixture.known("old@example.com").await.0, "HS", "by the one that names it");
        assert_eq!(fixture.known("new@example.com").await, (String::new(), None));
        let sql = "SELECT CAST(status AS bigint) FROM recipient WHERE email_key = 'new@example.com'";
        let bounced = i64::from(RecipientStatus::HardBounced.code());
        assert_eq!(counts(db, sql).await, [bounced], "the recipient's mail has bounced all the same");
        assert_eq!(counts(db, "SELECT count(*) FROM event WHERE recipient IS NULL").await, [0]);
        // Who complains does not want another one, at whatever address.
        fixture.told(&[late(70, "COMPLAINED c - - m1 - -")]).await;
        assert_eq!(fixture.known("new@example.com").await, (String::new(), Some(70)));
        assert_eq!(fixture.recounted().await.different, 0);
        fixture.test.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_to_the_new_address_is_about_it() {
    for test in TestDb::each().await {
        let fixture = Fixture::new(test, Create::Campaigns);
        fixture.told(&in_vain()).await;
        fixture.correct().await;
        fixture.clock.advance_seconds(100);
        fixture.send_again("email_key = 'new@example.com'").await;
        let story = [
            late(200, "SENT s2 c1 - m2 new@example.com -"),
            late(210, "SOFT_BOUNCE/MAILBOX_FULL f - - m2 - -"),
            late(220, "HARD_BOUNCE h - - m1 - -"),
        ];
        fixture.told(&story).await;
        assert_eq!(fixture.known("new@example.com").await.0, "F", "by the second mail, and not by the first");
        assert_eq!(fixture.known("old@example.com").await.0, "S");
        assert_eq!(fixture.recounted().await.different, 0);
        fixture.test.close().await;
    }
}

#[test]
fn the_order_of_late_reports_changes_nothing() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let mut runner = TestRunner::new(Config::default());
    let line = (proptest::sample::select(EventKind::ALL), 0_u32..3, 1_u32..4_000).prop_map(|(kind, how, second)| {
        let kind = kind.as_str();
        match how {
            0 => format!("{kind} {second} ID - - m1 - https://example.com/"),
            1 => late(second, &format!("{kind} ID - - m1 - https://example.com/")),
            _ => late(second, &format!("{kind} ID c1 - - old@example.com https://example.com/")),
        }
    });
    let story = proptest::collection::vec(line, 1..40);
    let lines = story.new_tree(&mut runner).expect("a tree").current();
    let story: Vec<String> =
        (0..).zip(&lines).map(|(id, line): (i32, _)| line.replace("ID", &format!("l{id}"))).collect();
    let dump = |bodies: Vec<String>| async move {
        let fixture = Fixture::new(TestDb::sqlite().await, Create::Campaigns);
        fixture.told(&in_vain()).await;
        fixture.correct().await;
        for body in bodies {
            fixture.told(&[body]).await;
        }
        let text = fixture.dump().await;
        fixture.test.close().await;
        text
    };
    let want = runtime.block_on(dump(vec![story.join("\n")]));
    for _ in 0..3 {
        let told = retold(&story, &mut runner);
        assert_eq!(runtime.block_on(dump(told.clone())), want, "{told:#?}");
    }
}
