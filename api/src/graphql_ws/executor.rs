//! What a socket may run: subscriptions, and not too many at once.

use std::future::ready;
use std::sync::{Arc, OnceLock};

use async_graphql::{Data, Executor, Request, Response, ServerError};
use futures::StreamExt;
use futures::stream::{self, BoxStream};

use super::Accepted;
use crate::AppState;
use crate::graphql::SUBSCRIPTIONS_ONLY;

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
            let limit = self.state.options.max_subscriptions;
            return once(refuse(&format!(
                "too many subscriptions: {limit} of this account are open, and no more are allowed: complete one first"
            )));
        };
        let schema = self.state.schema.clone();
        let responses = self.state.graphql.stream(move |_| schema.execute_stream(request, data.unwrap_or_default()));
        responses
            .map(move |response| {
                let _held_until_the_end = &permit;
                response
            })
            .boxed()
    }
}

fn once(response: Response) -> BoxStream<'static, Response> {
    stream::once(ready(response)).boxed()
}

fn refuse(message: &str) -> Response {
    Response::from_errors(vec![ServerError::new(message, None)])
}
