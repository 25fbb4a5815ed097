//! Settings: defaults, changes, what is refused, what is stored by others.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::access::Services;
use crate::db::query_one;
use crate::error::ServiceError;
use crate::subject::{Role, Subject};
use crate::testing::{TestClock, TestDb};

struct Fixture {
    test: TestDb,
    services: Services,
}

impl Fixture {
    async fn each() -> Vec<Self> {
        let with_services = |test: TestDb| {
            let folder = std::path::Path::new("/nonexistent");
            let services = Services::new(test.db.clone(), Arc::new(TestClock::new()), &[1; 32], folder);
            Self { test, services }
        };
        TestDb::each().await.into_iter().map(with_services).collect()
    }

    async fn settings(&self) -> Settings {
        let viewer = Subject { id: "token:1".to_owned(), name: "test".to_owned(), role: Role::Viewer };
        self.services.access(viewer).reader().settings().await.expect("settings")
    }

    async fn update(&self, change: Value) -> Result<Settings> {
        let admin = self.services.access(Subject::command_line()).admin().expect("an admin");
        admin.update_settings(serde_json::from_value(change).expect("a change")).await
    }

    async fn store(&self, name: &str, value: &str) {
        let sql = "INSERT INTO setting (name, value, updated_by, updated_at) VALUES ($1, $2, 'cli', 0)";
        execute(self.services.db.write(), sql, [name.into(), value.into()]).await.expect("stored");
    }

    async fn count(&self, sql: &str) -> i64 {
        let row = query_one(self.services.db.read(), sql, []).await.expect(sql).expect("a row");
        row.try_get_by_index(0).expect("a number")
    }
}

const REVIEWS: &str = "SELECT count(*) FROM job WHERE kind = 4";

#[tokio::test]
async fn what_is_not_set_has_its_default() {
    for fixture in Fixture::each().await {
        assert_eq!(fixture.settings().await, Settings::default());
        fixture.update(json!({})).await.expect("nothing to do");
        let audited = fixture.count("SELECT count(*) FROM audit_entry").await;
        assert_eq!((fixture.count("SELECT count(*) FROM setting").await, audited), (0, 0));
        fixture.test.close().await;
    }
}

#[tokio::test]
async fn what_is_set_is_kept_audited_and_reviewed() {
    for fixture in Fixture::each().await {
        let change = json!({
            "acceptedSoftBounces": 3, "softBounceWindow": { "bounces": 4, "ofLastSends": 10 }, "blockExpiryDays": 90,
            "softBounceClasses": ["DNS", "SOFT", "DNS"], "bounceRateAlert": 0.1, "complaintRateAlert": 0,
            "refusalRateAlert": 1, "alertMinimumSample": 50, "silentHours": 24, "tracking": false,
            "escalationTasks": true,
        });
        let answered = fixture.update(change).await.expect("changed");
        let expected = Settings {
            policy: Policy {
                accepted_soft_bounces: 3,
                window: Some(Window { bounces: 4, of_last: 10 }),
                expiry_days: Some(90),
                classes: vec![BounceClass::Soft, BounceClass::Dns],
            },
            alerts: AlertPolicy {
                bounce_rate: 0.1,
                complaint_rate: 0.0,
                refusal_rate: 1.0,
                minimum_sample: 50,
                silent_hours: 24,
            },
            tracking: false,
            escalation_tasks: true,
        };
        assert_eq!((&answered, &fixture.settings().await), (&expected, &expected));
        assert_eq!(fixture.count(REVIEWS).await, 1);

        let off = fixture.update(json!({ "softBounceWindow": null, "blockExpiryDays": null })).await.expect("changed");
        assert_eq!((off.policy.window, off.policy.expiry_days), (None, None));
        assert_eq!(fixture.settings().await, off);
        assert_eq!(fixture.count(REVIEWS).await, 2);
        let sql = "SELECT subject, action, object, detail FROM audit_entry ORDER BY id DESC";
        let row = query_one(fixture.services.db.read(), sql, []).await.expect("asked").expect("an entry");
        let entry: (String, String, String, String) = row.try_get_many_by_index().expect("an entry");
        assert_eq!((entry.0.as_str(), entry.1.as_str()), ("cli", "settings.updated"));
        assert_eq!(
            serde_json::from_str::<Value>(&entry.3).expect("JSON"),
            json!({
                "old": { "softBounceWindow": { "bounces": 4, "ofLastSends": 10 }, "blockExpiryDays": 90 },
                "new": { "softBounceWindow": null, "blockExpiryDays": null },
            })
        );

        // Alerts look at campaigns, not at addresses; and what is as it is wanted is not changed.
        fixture.update(json!({ "silentHours": 12, "acceptedSoftBounces": 3 })).await.expect("changed");
        assert_eq!(fixture.count(REVIEWS).await, 2);
        fixture.update(json!({ "silentHours": 12 })).await.expect("nothing to do");
        assert_eq!(fixture.count("SELECT count(*) FROM audit_entry").await, 3);
        fixture.test.close().await;
    }
}

