//! `GET /graphql/ws`: subscriptions, by the protocol graphql-transport-ws.
//!
//! A browser proves itself by its session's cookie, and then has to come from our own pages; a program by
//! `{"authorization": "Bearer …"}` in `connection_init`. A socket lives no longer than what it was opened with: a session that ends
//! or a token that is revoked closes it.

mod executor;

use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use actix_web::http::header::SEC_WEBSOCKET_PROTOCOL;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use actix_ws::{AggregatedMessage, CloseCode, CloseReason, ProtocolError, Session};
use async_graphql::http::{WebSocket, WebSocketProtocols, WsMessage};
use async_graphql::{Data as ConnectionData, Error};
use futures::StreamExt;
use futures::channel::mpsc::{self, Sender};
use serde_json::Value;
use tracing::Instrument;

use service::Subject;
use tokio::sync::OwnedSemaphorePermit;

use self::executor::Subscriptions;
use crate::AppState;
use crate::auth::{self, Credential};
use crate::connections::{Active, Connection};
use crate::errors::ApiError;
use crate::graphql::json_nesting;
use crate::graphql::limits::MAX_NESTING;

const PROTOCOL: &str = "graphql-transport-ws";

/// The largest message: a subscription is a short text.
const MESSAGE_LIMIT: usize = 64 * 1024;
/// Messages that may wait for the protocol; a client that sends more at once is closed.
const WAITING: usize = 64;
/// How often the credential is checked again. With what [`service`] remembers of it, whoever is locked out is gone within 5 seconds.
const CHECK: Duration = Duration::from_secs(2);
/// How often the other side is asked for a sign of life.
const PING: Duration = Duration::from_secs(10);
/// Without a sign of life for so long, it is gone.
const SILENCE: Duration = Duration::from_secs(50);
/// As long may pass before `connection_init`, and until a slow client has taken a message.
const PATIENCE: Duration = Duration::from_secs(10);

/// A frame that closes has room for 123 bytes.
const REASON_LIMIT: usize = 120;

/// Why we close, in the protocol's own numbers and those of WebSocket.
const INIT_TIMEOUT: (u16, &str) = (4408, "Connection initialisation timeout");
const UNAUTHORIZED: (u16, &str) = (4401, "Unauthorized");
const GOING_AWAY: (u16, &str) = (1001, "the server stops");
const TOO_MANY: (u16, &str) = (1008, "too many messages at once");
const TEXT_ONLY: (u16, &str) = (1003, "text only");
const TOO_LARGE: (u16, &str) = (1009, "the message is too large");
const TOO_DEEP: (u16, &str) = (4400, "the message is nested too deep");
const TOO_MANY_SOCKETS: (u16, &str) = (4429, "too many sockets of this account: close one first");

/// `GET`: opens a socket.
pub async fn connect(state: Data<AppState>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, ApiError> {
    let offered = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL).filter_map(|value| value.to_str().ok());
    if !offered.flat_map(|value| value.split(',')).any(|protocol| protocol.trim() == PROTOCOL) {
        return Err(ApiError::BadRequest(format!("this address speaks the WebSocket protocol {PROTOCOL}")));
    }
    let credential = Credential::of(&request, &state.options);
    if matches!(credential, Some(Credential::Session(_))) {
        auth::require_own_origin(&request, &state.options)?;
    }
    let (response, session, messages) = actix_ws::handle_with_protocols(&request, payload, &[PROTOCOL])
        .map_err(|_| ApiError::BadRequest("this is no WebSocket handshake".to_owned()))?;
    let messages =
        messages.max_frame_size(MESSAGE_LIMIT).aggregate_continuations().max_continuation_size(MESSAGE_LIMIT);
    let active = request.conn_data::<Connection>().map(Connection::active);
    let socket = Socket { state, session, accepted: Arc::default(), offered: credential, _active: active };
    actix_web::rt::spawn(socket.serve(messages).in_current_span());
    Ok(response)
}

struct Socket {
    state: Data<AppState>,
    session: Session,
    /// What came with the handshake.
    offered: Option<Credential>,
    /// Set once `connection_init` was accepted.
    accepted: Arc<OnceLock<Accepted>>,
    /// Its connection is not idle.
    _active: Option<Active>,
}

/// Whose socket it is.
struct Accepted {
    /// What proved it.
    credential: Credential,
    subject: Subject,
    /// Held until the socket is closed.
    _socket: OwnedSemaphorePermit,
}

/// How it ends: with a reason for the other side, or silently where there is no other side any more.
type End = Option<(u16, String)>;

fn because((code, reason): (u16, &str)) -> End {
    Some((code, reason.to_owned()))
}

impl Socket {
    async fn serve(mut self, mut messages: actix_ws::AggregatedMessageStream) {
        let (to_protocol, from_client) = mpsc::channel(WAITING);
        let end = self.pump(&mut messages, to_protocol, from_client).await;
        if let Some((code, mut reason)) = end {
            reason.truncate(reason.floor_char_boundary(REASON_LIMIT));
            let reason = CloseReason { code: CloseCode::from(code), description: Some(reason) };
            // It may be gone already: then there is nobody to tell.
            drop(self.session.close(Some(reason)).await);
        }
    }

