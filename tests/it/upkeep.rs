//! What keeps an installation in order: removing what is old, and the board of the queues.

use domain::{Clock, SystemClock};
use reqwest::header::{AUTHORIZATION, COOKIE};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::cli::with_input;
use crate::harness::{Api, Site, Source};

in_every_mode!(what_is_young_stays, the_night_passes_by_hand);
in_mode!(board_in_one_process, Postgres: admins_look_at_the_board);
in_mode!(board_beside_workers, Split: admins_look_at_the_board);

const SHOP: Source = Source::generic("shop").creating("campaigns");

/// Item and what was said of it.
fn pruned(site: &Site, arguments: &[&str]) -> Vec<(String, Value)> {
    let text = site.run(arguments.iter().copied());
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.map(|line| (line["what"].as_str().expect("a name").to_owned(), line)).collect()
}

async fn what_is_young_stays(site: Site) {
    let site = site.with(&[&SHOP]);
    let _running = site.start().await;
    let api = site.client("admin");
    let now = json!({ "type": "delivered", "id": "1", "campaign": "spring", "recipient": "ada@alpha.example" });
    let old = json!({ "type": "opened", "id": "2", "campaign": "spring", "recipient": "ada@alpha.example",
        "occurred_at": "2020-03-02T08:01:00Z" });
    api.report(&SHOP, &json!([with_time(now), &old])).await;
    api.applied().await;

    let counted = pruned(&site, &["prune", "--dry-run", "--json"]);
    let names: Vec<&str> = counted.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.starts_with(&["deliveries", "unmatched_events", "events", "uploads"]), "{names:?}");
    for (name, line) in counted.iter().chain(&pruned(&site, &["prune", "--json"])) {
        let removed = if name == "events" { 1 } else { 0 };
        assert_eq!(line["older"], removed, "{line}");
    }
    let table = site.run(["prune", "--dry-run"]);
    assert!(table.contains("deliveries            30 days            0            0"), "{table}");

    // What was removed is refused when it comes again.
    api.report(&SHOP, &old).await;
    api.applied().await;
    let query = "{ deliveries(state: PARTLY_APPLIED, first: 1) { nodes { error } } }";
    let data = api.ask(query, json!({})).await;
    let error = data["deliveries"]["nodes"][0]["error"].as_str().unwrap_or_default().to_owned();
    assert!(error.starts_with("1 events occurred before "), "{data}");
    site.assert_counted_right();
}

/// The event, as of this moment.
fn with_time(mut event: Value) -> Value {
    event["occurred_at"] = json!(SystemClock.now());
    event
}

/// A run as a job does not differ from one by hand; here the latter beside running processes.
async fn the_night_passes_by_hand(site: Site) {
    let _running = site.start().await;
    for _ in 0..2 {
        assert!(pruned(&site, &["prune", "--json"]).iter().all(|(_, line)| line["removed"] == 0));
    }
    let refused = site.command(["prune", "--everything"]).output().expect("the program starts");
    assert_eq!(refused.status.code(), Some(2));
}

async fn admins_look_at_the_board(site: Site) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let site = site.with_more(&format!("board_listen = \"127.0.0.1:{port}\"\n"));
    for (name, role) in [("ada", "admin"), ("max", "marketer")] {
        let mut add = site.command(["user", "add", &format!("{name}@alpha.example"), "--role", role]);
        assert!(with_input(&mut add, "three sleepy walruses\n").status.success());
    }
    let _running = site.start().await;
    let board = Api::new(format!("http://127.0.0.1:{port}"), None);
    let queues = "/api/v1/queues";
    let status = async |name: &str, value: &str| {
        let request = board.bare(Method::GET, queues).header(name, value);
        request.send().await.expect("an answer").status()
    };
    assert_eq!(board.bare(Method::GET, queues).send().await.expect("an answer").status(), StatusCode::UNAUTHORIZED);
    for (role, wanted) in [("marketer", StatusCode::UNAUTHORIZED), ("admin", StatusCode::OK)] {
        let token = format!("Bearer {}", site.client(role).token());
        assert_eq!(status(AUTHORIZATION.as_str(), &token).await, wanted, "{role}");
    }
    let basic = async |name: &str, password: &str| {
        let request = board.bare(Method::GET, queues).basic_auth(format!("{name}@alpha.example"), Some(password));
        request.send().await.expect("an answer")
    };
    assert_eq!(basic("ada", "a wrong password").await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(basic("max", "three sleepy walruses").await.status(), StatusCode::UNAUTHORIZED);
    let signed_in = basic("ada", "three sleepy walruses").await;
    assert_eq!(signed_in.status(), StatusCode::OK);
    let cookie = signed_in.headers()["set-cookie"].to_str().expect("a text").to_owned();
    let (cookie, _) = cookie.split_once(';').expect("a cookie");
    assert_eq!(status(COOKIE.as_str(), cookie).await, StatusCode::OK);
    assert_eq!(status(COOKIE.as_str(), "nachfass-board=nonsense").await, StatusCode::UNAUTHORIZED);
    let shown = signed_in.text().await.expect("a text");
    for name in ["nachfass-events", "nachfass-interactive", "nachfass-bulk"] {
        assert!(shown.contains(name), "{shown}");
    }
}