#[tokio::test]
async fn a_value_out_of_its_range_is_refused_by_its_name_and_changes_nothing() {
    for fixture in Fixture::each().await {
        for (change, field) in [
            (json!({ "acceptedSoftBounces": 0 }), "acceptedSoftBounces"),
            (json!({ "acceptedSoftBounces": 33 }), "acceptedSoftBounces"),
            (json!({ "softBounceWindow": { "bounces": 0, "ofLastSends": 5 } }), "softBounceWindow.bounces"),
            (json!({ "softBounceWindow": { "bounces": 6, "ofLastSends": 5 } }), "softBounceWindow.bounces"),
            (json!({ "softBounceWindow": { "bounces": 6, "ofLastSends": 33 } }), "softBounceWindow.ofLastSends"),
            (json!({ "blockExpiryDays": 0 }), "blockExpiryDays"),
            (json!({ "blockExpiryDays": 70_000 }), "blockExpiryDays"),
            (json!({ "softBounceClasses": ["SOFT", "BLOCK"] }), "softBounceClasses"),
            (json!({ "bounceRateAlert": 5 }), "bounceRateAlert"),
            (json!({ "complaintRateAlert": -0.1 }), "complaintRateAlert"),
            (json!({ "refusalRateAlert": 1.01 }), "refusalRateAlert"),
            (json!({ "alertMinimumSample": 0 }), "alertMinimumSample"),
            (json!({ "silentHours": 1_000 }), "silentHours"),
            (json!({ "tracking": false, "silentHours": -1 }), "silentHours"),
        ] {
            match fixture.update(change.clone()).await {
                Err(ServiceError::Refused(refusal)) => assert_eq!(refusal.field.join("."), field, "{change}"),
                other => panic!("{change}: {other:?}"),
            }
        }
        assert_eq!(fixture.settings().await, Settings::default());
        assert_eq!(fixture.count("SELECT count(*) FROM setting").await, 0);
        fixture.test.close().await;
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_left_at_its_default() {
    for fixture in Fixture::each().await {
        fixture.store("acceptedSoftBounces", "many").await;
        fixture.store("blockExpiryDays", "-3").await;
        fixture.store("ofALaterVersion", "1").await;
        fixture.store("alerts.checked_until", "17").await;
        fixture.store("tracking", "false").await;
        assert_eq!(fixture.settings().await, Settings { tracking: false, ..Settings::default() });
        let set = fixture.update(json!({ "acceptedSoftBounces": 7 })).await.expect("changed");
        assert_eq!((set.policy.accepted_soft_bounces, fixture.settings().await), (7, set));
        fixture.test.close().await;
    }
}

#[tokio::test]
async fn changes_at_the_same_time_follow_each_other() {
    for fixture in Fixture::each().await {
        let changes = (1..=8).map(|bounces| fixture.update(json!({ "acceptedSoftBounces": bounces })));
        futures::future::try_join_all(changes).await.expect("changed");
        let sql = "SELECT detail FROM audit_entry ORDER BY id";
        let rows = query_all(fixture.services.db.read(), sql, []).await.expect("asked");
        let details = rows.iter().map(|row| row.try_get_by_index::<String>(0).expect("a detail"));
        let details: Vec<Value> = details.map(|detail| serde_json::from_str(&detail).expect("JSON")).collect();
        for pair in details.windows(2) {
            assert_eq!(pair[0]["new"], pair[1]["old"]);
        }
        let last = details.last().expect("an entry")["new"]["acceptedSoftBounces"].clone();
        assert_eq!(json!(fixture.settings().await.policy.accepted_soft_bounces), last);
        fixture.test.close().await;
    }
}
