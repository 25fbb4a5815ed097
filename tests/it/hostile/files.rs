//! Hostile input to uploads, imports, exports and what a viewer sees.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use flate2::Compression;
use flate2::write::GzEncoder;
use futures::StreamExt;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};
use reqwest::{Body, Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Api, Process, Running, Site, Source, eventually};
use crate::hostile::{MOST_MEMORY, Others, peak_memory};

in_mode!(
    on_sqlite,
    Sqlite: imports_of_any_shape_stay_within_bounds,
    what_unpacks_to_too_much_is_refused,
    the_report_of_an_import_has_an_end,
    uploads_have_a_quota,
    few_uploads_of_one_user_go_on_at_the_same_time,
    texts_with_nul_leave_no_job_running,
    files_are_private_whatever_the_umask,
    what_an_earlier_version_left_open_is_closed_at_the_start,
    no_separator_makes_a_formula_of_an_export,
    what_was_exported_is_imported_unchanged,
    strangers_are_told_nothing_about_the_installation,
    a_viewer_sees_no_address_in_whatever_spelling,
);
in_mode!(on_postgres, Postgres: imports_of_any_shape_stay_within_bounds, texts_with_nul_leave_no_job_running, uploads_have_a_quota);

const SHOP: Source = Source::generic("shop").creating("campaigns");

fn packed(parts: &[(&str, usize)]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    for (part, times) in parts {
        // Not put together in memory: some unpack to gigabytes.
        let block = part.repeat((1 << 20) / part.len().max(1) + 1);
        let all = part.len() * times;
        let mut written = 0;
        while written < all {
            let rest = block.len().min(all - written);
            packed.write_all(&block.as_bytes()[..rest]).expect("packed");
            written += rest;
        }
    }
    packed.finish().expect("packed")
}

/// Posts a file; the status and what is said.
async fn post(api: &Api, body: impl Into<Body>, gzip: bool) -> (StatusCode, Value) {
    let mut request = api.request(Method::POST, "/uploads").header(CONTENT_TYPE, "text/csv");
    if gzip {
        request = request.header(CONTENT_ENCODING, "gzip");
    }
    let answer = request.body(body).send().await.expect("an answer");
    (answer.status(), answer.json().await.expect("JSON"))
}

async fn upload(api: &Api, body: impl Into<Body>, gzip: bool) -> String {
    let (status, answer) = post(api, body, gzip).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    answer["uploadId"].as_str().expect("an id").to_owned()
}

