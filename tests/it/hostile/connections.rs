//! Hostile input to sockets and idle connections.

use std::process::{Command, Stdio};

use futures::{SinkExt, StreamExt};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::harness::{Api, Process, Site, eventually, program_file};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

in_mode!(
    on_sqlite,
    Sqlite: idle_connections_are_limited,
    few_descriptors_are_enough_for_all_who_ask,
    sockets_and_subscriptions_of_a_token_are_limited,
    nested_messages_close_the_socket,
);

/// Opens a connection, has one request answered, and leaves it open; whether the program will keep it so, and the connection.
async fn ask_and_stay(url: &str) -> Option<(bool, TcpStream)> {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).await.ok()?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.ok()?;
    let mut answer = Vec::new();
    while !answer.windows(4).any(|window| window == b"\r\n\r\n") {
        let mut buffer = [0; 1024];
        let read = stream.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        answer.extend_from_slice(&buffer[..read]);
    }
    let head = String::from_utf8_lossy(&answer).to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200"), "{head}");
    Some((!head.contains("connection: close"), stream))
}

async fn idle_connections_are_limited(site: Site) {
    let site = site.with_more("[limits]\nidle_connections = 2\n");
    let _running = site.start().await;
    let mut open = Vec::new();
    for _ in 0..100 {
        open.push(ask_and_stay(&site.url()).await.expect("everybody is served"));
    }
    // This machine's own addresses are those of a proxy.
    let kept = open.iter().filter(|(is_kept, _)| *is_kept).count();
    assert!((10..=20).contains(&kept), "{kept}");
    assert_eq!(site.client("viewer").ask("{ viewer { name } }", json!({})).await["viewer"]["name"], "viewer");
}

async fn few_descriptors_are_enough_for_all_who_ask(site: Site) {
    let mut command = Command::new("prlimit");
    command.arg("--nofile=512:512").arg(program_file()).arg("run").current_dir(site.folder()).stdout(Stdio::null());
    let mut process = Process::start(&mut command, site.folder().join("run.log"));
    let stranger = site.stranger();
    eventually("it is ready", async || (stranger.readiness().await? == "ready").then_some(())).await;
    assert!(process.log().contains("file descriptor limit low"), "{}", process.log());
    let mut open = Vec::new();
    for _ in 0..600 {
        open.extend(ask_and_stay(&site.url()).await);
    }
    assert_eq!(open.len(), 600, "everybody is served");
    let answer = Api::new(site.url(), None).bare(Method::GET, "/healthz").send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    process.check();
}

async fn open_socket(site: &Site, token: &str) -> Socket {
    let url = site.url().replace("http://", "ws://") + "/graphql/ws";
    let mut request = url.into_client_request().expect("a request");
    request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().expect("a value"));
    let (mut socket, _) = connect_async(request).await.expect("a socket");
    let init = json!({ "type": "connection_init", "payload": { "authorization": format!("Bearer {token}") } });
    socket.send(Message::text(init.to_string())).await.expect("sent");
    socket
}

/// The next message, or the number that the socket was closed with.
async fn next(socket: &mut Socket) -> Result<Value, u16> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).expect("JSON")),
            Some(Ok(Message::Close(Some(frame)))) => return Err(frame.code.into()),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            _ => return Err(0),
        }
    }
}

async fn sockets_and_subscriptions_of_a_token_are_limited(site: Site) {
    let site = site.with_more("[limits]\nsockets = 2\nsubscriptions = 3\n");
    let _running = site.start().await;
    let (api, other) = (site.client("marketer"), site.client("viewer"));
    let made = api
        .ask("mutation { createCampaign(input: { key: \"spring\", name: \"Spring\" }) { campaign { id } } }", json!({}))
        .await;
    let campaign = &made["createCampaign"]["campaign"]["id"];
    let mut sockets = Vec::new();
    for _ in 0..2 {
        let mut socket = open_socket(&site, api.token()).await;
        assert_eq!(next(&mut socket).await.expect("a message")["type"], "connection_ack");
        sockets.push(socket);
    }
    assert_eq!(next(&mut open_socket(&site, api.token()).await).await, Err(4429));
    assert!(next(&mut open_socket(&site, other.token()).await).await.is_ok(), "others may");

    let query = "subscription($id: ID!) { campaignStatistics(campaignId: $id) { sent } }";
    let subscribe = |id: usize| json!({ "type": "subscribe", "id": id.to_string(), "payload": { "query": query, "variables": { "id": campaign } } });
    // Over both sockets.
    for (id, socket) in [(1, 0), (2, 1), (3, 0)] {
        sockets[socket].send(Message::text(subscribe(id).to_string())).await.expect("sent");
        assert_eq!(
            next(&mut sockets[socket]).await.expect("a message")["payload"]["data"]["campaignStatistics"]["sent"],
            0
        );
    }
    sockets[1].send(Message::text(subscribe(4).to_string())).await.expect("sent");
    let refused = next(&mut sockets[1]).await.expect("a message").to_string();
    assert!(refused.contains("too many subscriptions"), "{refused}");
    assert_eq!(next(&mut sockets[1]).await.expect("a message")["type"], "complete");
    sockets[0].send(Message::text(json!({ "type": "complete", "id": "1" }).to_string())).await.expect("sent");
    eventually("the place is free", async || {
        sockets[1].send(Message::text(subscribe(5).to_string())).await.expect("sent");
        let message = next(&mut sockets[1]).await.expect("a message");
        let is_begun = message["payload"]["data"]["campaignStatistics"].is_object();
        if !is_begun {
            next(&mut sockets[1]).await.expect("a message");
        }
        is_begun.then_some(())
    })
    .await;
    // A socket that is closed makes room for another one.
    drop(sockets.pop());
    eventually("a socket is free", async || {
        next(&mut open_socket(&site, api.token()).await).await.is_ok().then_some(())
    })
    .await;
}

async fn nested_messages_close_the_socket(site: Site) {
    let mut running = site.start().await;
    let token = site.client("viewer").token().to_owned();
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let messages = [
        format!("{{\"type\":\"ping\",\"payload\":{}}}", nested(30_000)),
        format!(
            "{{\"type\":\"subscribe\",\"id\":\"1\",\"payload\":{{\"query\":\"{{a}}\",\"variables\":{}}}}}",
            nested(200)
        ),
    ];
    for message in messages {
        let mut socket = open_socket(&site, &token).await;
        assert!(next(&mut socket).await.is_ok());
        socket.send(Message::text(message)).await.expect("sent");
        assert_eq!(next(&mut socket).await, Err(4400));
    }
    let mut socket = open_socket(&site, &token).await;
    assert!(next(&mut socket).await.is_ok());
    for query in [format!("subscription {{ job(id: {}) {{ id }} }}", nested(3_000)), "subscription {".repeat(1_000)] {
        let message = json!({ "type": "subscribe", "id": "1", "payload": { "query": query } });
        socket.send(Message::text(message.to_string())).await.expect("sent");
        let refused = next(&mut socket).await.expect("a message").to_string();
        assert!(refused.contains("TOO_COMPLEX"), "{refused}");
        assert_eq!(next(&mut socket).await.expect("a message")["type"], "complete");
    }
    for (_, process) in running.processes() {
        process.check();
    }
}
