//! Events that come before their recipients: kept until those arrive, or, where the source may, the reason to make them.

use serde_json::{Value, json};

use crate::harness::{Api, Site, Source, eventually};

in_every_mode!(
    a_source_may_make_campaigns,
    a_source_may_make_recipients_only,
    what_matches_nothing_waits_for_its_recipients
);

const SHOP: Source = Source::generic("shop");

fn event(kind: &str, campaign: &str, recipient: &str) -> Value {
    json!({
        "type": kind,
        "id": format!("{kind}-{campaign}-{recipient}"),
        "occurred_at": "2026-03-02T08:30:00Z",
        "campaign": campaign,
        "recipient": recipient,
    })
}

/// Recipients and how many of them have opened.
async fn figures(api: &Api, campaign: &str) -> [i64; 3] {
    let query = "query($id: ID!) { campaign(id: $id) { statistics { recipients delivered opened } } }";
    let data = api.ask(query, json!({ "id": campaign })).await;
    let statistics = &data["campaign"]["statistics"];
    ["recipients", "delivered", "opened"].map(|figure| statistics[figure].as_i64().expect("a number"))
}

async fn unmatched(api: &Api) -> Vec<Value> {
    let query = "{ unmatchedEvents(first: 50) { nodes { kind unmatched { campaignKeys email source } } } }";
    api.ask(query, json!({})).await["unmatchedEvents"]["nodes"].as_array().expect("a list").clone()
}

async fn a_source_may_make_campaigns(site: Site) {
    let shop = SHOP.creating("campaigns");
    let site = site.with(&[&shop]);
    let _running = site.start().await;
    let api = site.client("admin");

    let first =
        json!([event("delivered", "autumn", "ada@alpha.example"), event("delivered", "autumn", "bob@beta.example")]);
    api.report(&shop, &first).await;
    api.report(&shop, &event("opened", "autumn", "ada@alpha.example")).await;
    api.applied().await;

    let campaign = api.find_campaign("autumn").await.expect("it was made from its first event");
    assert_eq!(figures(&api, &campaign).await, [2, 2, 1]);
    assert_eq!(unmatched(&api).await, Vec::<Value>::new());
    site.assert_counted_right();
}

async fn a_source_may_make_recipients_only(site: Site) {
    let shop = SHOP.creating("recipients");
    let site = site.with(&[&shop]);
    let _running = site.start().await;
    let api = site.client("admin");
    let create = "mutation { createCampaign(input: { key: \"known\", name: \"known\" }) { campaign { id } userErrors { message } } }";
    let created = api.ask(create, json!({})).await;
    let campaign = created["createCampaign"]["campaign"]["id"].as_str().expect("an id");

    let events =
        json!([event("delivered", "known", "ada@alpha.example"), event("delivered", "unknown", "ada@alpha.example")]);
    api.report(&shop, &events).await;
    api.applied().await;

    assert_eq!(figures(&api, campaign).await, [1, 1, 0]);
    assert_eq!(api.find_campaign("unknown").await, None);
    assert_eq!(unmatched(&api).await.len(), 1);
    site.assert_counted_right();
}

async fn what_matches_nothing_waits_for_its_recipients(site: Site) {
    let site = site.with(&[&SHOP]);
    let _running = site.start().await;
    let api = site.client("admin");
    api.report(&SHOP, &event("opened", "later", "ada@alpha.example")).await;
    api.report(&SHOP, &event("delivered", "later", "ada@alpha.example")).await;
    api.report(&SHOP, &event("delivered", "never", "ada@alpha.example")).await;
    api.applied().await;
    let waiting = unmatched(&api).await;
    assert_eq!(waiting.len(), 3);
    assert!(waiting.iter().all(|event| event["unmatched"]["source"] == "shop"), "{waiting:?}");

    site.write("later.csv", "email\nada@alpha.example\n");
    let imported = site.run_json(["import", "--campaign", "later", "--state", "sent", "--json", "later.csv"]);
    let campaign = imported["campaignId"].as_str().expect("an id");

    eventually("the events find their recipient", async || (figures(&api, campaign).await == [1, 1, 1]).then_some(()))
        .await;
    let left = unmatched(&api).await;
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0]["unmatched"]["campaignKeys"], json!(["never"]));
    site.assert_counted_right();
}
