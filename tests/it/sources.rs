//! What becomes of webhooks, as an admin sees it who connects a provider: in GraphQL and in the log.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Site, Source, eventually};

in_mode!(on_sqlite, Sqlite: what_is_rejected_is_counted_and_logged);
in_mode!(in_processes, Split: what_is_rejected_is_counted_and_logged);

const SHOP: Source = Source::generic("shop");
const NEWS: Source = Source::postmark();

const SOURCES: &str = "{ sources { name provider url lastDeliveryAt accepted refused unreadable \
    refusedByReason { reason count firstAt lastAt } } unknownSourceRequests { reason count } }";

fn event(number: u32) -> Value {
    json!({ "type": "opened", "id": number.to_string(), "occurred_at": "2026-03-02T08:00:00Z", "recipient": "ada@alpha.example" })
}

async fn what_is_rejected_is_counted_and_logged(site: Site) {
    let site = site.with(&[&SHOP, &NEWS]);
    let mut running = site.start().await;
    let api = site.client("admin");
    let before = api.ask(SOURCES, json!({})).await;
    assert_eq!(before["sources"][0]["name"], "shop");
    assert_eq!((&before["sources"][0]["accepted"], &before["sources"][0]["lastDeliveryAt"]), (&json!(0), &Value::Null));
    assert_eq!(before["unknownSourceRequests"], Value::Null);

    api.report(&SHOP, &event(1)).await;
    let deliver = async |mut posting: crate::harness::Posting, change: &dyn Fn(&mut crate::harness::Posting)| {
        change(&mut posting);
        api.deliver(posting).await.expect("an answer").status().as_u16()
    };
    for number in 2..7 {
        // Another body than the one that was signed.
        let status = deliver(SHOP.sign(&event(number)), &|posting| posting.body.push(b' ')).await;
        assert_eq!(status, 401);
    }
    assert_eq!(deliver(SHOP.sign(&event(7)), &|posting| posting.headers.clear()).await, 401);
    assert_eq!(deliver(SHOP.sign(&json!({ "no": "event" })), &|_| {}).await, 400);
    assert_eq!(deliver(NEWS.sign(&event(8)), &|posting| posting.headers.clear()).await, 401);
    for name in ["newsleter", "erika%40example.com"] {
        assert_eq!(deliver(SHOP.sign(&event(9)), &|posting| posting.path = format!("/ingest/{name}")).await, 404);
    }

    let (sources, unknown) = eventually("everything is counted", async || {
        let data = api.ask(SOURCES, json!({})).await;
        (data["unknownSourceRequests"]["count"] == 2)
            .then(|| (data["sources"].clone(), data["unknownSourceRequests"].clone()))
    })
    .await;
    let shop = &sources[0];
    assert_eq!((&shop["provider"], &shop["url"]), (&json!("GENERIC"), &json!(format!("{}/ingest/shop", site.url()))));
    assert!(shop["lastDeliveryAt"].is_string(), "{shop}");
    assert_eq!((&shop["accepted"], &shop["refused"], &shop["unreadable"]), (&json!(1), &json!(6), &json!(1)));
    let reasons: Vec<(&str, i64)> = shop["refusedByReason"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|refused| (refused["reason"].as_str().expect("a word"), refused["count"].as_i64().expect("a number")))
        .collect();
    assert_eq!(reasons, [("SIGNATURE_INVALID", 5), ("SIGNATURE_MISSING", 1)]);
    assert_eq!(sources[1]["refusedByReason"][0]["reason"], "CREDENTIALS");
    assert_eq!(unknown["reason"], "UNKNOWN_SOURCE");
    assert_eq!(site.client("marketer").refusal(SOURCES, json!({})).await, "FORBIDDEN");

    // One line for each source and reason, and no more.
    let log = running.processes().map(|(_, process)| process.log()).collect::<String>();
    let lines = |words: &[&str]| {
        let is_one = |line: &&str| line.contains("webhook rejected") && words.iter().all(|word| line.contains(word));
        log.lines().filter(is_one).count()
    };
    for (source, reason) in [
        ("shop", "SIGNATURE_INVALID"),
        ("shop", "SIGNATURE_MISSING"),
        ("shop", "UNREADABLE"),
        ("it-postmark", "CREDENTIALS"),
        ("newsleter", "UNKNOWN_SOURCE"),
        ("erika?example", "UNKNOWN_SOURCE"),
    ] {
        assert_eq!(lines(&[source, reason]), 1, "{source} {reason}: {log}");
    }
    assert!(!log.contains("erika@"), "{log}");

    // The counts are there after a restart.
    for (_, process) in running.processes() {
        assert!(process.terminate(Duration::from_secs(30)).await.success());
    }
    drop(running);
    let _running = site.start().await;
    let again = api.ask(SOURCES, json!({})).await;
    assert_eq!((&again["sources"], &again["unknownSourceRequests"]), (&sources, &unknown));
}
