//! Guessing passwords, keeping somebody out by guessing, and filling memory, log and audit log with it.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::{ERIKA, PASSWORD, add, code, cookies, sign_in, status};
use crate::harness::{Api, Running, Site, eventually};
use crate::hostile::{MOST_MEMORY, peak_memory};

in_every_mode!(nobody_is_kept_out_by_somebody_elses_guessing);
in_mode!(
    on_sqlite_alone,
    Sqlite: a_flood_of_sign_ins_is_bounded, refusals_are_written_down_without_an_address, the_first_admin_cannot_be_guessed,
    what_is_no_sign_in_harms_nobody
);

const ATTACKER: &str = "203.0.113.9";

/// Tries until the attacker's network has no attempt left.
async fn use_up(api: &Api) {
    while sign_in(api, ERIKA, "x", ATTACKER, None).await.status() == 401 {}
}

async fn nobody_is_kept_out_by_somebody_elses_guessing(site: Site) {
    add(&site, ERIKA, "marketer");
    let _running = site.start().await;
    let api = site.stranger();
    let (_, device) = cookies(&sign_in(&api, ERIKA, PASSWORD, "198.51.100.1", None).await);
    // All that one network has, and all that 40 networks have.
    use_up(&api).await;
    for number in 0..40 {
        let from = format!("2001:db8:{number:x}::1");
        let attempts = (0..11).map(|_| sign_in(&api, ERIKA, "x", &from, None));
        let answers = join_all(attempts).await;
        assert!(answers.iter().all(|answer| [401, 429, 503].contains(&answer.status().as_u16())));
    }
    use_up(&api).await;
    let refused = sign_in(&api, ERIKA, PASSWORD, ATTACKER, None).await;
    assert_eq!(refused.status(), 429);
    let wait: u64 = refused.headers()["retry-after"].to_str().expect("a text").parse().expect("seconds");
    assert!((1..=120).contains(&wait), "{wait}");
    assert_eq!(code(refused).await, "TOO_MANY_REQUESTS");

    let known = sign_in(&api, ERIKA, PASSWORD, ATTACKER, Some(&device)).await;
    assert_eq!(known.status(), 200, "a browser that was signed in before passes, even from there");
    // All strangers together share some attempts a second: after a moment there are some again.
    let began = Instant::now();
    let session = loop {
        let elsewhere = sign_in(&api, ERIKA, PASSWORD, "192.0.2.77", None).await;
        if elsewhere.status() == 200 {
            break cookies(&elsewhere).0;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{}", elsewhere.status());
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    assert_eq!(status(&api, &session).await, 200);

    use_up(&api).await;
    let mut forged = device.clone();
    forged.replace_range(forged.len() - 2.., "AA");
    assert_eq!(sign_in(&api, ERIKA, PASSWORD, ATTACKER, Some(&forged)).await.status(), 429);
    use_up(&api).await;
    let other = sign_in(&api, "max@kleinfirma.example", "x", ATTACKER, Some(&device)).await;
    assert_eq!(other.status(), 429, "it is for one account");
}

async fn a_flood_of_sign_ins_is_bounded(site: Site) {
    add(&site, ERIKA, "admin");
    let mut running = site.start().await;
    let api = site.stranger();
    let flood = |number: u32| {
        let api = api.clone();
        async move {
            let (email, from) =
                (format!("{number}@kleinfirma.example"), format!("2001:db8:{:x}:{number:x}::1", number / 8));
            sign_in(&api, &email, "a password of some length", &from, None).await.status().as_u16()
        }
    };
    let mut seen = std::collections::BTreeMap::<u16, usize>::new();
    let mut slowest = Duration::ZERO;
    for round in 0..30_u32 {
        let attempts = join_all((0..100).map(|number| flood(round * 100 + number)));
        let look = async {
            let began = Instant::now();
            assert_eq!(api.bare(Method::GET, "/healthz").send().await.expect("an answer").status(), 200);
            began.elapsed()
        };
        let (statuses, took) = tokio::join!(attempts, look);
        slowest = slowest.max(took);
        for status in statuses {
            *seen.entry(status).or_default() += 1;
        }
    }
    assert!(seen.keys().all(|status| [401, 429, 503].contains(status)), "{seen:?}");
    assert!(seen[&429] + seen.get(&503).copied().unwrap_or_default() > 1_000, "{seen:?}");
    // A build without optimisation, beside other tests.
    assert!(slowest < Duration::from_secs(3), "{slowest:?}");
    for (_, process) in running.processes() {
        process.check();
        assert!(peak_memory(process) < MOST_MEMORY);
    }
    let admin = site.client("admin");
    let query = "{ auditLog(first: 1, filter: { action: \"session.refused\" }) { totalCount { value } } }";
    let audited = admin.ask(query, json!({})).await["auditLog"]["totalCount"]["value"].as_i64().expect("a number");
    // An hour may have begun meanwhile.
    assert!((2..=482).contains(&audited), "{audited}");
}

async fn refusals_are_written_down_without_an_address(site: Site) {
    add(&site, ERIKA, "marketer");
    let mut running = site.start().await;
    let api = site.stranger();
    for _ in 0..3 {
        assert_eq!(sign_in(&api, ERIKA, "a-wrong-password", ATTACKER, None).await.status(), 401);
    }
    assert_eq!(sign_in(&api, "nobody@kleinfirma.example", "x", ATTACKER, None).await.status(), 401);
    let listed = site.run_json(["user", "list", "--json"]);
    let account = listed["account"].as_str().expect("a name");
    let admin = site.client("admin");
    let query = "{ auditLog(first: 10, filter: { action: \"session.refused\" }) { nodes { subject object detail } } }";
    let log = admin.ask(query, json!({})).await;
    let entries = log["auditLog"]["nodes"].as_array().expect("a list");
    assert_eq!(entries.len(), 2, "{log}");
    assert_eq!((&entries[1]["object"], &entries[1]["subject"]), (&json!(account), &json!("anonymous")));
    let detail = entries[1]["detail"].to_string();
    assert!(detail.contains("203.0.113.0/24") && detail.contains('3'), "{detail}");

    let (_, process) = running.processes().next().expect("one");
    let written = process.log();
    let hash = account.trim_start_matches("account:");
    assert!(written.lines().any(|line| line.contains("sign-in refused") && line.contains(hash)), "{written}");
    let audited = log.to_string();
    for text in [&written, &audited] {
        for secret in [ERIKA, "nobody@", "a-wrong-password", ATTACKER] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

/// The log, once it says where the first admin's password stands, and what stands there.
async fn welcome(site: &Site, running: &mut Running<'_>) -> (String, String) {
    let log = eventually("the first admin is made", async || {
        let log = running.processes().next().expect("one").1.log();
        log.contains("Others are added by").then_some(log)
    })
    .await;
    let file = site.folder().join("data/first-admin.txt");
    let mode = std::fs::metadata(&file).expect("a file").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    assert!(log.contains("first-admin.txt"), "{log}");
    (log, std::fs::read_to_string(file).expect("a text"))
}

async fn the_first_admin_cannot_be_guessed(site: Site) {
    let shown = |text: &str, what: &str| {
        let line =
            text.lines().find_map(|line| line.trim().strip_prefix(what)).unwrap_or_else(|| panic!("{what}: {text}"));
        line.trim().to_owned()
    };
    let mut running = site.start().await;
    let (log, text) = welcome(&site, &mut running).await;
    let (email, password) = (shown(&text, "address "), shown(&text, "password "));
    assert!(email.starts_with("admin-") && email.ends_with("@nachfass.localhost"), "{email}");
    // The log of a service is no place for it, at this start and at the next one.
    assert!(!log.contains(&password), "{log}");
    drop(running);
    let mut running = site.start().await;
    let (log, again) = welcome(&site, &mut running).await;
    assert!(again == text && !log.contains(&password), "{log}");
    assert_eq!(sign_in(&site.stranger(), &email, &password, "192.0.2.1", None).await.status(), 200);
    assert!(!site.folder().join("data/first-admin.txt").exists(), "somebody has signed in");
    drop(running);

    let chosen = Site::new(crate::harness::Mode::Sqlite).expect("SQLite is always there");
    let chosen = chosen.with_more(&format!("first_admin = \"{ERIKA}\"\n"));
    let mut running = chosen.start().await;
    let (_, text) = welcome(&chosen, &mut running).await;
    assert_eq!(shown(&text, "address "), ERIKA);
    drop(running);

    let wrong = chosen.with_more("first_admin = \"nobody\"\n");
    let output = wrong.command(["config", "check", "--json"]).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let mut keys = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["key"].clone());
    assert!(keys.any(|key| key == "first_admin"), "{text}");
}

async fn what_is_no_sign_in_harms_nobody(site: Site) {
    add(&site, ERIKA, "marketer");
    let mut running = site.start().await;
    let api: Api = site.stranger();
    let long = "x".repeat(3_000);
    for (number, (email, password)) in [
        ("nul\0@x.example", "x"),
        (ERIKA, "nul\0"),
        (long.as_str(), "x"),
        (ERIKA, long.as_str()),
        ("", ""),
        ("\u{202e}@x", "🙂"),
    ]
    .into_iter()
    .enumerate()
    {
        let from = format!("192.0.2.{number}");
        assert_eq!(sign_in(&api, email, password, &from, None).await.status(), 401, "{email:?}");
        let cookie = format!("nachfass-device={}", "A".repeat(4_000));
        let answer = sign_in(&api, email, password, &from, Some(&cookie)).await;
        assert!([401, 429].contains(&answer.status().as_u16()), "{email:?}");
    }
    let nested = format!("{{\"email\":{}", "[".repeat(8_000));
    for body in [nested.as_str(), "{\"email\":1,\"password\":2}", "[]", "\u{0}"] {
        let request = api.bare(Method::POST, "/session").header("content-type", "application/json");
        assert_eq!(request.body(body.to_owned()).send().await.expect("an answer").status(), 400);
    }
    running.processes().for_each(|(_, process)| process.check());
}