async fn campaign(api: &Api, key: &str) -> String {
    let query = "mutation($key: String!) { createCampaign(input: { key: $key, name: $key }) { campaign { id } userErrors { message } } }";
    let made = api.ask(query, json!({ "key": key })).await;
    made["createCampaign"]["campaign"]["id"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned()
}

const IMPORT: &str = "mutation($input: ImportRecipientsInput!) { importRecipients(input: $input) { job { id } userErrors { message } } }";

/// The job, once it is over.
async fn over(api: &Api, job: &str) -> Value {
    let query = "query($id: ID!) { job(id: $id) { state attempts error result { added unchanged skipped rejected } } }";
    eventually("the job is over", async || {
        let job = api.ask(query, json!({ "id": job })).await["job"].take();
        (!["QUEUED", "RUNNING"].contains(&job["state"].as_str().expect("a state"))).then_some(job)
    })
    .await
}

/// Imports a file; the job, once it is over.
async fn import(api: &Api, campaign: &str, upload: &str) -> Value {
    let begun = api.ask(IMPORT, json!({ "input": { "campaignId": campaign, "uploadId": upload } })).await;
    let job = begun["importRecipients"]["job"]["id"].as_str().unwrap_or_else(|| panic!("{begun}")).to_owned();
    over(api, &job).await
}

fn first<'a>(running: &'a mut Running<'_>) -> &'a mut Process {
    running.processes().next().expect("a process").1
}

async fn imports_of_any_shape_stay_within_bounds(site: Site) {
    let mut running = site.start().await;
    let api = site.client("marketer");
    let others = Others::begin(&site.client("viewer"));
    let campaign = campaign(&api, "spring").await;
    let good = "good@example.com,Erika\n";
    for (what, parts, added) in [
        ("wide rows", vec![("email,name\n", 1), (good, 1), ("x,", 500_000), ("\n", 1)], 1),
        ("a wide header", vec![("email", 1), (",x", 500_000), ("\n", 1), ("x,", 500_000), ("\n", 20)], 0),
        ("500 columns of everything", vec![("email", 1), (",columnname", 499), ("\n", 1), (WIDE, 4_000)], 1),
        ("one cell without an end", vec![("email,name\n", 1), (good, 1), ("\"", 1), ("x", 200 << 20)], 1),
        ("line ends behind a quotation mark", vec![("email,name\n", 1), (good, 1), ("\"", 1), ("\n", 30_000_000)], 1),
        ("quotation marks that open each other", vec![("email,name\n", 1), ("x\",\"\n", 1_000_000)], 0),
        ("nested lists", vec![("{\"email\":\"good@example.com\"}\n{\"email\":", 1), ("[", 300_000), ("\n", 1)], 1),
        ("many small values", vec![("{\"email\":\"good@example.com\",\"x\":[", 1), ("{},", 200_000), ("0]}\n", 20)], 0),
        ("many keys", vec![("{\"email\":\"good@example.com\"", 1), (",\"a\":{}", 100_000), ("}\n", 20)], 0),
    ] {
        let file = packed(&parts);
        assert!(file.len() < 1 << 20, "{what}: {}", file.len());
        let upload = upload(&api, file, true).await;
        let job = import(&api, &campaign, &upload).await;
        let result = &job["result"];
        let taken =
            [&result["added"], &result["unchanged"], &result["skipped"]].map(|count| count.as_i64().unwrap_or(0));
        let is_refused = job["state"] == "FAILED" && job["error"].as_str().is_some_and(|error| error.contains("line "));
        assert!(is_refused || taken.iter().sum::<i64>() >= added, "{what}: {job}");
        let process = first(&mut running);
        process.check();
        let peak = peak_memory(process);
        assert!(peak < MOST_MEMORY, "{what}: {} MB", peak / 1_000_000);
    }
    others.assert_served(&mut running).await;
    assert_eq!(site.stranger().readiness().await.as_deref(), Some("ready"));
}

/// A row of 500 columns.
const WIDE: &str = concat!(
    "wide@example.com,",
    "x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,",
    "x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,",
    "x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x\n",
);

async fn what_unpacks_to_too_much_is_refused(site: Site) {
    let site = site.with_more("[uploads]\nunpacked_mb = 8\n");
    let mut running = site.start().await;
    let api = site.client("marketer");
    let others = Others::begin(&site.client("viewer"));
    let campaign = campaign(&api, "spring").await;
    let bomb = packed(&[("email,name\ngood@example.com,Erika\n", 1), ("\n", 1 << 30)]);
    let sent = upload(&api, bomb.clone(), true).await;
    let job = import(&api, &campaign, &sent).await;
    assert_eq!((&job["state"], &job["attempts"]), (&json!("FAILED"), &json!(1)), "{job}");
    let error = job["error"].as_str().expect("an error");
    assert!(error.contains("line ") && error.contains("8388608 bytes"), "{error}");
    // The same from the command line; what stood before it was imported.
    site.write("bomb.csv.gz", bomb);
    let output = site.command(["import", "--campaign", "spring", "bomb.csv.gz"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("8388608 bytes"), "{output:?}");
    let again = upload(&api, "email,name\ngood@example.com,Erika\n", false).await;
    assert_eq!(import(&api, &campaign, &again).await["result"]["unchanged"], 1);
    // And of corrections.
    let bomb = packed(&[("old,new\n", 1), ("\n", 1 << 30)]);
    let query =
        "mutation($id: ID!) { importCorrections(input: { uploadId: $id }) { job { id } userErrors { message } } }";
    let begun = api.ask(query, json!({ "id": upload(&api, bomb, true).await })).await;
    let job = over(&api, begun["importCorrections"]["job"]["id"].as_str().expect("a job")).await;
    assert!(job["error"].as_str().is_some_and(|error| error.contains("8388608 bytes")), "{job}");
    others.assert_served(&mut running).await;
}

async fn the_report_of_an_import_has_an_end(site: Site) {
    let mut running = site.start().await;
    let api = site.client("marketer");
    let campaign = campaign(&api, "spring").await;
    let rejected = 10_050;
    let file = upload(&api, "email,name\n".to_owned() + &",nobody\n".repeat(rejected), false).await;
    assert_eq!(import(&api, &campaign, &file).await["result"]["rejected"], rejected);
    let file = upload(&api, "old,new\n".to_owned() + &"x@example.com,nonsense\n".repeat(rejected), false).await;
    let query =
        "mutation($id: ID!) { importCorrections(input: { uploadId: $id }) { job { id } userErrors { message } } }";
    let begun = api.ask(query, json!({ "id": file })).await;
    let id = begun["importCorrections"]["job"]["id"].as_str().expect("a job").to_owned();
    assert_eq!(over(&api, &id).await["result"]["rejected"], rejected);
    let issues = "query($id: ID!, $after: Int!) { correctionIssues(jobId: $id, after: $after) { line } }";
    let kept = api.ask(issues, json!({ "id": id, "after": 9_990 })).await;
    let lines: Vec<i64> =
        kept["correctionIssues"].as_array().expect("lines").iter().filter_map(|issue| issue["line"].as_i64()).collect();
    assert_eq!(lines, (9_991..=10_001).collect::<Vec<_>>(), "10,000 behind the header");
    first(&mut running).check();

    site.write("bad.csv", "email,name\n".to_owned() + &",nobody\n".repeat(rejected));
    let imported = site.run_json(["import", "--campaign", "autumn", "--json", "bad.csv"]);
    assert_eq!(imported["rejected"], rejected);
    let report = fs::read_to_string(site.folder().join("bad.csv.report.csv")).expect("a report");
    assert_eq!(report.lines().count(), 10_001);
}

async fn uploads_have_a_quota(site: Site) {
    let site = site.with_more("[uploads]\nfile_mb = 2\nuser_files = 3\nuser_mb = 4\ntotal_mb = 5\n");
    let _running = site.start().await;
    let (one, other) = (site.client("marketer"), site.client("marketer"));
    let megabyte = |count: usize| vec![b'x'; count << 20];
    let refused = async |api: &Api, body: Vec<u8>, status: StatusCode, code: &str, words: &str| {
        let (found, answer) = post(api, body, false).await;
        assert_eq!((found, answer["error"]["code"].as_str()), (status, Some(code)), "{answer}");
        let message = answer["error"]["message"].as_str().expect("a message");
        assert!(message.contains(words), "{message}");
    };
    refused(&one, megabyte(3), StatusCode::PAYLOAD_TOO_LARGE, "TOO_LARGE", "2097152 bytes").await;
    let campaign = campaign(&one, "spring").await;
    let small = upload(&one, "email\nerika@example.com\n", false).await;
    upload(&one, megabyte(2), false).await;
    refused(&one, megabyte(2), StatusCode::INSUFFICIENT_STORAGE, "NO_ROOM", "more than 4 MB").await;
    upload(&one, megabyte(1), false).await;
    refused(&one, megabyte(0), StatusCode::INSUFFICIENT_STORAGE, "NO_ROOM", "3 files").await;
    refused(&other, megabyte(2), StatusCode::INSUFFICIENT_STORAGE, "NO_ROOM", "more than 5 MB").await;
    upload(&other, megabyte(1), false).await;
    // An import that is over makes room.
    assert_eq!(import(&one, &campaign, &small).await["result"]["added"], 1);
    upload(&one, "email\nbert@example.com\n", false).await;
    let query = json!({ "input": { "campaignId": campaign, "uploadId": small } });
    let gone = one.ask(IMPORT, query).await;
    let message = gone["importRecipients"]["userErrors"][0]["message"].as_str();
    assert!(message.is_some_and(|message| message.contains("no such upload")), "{gone}");
    let folder = site.folder().join("data/uploads");
    assert_eq!(fs::read_dir(folder).expect("the folder").count(), 4, "what was refused left nothing behind");
}

async fn few_uploads_of_one_user_go_on_at_the_same_time(site: Site) {
    let _running = site.start().await;
    let (one, other) = (site.client("marketer"), site.client("marketer"));
    let mut slow = Vec::new();
    for _ in 0..3 {
        let (sender, receiver) = futures::channel::mpsc::unbounded::<Result<Vec<u8>, std::io::Error>>();
        sender.unbounded_send(Ok(b"email\n".to_vec())).expect("sent");
        let request = one.request(Method::POST, "/uploads").body(Body::wrap_stream(receiver.map(|chunk| chunk)));
        slow.push((sender, tokio::spawn(request.send())));
    }
    let folder = site.folder().join("data/uploads");
    eventually("three uploads go on", async || {
        fs::read_dir(&folder).is_ok_and(|entries| entries.count() == 3).then_some(())
    })
    .await;
    let answer = one.request(Method::POST, "/uploads").body("email\n").send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(answer.json::<Value>().await.expect("JSON")["error"]["code"], "TOO_MANY_REQUESTS");
    upload(&other, "email\n", false).await;
    for (sender, request) in slow {
        drop(sender);
        assert_eq!(request.await.expect("no panic").expect("an answer").status(), StatusCode::CREATED);
    }
    upload(&one, "email\n", false).await;
}

async fn texts_with_nul_leave_no_job_running(site: Site) {
    let mut running = site.start().await;
    let api = site.client("marketer");
    let campaign = campaign(&api, "spring").await;
    let file = "email,na\0me,n\n\"a\0@example.com\",\"\0\",\"x\0\"\n".repeat(3);
    let file = upload(&api, file, false).await;
    for column in ["a\0b".to_owned(), "x\0".repeat(5_000), "na\0me".to_owned()] {
        let mapping = json!([{ "field": "NAME", "column": column }]);
        let input = json!({ "campaignId": campaign, "uploadId": file, "mapping": mapping });
        let answer: Value =
            api.graphql(json!({ "query": IMPORT, "variables": { "input": input } })).await.json().await.expect("JSON");
        // Refused as it comes in, or by the job: in any case it ends.
        if let Some(job) = answer["data"]["importRecipients"]["job"]["id"].as_str() {
            let job = over(&api, job).await;
            assert_eq!(job["attempts"], 1, "{job}");
            assert!(job["state"] == "FAILED" || job["state"] == "SUCCEEDED", "{job}");
            assert!(job["error"].as_str().is_none_or(|error| !error.contains('\0') && error.len() < 10_000), "{job}");
        } else {
            assert!(
                answer["errors"].is_array() || answer["data"]["importRecipients"]["userErrors"][0].is_object(),
                "{answer}"
            );
        }
    }
    let job = import(&api, &campaign, &file).await;
    assert_eq!(job["state"], "SUCCEEDED", "{job}");
    first(&mut running).check();
    assert_eq!(site.stranger().readiness().await.as_deref(), Some("ready"));
}

/// The modes of everything below a folder, the folder included.
fn modes(folder: &Path) -> Vec<(PathBuf, u32)> {
    let mode = |path: &Path| fs::symlink_metadata(path).map_or(0, |metadata| metadata.permissions().mode() & 0o777);
    let mut found = vec![(folder.to_owned(), mode(folder))];
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(modes(&path));
        } else {
            found.push((path.clone(), mode(&path)));
        }
    }
    found
}

