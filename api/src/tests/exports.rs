use actix_web::http::{Method, StatusCode};
use actix_web::test::TestRequest;
use domain::table::ExportFormat;
use service::exports::{ExportResult, remove_expired, run_export_job};
use service::jobs::{self, Queue, Which};
use service::recipients::{RecipientFilter, RecipientSet, RecipientsWhere};
use service::{Role, Subject, db};

use crate::testing::Installation;

/// Exports a campaign with a recipient; returns the path of a link, and what the file holds.
async fn export(it: &Installation, format: ExportFormat) -> (String, String) {
    for sql in [
        "INSERT INTO campaign (id, key, name, state, created_by, created_at) VALUES (1, 'spring', 'Größe <1>', 3, 'cli', 0) ON CONFLICT DO NOTHING",
        "INSERT INTO address (id, email_key, created_at) VALUES (1, 'erika@example.com', 0) ON CONFLICT DO NOTHING",
        "INSERT INTO recipient (campaign_id, number, address_id, email_key, email, domain, name, status, created_at) \
            VALUES (1, 1, 1, 'erika@example.com', 'erika@example.com', 'example.com', '<b>', 1, 0) ON CONFLICT DO NOTHING",
    ] {
        db::execute(it.services.db().write(), sql, []).await.expect(sql);
    }
    let access = it.services.access(Subject::command_line());
    let all = RecipientsWhere { campaign: 1, filter: RecipientFilter::default(), search: None };
    let marketer = access.marketer().expect("a marketer");
    let job = marketer.export_recipients(RecipientSet::Where(all), format, None).await.expect("a job");
    let (now, until) = (it.services.now(), it.services.lease_until());
    let claimed = jobs::claim(&it.services, Which::Next(Queue::Bulk), "test", now, until).await.expect("claimed");
    run_export_job(&it.services, &claimed.expect("it waits")).await.expect("done");
    let job = access.reader().job(job.id).await.expect("a job").expect("there");
    let result: ExportResult = serde_json::from_value(job.result.expect("a result")).expect("of an export");
    let link = access.reader().download_link(&result).expect("a link");
    let path = link.url.strip_prefix("http://localhost:8080").expect("our URL").to_owned();
    (path, std::fs::read_to_string(it.folder().join("exports").join(&result.file_id)).expect("a file"))
}

fn get(path: &str) -> TestRequest {
    TestRequest::get().uri(path)
}

#[actix_web::test]
async fn a_link_gives_the_file_to_be_saved_and_nothing_else() {
    let it = Installation::new().await;
    let (path, content) = export(&it, ExportFormat::Csv).await;
    let answer = it.ask(get(&path).insert_header(("accept-encoding", "gzip, br"))).await;
    assert_eq!((answer.status, answer.text()), (StatusCode::OK, content.as_str()));
    for (name, value) in [
        ("content-type", "text/csv; charset=utf-8"),
        (
            "content-disposition",
            "attachment; filename=\"recipients-Gr__e-1-2026-01-01.csv\"; filename*=UTF-8''recipients-Gr%C3%B6%C3%9Fe-1-2026-01-01.csv",
        ),
        ("cache-control", "private, no-store"),
        ("x-content-type-options", "nosniff"),
        ("accept-ranges", "bytes"),
        ("content-encoding", ""),
        ("referrer-policy", "same-origin"),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    assert!(answer.header("content-security-policy").starts_with("sandbox; default-src 'none'"));
    assert!(answer.header("etag").starts_with('"'), "a strong one");

    let head = it.ask(TestRequest::default().method(Method::HEAD).uri(&path)).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    assert_eq!(head.header("etag"), answer.header("etag"));
    assert_eq!(it.ask(TestRequest::post().uri(&path)).await.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[actix_web::test]
async fn what_was_cut_off_goes_on_where_it_was() {
    let it = Installation::new().await;
    let (path, content) = export(&it, ExportFormat::Jsonl).await;
    let size = content.len();
    let part = |range: std::ops::Range<usize>| content.get(range).expect("ASCII");
    let first = it.ask(get(&path).insert_header(("range", "bytes=0-9"))).await;
    assert_eq!((first.status, first.text()), (StatusCode::PARTIAL_CONTENT, part(0..10)));
    assert_eq!(first.header("content-range"), format!("bytes 0-9/{size}"));
    let rest = get(&path).insert_header(("range", "bytes=10-")).insert_header(("if-range", first.header("etag")));
    let rest = it.ask(rest).await;
    assert_eq!((rest.status, rest.text()), (StatusCode::PARTIAL_CONTENT, part(10..size)));
    let other = get(&path).insert_header(("range", "bytes=10-")).insert_header(("if-range", "\"another\""));
    let other = it.ask(other).await;
    assert_eq!((other.status, other.text()), (StatusCode::OK, content.as_str()));
    let beyond = it.ask(get(&path).insert_header(("range", format!("bytes={size}-")))).await;
    assert_eq!(beyond.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(beyond.header("content-range"), format!("bytes */{size}"));
    let tail = it.ask(get(&path).insert_header(("range", "bytes=-3"))).await;
    assert_eq!((tail.status, tail.text()), (StatusCode::PARTIAL_CONTENT, part(size - 3..size)));
}

#[actix_web::test]
async fn a_link_that_was_changed_is_refused() {
    let it = Installation::new().await;
    let (path, _) = export(&it, ExportFormat::Csv).await;
    let (front, signature) = path.split_once("&signature=").expect("signed");
    let (place, expires) = front.split_once("?expires=").expect("it ends");
    let longer = expires.parse::<i64>().expect("seconds") + 3_600;
    let (other, _) = export(&it, ExportFormat::Csv).await;
    let other = other.split_once('?').expect("a query").0.to_owned();
    for changed in [
        place.to_owned(),
        format!("{place}?expires={expires}"),
        format!("{place}?signature={signature}"),
        format!("{place}?expires={longer}&signature={signature}"),
        format!("{place}?expires=never&signature={signature}"),
        format!("{front}&signature={}", signature.to_lowercase()),
        format!("{other}?expires={expires}&signature={signature}"),
        format!("/exports/..%2f..%2ftest.db?expires={expires}&signature={signature}"),
    ] {
        let answer = it.ask(get(&changed)).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::FORBIDDEN, "FORBIDDEN"), "{changed}");
        assert!(!answer.text().contains(signature), "the answer repeats it");
    }
    assert_eq!(it.ask(get(&path)).await.status, StatusCode::OK);
}

#[actix_web::test]
async fn a_link_that_is_over_says_so() {
    let it = Installation::new().await;
    let (path, _) = export(&it, ExportFormat::Html).await;
    let (second, _) = export(&it, ExportFormat::Html).await;
    it.clock.advance_seconds(24 * 3_600);
    for path in [&path, &second] {
        let answer = it.ask(get(path)).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::GONE, "GONE"));
    }
    let (path, _) = export(&it, ExportFormat::Html).await;
    assert_eq!(it.ask(get(&path)).await.status, StatusCode::OK);
    // Somebody emptied the folder.
    std::fs::remove_dir_all(it.folder().join("exports")).expect("removed");
    assert_eq!(it.ask(get(&path)).await.status, StatusCode::GONE);
    // The link of a file whose row is gone.
    db::execute(it.services.db().write(), "DELETE FROM export_file", []).await.expect("deleted");
    assert_eq!(it.ask(get(&path)).await.status, StatusCode::NOT_FOUND);
    assert_eq!(remove_expired(&it.services, it.services.now(), 10).await.expect("removed"), 0);
}

