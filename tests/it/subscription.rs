//! Figures that move while one watches, by graphql-transport-ws.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;

use crate::harness::{Api, Site, Source};

in_every_mode!(figures_move, nobody_watches_without_a_token);

const SHOP: Source = Source::generic("shop");

/// A socket over which texts of JSON go.
struct Socket<S>(S);

impl<S> Socket<S>
where
    S: StreamExt<Item = Result<Message, tokio_tungstenite::tungstenite::Error>>
        + SinkExt<Message, Error = tokio_tungstenite::tungstenite::Error>
        + Unpin,
{
    async fn send(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.expect("sent");
    }

    /// The next message; `None` once the other side has closed.
    async fn next(&mut self) -> Option<Value> {
        let next = async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(&text).expect("JSON")),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    _ => return None,
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), next).await.expect("it says something")
    }
}

async fn open(
    site: &Site,
) -> Socket<
    impl StreamExt<Item = Result<Message, tokio_tungstenite::tungstenite::Error>>
    + SinkExt<Message, Error = tokio_tungstenite::tungstenite::Error>
    + Unpin,
> {
    let url = site.url().replace("http://", "ws://") + "/graphql/ws";
    let mut request = url.into_client_request().expect("a request");
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("graphql-transport-ws"));
    Socket(connect_async(request).await.expect("a socket").0)
}

async fn open_event(api: &Api, number: u32) {
    let event = json!({
        "type": "opened",
        "id": number.to_string(),
        "occurred_at": format!("2026-03-02T08:{number:02}:00Z"),
        "campaign": "spring",
        "recipient": "ada@alpha.example",
    });
    api.report(&SHOP, &event).await;
}

async fn figures_move(site: Site) {
    let site = site.with(&[&SHOP]);
    site.write("spring.csv", "email\nada@alpha.example\n");
    let _running = site.start().await;
    let imported = site.run_json(["import", "--campaign", "spring", "--state", "sent", "--json", "spring.csv"]);
    let api = site.client("viewer");

    let mut socket = open(&site).await;
    socket
        .send(json!({ "type": "connection_init", "payload": { "authorization": format!("Bearer {}", api.token()) } }))
        .await;
    assert_eq!(socket.next().await.expect("a message")["type"], "connection_ack");
    let query = "subscription($id: ID!) { campaignStatistics(campaignId: $id) { sent opens } }";
    let payload = json!({ "query": query, "variables": { "id": imported["campaignId"] } });
    socket.send(json!({ "type": "subscribe", "id": "1", "payload": payload })).await;

    let now = |message: &Value| {
        let statistics = &message["payload"]["data"]["campaignStatistics"];
        (statistics["sent"].as_i64().unwrap_or_else(|| panic!("{message}")), statistics["opens"].as_i64())
    };
    let first = socket.next().await.expect("how it is now");
    assert_eq!(now(&first), (1, Some(0)));
    for number in 1..=3 {
        open_event(&api, number).await;
        // What was on its way before may come first.
        while now(&socket.next().await.expect("how it is now")).1 != Some(i64::from(number)) {}
    }
    socket.send(json!({ "type": "complete", "id": "1" })).await;
}

async fn nobody_watches_without_a_token(site: Site) {
    let _running = site.start().await;
    for payload in [json!({}), json!({ "authorization": "Bearer nf_nonsense" })] {
        let mut socket = open(&site).await;
        socket.send(json!({ "type": "connection_init", "payload": payload })).await;
        assert_eq!(socket.next().await, None);
    }
}
