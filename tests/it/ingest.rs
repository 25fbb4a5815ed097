//! The door at which providers post: who is let in, what is kept, and what is said to whom.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::Method;
use reqwest::header::WWW_AUTHENTICATE;
use serde_json::{Value, json};

use crate::harness::{Api, Posting, Site, Source, eventually, fixture};

in_every_mode!(
    what_cannot_be_read_is_kept_and_replayed,
    one_bad_element_costs_nothing_else,
    what_comes_twice_counts_once
);
in_mode!(door, Sqlite: strangers_are_turned_away, bodies_have_limits, set_up_requests_are_answered, only_listed_topics_are_confirmed);

const SHOP: Source = Source::generic("shop").creating("campaigns");
const POSTMARK: Source = Source::postmark().creating("campaigns");

fn opened(id: &str, at: &str) -> Value {
    json!({ "type": "opened", "id": id, "occurred_at": at, "campaign": "spring", "recipient": "ada@alpha.example" })
}

async fn deliveries(api: &Api, state: &str) -> Vec<Value> {
    let query = "query($state: DeliveryState) { deliveries(state: $state, first: 50) { nodes { source events newEvents failures error } } }";
    api.ask(query, json!({ "state": state })).await["deliveries"]["nodes"].as_array().expect("a list").clone()
}

async fn opens(api: &Api) -> Option<i64> {
    let campaign = api.find_campaign("spring").await?;
    let data =
        api.ask("query($id: ID!) { campaign(id: $id) { statistics { opens } } }", json!({ "id": campaign })).await;
    data["campaign"]["statistics"]["opens"].as_i64()
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).expect("compressed");
    encoder.finish().expect("compressed")
}

async fn what_cannot_be_read_is_kept_and_replayed(site: Site) {
    let site = site.with(&[&SHOP]);
    let mut running = site.start().await;
    let api = site.client("admin");
    let refused = api.deliver(SHOP.sign(&json!({ "surprise": true }))).await.expect("an answer");
    assert_eq!(refused.status(), 400);
    let said: Value = refused.json().await.expect("JSON");
    assert_eq!(said["error"]["code"], "BAD_REQUEST");
    let kept = deliveries(&api, "UNREADABLE").await;
    assert_eq!(kept.len(), 1);
    assert!(kept[0]["error"].as_str().expect("a reason").contains("type"), "{kept:?}");

    let replayed = site.run_json(["ingest", "replay", "--failed", "--json"]);
    assert_eq!(replayed["deliveries"], 1, "{replayed}");
    assert_eq!(deliveries(&api, "UNREADABLE").await.len(), 1, "it is still what it was");

    // What is known already changes nothing.
    api.report(&SHOP, &opened("1", "2026-03-02T08:10:00Z")).await;
    api.applied().await;
    let everything = site.run_json(["ingest", "replay", "--source", "shop", "--json"]);
    assert_eq!((&everything["deliveries"], &everything["new"]), (&json!(2), &json!(0)), "{everything}");
    api.applied().await;
    assert_eq!(opens(&api).await, Some(1));
    running.processes().for_each(|(_, process)| process.check());
    site.assert_counted_right();
}

async fn one_bad_element_costs_nothing_else(site: Site) {
    let site = site.with(&[&SHOP]);
    let _running = site.start().await;
    let api = site.client("admin");
    let events = json!({ "events": [
        opened("1", "2026-03-02T08:10:00Z"),
        { "type": "opened", "occurred_at": "the day before yesterday", "recipient": "ada@alpha.example" },
        opened("2", "2026-03-02T08:20:00Z"),
    ] });
    api.report(&SHOP, &events).await;
    api.applied().await;
    let partly = deliveries(&api, "PARTLY_APPLIED").await;
    assert_eq!(partly.len(), 1, "{partly:?}");
    assert_eq!((&partly[0]["newEvents"], &partly[0]["failures"]), (&json!(2), &json!(1)), "{partly:?}");
    assert_eq!(opens(&api).await, Some(2));
}

async fn what_comes_twice_counts_once(site: Site) {
    let site = site.with(&[&SHOP]);
    let _running = site.start().await;
    let api = site.client("admin");
    let (first, second) = (opened("1", "2026-03-02T08:10:00Z"), opened("2", "2026-03-02T08:20:00Z"));
    // In one request, in another one, and once more after everything was applied.
    api.report(&SHOP, &json!([first, second, first])).await;
    api.report(&SHOP, &second).await;
    api.applied().await;
    api.report(&SHOP, &first).await;
    api.applied().await;
    assert_eq!(opens(&api).await, Some(2));
    let query =
        "{ campaigns(first: 1) { nodes { recipients(first: 5) { nodes { events(first: 10) { nodes { id } } } } } } }";
    let data = api.ask(query, json!({})).await;
    let recipients = data["campaigns"]["nodes"][0]["recipients"]["nodes"].as_array().expect("a list");
    assert_eq!(recipients.len(), 1);
    assert_eq!(recipients[0]["events"]["nodes"].as_array().map(Vec::len), Some(2));
    site.assert_counted_right();
}

