use actix_web::http::StatusCode;
use actix_web::test::TestRequest;
use serde_json::json;
use service::Role;

use crate::ApiOptions;
use crate::testing::Installation;

const QUERY: &str = r#"{"query":"{ __typename }"}"#;

fn post(body: impl Into<actix_web::web::Bytes>) -> TestRequest {
    TestRequest::post().uri("/graphql").insert_header(("content-type", "application/json")).set_payload(body)
}

#[actix_web::test]
async fn a_token_may_ask() {
    let it = Installation::new().await;
    let answer = it.ask(post(QUERY).insert_header(it.token(Role::Viewer).await)).await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "application/json"));
    assert_eq!(answer.json()["data"]["__typename"], "Query");
}

#[actix_web::test]
async fn the_newer_content_type_is_answered_to_those_who_accept_it() {
    let it = Installation::new().await;
    let token = it.token(Role::Viewer).await;
    for (accept, content_type) in [
        ("application/graphql-response+json, application/json;q=0.9", "application/graphql-response+json"),
        ("application/json, application/graphql-response+json;q=0", "application/json"),
        ("*/*", "application/json"),
    ] {
        let answer = it.ask(post(QUERY).insert_header(token.clone()).insert_header(("accept", accept))).await;
        assert_eq!(answer.header("content-type"), content_type, "{accept}");
    }
}

#[actix_web::test]
async fn with_the_newer_content_type_a_document_that_is_none_is_a_bad_request() {
    let it = Installation::new().await;
    let token = it.token(Role::Viewer).await;
    let ask = async |query: &str, accept: &'static str| {
        let request = post(serde_json::json!({ "query": query }).to_string());
        it.ask(request.insert_header(token.clone()).insert_header(("accept", accept))).await.status
    };
    let newer = "application/graphql-response+json";
    for document in ["{", "{ nothing }", "query($unused: Int) { __typename }"] {
        assert_eq!(ask(document, newer).await, StatusCode::BAD_REQUEST, "{document}");
        assert_eq!(ask(document, "application/json").await, StatusCode::OK, "{document}");
    }
    // It was begun: what went wrong then is in the answer.
    assert_eq!(ask("{ campaign(id: \"broken\") { id } }", newer).await, StatusCode::OK);
}

#[actix_web::test]
async fn nobody_is_told_so_in_graphqls_own_form() {
    let it = Installation::new().await;
    for authorization in ["", "Bearer ", "Bearer nf_wrong", "Basic dXNlcjpwYXNz"] {
        let answer = it.ask(post(QUERY).insert_header(("authorization", authorization))).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{authorization}");
        assert_eq!(answer.json()["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
        assert_eq!(answer.json()["errors"][0]["extensions"]["requestId"], answer.header("x-request-id"));
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
    }
}

#[actix_web::test]
async fn a_token_that_is_over_or_revoked_opens_nothing() {
    let it = Installation::new().await;
    let admin = it.services.access(service::Subject::command_line()).admin().expect("an admin");
    let end = it.services.now().plus_seconds(60);
    let (ending, secret) = admin.create_token("ending", Role::Viewer, Some(end)).await.expect("a token");
    let ending_header = ("authorization", format!("Bearer {}", secret.expose()));
    let (revoked, secret) = admin.create_token("revoked", Role::Viewer, None).await.expect("a token");
    let revoked_header = ("authorization", format!("Bearer {}", secret.expose()));
    assert_ne!(ending.id, revoked.id);
    for header in [&ending_header, &revoked_header] {
        assert_eq!(it.ask(post(QUERY).insert_header(header.clone())).await.status, StatusCode::OK);
    }
    it.clock.advance_seconds(60);
    admin.revoke_token(revoked.id).await.expect("revoked");
    for header in [ending_header, revoked_header] {
        assert_eq!(it.ask(post(QUERY).insert_header(header)).await.status, StatusCode::UNAUTHORIZED);
    }
}

#[actix_web::test]
async fn a_session_counts_only_with_the_header_of_our_own_pages() {
    let it = Installation::new().await;
    let cookie = it.session(Role::Admin).await;
    let answer = it.ask(post(QUERY).cookie(cookie.clone())).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::FORBIDDEN, "MISSING_HEADER"));
    let answer = it.ask(post(QUERY).cookie(cookie.clone()).insert_header(("x-nachfass", "1"))).await;
    assert_eq!(answer.status, StatusCode::OK);
    // A wrong token is not made up for by a good cookie.
    let both =
        post(QUERY).cookie(cookie).insert_header(("x-nachfass", "1")).insert_header(("authorization", "Bearer x"));
    assert_eq!(it.ask(both).await.status, StatusCode::UNAUTHORIZED);
}

#[actix_web::test]
async fn what_a_foreign_form_can_send_is_not_read() {
    let it = Installation::new().await;
    let token = it.token(Role::Admin).await;
    for content_type in
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/json", ""]
    {
        let request = TestRequest::post().uri("/graphql").insert_header(("content-type", content_type));
        let answer = it.ask(request.set_payload(QUERY).insert_header(token.clone())).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE")
        );
    }
    let get = TestRequest::get().uri("/graphql?query=%7B__typename%7D").insert_header(token);
    let answer = it.ask(get).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED"));
}

#[actix_web::test]
async fn a_charset_does_no_harm() {
    let it = Installation::new().await;
    let request =
        TestRequest::post().uri("/graphql").insert_header(("content-type", "application/json; charset=utf-8"));
    assert_eq!(
        it.ask(request.set_payload(QUERY).insert_header(it.token(Role::Viewer).await)).await.status,
        StatusCode::OK
    );
}

#[actix_web::test]
async fn bodies_and_batches_have_limits() {
    let it = Installation::new().await;
    let token = it.token(Role::Viewer).await;
    let large = json!({ "query": "x".repeat(1024 * 1024) }).to_string();
    let answer = it.ask(post(large).insert_header(token.clone())).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::PAYLOAD_TOO_LARGE, "TOO_LARGE"));

    let batch = |size| json!(vec![json!({ "query": "{ __typename }" }); size]).to_string();
    let answer = it.ask(post(batch(10)).insert_header(token.clone())).await;
    assert_eq!(answer.json().as_array().map(Vec::len), Some(10));
    let answer = it.ask(post(batch(11)).insert_header(token.clone())).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::BAD_REQUEST, "BAD_REQUEST"));

    for body in ["", "{", "[]", "null", r#"{"query":1}"#] {
        assert_eq!(it.ask(post(body).insert_header(token.clone())).await.status, StatusCode::BAD_REQUEST, "{body}");
    }
    let compressed = post(QUERY).insert_header(token).insert_header(("content-encoding", "gzip"));
    assert_eq!(it.ask(compressed).await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[actix_web::test]
async fn what_takes_too_long_is_given_up() {
    let mut options = ApiOptions::new("http://localhost:8080");
    options.graphql_time_limit = std::time::Duration::ZERO;
    let it = Installation::with(options).await;
    let slow = json!({ "query": "{ campaigns(first: 1) { nodes { id } } }" }).to_string();
    let answer = it.ask(post(slow).insert_header(it.token(Role::Admin).await)).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::GATEWAY_TIMEOUT, "TIME_LIMIT"));
}
