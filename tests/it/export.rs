//! Lists as files: ordered by GraphQL, written by a worker, fetched by a link.

use reqwest::header::{CONTENT_DISPOSITION, CONTENT_RANGE, ETAG, IF_RANGE, RANGE};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Api, Site, Source, eventually};

in_every_mode!(a_list_becomes_a_file, a_link_is_good_for_what_it_was_made_for);

const SHOP: Source = Source::generic("shop");

const EXPORT: &str = "mutation($input: ExportRecipientsInput!) { exportRecipients(input: $input) { job { id } userErrors { code field message } } }";
const FILE: &str = "query($id: ID!) { job(id: $id) { state error done total \
    result { file { name contentType size rows url urlExpiresAt snapshotAt } } } }";

/// The names that spreadsheets, browsers and terminals stumble over.
fn names() -> Vec<String> {
    let mut names = [
        "=HYPERLINK(\"http://evil.example\",\"x\")",
        "<script>alert(1)</script>",
        "O'Brien \"the\" Söhne, KG",
        "two\nlines",
        "👩‍👩‍👧 日本語",
    ]
    .map(str::to_owned)
    .to_vec();
    names.push("ä".repeat(10_000));
    names
}

/// Imports recipients with these names, and as many more; returns the campaign.
fn import(site: &Site, more: usize) -> String {
    let named = names().into_iter().enumerate();
    let named = named.map(|(place, name)| json!({ "email": format!("named{place}@alpha.example"), "name": name }));
    let more = (0..more).map(|place| json!({ "email": format!("reader{place}@beta.example"), "company": "Beta" }));
    let lines: String = named.chain(more).map(|line| format!("{line}\n")).collect();
    site.write("recipients.jsonl", lines);
    let imported = site.run_json([
        "import",
        "--campaign",
        "spring",
        "--name",
        "Spring",
        "--state",
        "sent",
        "--json",
        "recipients.jsonl",
    ]);
    imported["campaignId"].as_str().expect("an id").to_owned()
}

/// Exports, and waits for the file.
async fn export(api: &Api, mutation: &str, input: Value) -> Value {
    let begun = api.ask(mutation, json!({ "input": input })).await;
    let payload = begun.as_object().and_then(|data| data.values().next()).expect("a payload").clone();
    let job = payload["job"]["id"].as_str().unwrap_or_else(|| panic!("{payload}")).to_owned();
    let job = eventually("the export is over", async || {
        let job = api.ask(FILE, json!({ "id": job })).await["job"].take();
        (!["QUEUED", "RUNNING"].contains(&job["state"].as_str().expect("a state"))).then_some(job)
    })
    .await;
    assert_eq!(job["state"], "SUCCEEDED", "{job}");
    assert_eq!(job["done"], job["result"]["file"]["rows"], "{job}");
    job["result"]["file"].clone()
}

/// The path of a link, for a client that shows nothing else.
fn path(site: &Site, file: &Value) -> String {
    let url = file["url"].as_str().expect("a link");
    url.strip_prefix(&site.url()).unwrap_or_else(|| panic!("{url}")).to_owned()
}