fn assert_private(folder: &Path) {
    let found = modes(folder);
    let open: Vec<_> = found.iter().filter(|(_, mode)| mode & 0o077 != 0).collect();
    assert!(open.is_empty(), "{open:?}");
    assert!(found.iter().any(|(path, _)| path.ends_with("nachfass.sqlite-wal")), "{found:?}");
}

/// Has something of everything written.
async fn fill(site: &Site, api: &Api) {
    let campaign = campaign(api, "spring").await;
    let file = upload(api, "email\nerika@example.com\n", false).await;
    import(api, &campaign, &file).await;
    export_csv(site, api, &campaign).await;
}

async fn files_are_private_whatever_the_umask(site: Site) {
    let program = site.command(["run"]);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "umask 0; exec \"$0\" run"]).arg(program.get_program()).current_dir(site.folder());
    program.get_envs().for_each(|(name, value)| match value {
        Some(value) => drop(shell.env(name, value)),
        None => drop(shell.env_remove(name)),
    });
    let mut process = Process::start(shell.stdin(Stdio::null()).stdout(Stdio::null()), site.folder().join("run.log"));
    eventually("it is ready", async || {
        process.check();
        (site.stranger().readiness().await? == "ready").then_some(())
    })
    .await;
    fill(&site, &site.client("marketer")).await;
    assert_private(&site.folder().join("data"));
}

