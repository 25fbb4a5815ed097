use std::net::{SocketAddr, TcpListener};

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use service::Role;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tokio_util::sync::CancellationToken;

use crate::testing::{Installation, LISTED};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

struct Server {
    it: Installation,
    address: SocketAddr,
    shutdown: CancellationToken,
    running: actix_web::rt::task::JoinHandle<std::io::Result<()>>,
}

impl Server {
    async fn start() -> Self {
        let it = Installation::new().await;
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let shutdown = CancellationToken::new();
        let running = actix_web::rt::spawn(crate::serve(listener, it.another_state().await, shutdown.clone()));
        Self { it, address, shutdown, running }
    }

    fn request(&self, protocol: &str, headers: &[(&'static str, String)]) -> Request {
        let mut request = format!("ws://{}/graphql/ws", self.address).into_client_request().expect("a request");
        for (name, value) in headers.iter().cloned().chain([("sec-websocket-protocol", protocol.to_owned())]) {
            request.headers_mut().insert(name, value.parse().expect("a value"));
        }
        request
    }

    async fn open(&self, headers: &[(&'static str, String)]) -> Socket {
        connect_async(self.request("graphql-transport-ws", headers)).await.expect("a socket").0
    }

    /// The status with which a handshake is refused.
    async fn refusal(&self, request: Request) -> u16 {
        match connect_async(request).await {
            Err(tokio_tungstenite::tungstenite::Error::Http(response)) => response.status().as_u16(),
            other => panic!("not refused: {other:?}"),
        }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.running.await.expect("ended").expect("ended well");
    }
}

async fn send(socket: &mut Socket, message: Value) {
    socket.send(Message::text(message.to_string())).await.expect("sent");
}

/// The next text, or the number that it was closed with.
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

fn init(authorization: &str) -> Value {
    json!({ "type": "connection_init", "payload": { "authorization": authorization } })
}

#[actix_web::test]
async fn a_token_opens_a_socket_for_subscriptions_alone() {
    let server = Server::start().await;
    let (_, authorization) = server.it.token(Role::Viewer).await;
    let mut socket = server.open(&[]).await;
    send(&mut socket, init(&authorization)).await;
    assert_eq!(next(&mut socket).await.expect("a text")["type"], "connection_ack");

    let query = json!({ "type": "subscribe", "id": "1", "payload": { "query": "{ __typename }" } });
    send(&mut socket, query).await;
    let refused = next(&mut socket).await.expect("a text").to_string();
    assert!(refused.contains("this socket is for subscriptions"), "{refused}");
    server.stop().await;
}

#[actix_web::test]
async fn nobody_gets_no_further_than_the_first_message() {
    let server = Server::start().await;
    for message in [init("Bearer nf_wrong"), init("nonsense"), json!({ "type": "connection_init" })] {
        let mut socket = server.open(&[]).await;
        send(&mut socket, message).await;
        assert_eq!(next(&mut socket).await, Err(4401));
    }
    let mut socket = server.open(&[]).await;
    send(&mut socket, json!({ "type": "subscribe", "id": "1", "payload": { "query": "{ __typename }" } })).await;
    assert_eq!(next(&mut socket).await, Err(4401));
    server.stop().await;
}

#[actix_web::test]
async fn a_session_opens_a_socket_from_our_own_pages_only() {
    let server = Server::start().await;
    let cookie = ("cookie", server.it.session(Role::Viewer).await.stripped().to_string());
    let own = ("origin", format!("http://{}", server.address));
    let mut socket = server.open(&[cookie.clone(), own]).await;
    send(&mut socket, json!({ "type": "connection_init" })).await;
    assert_eq!(next(&mut socket).await.expect("a text")["type"], "connection_ack");

    let foreign = ("origin", "https://evil.example".to_owned());
    assert_eq!(server.refusal(server.request("graphql-transport-ws", &[cookie.clone(), foreign])).await, 403);
    assert_eq!(server.refusal(server.request("graphql-transport-ws", &[cookie])).await, 403);
    server.stop().await;
}

#[actix_web::test]
async fn a_page_of_a_listed_origin_opens_a_socket_with_a_token() {
    let server = Server::start().await;
    let listed = ("origin", LISTED.to_owned());
    let (_, authorization) = server.it.token(Role::Viewer).await;
    // The cookie of the same browser counts for nothing there.
    let cookie = ("cookie", server.it.session(Role::Viewer).await.stripped().to_string());
    let mut socket = server.open(&[listed.clone(), cookie]).await;
    send(&mut socket, json!({ "type": "connection_init" })).await;
    assert_eq!(next(&mut socket).await, Err(4401));
    let mut socket = server.open(&[listed]).await;
    send(&mut socket, init(&authorization)).await;
    assert_eq!(next(&mut socket).await.expect("a text")["type"], "connection_ack");

    let foreign = ("origin", "https://evil.example".to_owned());
    assert_eq!(server.refusal(server.request("graphql-transport-ws", &[foreign])).await, 403);
    server.stop().await;
}

#[actix_web::test]
async fn a_client_that_closes_is_answered_with_its_own_number() {
    let server = Server::start().await;
    for code in [1000, 1001, 4499] {
        let mut socket = server.open(&[]).await;
        let frame = CloseFrame { code: code.into(), reason: "enough".into() };
        socket.close(Some(frame)).await.expect("sent");
        assert_eq!(next(&mut socket).await, Err(code));
    }
    let mut socket = server.open(&[]).await;
    socket.close(None).await.expect("sent");
    assert_eq!(next(&mut socket).await, Err(0));
    server.stop().await;
}

#[actix_web::test]
async fn only_the_one_protocol_is_spoken_and_only_short_texts() {
    let server = Server::start().await;
    assert_eq!(server.refusal(server.request("graphql-ws", &[])).await, 400);

    let mut socket = server.open(&[]).await;
    socket.send(Message::binary(b"x".to_vec())).await.expect("sent");
    assert_eq!(next(&mut socket).await, Err(1003));
    let mut socket = server.open(&[]).await;
    send(&mut socket, json!({ "type": "x".repeat(1000) })).await;
    assert_eq!(next(&mut socket).await, Err(4400));
    let mut socket = server.open(&[]).await;
    socket.send(Message::text("x".repeat(100_000))).await.expect("sent");
    assert_eq!(next(&mut socket).await, Err(1009));
    server.stop().await;
}

#[actix_web::test]
async fn stopping_closes_sockets_and_ends_soon() {
    let server = Server::start().await;
    let mut socket = server.open(&[]).await;
    let started = std::time::Instant::now();
    server.stop().await;
    assert_eq!(next(&mut socket).await, Err(1001));
    assert!(started.elapsed().as_secs() < 10);
}
