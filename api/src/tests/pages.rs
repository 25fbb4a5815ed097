use actix_web::http::StatusCode;
use actix_web::test::TestRequest;
use serde_json::json;
use service::Role;

use crate::ApiOptions;
use crate::health::{DatabaseHealth, Health, QueueHealth};
use crate::testing::Installation;

fn get(path: &str) -> TestRequest {
    TestRequest::get().uri(path)
}

/// What an attacker would like to know.
const TELLING: [&str; 9] =
    [env!("CARGO_PKG_VERSION"), "database", "queue", "redis", "sqlite", "postgres", "actix", "in memory", "migrat"];

fn tells(text: &str) -> Vec<&'static str> {
    let text = text.to_lowercase();
    TELLING.iter().copied().filter(|word| text.contains(word)).collect()
}

#[actix_web::test]
async fn the_start_page_shows_strangers_a_form_and_nothing_else() {
    let it = Installation::new().await;
    let answer = it.ask(get("/")).await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "text/html; charset=utf-8"));
    assert!(answer.text().contains("<form method=\"post\" action=\"/session\">"));
    assert_eq!(tells(answer.text()), Vec::<&str>::new());
    assert!(
        !answer.text().contains("{{") && !answer.text().contains("<script>") && !answer.text().contains("/graphiql")
    );
    assert!(answer.header("content-security-policy").contains("script-src 'self'"));
    for file in ["/assets/page.css", "/assets/page.js"] {
        assert_eq!(it.ask(get(file)).await.status, StatusCode::OK);
    }
}

#[actix_web::test]
async fn only_admins_are_told_how_the_installation_is() {
    let it = Installation::new().await;
    for role in [Role::Viewer, Role::Marketer] {
        let token = it.token(role).await;
        let page = it.ask(get("/").insert_header(token.clone())).await;
        assert_eq!(tells(page.text()), Vec::<&str>::new(), "{role:?}");
        assert_eq!(it.ask(get("/readyz").insert_header(token)).await.json(), json!({ "status": "ready" }));
    }
    let token = it.token(Role::Admin).await;
    let page = it.ask(get("/").insert_header(token.clone())).await;
    for part in ["ready", "in memory", env!("CARGO_PKG_VERSION")] {
        assert!(page.text().contains(part), "{part}");
    }
    let ready = it.ask(get("/readyz").insert_header(token)).await;
    assert_eq!(ready.json(), json!({ "status": "ready", "database": "ready", "queue": "in memory" }));
}

#[actix_web::test]
async fn no_answer_to_a_stranger_names_version_database_or_queue() {
    for database in [DatabaseHealth::Ready, DatabaseHealth::NotMigrated, DatabaseHealth::Unreachable] {
        let health = Health { database, queue: QueueHealth::RedisUnreachable };
        let it = Installation::with_health(ApiOptions::new("http://localhost"), health).await;
        let form = |body: &'static str| {
            TestRequest::post()
                .uri("/session")
                .insert_header(("content-type", "application/x-www-form-urlencoded"))
                .insert_header(("origin", "http://localhost"))
                .set_payload(body)
        };
        for request in [
            get("/"),
            get("/nothing"),
            get("/readyz"),
            get("/healthz"),
            get("/graphiql"),
            get("/graphql"),
            get("/exports/x"),
            get("/assets/nothing.js"),
            TestRequest::post().uri("/graphql").insert_header(("content-type", "application/json")).set_payload("{"),
            TestRequest::post().uri("/uploads"),
            TestRequest::post().uri("/ingest/nothing"),
            TestRequest::delete().uri("/"),
            form("email=a%40x.example&password=wrong"),
            form("nonsense"),
        ] {
            let answer = it.ask(request).await;
            let headers = ["server", "x-powered-by", "via", "www-authenticate"].map(|name| answer.header(name));
            assert_eq!(tells(answer.text()), Vec::<&str>::new(), "{}", answer.text());
            assert_eq!(tells(&headers.join(" ")), Vec::<&str>::new());
        }
    }
}

#[actix_web::test]
async fn only_admins_are_shown_the_way_to_graphiql() {
    let it = Installation::new().await;
    let admin = it.ask(get("/").insert_header(it.token(Role::Admin).await)).await;
    assert!(admin.text().contains("href=\"/graphiql\""));
    let viewer = it.ask(get("/").insert_header(it.token(Role::Viewer).await)).await;
    assert!(viewer.text().contains("viewer") && !viewer.text().contains("/graphiql"));
}

#[actix_web::test]
async fn readiness_depends_on_the_database_alone() {
    for (database, queue, status, word) in [
        (DatabaseHealth::Ready, QueueHealth::Memory, StatusCode::OK, "ready"),
        (DatabaseHealth::Ready, QueueHealth::Redis, StatusCode::OK, "ready"),
        (DatabaseHealth::Ready, QueueHealth::RedisUnreachable, StatusCode::OK, "degraded"),
        (DatabaseHealth::NotMigrated, QueueHealth::Memory, StatusCode::SERVICE_UNAVAILABLE, "unready"),
        (DatabaseHealth::Unreachable, QueueHealth::Redis, StatusCode::SERVICE_UNAVAILABLE, "unready"),
    ] {
        let it = Installation::with_health(ApiOptions::new("http://localhost"), Health { database, queue }).await;
        let answer = it.ask(get("/readyz")).await;
        assert_eq!((answer.status, answer.json()["status"].clone()), (status, json!(word)));
        assert_eq!(it.ask(get("/healthz")).await.status, StatusCode::OK);
    }
}

#[actix_web::test]
async fn every_answer_has_the_security_headers_and_an_id() {
    let it = Installation::new().await;
    for path in ["/", "/healthz", "/nothing", "/graphiql", "/graphql", "/assets/page.css"] {
        let answer = it.ask(get(path)).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
        assert_eq!(answer.header("referrer-policy"), "same-origin", "{path}");
        assert_eq!(answer.header("strict-transport-security"), "", "{path}");
        assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(answer.header("x-request-id").len(), 26, "{path}");
    }
}

#[actix_web::test]
async fn what_is_not_there_says_so_under_the_callers_id() {
    let it = Installation::new().await;
    let answer = it.ask(get("/nothing").insert_header(("x-request-id", "trace-1"))).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.header("x-request-id"), "trace-1");
    let error = json!({ "code": "NOT_FOUND", "message": "there is nothing here", "requestId": "trace-1" });
    assert_eq!(answer.json(), json!({ "error": error }));

    let answer = it.ask(get("/nothing").insert_header(("x-request-id", "erika@example.com"))).await;
    assert_eq!(answer.header("x-request-id").len(), 26);
}

#[actix_web::test]
async fn a_method_that_is_not_known_says_so() {
    let it = Installation::new().await;
    for (path, request) in [
        ("/session", TestRequest::put()),
        ("/graphiql", TestRequest::post()),
        ("/uploads", TestRequest::get()),
        ("/readyz", TestRequest::post()),
    ] {
        let answer = it.ask(request.uri(path)).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED"),
            "{path}"
        );
    }
}

#[actix_web::test]
async fn errors_are_readable_for_those_who_accept_compression() {
    let it = Installation::new().await;
    let answer = it.ask(get("/nothing").insert_header(("accept-encoding", "identity;q=1, gzip;q=0.5"))).await;
    assert_eq!(answer.code(), "NOT_FOUND");
    let answer = it.ask(get("/").insert_header(("accept-encoding", "gzip"))).await;
    assert_eq!((answer.header("content-encoding"), answer.body.first()), ("gzip", Some(&0x1f)));
}
