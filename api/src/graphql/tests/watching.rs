//! Subscriptions: the figures now, and after changes, but not too often.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use serde_json::json;
use service::Role;
use service::changes::Change;

use super::fixture::{Fixture, campaign};

const WATCH: &str = "subscription($campaign: ID!) { campaignStatistics(campaignId: $campaign) { opens } }";

#[tokio::test]
async fn figures_come_at_once_and_then_at_most_once_a_second() {
    let fixture = Fixture::with(1).await;
    let request = fixture.request(Role::Viewer, WATCH, json!({ "campaign": campaign() }));
    let mut items = fixture.schema.execute_stream(request, Arc::default());
    let opens = |response: async_graphql::Response| {
        response.data.into_json().expect("JSON")["campaignStatistics"]["opens"].clone()
    };
    let begin = Instant::now();
    assert_eq!(opens(items.next().await.expect("an item")), 2);
    assert!(tokio::time::timeout(Duration::from_millis(50), items.next()).await.is_err(), "nothing has changed");
    for count in 3..=5 {
        let sql = format!("UPDATE campaign_statistics SET opens = {count}");
        service::db::execute(fixture.services.db().write(), &sql, []).await.expect("updated");
        fixture.changes.publish(Change::Campaign(1));
        fixture.changes.publish(Change::Campaign(2));
        fixture.changes.publish(Change::Job(1));
    }
    assert_eq!(opens(items.next().await.expect("an item")), 5);
    assert!(begin.elapsed() >= Duration::from_secs(1));
    assert!(
        tokio::time::timeout(Duration::from_millis(1_200), items.next()).await.is_err(),
        "all changes were in one item"
    );
}

#[tokio::test]
async fn what_is_not_there_cannot_be_watched() {
    let fixture = Fixture::with(0).await;
    let unknown = crate::graphql::node::Key::Campaign(9).id().0;
    let request = fixture.request(Role::Viewer, WATCH, json!({ "campaign": unknown }));
    let item = fixture.schema.execute_stream(request, Arc::default()).next().await.expect("an item");
    assert!(format!("{:?}", item.errors).contains("NOT_FOUND"));
}

#[tokio::test]
async fn a_job_is_watched_to_its_end() {
    let fixture = Fixture::with(0).await;
    let id = crate::graphql::node::Key::Job(1).id().0;
    let set = async |sql: &str| {
        service::db::execute(fixture.services.db().write(), sql, []).await.expect("updated");
        fixture.changes.publish(Change::Job(1));
    };
    set("UPDATE job SET state = 2, done = 1").await;
    let watch = "subscription($job: ID!) { job(id: $job) { state done } }";
    let request = fixture.request(Role::Viewer, watch, json!({ "job": id }));
    let mut items = fixture.schema.execute_stream(request, Arc::default());
    let mut next = async || items.next().await.map(|item| item.data.into_json().expect("JSON")["job"].clone());
    assert_eq!(next().await, Some(json!({ "state": "RUNNING", "done": 1 })));
    set("UPDATE job SET done = 2").await;
    set("UPDATE job SET done = 3").await;
    assert_eq!(next().await, Some(json!({ "state": "RUNNING", "done": 3 })));
    set("UPDATE job SET state = 3, done = 4").await;
    assert_eq!(next().await, Some(json!({ "state": "SUCCEEDED", "done": 4 })));
    assert_eq!(next().await, None);
}
