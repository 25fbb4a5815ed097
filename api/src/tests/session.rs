use actix_web::cookie::SameSite;
use actix_web::http::StatusCode;
use actix_web::test::TestRequest;
use serde_json::json;
use service::Role;

use crate::ApiOptions;
use crate::testing::{EMAIL, Installation, PASSWORD};

fn sign_in(email: &str, password: &str) -> TestRequest {
    TestRequest::post().uri("/session").set_json(json!({ "email": email, "password": password }))
}

fn form(email: &str, password: &str) -> TestRequest {
    let request = TestRequest::post().uri("/session").insert_header(("host", "localhost:8080"));
    request.set_form([("email", email), ("password", password)])
}

#[actix_web::test]
async fn the_right_password_gives_a_cookie() {
    let it = Installation::new().await;
    it.add_user(Role::Marketer).await;
    let answer = it.ask(sign_in(EMAIL, PASSWORD)).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json()["subject"], json!({ "name": EMAIL, "role": "marketer" }));
    assert_eq!(answer.json()["expiresAt"], "2026-01-15T00:00:00Z");
    let [cookie] = answer.cookies.as_slice() else { panic!("not one cookie") };
    assert_eq!((cookie.name(), cookie.path()), ("nachfass", Some("/")));
    assert_eq!((cookie.http_only(), cookie.same_site()), (Some(true), Some(SameSite::Strict)));
    assert_eq!(cookie.max_age().map(|age| age.whole_days()), Some(14));
    assert_ne!(cookie.secure(), Some(true));

    let page = it.ask(TestRequest::get().uri("/").cookie(cookie.clone())).await;
    assert!(page.text().contains(EMAIL) && page.text().contains("Sign out"));
}

#[actix_web::test]
async fn over_https_the_cookie_goes_no_other_way() {
    let it = Installation::with(ApiOptions::new("https://nachfass.example.com")).await;
    it.add_user(Role::Marketer).await;
    let answer = it.ask(sign_in(EMAIL, PASSWORD)).await;
    let [cookie] = answer.cookies.as_slice() else { panic!("not one cookie") };
    assert_eq!((cookie.name(), cookie.secure()), ("__Host-nachfass", Some(true)));
    assert!(answer.header("strict-transport-security").starts_with("max-age="));
}

#[actix_web::test]
async fn a_wrong_password_gives_none() {
    let it = Installation::new().await;
    it.add_user(Role::Marketer).await;
    for (email, password) in [(EMAIL, "wrong"), ("nobody@example.com", PASSWORD), ("", "")] {
        let answer = it.ask(sign_in(email, password)).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"));
        assert!(answer.cookies.is_empty());
        assert_eq!(answer.json()["error"]["message"], "the address or the password is wrong");
    }
}

#[actix_web::test]
async fn what_is_no_sign_in_is_refused_without_repeating_it() {
    let it = Installation::new().await;
    for body in [r#"{"email":"erika@example.com"}"#, "erika@example.com", ""] {
        let request = TestRequest::post().uri("/session").insert_header(("content-type", "application/json"));
        let answer = it.ask(request.set_payload(body)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(!answer.text().contains("erika"));
    }
    let request = TestRequest::post().uri("/session").insert_header(("content-type", "text/plain")).set_payload("{}");
    assert_eq!(it.ask(request).await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let answer = it.ask(sign_in(EMAIL, &"x".repeat(10_000))).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[actix_web::test]
async fn the_form_answers_with_pages_and_counts_only_from_our_own() {
    let it = Installation::new().await;
    it.add_user(Role::Viewer).await;
    let answer = it.ask(form(EMAIL, PASSWORD).insert_header(("origin", "http://localhost:8080"))).await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/"));
    assert_eq!(answer.cookies.len(), 1);

    let answer = it.ask(form(EMAIL, "<wrong>").insert_header(("origin", "http://localhost:8080"))).await;
    assert_eq!((answer.status, answer.cookies.len()), (StatusCode::UNAUTHORIZED, 0));
    assert!(answer.text().contains("the address or the password is wrong") && !answer.text().contains("<wrong>"));

    for origin in ["https://evil.example", "null"] {
        let answer = it.ask(form(EMAIL, PASSWORD).insert_header(("origin", origin))).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::FORBIDDEN, "FOREIGN_ORIGIN"));
    }
    assert_eq!(it.ask(form(EMAIL, PASSWORD)).await.status, StatusCode::FORBIDDEN);
}

#[actix_web::test]
async fn one_address_may_not_try_for_ever() {
    let it = Installation::new().await;
    let from =
        |address: &str| sign_in("a@example.com", "x").peer_addr(format!("{address}:1").parse().expect("an address"));
    for _ in 0..10 {
        assert_eq!(it.ask(from("203.0.113.1")).await.status, StatusCode::UNAUTHORIZED);
    }
    let answer = it.ask(from("203.0.113.1")).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_REQUESTS"));
    assert!((1..=60).contains(&answer.header("retry-after").parse::<u64>().expect("seconds")));
    assert_eq!(it.ask(from("203.0.113.2")).await.status, StatusCode::UNAUTHORIZED);
}

#[actix_web::test]
async fn many_addresses_may_not_try_one_account_for_ever() {
    let it = Installation::new().await;
    let from = |number: u8, email: &str| sign_in(email, "x").peer_addr(([203, 0, 113, number], 1).into());
    for number in 0..30 {
        assert_eq!(it.ask(from(number, "a@example.com")).await.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(it.ask(from(30, " A@Example.com")).await.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(it.ask(from(31, "b@example.com")).await.status, StatusCode::UNAUTHORIZED);
}

#[actix_web::test]
async fn signing_out_needs_the_header_and_ends_the_session() {
    let it = Installation::new().await;
    let cookie = it.session(Role::Admin).await;
    let sign_out = || TestRequest::delete().uri("/session").cookie(cookie.clone());
    assert_eq!(it.ask(sign_out()).await.code(), "MISSING_HEADER");

    let answer = it.ask(sign_out().insert_header(("x-nachfass", "1"))).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(answer.cookies.first().and_then(|cookie| cookie.max_age()).map(|age| age.whole_seconds()), Some(0));
    let query = TestRequest::post().uri("/graphql").set_json(json!({ "query": "{ __typename }" }));
    let answer = it.ask(query.cookie(cookie).insert_header(("x-nachfass", "1"))).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}