async fn what_an_earlier_version_left_open_is_closed_at_the_start(site: Site) {
    let data = site.folder().join("data");
    {
        let mut running = site.start().await;
        fill(&site, &site.client("marketer")).await;
        for (path, _) in modes(&data) {
            let mode = if path.is_dir() { 0o755 } else { 0o644 };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("changed");
        }
        let warned = site.run(["config", "check"]);
        assert!(warned.contains("data_dir") && warned.contains("open to other users"), "{warned}");
        running.kill_and_restart(0);
        running.ready().await;
        assert_private(&data);
    }
    let silent = site.run(["config", "check"]);
    assert!(!silent.contains("open to other users"), "{silent}");
}

/// Exports address, name and company as CSV.
async fn export_csv(site: &Site, api: &Api, campaign: &str) -> String {
    export(site, api, campaign, "CSV").await
}

async fn export(site: &Site, api: &Api, campaign: &str, format: &str) -> String {
    let query = "mutation($input: ExportRecipientsInput!) { exportRecipients(input: $input) { job { id } userErrors { message } } }";
    let input = json!({ "recipients": { "where": { "campaignId": campaign } }, "format": format, "columns": ["EMAIL", "NAME", "COMPANY"] });
    let begun = api.ask(query, json!({ "input": input })).await;
    let job = begun["exportRecipients"]["job"]["id"].as_str().unwrap_or_else(|| panic!("{begun}")).to_owned();
    assert_eq!(over(api, &job).await["state"], "SUCCEEDED");
    let file = api.ask("query($id: ID!) { job(id: $id) { result { file { url } } } }", json!({ "id": job })).await;
    let url = file["job"]["result"]["file"]["url"].as_str().expect("a link").to_owned();
    let path = url.strip_prefix(&site.url()).expect("ours").to_owned();
    site.stranger().bare(Method::GET, &path).send().await.expect("an answer").text().await.expect("a text")
}

