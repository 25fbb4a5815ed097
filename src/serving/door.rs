//! What providers post: checked by the sources, stored by the inbox, before it is answered.

use std::sync::Arc;

use api::ingest::{IngestDoor, IngestOutcome};
use connectors::sources::{Denied, Post, Received, Sources};
use domain::{Clock, Provider};
use futures::future::BoxFuture;
use service::ingest::{Inbox, NewDelivery};

/// The way from a request into the inbox.
pub struct Door {
    sources: Arc<Sources>,
    inbox: Inbox,
    clock: Arc<dyn Clock>,
}

impl Door {
    /// A door to this inbox.
    pub fn new(sources: Arc<Sources>, inbox: Inbox, clock: Arc<dyn Clock>) -> Self {
        Self { sources, inbox, clock }
    }

    async fn take(&self, source: &str, post: Post) -> IngestOutcome {
        let (provider, post, unreadable) = match self.sources.receive(source, post).await {
            Ok(Received::Handshake) => return IngestOutcome::Handshake,
            Ok(Received::Events { provider, post, unreadable }) => (provider, post, unreadable),
            Err(denied) => return refused(source, denied),
        };
        let outcome = unreadable.clone().map_or(IngestOutcome::Stored, IngestOutcome::Unreadable);
        let received_at = self.clock.now();
        let Post { headers, body, hold } = post;
        let delivery = NewDelivery { source: source.to_owned(), provider, received_at, headers, body, unreadable };
        match self.inbox.store_held(delivery, hold).await {
            Ok(()) => outcome,
            Err(_lost) => IngestOutcome::Unavailable,
        }
    }
}

fn refused(source: &str, denied: Denied) -> IngestOutcome {
    match denied {
        Denied::UnknownSource => IngestOutcome::UnknownSource,
        Denied::Credentials => {
            tracing::warn!(source, "a request without valid credentials was refused");
            IngestOutcome::NotAuthentic { challenge: true }
        }
        Denied::Signature(rejection) => {
            tracing::warn!(source, reason = %rejection, "a request that is not authentic was refused");
            IngestOutcome::NotAuthentic { challenge: false }
        }
        Denied::Unreadable(reason) => IngestOutcome::Unreadable(reason),
        Denied::Unavailable(_) => IngestOutcome::Unavailable,
    }
}

impl IngestDoor for Door {
    fn known(&self, source: &str) -> Option<Provider> {
        self.sources.provider(source)
    }

    fn admit(&self, source: &str, headers: &[(String, String)]) -> Result<(), IngestOutcome> {
        self.sources.admit(source, headers).map_err(|denied| refused(source, denied))
    }

    fn receive<'a>(
        &'a self,
        source: &'a str,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
        hold: Box<dyn Send>,
    ) -> BoxFuture<'a, IngestOutcome> {
        Box::pin(self.take(source, Post { headers, body, hold }))
    }
}
