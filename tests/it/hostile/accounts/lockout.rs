//! Whoever is locked out is out within five seconds: requests and sockets, in every process.

use std::time::{Duration, Instant};

use futures::{SinkExt, StreamExt};
use reqwest::header::{COOKIE, ORIGIN};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;

use super::{ERIKA, PASSWORD, add, cookies, refused, sign_in, status, user};
use crate::cli::with_input;
use crate::harness::{Api, Site, within};

in_every_mode!(users_are_locked_out, tokens_are_locked_out, an_idle_session_is_over);
in_mode!(behind_two_apis, Many: users_are_locked_out, tokens_are_locked_out);
in_mode!(at_the_command_line, Sqlite: users_and_tokens_are_managed);

/// As long it may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Opens a socket with a token or the cookie of a session, and watches it; ends when the socket has.
async fn watch(api: &Api, token: Option<&str>, session: Option<&str>) -> JoinHandle<()> {
    let url = api.url().replace("http://", "ws://") + "/graphql/ws";
    let mut request = url.into_client_request().expect("a request");
    let headers = request.headers_mut();
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("graphql-transport-ws"));
    if let Some(session) = session {
        headers.insert(COOKIE, HeaderValue::from_str(session).expect("a cookie"));
        headers.insert(ORIGIN, HeaderValue::from_str(api.url()).expect("an origin"));
    }
    let (mut socket, _) = connect_async(request).await.expect("a socket");
    let payload = token.map(|token| json!({ "authorization": format!("Bearer {token}") }));
    let init = json!({ "type": "connection_init", "payload": payload.unwrap_or_else(|| json!({})) });
    socket.send(Message::text(init.to_string())).await.expect("sent");
    let acknowledged = loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => break serde_json::from_str::<Value>(&text).expect("JSON"),
            Some(Ok(Message::Ping(_))) => {}
            other => panic!("not opened: {other:?}"),
        }
    };
    assert_eq!(acknowledged["type"], "connection_ack");
    tokio::spawn(async move {
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Close(frame) = message {
                assert_eq!(frame.map(|frame| u16::from(frame.code)), Some(4401));
                return;
            }
        }
    })
}

/// Asserts that requests are refused and sockets closed in time.
async fn locked_out(what: &str, apis: &[Api], session: Option<&str>, sockets: Vec<JoinHandle<()>>) {
    let began = Instant::now();
    for api in apis {
        within(LIMIT, what, async || {
            let status = match session {
                Some(session) => status(api, session).await,
                None => api.graphql(json!({ "query": super::VIEWER })).await.status().as_u16(),
            };
            (status == 401).then_some(())
        })
        .await;
    }
    for socket in sockets {
        let left = LIMIT.saturating_sub(began.elapsed());
        tokio::time::timeout(left, socket).await.unwrap_or_else(|_| panic!("{what}: a socket is open")).expect("4401");
    }
}

async fn users_are_locked_out(site: Site) {
    add(&site, ERIKA, "marketer");
    add(&site, "max@kleinfirma.example", "marketer");
    let _running = site.start().await;
    let apis = site.clients("admin");
    let (bystander, _) = cookies(&sign_in(&apis[0], "max@kleinfirma.example", PASSWORD, "192.0.2.1", None).await);
    let new = "three sleepy walruses";
    let changes: [(&[&str], &str); 3] =
        [(&["role", ERIKA, "viewer"], PASSWORD), (&["password", ERIKA], new), (&["disable", ERIKA], new)];
    let mut password = PASSWORD;
    for (change, next) in changes {
        let (session, _) = cookies(&sign_in(&apis[0], ERIKA, password, "192.0.2.2", None).await);
        let mut sockets = Vec::new();
        for api in &apis {
            assert_eq!(status(api, &session).await, 200);
            sockets.push(watch(api, None, Some(&session)).await);
        }
        user(&site, change, next);
        locked_out(&format!("{change:?}"), &apis, Some(&session), sockets).await;
        password = next;
    }
    for api in &apis {
        assert_eq!(status(api, &bystander).await, 200, "somebody else is not concerned");
        assert_eq!(sign_in(api, ERIKA, new, "192.0.2.3", None).await.status(), 401);
    }
    user(&site, &["enable", ERIKA], "");
    assert_eq!(sign_in(&apis[0], ERIKA, new, "192.0.2.3", None).await.status(), 200);

    let query =
        "query($actions: String!) { auditLog(first: 10, filter: { action: $actions }) { nodes { action subject } } }";
    let log = apis[0].ask(query, json!({ "actions": "user." })).await;
    let actions: Vec<&str> = log["auditLog"]["nodes"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| entry["action"].as_str().expect("one"))
        .collect();
    let expected = ["user.enabled", "user.disabled", "user.password_changed", "user.role_changed", "user.added"];
    assert_eq!(actions[..5], expected);
}