async fn a_list_becomes_a_file(site: Site) {
    let site = site.with(&[&SHOP]);
    let _running = site.start().await;
    let campaign = import(&site, 5_000);
    let (api, stranger) = (site.client("marketer"), site.stranger());
    let everybody = json!({ "where": { "campaignId": campaign } });
    let input = |format: &str| json!({ "recipients": everybody, "format": format, "columns": ["EMAIL", "NAME", "STATUS", "OPENS"] });

    let file = export(&api, EXPORT, input("JSONL")).await;
    let content = stranger.bare(Method::GET, &path(&site, &file)).send().await.expect("an answer");
    assert_eq!(content.status(), StatusCode::OK);
    let disposition = content.headers()[CONTENT_DISPOSITION].to_str().expect("a text").to_owned();
    assert!(disposition.starts_with("attachment; filename=\"recipients-Spring-"), "{disposition}");
    let text = content.text().await.expect("a text");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((json!(lines.len()), json!(text.len())), (file["rows"].clone(), file["size"].clone()));
    assert_eq!(lines.len(), 5_006);
    for (line, name) in lines.iter().zip(names()) {
        assert_eq!((&line["name"], &line["status"], &line["opens"]), (&json!(name), &json!("SENT"), &json!(0)));
    }

    let file = export(&api, EXPORT, input("CSV")).await;
    let text =
        stranger.bare(Method::GET, &path(&site, &file)).send().await.expect("an answer").text().await.expect("a text");
    assert!(text.starts_with("\u{feff}email,name,status,opens\r\n"));
    assert!(
        text.contains("\"named0@alpha.example\",\"'=HYPERLINK(\"\"http://evil.example\"\",\"\"x\"\")\",\"SENT\",0\r\n")
    );

    for format in ["XLSX", "HTML", "TEXT"] {
        let file = export(&api, EXPORT, input(format)).await;
        assert_eq!(file["rows"], 5_006, "{file}");
        let answer = stranger.bare(Method::GET, &path(&site, &file)).send().await.expect("an answer");
        let bytes = answer.bytes().await.expect("bytes");
        assert_eq!(json!(bytes.len()), file["size"]);
        assert!(format != "HTML" || !String::from_utf8_lossy(&bytes).contains("<script"), "escaped");
    }

    // Only some, by what became of them; and who clicked.
    let click = json!([{ "type": "clicked", "id": "c1", "occurred_at": "2026-03-02T08:30:00Z", "campaign": "spring",
        "recipient": "reader7@beta.example", "url": "https://shop.example/a" }]);
    api.report(&SHOP, &click).await;
    site.client("admin").applied().await;
    let clicked = json!({ "where": { "campaignId": campaign, "filter": { "status": ["CLICKED"] } } });
    let file = export(&api, EXPORT, json!({ "recipients": clicked, "format": "CSV", "columns": ["EMAIL"] })).await;
    let text =
        stranger.bare(Method::GET, &path(&site, &file)).send().await.expect("an answer").text().await.expect("a text");
    assert_eq!(text, "\u{feff}email\r\n\"reader7@beta.example\"\r\n");
    let clicks =
        "mutation($input: ExportClicksInput!) { exportClicks(input: $input) { job { id } userErrors { message } } }";
    let file = export(&api, clicks, json!({ "campaignId": campaign, "format": "JSONL" })).await;
    let text =
        stranger.bare(Method::GET, &path(&site, &file)).send().await.expect("an answer").text().await.expect("a text");
    let line: Value = serde_json::from_str(&text).expect("one line");
    assert_eq!((&line["email"], &line["url"]), (&json!("reader7@beta.example"), &json!("https://shop.example/a")));
    assert_eq!(line["clickedAt"], "2026-03-02T08:30:00Z");
}

async fn a_link_is_good_for_what_it_was_made_for(site: Site) {
    let mut running = site.start().await;
    let campaign = import(&site, 2_000);
    let (api, stranger) = (site.client("marketer"), site.stranger());
    let input = json!({ "recipients": { "where": { "campaignId": campaign } }, "format": "CSV" });
    let file = export(&api, EXPORT, input).await;
    let path = path(&site, &file);
    let whole = stranger.bare(Method::GET, &path).send().await.expect("an answer");
    let etag = whole.headers()[ETAG].clone();
    let whole = whole.bytes().await.expect("bytes");

    let head = stranger.bare(Method::HEAD, &path).send().await.expect("an answer");
    assert_eq!(
        (head.status(), head.headers()["content-length"].to_str().expect("a number")),
        (StatusCode::OK, whole.len().to_string().as_str())
    );
    let rest = stranger
        .bare(Method::GET, &path)
        .header(RANGE, "bytes=1000-")
        .header(IF_RANGE, etag)
        .send()
        .await
        .expect("an answer");
    assert_eq!(rest.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(
        rest.headers()[CONTENT_RANGE].to_str().expect("a text"),
        format!("bytes 1000-{}/{}", whole.len() - 1, whole.len())
    );
    assert_eq!(rest.bytes().await.expect("bytes"), whole[1_000..]);
    let beyond = stranger.bare(Method::GET, &path).header(RANGE, "bytes=99999999-").send().await.expect("an answer");
    assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);

    let forged = format!("{path}A");
    assert_eq!(stranger.bare(Method::GET, &forged).send().await.expect("an answer").status(), StatusCode::FORBIDDEN);
    let bare = path.split('?').next().expect("a path");
    assert_eq!(api.request(Method::GET, bare).send().await.expect("an answer").status(), StatusCode::FORBIDDEN);

    let signature = path.split("signature=").nth(1).expect("signed").to_owned();
    for (name, process) in running.processes() {
        let log = process.log();
        assert!(!log.contains(&signature) && !log.contains("expires="), "{name} logs the link");
    }
}
