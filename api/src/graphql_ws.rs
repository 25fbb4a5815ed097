//! `GET /graphql/ws`: subscriptions, by the protocol graphql-transport-ws.
//!
//! A browser proves itself by its session's cookie, and then has to come from our own pages; a program, and a page of an origin in
//! `allow_origins`, by `{"authorization": "Bearer …"}` in `connection_init`. A socket lives no longer than what it was opened with: a session that ends
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
use crate::auth::{Credential, Origin};
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

/// A message that is none of the protocol's.
const INVALID_MESSAGE: u16 = 4400;

/// Why we close, in the protocol's own numbers and those of WebSocket.
const INIT_TIMEOUT: (u16, &str) = (4408, "Connection initialisation timeout");
const UNAUTHORIZED: (u16, &str) = (4401, "Unauthorized");
const NO_TOKEN: (u16, &str) =
    (4401, "Unauthorized: send {\"authorization\": \"Bearer …\"} with a valid token in connection_init");
const UNAVAILABLE: (u16, &str) = (1013, "this cannot be served at the moment; try again");
const GOING_AWAY: (u16, &str) = (1001, "the server stops");
const TOO_MANY: (u16, &str) = (1008, "too many messages at once");
const TEXT_ONLY: (u16, &str) = (1003, "text only");
const TOO_LARGE: (u16, &str) = (1009, "the message is too large");
const TOO_DEEP: (u16, &str) = (4400, "the message is nested too deep");
/// Too many sockets of an account.
const TOO_MANY_SOCKETS: u16 = 4429;

/// `GET`: opens a socket.
pub async fn connect(state: Data<AppState>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, ApiError> {
    let offered = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL).filter_map(|value| value.to_str().ok());
    if !offered.flat_map(|value| value.split(',')).any(|protocol| protocol.trim() == PROTOCOL) {
        return Err(ApiError::BadRequest(format!("this address speaks the WebSocket protocol {PROTOCOL}")));
    }
    let credential = credential_of(&request, &state)?;
    let (response, session, messages) = actix_ws::handle_with_protocols(&request, payload, &[PROTOCOL])
        .map_err(|_| ApiError::BadRequest("this is no WebSocket handshake".to_owned()))?;
    let messages =
        messages.max_frame_size(MESSAGE_LIMIT).aggregate_continuations().max_continuation_size(MESSAGE_LIMIT);
    let active = request.conn_data::<Connection>().map(Connection::active);
    let socket = Socket {
        state,
        session,
        accepted: Arc::default(),
        refused: Arc::default(),
        offered: credential,
        _active: active,
    };
    actix_web::rt::spawn(socket.serve(messages).in_current_span());
    Ok(response)
}

/// What the handshake itself shows. A session counts for our own pages only; pages of listed origins send a token.
fn credential_of(request: &HttpRequest, state: &AppState) -> Result<Option<Credential>, ApiError> {
    let credential = Credential::of(request, &state.options);
    let is_session = matches!(credential, Some(Credential::Session(_)));
    match Origin::of(request, &state.options) {
        Origin::Own => Ok(credential),
        Origin::Listed => Ok(credential.filter(|_| !is_session)),
        Origin::Program if !is_session => Ok(credential),
        Origin::Program => Err(ApiError::ForeignOrigin),
        Origin::Foreign if is_session => Err(ApiError::ForeignOrigin),
        Origin::Foreign => Err(ApiError::UnlistedOrigin),
    }
}

struct Socket {
    state: Data<AppState>,
    session: Session,
    /// What came with the handshake.
    offered: Option<Credential>,
    /// Set once `connection_init` was accepted.
    accepted: Arc<OnceLock<Accepted>>,
    /// Set once it was refused: why.
    refused: Arc<OnceLock<(u16, String)>>,
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

/// How it ends.
enum End {
    /// The other side is gone: there is nobody to tell.
    Gone,
    /// We close it, for a reason.
    Because(u16, String),
    /// The other side closed it, and is answered with its own number.
    Closed(Option<CloseCode>),
}

fn because((code, reason): (u16, &str)) -> End {
    End::Because(code, reason.to_owned())
}

impl Socket {
    async fn serve(mut self, mut messages: actix_ws::AggregatedMessageStream) {
        let (to_protocol, from_client) = mpsc::channel(WAITING);
        let end = self.pump(&mut messages, to_protocol, from_client).await;
        let reason = match end {
            End::Gone => return,
            End::Because(code, mut reason) => {
                reason.truncate(reason.floor_char_boundary(REASON_LIMIT));
                Some(CloseReason { code: CloseCode::from(code), description: Some(reason) })
            }
            End::Closed(code) => code.map(CloseReason::from),
        };
        // It may be gone already: then there is nobody to tell.
        drop(self.session.close(reason).await);
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
                    Some(WsMessage::Close(code, reason)) => Err(self.end_of(code, reason)),
                    None => Err(End::Gone),
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
        let why = self.refused.clone();
        move |payload| {
            Box::pin(async move {
                let refuse = |(code, reason): (u16, &str)| Error::new(&why.get_or_init(|| (code, reason.to_owned())).1);
                let sent = payload.get("authorization").or_else(|| payload.get("Authorization"));
                let sent = sent.and_then(Value::as_str).and_then(Credential::of_authorization);
                let credential = sent.or(offered).ok_or_else(|| refuse(NO_TOKEN))?;
                let access = credential.access(&state.services).await.inspect_err(ApiError::log);
                let access = access.map_err(|_| refuse(UNAVAILABLE))?.ok_or_else(|| refuse(NO_TOKEN))?;
                let subject = access.subject().clone();
                let socket = state.concurrency.socket(&subject).ok_or_else(|| {
                    let limit = state.options.max_sockets;
                    let reason =
                        format!("{limit} sockets of this account are open, and no more are allowed: close one first");
                    refuse((TOO_MANY_SOCKETS, &reason))
                })?;
                accepted.get_or_init(|| Accepted { credential, subject, _socket: socket });
                let mut data = ConnectionData::default();
                data.insert(access);
                Ok(data)
            })
        }
    }

    /// How it ends where the library closes it. That has numbers of WebSocket for what the protocol has own ones for.
    fn end_of(&self, code: u16, reason: String) -> End {
        match (self.refused.get(), CloseCode::from(code)) {
            (Some((code, reason)), _) => End::Because(*code, reason.clone()),
            (None, CloseCode::Protocol) => End::Because(INVALID_MESSAGE, reason),
            (None, CloseCode::Error) => because(UNAUTHORIZED),
            (None, _) => End::Because(code, reason),
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
            Some(Ok(AggregatedMessage::Ping(bytes))) => self.session.pong(&bytes).await.map_err(|_| End::Gone),
            Some(Ok(AggregatedMessage::Pong(_))) => Ok(()),
            Some(Ok(AggregatedMessage::Binary(_))) => Err(because(TEXT_ONLY)),
            Some(Err(ProtocolError::Overflow)) => Err(because(TOO_LARGE)),
            Some(Ok(AggregatedMessage::Close(reason))) => Err(End::Closed(reason.map(|reason| reason.code))),
            Some(Err(_)) | None => Err(End::Gone),
        }
    }

    async fn send(&mut self, text: String) -> Result<(), End> {
        match tokio::time::timeout(PATIENCE, self.session.text(text)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(End::Gone),
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
            return Err(End::Gone);
        }
        if signs.pinged.elapsed() < PING {
            return Ok(());
        }
        signs.pinged = Instant::now();
        self.session.ping(b"").await.map_err(|_| End::Gone)
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
