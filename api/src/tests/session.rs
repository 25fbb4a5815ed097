use actix_web::cookie::SameSite;
use actix_web::http::StatusCode;
use actix_web::test::TestRequest;
use serde_json::json;
use service::{Role, Subject};

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
    let [cookie, device] = answer.cookies.as_slice() else { panic!("not two cookies") };
    for (cookie, name, days) in [(cookie, "nachfass", 14), (device, "nachfass-device", 365)] {
        assert_eq!((cookie.name(), cookie.path()), (name, Some("/")));
        assert_eq!((cookie.http_only(), cookie.same_site()), (Some(true), Some(SameSite::Strict)));
        assert_eq!(cookie.max_age().map(|age| age.whole_days()), Some(days));
        assert_ne!(cookie.secure(), Some(true));
    }
    assert!(
        it.ask(TestRequest::get().uri("/").cookie(device.clone())).await.text().contains("Password"),
        "it opens nothing"
    );

    let page = it.ask(TestRequest::get().uri("/").cookie(cookie.clone())).await;
    assert!(page.text().contains(EMAIL) && page.text().contains("Sign out"));
}

#[actix_web::test]
async fn over_https_the_cookie_goes_no_other_way() {
    let it = Installation::with(ApiOptions::new("https://nachfass.example.com")).await;
    it.add_user(Role::Marketer).await;
    let answer = it.ask(sign_in(EMAIL, PASSWORD)).await;
    let [cookie, device] = answer.cookies.as_slice() else { panic!("not two cookies") };
    assert_eq!((cookie.name(), cookie.secure()), ("__Host-nachfass", Some(true)));
    assert_eq!((device.name(), device.secure()), ("__Host-nachfass-device", Some(true)));
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
    assert_eq!(answer.cookies.len(), 2);

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
async fn one_network_keeps_nobody_else_out_of_an_account() {
    let it = Installation::new().await;
    it.add_user(Role::Viewer).await;
    let from = |address: [u8; 4], password: &str| sign_in(EMAIL, password).peer_addr((address, 1).into());
    for _ in 0..10 {
        assert_eq!(it.ask(from([203, 0, 113, 1], "x")).await.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(it.ask(from([203, 0, 113, 1], PASSWORD)).await.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(it.ask(from([198, 51, 100, 1], PASSWORD)).await.status, StatusCode::OK);
}

#[actix_web::test]
async fn a_browser_that_was_signed_in_has_attempts_of_its_own() {
    let it = Installation::new().await;
    it.add_user(Role::Viewer).await;
    let here = |password: &str| sign_in(EMAIL, password).peer_addr(([203, 0, 113, 1], 1).into());
    let device = it.ask(here(PASSWORD)).await.cookies.remove(1);
    while it.ask(here("x")).await.status == StatusCode::UNAUTHORIZED {}
    assert_eq!(it.ask(here(PASSWORD)).await.status, StatusCode::TOO_MANY_REQUESTS);
    let mut other = device.clone();
    other.set_value("x".repeat(device.value().len()));
    assert_eq!(it.ask(here(PASSWORD).cookie(other)).await.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(it.ask(here(PASSWORD).cookie(device.clone())).await.status, StatusCode::OK);

    // Its attempts have an end, too, and count for its own account only.
    for _ in 0..29 {
        assert_eq!(it.ask(here("x").cookie(device.clone())).await.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(it.ask(here(PASSWORD).cookie(device.clone())).await.status, StatusCode::TOO_MANY_REQUESTS);
    let another = sign_in("other@example.com", "x").peer_addr(([203, 0, 113, 1], 1).into());
    assert_eq!(it.ask(another.cookie(device)).await.status, StatusCode::TOO_MANY_REQUESTS);
}

#[actix_web::test]
async fn a_second_factor_is_asked_for_by_json_and_by_the_form() {
    let it = Installation::new().await;
    it.add_user(Role::Admin).await;
    let admin = it.services.access(Subject::command_line()).admin().expect("an admin");
    let user = admin.user_by_email(EMAIL).await.expect("a user");
    let enrolment = admin.enable_totp(user.id).await.expect("enabled");
    let answer = it.ask(sign_in(EMAIL, "wrong")).await;
    assert_eq!(answer.code(), "UNAUTHENTICATED");
    let answer = it.ask(sign_in(EMAIL, PASSWORD)).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::UNAUTHORIZED, "TOTP_REQUIRED"));
    assert!(answer.cookies.is_empty());
    let with_code = |code: &str| {
        let credentials = json!({ "email": EMAIL, "password": PASSWORD, "code": code });
        TestRequest::post().uri("/session").set_json(credentials)
    };
    let answer = it.ask(with_code("000000")).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::UNAUTHORIZED, "TOTP_INVALID"));
    let answer = it.ask(with_code(enrolment.recovery_codes[0].expose())).await;
    assert_eq!((answer.status, answer.cookies.len()), (StatusCode::OK, 2));

    let own = |request: TestRequest| request.insert_header(("origin", "http://localhost:8080"));
    let answer = it.ask(own(form(EMAIL, PASSWORD))).await;
    assert_eq!((answer.status, answer.cookies.len()), (StatusCode::UNAUTHORIZED, 0));
    assert!(answer.text().contains("name=\"code\"") && answer.text().contains(EMAIL), "{}", answer.text());
    assert!(!answer.text().contains(PASSWORD));
    let request = TestRequest::post().uri("/session").insert_header(("host", "localhost:8080"));
    let code = enrolment.recovery_codes[1].expose();
    let answer = it.ask(own(request.set_form([("email", EMAIL), ("password", PASSWORD), ("code", code)]))).await;
    assert_eq!((answer.status, answer.cookies.len()), (StatusCode::SEE_OTHER, 2));
}

#[actix_web::test]
async fn changing_ones_password_gives_new_cookies_and_ends_the_old_session() {
    let it = Installation::new().await;
    let cookie = it.session(Role::Viewer).await;
    let change = |old: &str, new: &str| {
        let body = json!({ "oldPassword": old, "newPassword": new });
        TestRequest::post().uri("/session/password").set_json(body)
    };
    let own = |request: TestRequest| request.cookie(cookie.clone()).insert_header(("x-nachfass", "1"));
    let new = "three sleepy walruses";
    assert_eq!(it.ask(change(PASSWORD, new)).await.code(), "UNAUTHENTICATED");
    assert_eq!(it.ask(change(PASSWORD, new).cookie(cookie.clone())).await.code(), "MISSING_HEADER");
    assert_eq!(it.ask(change(PASSWORD, new).insert_header(it.token(Role::Admin).await)).await.code(), "FORBIDDEN");
    assert_eq!(it.ask(own(change("wrong", new))).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let answer = it.ask(own(change(PASSWORD, new))).await;
    assert_eq!((answer.status, answer.cookies.len()), (StatusCode::OK, 2));
    let fresh = answer.cookies[0].clone();
    let query = || TestRequest::post().uri("/graphql").set_json(json!({ "query": "{ __typename }" }));
    assert_eq!(it.ask(own(query())).await.status, StatusCode::UNAUTHORIZED);
    let answer = it.ask(query().cookie(fresh).insert_header(("x-nachfass", "1"))).await;
    assert_eq!(answer.status, StatusCode::OK);
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
