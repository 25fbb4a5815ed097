use actix_web::http::{Method, StatusCode};
use actix_web::test::TestRequest;
use serde_json::json;
use service::Role;

use crate::testing::{Answer, Installation, LISTED};

const FOREIGN: &str = "https://evil.example";
const OWN: &str = "http://localhost:8080";

fn preflight(path: &str, origin: &str) -> TestRequest {
    TestRequest::with_uri(path)
        .method(Method::OPTIONS)
        .insert_header(("origin", origin))
        .insert_header(("access-control-request-method", "POST"))
        .insert_header(("access-control-request-headers", "authorization,content-type"))
}

fn allowed(answer: &Answer) -> &str {
    answer.header("access-control-allow-origin")
}

#[actix_web::test]
async fn a_preflight_of_a_listed_origin_is_answered() {
    let it = Installation::new().await;
    for path in ["/graphql", "/uploads", "/exports/x"] {
        let answer = it.ask(preflight(path, LISTED)).await;
        assert_eq!((answer.status, allowed(&answer)), (StatusCode::NO_CONTENT, LISTED), "{path}");
        assert!(answer.header("access-control-allow-methods").contains("POST"));
        let headers = answer.header("access-control-allow-headers").to_lowercase();
        assert!(headers.contains("authorization") && headers.contains("content-type"), "{headers}");
        assert!(answer.header("vary").contains("Origin"));
        // The session stays with our own pages.
        assert!(!headers.contains("x-nachfass") && answer.header("access-control-allow-credentials").is_empty());

        let answer = it.ask(preflight(path, FOREIGN)).await;
        assert_eq!((answer.status, allowed(&answer)), (StatusCode::FORBIDDEN, ""), "{path}");
        assert_eq!(answer.code(), "FOREIGN_ORIGIN");
        assert!(answer.text().contains("allow_origins"), "{}", answer.text());
        let answer = it.ask(preflight(path, OWN)).await;
        assert_eq!((answer.status, allowed(&answer)), (StatusCode::NO_CONTENT, ""), "{path}");
    }
    let answer = it.ask(preflight("/session", LISTED)).await;
    assert_eq!((answer.status, allowed(&answer)), (StatusCode::METHOD_NOT_ALLOWED, ""));
}

#[actix_web::test]
async fn a_page_of_a_listed_origin_reads_answers_and_refusals() {
    let it = Installation::new().await;
    let token = it.token(Role::Viewer).await;
    let ask = |origin: &'static str, token: Option<(&'static str, String)>| {
        let body = json!({ "query": "{ viewer { role } }" });
        let request = TestRequest::post().uri("/graphql").insert_header(("origin", origin)).set_json(body);
        it.ask(token.into_iter().fold(request, TestRequest::insert_header))
    };
    let answer = ask(LISTED, Some(token.clone())).await;
    assert_eq!((answer.status, allowed(&answer)), (StatusCode::OK, LISTED));
    assert!(answer.header("access-control-expose-headers").contains("X-Request-Id"));
    // Also that nobody is signed in has to be read by the page.
    let answer = ask(LISTED, None).await;
    assert_eq!((answer.status, allowed(&answer)), (StatusCode::UNAUTHORIZED, LISTED));
    let answer = ask(FOREIGN, Some(token.clone())).await;
    assert_eq!(allowed(&answer), "");
    let vary: Vec<&str> = answer.headers.get_all("vary").filter_map(|value| value.to_str().ok()).collect();
    assert!(vary.contains(&"Origin"), "{vary:?}");

    let upload = TestRequest::post().uri("/uploads").insert_header(("origin", LISTED)).set_payload("email\n");
    let answer = it.ask(upload.insert_header(it.token(Role::Marketer).await)).await;
    assert_eq!(allowed(&answer), LISTED);
}

#[actix_web::test]
async fn a_session_does_not_count_for_a_listed_origin() {
    let it = Installation::new().await;
    let body = json!({ "query": "{ viewer { role } }" });
    let request = TestRequest::post().uri("/graphql").insert_header(("origin", LISTED)).set_json(body);
    let answer = it.ask(request.cookie(it.session(Role::Admin).await)).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::FORBIDDEN, "MISSING_HEADER"));
}