/// Through GraphQL: the mutation, the job, the link, and what somebody sees who may not see it.
#[actix_web::test]
async fn graphql_begins_an_export_and_gives_a_link() {
    let it = Installation::new().await;
    export(&it, ExportFormat::Csv).await;
    let ask = async |role, query: &str| {
        let body = serde_json::json!({ "query": query }).to_string();
        let request = TestRequest::post().uri("/graphql").insert_header(("content-type", "application/json"));
        it.ask(request.insert_header(it.token(role).await).set_payload(body)).await.json()
    };
    let campaign = crate::graphql::ids::campaign(1);
    let begin = |set: &str, columns: &str| {
        format!(
            "mutation {{ exportRecipients(input: {{ recipients: {{ {set} }}, format: CSV {columns} }}) \
             {{ job {{ id kind state }} userErrors {{ code field }} }} }}"
        )
    };
    let all = format!("where: {{ campaignId: \"{campaign}\", filter: {{ status: [READY] }}, search: \"erika\" }}");
    let begun = ask(Role::Marketer, &begin(&all, ", columns: [NAME, EMAIL]")).await;
    let job = &begun["data"]["exportRecipients"]["job"];
    assert_eq!((job["kind"].as_str(), job["state"].as_str()), (Some("EXPORT"), Some("QUEUED")), "{begun}");
    for (set, field) in [
        ("", serde_json::json!(["recipients"])),
        (&format!("ids: [], {all}"), serde_json::json!(["recipients"])),
        ("ids: []", serde_json::json!(["recipients", "ids"])),
        (&format!("ids: [\"{campaign}\"]"), serde_json::json!(["recipients", "ids"])),
        ("where: { campaignId: \"x\" }", serde_json::json!(["recipients", "where", "campaignId"])),
    ] {
        let refused = ask(Role::Marketer, &begin(set, "")).await;
        let error = &refused["data"]["exportRecipients"]["userErrors"][0];
        assert_eq!((&error["code"], &error["field"]), (&serde_json::json!("INVALID"), &field), "{set}: {refused}");
    }
    let (now, until) = (it.services.now(), it.services.lease_until());
    let claimed = jobs::claim(&it.services, Which::Next(Queue::Bulk), "test", now, until).await.expect("claimed");
    run_export_job(&it.services, &claimed.expect("it waits")).await.expect("done");
    let query = format!(
        "{{ job(id: {}) {{ state result {{ file {{ name contentType size rows url urlExpiresAt snapshotAt expiresAt }} }} }} }}",
        job["id"]
    );
    let seen = ask(Role::Marketer, &query).await;
    let file = &seen["data"]["job"]["result"]["file"];
    assert_eq!(
        (file["rows"].as_i64(), file["urlExpiresAt"].as_str()),
        (Some(1), Some("2026-01-02T00:00:00.000000Z")),
        "{seen}"
    );
    let path = file["url"].as_str().expect("a link").strip_prefix("http://localhost:8080").expect("our URL");
    assert_eq!(it.ask(get(path)).await.text(), "\u{feff}name,email\r\n\"<b>\",\"erika@example.com\"\r\n");
    let hidden = ask(Role::Viewer, &query).await;
    assert!(hidden["data"]["job"]["result"]["file"].is_null() && hidden.get("errors").is_none(), "{hidden}");
}
