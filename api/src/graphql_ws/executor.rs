//! What a socket may run: subscriptions, and not too many at once.

use std::future::ready;
use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use async_graphql::{Data, Executor, Request, Response, ServerError};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::sync::Semaphore;

use crate::graphql::Schema;

/// Subscriptions that one socket may have open.
const AT_ONCE: usize = 50;

/// The schema, for one socket. Queries and mutations go over HTTP, where their time is limited.
#[derive(Clone)]
pub struct Subscriptions {
    schema: Schema,
    free: Arc<Semaphore>,
}

impl Subscriptions {
    /// For a new socket.
    pub fn new(schema: Schema) -> Self {
        Self { schema, free: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Executor for Subscriptions {
    async fn execute(&self, _: Request) -> Response {
        refuse("this socket is for subscriptions; send queries and mutations to POST /graphql")
    }

    fn execute_stream(&self, mut request: Request, data: Option<Arc<Data>>) -> BoxStream<'static, Response> {
        if !is_subscription(&mut request) {
            return once("this socket is for subscriptions; send queries and mutations to POST /graphql");
        }
        let Ok(permit) = self.free.clone().try_acquire_owned() else {
            return once("too many subscriptions on this socket");
        };
        let responses = Executor::execute_stream(&self.schema, request, data);
        responses
            .map(move |response| {
                let _held_until_the_end = &permit;
                response
            })
            .boxed()
    }
}

/// What cannot be parsed passes: the schema says what is wrong with it.
fn is_subscription(request: &mut Request) -> bool {
    request.parsed_query().map_or(true, |document| {
        document.operations.iter().all(|(_, operation)| operation.node.ty == OperationType::Subscription)
    })
}

fn once(message: &str) -> BoxStream<'static, Response> {
    stream::once(ready(refuse(message))).boxed()
}

fn refuse(message: &str) -> Response {
    Response::from_errors(vec![ServerError::new(message, None)])
}