/// Texts that want to be formulas, wherever a file may be taken apart.
const FORMULAS: &[&str] = &[
    "a;=1+1;b",
    "a\t=1+1\tb",
    "a,=1+1,b",
    "a|+1",
    "=cmd|' /C calc'!A0",
    "+49 30 1234",
    "-1",
    "@SUM(1)",
    "＝1+1",
    "a; =1",
    "a;\"=1\"",
    "a\n=1",
    "a\r\n+1",
    "'=1",
    "''=1",
    "O'Brien; 'x'",
    "a;",
    "\"",
    "two\nlines\r\nand three",
];

/// Imports the texts as names and companies; the campaign.
fn with_formulas(site: &Site, key: &str) -> String {
    let lines: String = FORMULAS
        .iter()
        .enumerate()
        .map(|(place, text)| {
            let line = json!({ "email": format!("r{place}@example.com"), "name": text, "company": text });
            format!("{line}\n")
        })
        .collect();
    site.write("formulas.jsonl", lines);
    let imported = site.run_json(["import", "--campaign", key, "--json", "formulas.jsonl"]);
    imported["campaignId"].as_str().expect("an id").to_owned()
}

/// The cells of a text as a program reads it that separates them so, and knows quotation marks or not.
fn cells(text: &str, separator: char, quoting: bool) -> Vec<String> {
    let (mut cells, mut cell, mut is_quoted) = (Vec::new(), String::new(), false);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoting && is_quoted && letters.peek() == Some(&'"') => {
                letters.next();
                cell.push('"');
            }
            '"' if quoting && (is_quoted || cell.is_empty()) => is_quoted = !is_quoted,
            letter if !is_quoted && (letter == separator || letter == '\n') => cells.push(std::mem::take(&mut cell)),
            letter => cell.push(letter),
        }
    }
    cells.push(cell);
    cells
}