    async fn pump(
        &mut self,
        messages: &mut actix_ws::AggregatedMessageStream,
        mut to_protocol: Sender<String>,
        from_client: mpsc::Receiver<String>,
    ) -> End {
        let executor = Subscriptions::new(self.state.get_ref().clone(), self.accepted.clone());
        let mut protocol = pin!(
            WebSocket::new(executor, from_client, WebSocketProtocols::GraphQLWS).on_connection_init(self.initializer())
        );
        let mut signs = Signs::new();
        let mut pulse = tokio::time::interval(CHECK);
        let stopping = self.state.stopping.clone();
        loop {
            let end = tokio::select! {
                message = messages.next() => {
                    signs.heard = Instant::now();
                    self.take(message, &mut to_protocol).await
                }
                answer = protocol.next() => match answer {
                    Some(WsMessage::Text(text)) => self.send(text).await,
                    // The protocol has one number for every refusal of `connection_init`.
                    Some(WsMessage::Close(_, reason)) if reason == TOO_MANY_SOCKETS.1 => Err(because(TOO_MANY_SOCKETS)),
                    Some(WsMessage::Close(code, reason)) => Err(Some((code, reason))),
                    None => Err(None),
                },
                _ = pulse.tick() => self.check(&mut signs).await,
                () = stopping.cancelled() => Err(because(GOING_AWAY)),
            };
            if let Err(end) = end {
                return end;
            }
        }
    }

    /// Finds out who it is when `connection_init` comes.
    fn initializer(
        &self,
    ) -> impl FnOnce(Value) -> futures::future::BoxFuture<'static, async_graphql::Result<ConnectionData>> + Send + 'static
    {
        let (state, accepted, offered) = (self.state.clone(), self.accepted.clone(), self.offered.clone());
        move |payload| {
            Box::pin(async move {
                let refused = || Error::new(ApiError::Unauthenticated.to_string());
                let sent = payload.get("authorization").or_else(|| payload.get("Authorization"));
                let sent = sent.and_then(Value::as_str).and_then(Credential::of_authorization);
                let credential = sent.or(offered).ok_or_else(refused)?;
                let access = credential.access(&state.services).await.inspect_err(ApiError::log);
                let access = access.map_err(|error| Error::new(error.to_string()))?.ok_or_else(refused)?;
                let subject = access.subject().clone();
                let socket = state.concurrency.socket(&subject).ok_or_else(|| Error::new(TOO_MANY_SOCKETS.1))?;
                accepted.get_or_init(|| Accepted { credential, subject, _socket: socket });
                let mut data = ConnectionData::default();
                data.insert(access);
                Ok(data)
            })
        }
    }

    /// A message of the client.
    async fn take(
        &mut self,
        message: Option<Result<AggregatedMessage, ProtocolError>>,
        to_protocol: &mut Sender<String>,
    ) -> Result<(), End> {
        match message {
            Some(Ok(AggregatedMessage::Text(text))) if json_nesting(text.as_bytes()) > MAX_NESTING => {
                Err(because(TOO_DEEP))
            }
            Some(Ok(AggregatedMessage::Text(text))) => to_protocol.try_send(text.into()).map_err(|_| because(TOO_MANY)),
            Some(Ok(AggregatedMessage::Ping(bytes))) => self.session.pong(&bytes).await.map_err(|_| None),
            Some(Ok(AggregatedMessage::Pong(_))) => Ok(()),
            Some(Ok(AggregatedMessage::Binary(_))) => Err(because(TEXT_ONLY)),
            Some(Err(ProtocolError::Overflow)) => Err(because(TOO_LARGE)),
            Some(Ok(AggregatedMessage::Close(_)) | Err(_)) | None => Err(None),
        }
    }

    async fn send(&mut self, text: String) -> Result<(), End> {
        match tokio::time::timeout(PATIENCE, self.session.text(text)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(None),
        }
    }

    /// Is it still there, and may it still be?
    async fn check(&mut self, signs: &mut Signs) -> Result<(), End> {
        match self.accepted.get() {
            None if signs.opened.elapsed() >= PATIENCE => return Err(because(INIT_TIMEOUT)),
            None => {}
            // With the database away nobody is thrown out.
            Some(Accepted { credential, subject, .. }) => match credential.holder(&self.state.services).await {
                // With another role the socket would go on showing what the old one may see.
                Ok(Some(holder)) if holder.role == subject.role => {}
                Ok(_) => return Err(because(UNAUTHORIZED)),
                Err(_) => {}
            },
        }
        if signs.heard.elapsed() > SILENCE {
            return Err(None);
        }
        if signs.pinged.elapsed() < PING {
            return Ok(());
        }
        signs.pinged = Instant::now();
        self.session.ping(b"").await.map_err(|_| None)
    }
}

/// What was seen of the other side.
struct Signs {
    opened: Instant,
    heard: Instant,
    pinged: Instant,
}

impl Signs {
    fn new() -> Self {
        let now = Instant::now();
        Self { opened: now, heard: now, pinged: now }
    }
}
