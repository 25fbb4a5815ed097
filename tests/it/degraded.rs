//! A service is gone: what still works, what is said, and that nothing is lost.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Api, Proxy, Site, Source, eventually};

in_mode!(redis_in_one_process, Postgres: without_redis_events_are_still_taken_and_applied);
in_mode!(redis_in_processes, Split: without_redis_events_are_still_taken_and_applied);
in_mode!(database, Postgres: without_a_database_providers_are_asked_to_come_again);

const SHOP: Source = Source::generic("shop").creating("campaigns");

fn delivered(recipient: &str) -> Value {
    json!({ "type": "delivered", "id": recipient, "occurred_at": "2026-03-02T08:01:00Z", "campaign": "spring", "recipient": recipient })
}

async fn is(api: &Api, state: &str) {
    let what = format!("it is {state}");
    eventually(&what, async || (api.readiness().await.as_deref() == Some(state)).then_some(())).await;
}

async fn recipients(api: &Api) -> Option<i64> {
    let campaign = api.find_campaign("spring").await?;
    let data =
        api.ask("query($id: ID!) { campaign(id: $id) { statistics { delivered } } }", json!({ "id": campaign })).await;
    data["campaign"]["statistics"]["delivered"].as_i64()
}

async fn without_redis_events_are_still_taken_and_applied(site: Site) {
    let mut wire = None;
    let site = site.with(&[&SHOP]).with_redis_at(|url| wire.insert(Proxy::to(url)).url(url));
    let wire = wire.expect("a wire");
    let _running = site.start().await;
    let api = site.client("admin");
    api.report(&SHOP, &delivered("ada@alpha.example")).await;
    api.applied().await;

    wire.cut();
    is(&api, "degraded").await;
    let ready = api.bare(Method::GET, "/readyz").send().await.expect("an answer");
    assert_eq!(ready.status(), 200, "degraded is still ready");
    api.report(&SHOP, &delivered("bob@beta.example")).await;
    api.applied().await;
    assert_eq!(recipients(&api).await, Some(2));

    wire.mend();
    is(&api, "ready").await;
    api.report(&SHOP, &delivered("cem@gamma.example")).await;
    api.applied().await;
    assert_eq!(recipients(&api).await, Some(3));
    site.assert_counted_right();
}

async fn without_a_database_providers_are_asked_to_come_again(site: Site) {
    let mut wire = None;
    let site = site.with(&[&SHOP]).with_postgres_at(|url| wire.insert(Proxy::to(url)).url(url));
    let wire = wire.expect("a wire");
    let mut running = site.start().await;
    let api = site.client("admin");
    api.report(&SHOP, &delivered("ada@alpha.example")).await;
    api.applied().await;

    wire.cut();
    is(&api, "unready").await;
    let ready = api.bare(Method::GET, "/readyz").send().await.expect("an answer");
    assert_eq!(ready.status(), 503);
    let alive = api.bare(Method::GET, "/healthz").send().await.expect("an answer");
    assert_eq!(alive.status(), 200);
    let refused = api.deliver(SHOP.sign(&delivered("bob@beta.example"))).await.expect("an answer");
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    let asked = api.graphql(json!({ "query": "{ campaigns(first: 1) { nodes { id } } }" })).await;
    let said: Value = asked.json().await.expect("JSON");
    assert!(said["errors"].is_array() && said["data"].is_null(), "{said}");

    wire.mend();
    running.ready().await;
    api.report(&SHOP, &delivered("bob@beta.example")).await;
    api.applied().await;
    assert_eq!(recipients(&api).await, Some(2));
    site.assert_counted_right();
}