async fn tokens_are_locked_out(site: Site) {
    let _running = site.start().await;
    let apis = site.clients("viewer");
    let mut sockets = Vec::new();
    for api in &apis {
        assert_eq!(api.graphql(json!({ "query": super::VIEWER })).await.status(), 200);
        sockets.push(watch(api, Some(api.token()), None).await);
    }
    let listed = site.run_json(["token", "list", "--json"]);
    let id = listed["id"].as_str().expect("an id").to_owned();
    site.run(["token", "revoke", &id]);
    locked_out("a revoked token", &apis, None, sockets).await;
    assert_eq!(site.run_json(["token", "list", "--json"])["state"], "revoked");
}

async fn an_idle_session_is_over(site: Site) {
    let site = site.with_more("session_idle_hours = 1\n");
    add(&site, ERIKA, "marketer");
    let _running = site.start().await;
    let api = site.stranger();
    let (session, _) = cookies(&sign_in(&api, ERIKA, PASSWORD, "192.0.2.1", None).await);
    assert_eq!(status(&api, &session).await, 200);
    if !site.is_sqlite() {
        site.sql("UPDATE session SET last_seen_at = last_seen_at - 3600 * 1000000::bigint");
        within(LIMIT, "it is idle", async || (status(&api, &session).await == 401).then_some(())).await;
    }
}

async fn users_and_tokens_are_managed(site: Site) {
    let admin = "admin@kleinfirma.example";
    add(&site, admin, "admin");
    add(&site, ERIKA, "marketer");
    for arguments in [&["disable", admin][..], &["role", admin, "viewer"], &["role", admin, "--role", "marketer"]] {
        let said = refused(&site, arguments, "");
        assert!(said.contains("last admin") && said.contains("--force"), "{said}");
    }
    for arguments in [&["disable", "nobody@kleinfirma.example"][..], &["enable", "x"], &["role", "x", "viewer"]] {
        assert!(refused(&site, arguments, "").contains("there is no user with this address"));
    }
    for weak in ["short", "password1234", "aaaaaaaaaaaaaaaa", "qwertyuiop1234567890"] {
        refused(&site, &["password", ERIKA], weak);
        refused(&site, &["add", "other@kleinfirma.example", "--role", "viewer"], weak);
    }
    refused(&site, &["password", ERIKA], ERIKA);
    assert!(refused(&site, &["password", ERIKA], "password1234").contains("too easy to guess"));
    let wrong = with_input(site.command(["user", "role", ERIKA, "king"]).args::<[&str; 0], _>([]), "");
    assert_eq!(wrong.status.code(), Some(2));

    let change: Value = serde_json::from_str(&user(&site, &["disable", ERIKA, "--json"], "")).expect("JSON");
    assert_eq!((&change["disabled"], &change["role"]), (&json!(true), &json!("MARKETER")));
    user(&site, &["role", ERIKA, "--role", "admin"], "");
    let listed = user(&site, &["list", "--json"], "");
    let users: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(users.len(), 2);
    assert_eq!(
        (&users[1]["email"], &users[1]["role"], &users[1]["disabled"]),
        (&json!(ERIKA), &json!("ADMIN"), &json!(true))
    );
    assert!(users.iter().all(|user| user["account"].as_str().is_some_and(|name| name.starts_with("account:"))));
    assert!(user(&site, &["list"], "").lines().nth(1).is_some_and(|line| line.contains("disabled")));
    // One who is disabled is no admin who can sign in.
    refused(&site, &["disable", admin], "");
    user(&site, &["disable", admin, "--force"], "");
    user(&site, &["enable", admin], "");

    let missing = site.command(["token", "revoke", "99"]).output().expect("the program starts");
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("no such token"));
}
