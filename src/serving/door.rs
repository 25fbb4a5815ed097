//! What providers post: checked by the sources, stored by the inbox, before it is answered.

mod rejections;

use std::sync::Arc;

use api::ingest::{IngestDoor, IngestOutcome};
use connectors::sources::{Denied, Post, Received, Sources};
use domain::source::RejectionReason;
use domain::{Clock, Provider};
use futures::future::BoxFuture;
use service::ingest::{Inbox, NewDelivery};
use service::sources::SourceTally;

use self::rejections::Rejections;

/// The way from a request into the inbox.
pub struct Door {
    sources: Arc<Sources>,
    inbox: Inbox,
    rejections: Rejections,
    clock: Arc<dyn Clock>,
}

impl Door {
    /// A door to this inbox; `tally` counts what becomes of requests.
    pub fn new(sources: Arc<Sources>, inbox: Inbox, tally: SourceTally, clock: Arc<dyn Clock>) -> Self {
        Self { sources, inbox, rejections: Rejections::new(tally), clock }
    }

    async fn take(&self, source: &str, post: Post) -> IngestOutcome {
        let (provider, post, unreadable) = match self.sources.receive(source, post).await {
            Ok(Received::Handshake) => {
                self.rejections.accepted(source, self.clock.now());
                return IngestOutcome::Handshake;
            }
            Ok(Received::Events { provider, post, unreadable }) => (provider, post, unreadable),
            Err(denied) => return self.refused(source, denied),
        };
        let received_at = self.clock.now();
        let Post { headers, body, hold } = post;
        let reason = unreadable.clone();
        let delivery = NewDelivery { source: source.to_owned(), provider, received_at, headers, body, unreadable };
        if self.inbox.store_held(delivery, hold).await.is_err() {
            let detail = "the delivery could not be stored";
            self.rejections.rejected(source, RejectionReason::Unavailable, detail, received_at);
            return IngestOutcome::Unavailable;
        }
        match reason {
            None => {
                self.rejections.accepted(source, received_at);
                IngestOutcome::Stored
            }
            Some(reason) => {
                // What cannot be read may hold anything, and so may the reason: the delivery keeps both for admins.
                let detail = "the body is not in the provider's format; it is kept as an unreadable delivery";
                self.rejections.rejected(source, RejectionReason::Unreadable, detail, received_at);
                IngestOutcome::Unreadable(reason)
            }
        }
    }

    fn refused(&self, source: &str, denied: Denied) -> IngestOutcome {
        let detail = match &denied {
            Denied::Unreadable(_) => "the body in which the signature should be cannot be read".to_owned(),
            denied => denied.to_string(),
        };
        self.rejections.rejected(source, denied.reason(), &detail, self.clock.now());
        match denied {
            Denied::UnknownSource => IngestOutcome::UnknownSource,
            Denied::Credentials => IngestOutcome::NotAuthentic { challenge: true },
            Denied::Signature(_) | Denied::Topic => IngestOutcome::NotAuthentic { challenge: false },
            Denied::Unreadable(reason) => IngestOutcome::Unreadable(reason),
            Denied::Unavailable(_) => IngestOutcome::Unavailable,
        }
    }
}

impl IngestDoor for Door {
    fn known(&self, source: &str) -> Option<Provider> {
        self.sources.provider(source)
    }

    fn admit(&self, source: &str, headers: &[(String, String)]) -> Result<(), IngestOutcome> {
        self.sources.admit(source, headers).map_err(|denied| self.refused(source, denied))
    }

    fn not_read(&self, source: &str, reason: RejectionReason, detail: &str) {
        self.rejections.rejected(source, reason, detail, self.clock.now());
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
