use actix_web::http::StatusCode;
use actix_web::test::TestRequest;
use serde_json::json;
use service::Role;

use crate::testing::Installation;

fn post(body: &'static str) -> TestRequest {
    TestRequest::post().uri("/uploads").insert_header(("content-type", "text/csv")).set_payload(body)
}

#[actix_web::test]
async fn a_marketers_file_is_stored() {
    let it = Installation::new().await;
    let answer = it.ask(post("email\nerika@example.com\n").insert_header(it.token(Role::Marketer).await)).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!(answer.json()["size"], json!(24));
    assert_eq!(answer.json()["uploadId"].as_str().map(str::len), Some(26));
    assert_eq!(it.files(), 1);
}

#[actix_web::test]
async fn what_may_not_be_stored_leaves_nothing_behind() {
    let it = Installation::new().await;
    assert_eq!(it.ask(post("x")).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(it.ask(post("x").insert_header(it.token(Role::Viewer).await)).await.status, StatusCode::FORBIDDEN);

    let marketer = it.token(Role::Marketer).await;
    let ask = |request: TestRequest| it.ask(request.insert_header(marketer.clone()));
    assert_eq!(ask(post("")).await.code(), "INVALID");
    assert_eq!(
        ask(post("x").insert_header(("content-length", "2147483649"))).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    assert_eq!(
        ask(post("x").insert_header(("content-encoding", "br"))).await.status,
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    assert_eq!(it.files(), 0);
}

#[actix_web::test]
async fn a_session_uploads_with_the_header_only() {
    let it = Installation::new().await;
    let cookie = it.session(Role::Marketer).await;
    assert_eq!(it.ask(post("x").cookie(cookie.clone())).await.code(), "MISSING_HEADER");
    let answer = it.ask(post("x").cookie(cookie).insert_header(("x-nachfass", "1"))).await;
    assert_eq!(answer.status, StatusCode::CREATED);
}