async fn strangers_are_turned_away(site: Site) {
    let site = site.with(&[&SHOP, &POSTMARK]);
    let _running = site.start().await;
    let api = site.client("admin");

    let nowhere = Posting { path: "/ingest/nobody".to_owned(), ..SHOP.sign(&json!([])) };
    assert_eq!(api.deliver(nowhere).await.expect("an answer").status(), 404);

    let without = Posting { headers: Vec::new(), ..POSTMARK.sign(&json!({})) };
    let asked = api.deliver(without).await.expect("an answer");
    assert_eq!(asked.status(), 401);
    let challenge = asked.headers()[WWW_AUTHENTICATE].to_str().expect("a text");
    assert!(challenge.starts_with("Basic "), "{challenge}");

    let mut changed = SHOP.sign(&opened("1", "2026-03-02T08:10:00Z"));
    changed.body.push(b' ');
    let forged = api.deliver(changed).await.expect("an answer");
    assert_eq!(forged.status(), 401);
    assert!(!forged.headers().contains_key(WWW_AUTHENTICATE), "a password would not help");

    let everything = api.ask("{ deliveries(first: 1) { nodes { id } } }", json!({})).await;
    assert_eq!(everything["deliveries"]["nodes"], json!([]), "nothing of strangers is kept");
}

async fn bodies_have_limits(site: Site) {
    const LIMIT: usize = 10 * 1024 * 1024;
    let site = site.with(&[&SHOP, &POSTMARK]);
    let _running = site.start().await;
    let api = site.client("admin");

    let signed = SHOP.sign(&opened("1", "2026-03-02T08:10:00Z"));
    let mut zipped = Posting { body: gzip(&signed.body), ..signed };
    zipped.headers.push(("content-encoding", "gzip".to_owned()));
    assert_eq!(
        api.deliver(zipped.clone()).await.expect("an answer").status(),
        200,
        "the signature is that of the plain body"
    );
    api.applied().await;
    assert_eq!(opens(&api).await, Some(1));

    let bomb = Posting { body: gzip(&vec![b' '; LIMIT + 1]), ..zipped.clone() };
    assert!(bomb.body.len() < LIMIT / 100);
    assert_eq!(api.deliver(bomb).await.expect("an answer").status(), 413);
    let damaged = Posting { body: b"this is no gzip".to_vec(), ..zipped };
    assert_eq!(api.deliver(damaged).await.expect("an answer").status(), 400);

    let large = Posting { body: vec![b' '; LIMIT + 1], ..POSTMARK.sign(&json!({})) };
    // Refused by its announced length, before it is read; where the client is still writing then, it sees the connection close.
    if let Ok(refused) = api.deliver(large).await {
        assert_eq!(refused.status(), 413);
    }
    let mut strange = SHOP.sign(&opened("2", "2026-03-02T08:11:00Z"));
    strange.headers.push(("content-encoding", "zstd".to_owned()));
    assert_eq!(api.deliver(strange).await.expect("an answer").status(), 415);
}

async fn set_up_requests_are_answered(site: Site) {
    let site = site
        .with(&[&SHOP])
        .with_more("\n[[sources]]\nname = \"unisender\"\nprovider = \"unisender\"\nsecrets = [\"x\"]\n");
    let _running = site.start().await;
    let api = site.stranger();
    for (method, path, status) in [
        (Method::HEAD, "/ingest/shop", 200),
        (Method::HEAD, "/ingest/nobody", 404),
        (Method::GET, "/ingest/unisender", 200),
        (Method::GET, "/ingest/shop", 405),
        (Method::GET, "/ingest/nobody", 404),
        (Method::PUT, "/ingest/shop", 405),
    ] {
        let answer = api.bare(method.clone(), path).send().await.expect("an answer");
        assert_eq!(answer.status(), status, "{method} {path}");
    }
}

async fn only_listed_topics_are_confirmed(site: Site) {
    // What is posted here confirms a topic of somebody else's; `insecure` leaves the list of topics as the only check.
    let ses = "\n[[sources]]\nname = \"ses\"\nprovider = \"ses\"\ntopics = [\"arn:aws:sns:us-east-1:123456789012:ours\"]\ninsecure = true\n";
    let site = site.with_more(ses);
    let mut running = site.start().await;
    let posting = Posting {
        path: "/ingest/ses".to_owned(),
        headers: Vec::new(),
        body: fixture("sns-confirmation-of-a-foreign-topic.json"),
    };
    assert_eq!(site.stranger().deliver(posting).await.expect("an answer").status(), 401);
    let refusal = "webhook rejected";
    eventually("the log says it", async || {
        running.processes().any(|(_, part)| part.log().contains(refusal)).then_some(())
    })
    .await;
    let log = running.processes().map(|(_, part)| part.log()).collect::<String>();
    assert!(!log.contains("a subscription was confirmed"), "{log}");
}
