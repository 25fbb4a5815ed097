//! What an earlier version has written is there after the migrations of this one.

use migration::MigratorTrait;

use crate::db::{execute, query_all};
use crate::testing::TestDb;

#[tokio::test]
async fn reminders_of_before_stay_and_may_be_other_things_than_campaigns() {
    for test in TestDb::each_with(Some(3)).await {
        let db = test.db.write();
        for sql in [
            "INSERT INTO campaign (id, key, name, state, created_by, created_at) VALUES (1, 'a', 'A', 3, 'cli', 1), \
                (2, 'b', 'B', 1, 'cli', 1), (3, 'c', 'C', 2, 'cli', 1), (4, 'd', 'D', 2, 'cli', 1)",
            "INSERT INTO address (id, email_key, created_at) VALUES (1, 'a@x.example', 1)",
            "INSERT INTO attempt (campaign_id, number, attempt, address_id, email_key, email, status, ended_at) \
                VALUES (3, 1, 1, 1, 'a@x.example', 'a@x.example', 6, 70), (3, 1, 2, 1, 'a@x.example', 'a@x.example', 6, 80)",
            "INSERT INTO reminder_rule (id, name, campaign_id, after_hours, audience, max_reminders, time_zone, action, enabled, \
                created_by, created_at, updated_at) VALUES (1, 'R', 1, 72, 1, 2, 'Europe/Berlin', 1, TRUE, 'cli', 1, 1)",
            "INSERT INTO reminder (rule_id, campaign_id, round, child_id, created_at, checked_at) VALUES (1, 1, 1, 2, 5, 6)",
            "INSERT INTO reminder_target (rule_id, campaign_id, recipient, round, child_id, child_recipient, created_at) \
                VALUES (1, 1, 7, 1, 2, 1, 5), (1, 1, 8, 1, 2, 2, 5)",
        ] {
            execute(db, sql, []).await.expect(sql);
        }
        migration::Migrator::up(db, None).await.expect("the other migrations");
        for (sql, expected) in [
            (
                "SELECT count(*) FROM reminder WHERE child_id = 2 AND checked_at = 6 AND NOT is_unreported AND NOT has_attempts",
                1,
            ),
            ("SELECT count(*) FROM reminder_target WHERE child_id = 2 AND attempt IS NULL AND NOT is_taken_back", 2),
            ("SELECT count(*) FROM campaign WHERE reopened_at IS NOT NULL", 1),
            ("SELECT count(*) FROM campaign WHERE id = 3 AND reopened_at = 80", 1),
        ] {
            let rows = query_all(db, sql, []).await.expect(sql);
            assert_eq!(rows[0].try_get_by_index::<i64>(0).expect("a number"), expected, "{sql}");
        }
        let target = "INSERT INTO reminder_target (rule_id, campaign_id, recipient, round, attempt, created_at) VALUES (1, 1, 7, 2, 2, 9)";
        execute(db, target, []).await.expect("one without a campaign");
        let double = "INSERT INTO reminder_target (rule_id, campaign_id, recipient, round, child_id, child_recipient, created_at) \
            VALUES (1, 1, 9, 1, 2, 2, 5)";
        assert!(execute(db, double, []).await.is_err(), "a recipient reminds of one");
        test.close().await;
    }
}
