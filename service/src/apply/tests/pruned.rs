//! Events from a time whose events were removed.

use domain::reading::Create;

use super::Fixture;
use crate::db::query_all;
use crate::subject::Subject;
use crate::testing::TestDb;

/// Seconds before the tests' time at which events are removed.
const OLD: i64 = -500 * 86_400;

#[tokio::test]
async fn what_was_removed_does_not_count_again() {
    for test in TestDb::each().await {
        let fixture = Fixture::new(test, Create::Campaigns);
        let line = |second: i64, id: &str| format!("OPENED {second} {id} c1 - m1 a@example.com -");
        let both = [line(OLD, "old"), line(5, "young")].join("\n");
        fixture.store(std::slice::from_ref(&both)).await;
        assert_eq!(fixture.applier.apply_all().await.expect("applied").new, 2);

        let admin = fixture.services.access(Subject::command_line()).admin().expect("an admin");
        let removed = admin.prune(false).await.expect("removed");
        assert_eq!(removed.iter().find(|pruned| pruned.what == "events").expect("events").removed, 1);

        // Sent again, together with one of the same time that was never seen: nobody can tell the two apart.
        fixture.store(&[format!("{both}\n{}", line(OLD, "other"))]).await;
        let again = fixture.applier.apply_all().await.expect("applied");
        assert_eq!((again.events, again.new), (1, 0));
        let db = &fixture.test.db;
        let opens = query_all(db.read(), "SELECT opens FROM recipient", []).await.expect("rows");
        assert_eq!(opens[0].try_get_by_index::<i32>(0).expect("a number"), 2);
        let sql = "SELECT CAST(state AS BIGINT), CAST(events AS BIGINT), CAST(failures AS BIGINT), error FROM delivery ORDER BY id DESC LIMIT 1";
        let row = query_all(db.read(), sql, []).await.expect("rows").remove(0);
        let number = |index| row.try_get_by_index::<i64>(index).expect("a number");
        assert_eq!((number(0), number(1), number(2)), (3, 1, 2));
        let error: String = row.try_get_by_index(3).expect("a text");
        assert!(error.starts_with("2 events occurred before 2024-"), "{error}");
        fixture.test.close().await;
    }
}