async fn no_separator_makes_a_formula_of_an_export(site: Site) {
    let _running = site.start().await;
    let api = site.client("marketer");
    let campaign = with_formulas(&site, "spring");
    for format in ["CSV", "TEXT"] {
        let file = export(&site, &api, &campaign, format).await;
        for separator in [',', ';', '\t', '|'] {
            for quoting in [true, false] {
                for cell in cells(file.trim_start_matches('\u{feff}'), separator, quoting) {
                    let seen = cell.trim_start_matches([' ', '"', '\u{a0}']);
                    let is_formula = seen.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']);
                    assert!(!is_formula, "{format} by {separator:?}: {cell:?}");
                }
            }
        }
        assert_eq!(format == "CSV", file.contains("\"r0@example.com\",\"a;'=1+1;b\",\"a;'=1+1;b\"\r\n"), "{file}");
    }
    let page = export(&site, &api, &campaign, "HTML").await;
    for cell in page.split("<td>").skip(1) {
        assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '＝']), "{cell}");
    }
}

async fn what_was_exported_is_imported_unchanged(site: Site) {
    let _running = site.start().await;
    let api = site.client("marketer");
    let campaign = with_formulas(&site, "spring");
    let file = export_csv(&site, &api, &campaign).await;
    site.write("exported.csv", &file);
    for (key, counts) in [("spring", [0, FORMULAS.len()]), ("autumn", [FORMULAS.len(), 0])] {
        let imported = site.run_json(["import", "--campaign", key, "--json", "exported.csv"]);
        assert_eq!(
            [&imported["imported"], &imported["unchanged"]],
            counts.map(|count| json!(count)).each_ref(),
            "{imported}"
        );
        let id = imported["campaignId"].as_str().expect("an id");
        let query = "query($id: ID!) { campaign(id: $id) { recipients(first: 100) { nodes { email name company } } } }";
        let found = api.ask(query, json!({ "id": id })).await;
        let rows = found["campaign"]["recipients"]["nodes"].as_array().expect("rows").clone();
        assert_eq!(rows.len(), FORMULAS.len());
        for (row, text) in rows.iter().zip(FORMULAS) {
            assert_eq!((row["name"].as_str(), row["company"].as_str()), (Some(*text), Some(*text)));
        }
        assert_eq!(export_csv(&site, &api, id).await, file);
    }
}

async fn strangers_are_told_nothing_about_the_installation(site: Site) {
    let _running = site.start().await;
    let stranger = site.stranger();
    let words =
        [env!("CARGO_PKG_VERSION"), "database", "queue", "redis", "sqlite", "postgres", "actix", "in memory", "migrat"];
    for (method, path) in [
        (Method::GET, "/"),
        (Method::GET, "/nothing"),
        (Method::GET, "/assets/nothing.js"),
        (Method::GET, "/exports/x?expires=1&signature=x"),
        (Method::GET, "/readyz"),
        (Method::GET, "/healthz"),
        (Method::GET, "/graphql"),
        (Method::GET, "/graphql/ws"),
        (Method::GET, "/metrics"),
        (Method::POST, "/graphql"),
        (Method::POST, "/session"),
        (Method::POST, "/uploads"),
        (Method::POST, "/ingest/nothing"),
        (Method::POST, "/crm/webhook"),
        (Method::PUT, "/"),
        (Method::TRACE, "/"),
    ] {
        let answer = stranger.bare(method.clone(), path).send().await.expect("an answer");
        let (status, headers) = (answer.status(), format!("{:?}", answer.headers()).to_lowercase());
        let text = answer.text().await.expect("a text").to_lowercase();
        let told: Vec<&str> =
            words.iter().copied().filter(|word| text.contains(word) || headers.contains(word)).collect();
        assert!(told.is_empty(), "{method} {path} ({status}): {told:?} in {text} {headers}");
        assert!(!headers.contains("\"server\""), "{headers}");
        if path.starts_with("/nothing") {
            assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        }
    }
    let admin = site.client("admin");
    let ready: Value =
        admin.request(Method::GET, "/readyz").send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(ready, json!({ "status": "ready", "database": "ready", "queue": "in memory" }));
    let page = admin.request(Method::GET, "/").send().await.expect("an answer").text().await.expect("a text");
    assert!(page.contains(env!("CARGO_PKG_VERSION")));
    assert!(site.command(["healthcheck"]).output().expect("it runs").status.success());
}

