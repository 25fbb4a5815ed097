//! Alerts: bad events come in, the campaign shows what is wrong, and whoever is configured is told, once.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::harness::{Api, Site, Source, eventually};

in_every_mode!(many_bounces_raise_an_alert_that_is_told_once);

const SHOP: Source = Source::generic("shop").creating("campaigns");
const SECRET: &str = "a secret for alerts";

/// Somebody who is told: the head and body of each request.
#[derive(Clone, Default)]
struct Hook(Arc<Mutex<Vec<(String, String)>>>);

impl Hook {
    /// Listens from now on; the address.
    fn listen(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/alerts", listener.local_addr().expect("an address"));
        let hook = self.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut reader = BufReader::new(stream);
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|length| length > 0) {}
                let head = head.to_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                let mut body = vec![0; length.and_then(|length| length.parse().ok()).unwrap_or_default()];
                reader.read_exact(&mut body).expect("a body");
                let body = String::from_utf8(body).expect("UTF-8");
                hook.0.lock().expect("unharmed").push((head, body));
                let answer = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
                reader.get_mut().write_all(answer).expect("answered");
            }
        });
        url
    }

    fn told(&self) -> Vec<(String, String)> {
        self.0.lock().expect("unharmed").clone()
    }
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(known, _)| *known == name).unwrap_or_else(|| panic!("{name} in {head}")).1
}

fn event(number: usize) -> Value {
    let mut event = json!({
        "type": if number < 20 { "hard_bounce" } else { "delivered" },
        "id": format!("alerts-{number}"),
        "occurred_at": "2026-03-02T08:30:00Z",
        "campaign": "bought",
        "recipient": format!("person{number}@alpha.example"),
    });
    if number < 20 {
        event["diagnostic"] = json!("550 5.1.1 no such user");
    }
    event
}

async fn alerts(api: &Api, campaign: &str) -> Vec<Value> {
    let query = "query($id: ID!) { campaign(id: $id) { alerts { kind value limit raisedAt resolvedAt message } } }";
    let data = api.ask(query, json!({ "id": campaign })).await;
    data["campaign"]["alerts"].as_array().expect("a list").clone()
}

/// Has campaigns looked at now, and waits until that is done.
async fn look(site: &Site) -> Value {
    let id = site.run(["jobs", "run", "check-alerts"]);
    eventually("the campaigns are looked at", async || {
        let job = site.run_json(["jobs", "show", id.trim(), "--json"]);
        assert_ne!(job["state"], "FAILED", "{job}");
        (job["state"] == "SUCCEEDED").then(|| job["result"].clone())
    })
    .await
}

async fn many_bounces_raise_an_alert_that_is_told_once(site: Site) {
    let hook = Hook::default();
    let url = hook.listen();
    let site =
        site.with(&[&SHOP]).with_more(&format!("\n[alerts]\nwebhook_url = {url:?}\nwebhook_secret = {SECRET:?}\n"));
    let _running = site.start().await;
    let api = site.client("admin");

    let events: Vec<Value> = (0..120).map(event).collect();
    api.report(&SHOP, &json!(events)).await;
    api.applied().await;
    let campaign = api.find_campaign("bought").await.expect("it was made from its events");
    look(&site).await;

    let raised = alerts(&api, &campaign).await;
    assert_eq!(raised.len(), 1, "{raised:?}");
    assert_eq!((&raised[0]["kind"], &raised[0]["value"]), (&json!("BOUNCE_RATE"), &json!(0.166667)));
    assert_eq!((&raised[0]["limit"], &raised[0]["resolvedAt"]), (&json!(0.05), &json!(null)));

    let told = eventually("somebody is told", async || Some(hook.told()).filter(|told| !told.is_empty())).await;
    let (head, body) = &told[0];
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key may have any length");
    mac.update(format!("{}.{body}", header(head, "x-nachfass-timestamp")).as_bytes());
    let digits: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(header(head, "x-nachfass-signature"), format!("sha256={digits}"));
    let body: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!((&body["kind"], &body["campaign"]["key"]), (&json!("BOUNCE_RATE"), &json!("bought")));
    assert_eq!(body["message"], raised[0]["message"]);

    // It still holds: nothing new, and nobody is told again.
    assert_eq!(look(&site).await["raised"], 0);
    let jobs = site.run(["jobs", "list", "--kind", "notify", "--json"]);
    let jobs: Vec<Value> = jobs.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    eventually("the job that tells is over", async || {
        let id = jobs[0]["id"].as_str().expect("an id");
        (site.run_json(["jobs", "show", id, "--json"])["state"] == "SUCCEEDED").then_some(())
    })
    .await;
    assert_eq!((hook.told().len(), alerts(&api, &campaign).await), (1, raised));
}
