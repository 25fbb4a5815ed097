use actix_web::http::StatusCode;
use actix_web::test::TestRequest;
use serde_json::json;
use service::Role;

use crate::testing::Installation;

fn get(path: &str) -> TestRequest {
    TestRequest::get().uri(path)
}

#[actix_web::test]
async fn it_is_for_admins() {
    let it = Installation::new().await;
    let answer = it.ask(get("/graphiql")).await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/"));
    for role in [Role::Viewer, Role::Marketer] {
        let answer = it.ask(get("/graphiql").insert_header(it.token(role).await)).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::FORBIDDEN, "FORBIDDEN"));
    }
    let answer = it.ask(get("/graphiql").cookie(it.session(Role::Admin).await)).await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "text/html; charset=utf-8"));
    assert!(answer.header("content-security-policy").contains("script-src 'self';"));
}

#[actix_web::test]
async fn everything_it_loads_is_in_the_binary() {
    let it = Installation::new().await;
    let page = it.ask(get("/graphiql").insert_header(it.token(Role::Admin).await)).await;
    let parts = page.text().split('"').filter(|part| part.starts_with("/graphiql/") || part.starts_with("http"));
    let files: Vec<&str> = parts.collect();
    assert_eq!(files.len(), 6);
    for file in files {
        let answer = it.ask(get(file)).await;
        assert_eq!(answer.status, StatusCode::OK, "{file}");
        assert!(answer.header("cache-control").starts_with("public"));
    }
    assert!(!page.text().contains("<script>") && !page.text().contains("onload="));
    assert_eq!(it.ask(get("/graphiql/other.js")).await.status, StatusCode::NOT_FOUND);
}

#[actix_web::test]
async fn the_saved_queries_fit_the_schema() {
    let it = Installation::new().await;
    let admin = it.token(Role::Admin).await;
    let script = it.ask(get("/graphiql/start.js")).await;
    let saved = script.text().split('`').filter(|text| text.starts_with("# "));
    let queries: Vec<&str> = saved.collect();
    assert_eq!(queries.len(), 7);
    for query in queries {
        let body = json!({ "query": query, "variables": { "campaign": "nonsense" } });
        let answer = it.ask(TestRequest::post().uri("/graphql").insert_header(admin.clone()).set_json(body)).await;
        let errors = answer.json()["errors"].to_string();
        // Without a campaign some have no answer; none may ask for what is not there.
        assert!(!errors.contains("Unknown") && !errors.contains("must have"), "{query}{errors}");
    }
}