async fn a_viewer_sees_no_address_in_whatever_spelling(site: Site) {
    let site = site.with(&[&SHOP]);
    let _running = site.start().await;
    let (admin, viewer) = (site.client("admin"), site.client("viewer"));
    let urls = [
        "https://shop.example/u/erika.marker@firma.example",
        "https://shop.example/u/erika.marker%40firma.example/b",
        "https://shop.example/u/erika.marker%2540firma.example",
        "https://shop.example/u/ZXJpa2EubWFya2VyQGZpcm1hLmV4YW1wbGU=",
        "https://shop.example/?to=erika.marker@firma.example",
        "https://shop.example/#erika.marker@firma.example",
        "https://erika.marker@shop.example/",
        "mailto:erika.marker@firma.example",
        "https://shop.example/u/erika.marker",
    ];
    let mut events: Vec<Value> = urls
        .iter()
        .enumerate()
        .map(|(place, url)| {
            json!({ "type": "clicked", "id": format!("c{place}"), "occurred_at": format!("2026-03-02T08:{place:02}:00Z"),
                "campaign": "spring", "recipient": "erika.marker@firma.example", "url": url })
        })
        .collect();
    events.push(json!({ "type": "hard_bounce", "id": "b", "occurred_at": "2026-03-02T09:00:00Z", "campaign": "An erika.marker@firma.example",
        "recipient": "erika.marker@firma.example", "diagnostic": "550 5.1.1 erika.marker@firma.example unknown" }));
    // Twenty others clicked one of them as well.
    events.extend((0..25).map(|number| {
        json!({ "type": "clicked", "id": format!("o{number}"), "occurred_at": "2026-03-02T10:00:00Z", "campaign": "spring",
            "recipient": format!("other{number}@firma.example"), "url": urls[0] })
    }));
    events.extend((0..25).map(|number| {
        json!({ "type": "clicked", "id": format!("p{number}"), "occurred_at": "2026-03-02T11:00:00Z", "campaign": "spring",
            "recipient": format!("other{number}@firma.example"), "url": "https://shop.example/angebot?id=1" })
    }));
    admin.report(&SHOP, &json!(events)).await;
    admin.applied().await;
    let spring = admin.find_campaign("spring").await.expect("the campaign");
    let input = json!({ "recipients": { "where": { "campaignId": spring } },
        "newSelection": { "name": "Für erika.marker@firma.example", "description": "Erika.Marker braucht Hilfe" } });
    let made = admin
        .ask(
            "mutation($input: AddToSelectionInput!) { addToSelection(input: $input) { job { id } userErrors { message } } }",
            json!({ "input": input }),
        )
        .await;
    over(&admin, made["addToSelection"]["job"]["id"].as_str().unwrap_or_else(|| panic!("{made}"))).await;
    let mut seen = 0;
    for document in [
        "{ campaigns(first: 2) { nodes { id key name subject links(first: 20) { url clickers } recipients(first: 30) { nodes { \
            email name events(first: 20) { nodes { url diagnostic enhancedCode } } } } clicks(first: 50) { nodes { link { url } } } } } }",
        "{ selections(first: 10) { nodes { name description syncError } } }",
        "{ selections(first: 10, search: \"erika.marker\") { nodes { id } totalCount { value } } }",
        "{ followUps(first: 10) { nodes { title description error } } }",
        "{ blockedAddresses(first: 10) { nodes { email lastReason } } }",
        "{ unmatchedEvents(first: 10) { nodes { url diagnostic } } }",
        "{ jobs(first: 50) { nodes { error result { selection { name } } } } }",
        "{ crm { readings { error } } }",
    ] {
        let body = json!({ "query": document });
        let told = viewer.graphql(body.clone()).await.text().await.expect("a text").to_lowercase();
        let own = document.contains("search") && told.contains("forbidden");
        for spelled in ["erika", "marker", "zxjpa2eubwfya2vyqgzpcm1hlmv4yw1wbgu"] {
            assert!(own || !told.contains(spelled), "{spelled} in {told} for {document}");
        }
        assert!(!told.contains("internal error"), "{told}");
        seen += admin.graphql(body).await.text().await.expect("a text").matches("marker").count();
    }
    assert!(seen > 20, "admins see it {seen} times");
    let links = "query($id: ID!) { campaign(id: $id) { links { url } } }";
    let shown = viewer.ask(links, json!({ "id": spring })).await.to_string();
    assert!(shown.contains("https://shop.example/angebot?id=1"), "many have clicked it: {shown}");
}
