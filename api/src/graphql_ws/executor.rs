//! What a socket may run: subscriptions, and not too many at once.

use std::future::ready;
use std::sync::{Arc, OnceLock};

use async_graphql::parser::types::OperationType;
use async_graphql::{Data, Executor, Request, Response, ServerError};
use futures::StreamExt;
use futures::stream::{self, BoxStream};

use super::Accepted;
use crate::AppState;
use crate::graphql::Schema;
use crate::graphql::limits;

const SUBSCRIPTIONS_ONLY: &str = "this socket is for subscriptions; send queries and mutations to POST /graphql";

/// The schema, for one socket. Queries and mutations go over HTTP, where their time is limited.
#[derive(Clone)]
pub struct Subscriptions {
    state: AppState,
    accepted: Arc<OnceLock<Accepted>>,
}

impl Subscriptions {
    /// For a new socket; `accepted` says whose it is once that is known.
    pub const fn new(state: AppState, accepted: Arc<OnceLock<Accepted>>) -> Self {
        Self { state, accepted }
    }
}

impl Executor for Subscriptions {
    async fn execute(&self, _: Request) -> Response {
        refuse(SUBSCRIPTIONS_ONLY)
    }

    fn execute_stream(&self, request: Request, data: Option<Arc<Data>>) -> BoxStream<'static, Response> {
        let Some(accepted) = self.accepted.get() else { return once(refuse(SUBSCRIPTIONS_ONLY)) };
        let Some(permit) = self.state.concurrency.subscription(&accepted.subject) else {
            return once(refuse("too many subscriptions of this account: complete one first"));
        };
        let schema = self.state.schema.clone();
        let responses = self.state.graphql.stream(move |_| subscribe(&schema, request, data));
        responses
            .map(move |response| {
                let _held_until_the_end = &permit;
                response
            })
            .boxed()
    }
}

/// Reads the document and begins its subscription, on a thread for such work.
fn subscribe(schema: &Schema, mut request: Request, data: Option<Arc<Data>>) -> BoxStream<'static, Response> {
    let document = match limits::read(&mut request) {
        Ok(document) => document,
        Err(error) => return once(Response::from_errors(vec![error])),
    };
    if !document.operations.iter().all(|(_, operation)| operation.node.ty == OperationType::Subscription) {
        return once(refuse(SUBSCRIPTIONS_ONLY));
    }
    Executor::execute_stream(schema, request, data)
}

fn once(response: Response) -> BoxStream<'static, Response> {
    stream::once(ready(response)).boxed()
}

fn refuse(message: &str) -> Response {
    Response::from_errors(vec![ServerError::new(message, None)])
}
