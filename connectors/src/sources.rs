//! The configured sources: which provider posts to `/ingest/{name}`, how it proves who it is, and what it sent.

mod certificates;
mod replays;
mod settings;
mod source;
mod work;

use std::collections::HashMap;
use std::sync::Arc;

use domain::reading::{Create, DeliveryReader, ReadError, Reading, StoredDelivery};
use domain::source::RejectionReason;
use domain::{Clock, Provider, Timestamp};
use tokio::sync::Semaphore;

use crate::http::Fetch;
use crate::providers::{Handshake, Rejection};
use certificates::Certificates;
use replays::Replays;
use source::{Source, Verdict};
use work::WorkPool;

pub use settings::{SourceSettings, default_campaign_keys, default_recipient_keys};
pub use source::basic_auth_fits;

/// Maximum number of subscriptions being confirmed at once.
const CONFIRMATIONS: usize = 2;

/// A request to `/ingest/{source}`.
pub struct Post {
    /// Names of headers in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, decompressed.
    pub body: Vec<u8>,
    /// The body's share of a memory budget, released when this is dropped.
    pub hold: Box<dyn Send>,
}

/// What came of a request that is authentic.
pub enum Received {
    /// Events, to be stored.
    Events {
        /// Whose format it is.
        provider: Provider,
        /// The request, reduced to the headers that reading needs.
        post: Post,
        /// Why the body is unreadable; `None` if it is readable.
        unreadable: Option<String>,
    },
    /// A set-up request, answered with 200; there is nothing to store.
    Handshake,
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No such source is configured.
    #[error("no source of this name is configured")]
    UnknownSource,
    /// User and password are missing or wrong: the provider is asked for them.
    #[error("user and password are missing or wrong")]
    Credentials,
    /// The signature is missing, wrong or too old.
    #[error(transparent)]
    Signature(#[from] Rejection),
    /// The topic is none of those that are configured.
    #[error("the topic is none of those that are configured in topics")]
    Topic,
    /// The body in which the signature should stand cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// Something outside did not answer; the provider should come again.
    #[error("{0}")]
    Unavailable(String),
}

impl Denied {
    /// The reason, for logs and counts.
    #[must_use]
    pub const fn reason(&self) -> RejectionReason {
        match self {
            Self::UnknownSource => RejectionReason::UnknownSource,
            Self::Credentials => RejectionReason::Credentials,
            Self::Signature(Rejection::Missing(_)) => RejectionReason::SignatureMissing,
            Self::Signature(Rejection::Invalid) => RejectionReason::SignatureInvalid,
            Self::Signature(Rejection::Stale { .. }) => RejectionReason::SignatureExpired,
            Self::Signature(Rejection::Secret(_)) => RejectionReason::SecretUnusable,
            Self::Signature(Rejection::Certificate(_)) => RejectionReason::Certificate,
            Self::Signature(Rejection::Unreadable(_)) | Self::Unreadable(_) => RejectionReason::Unreadable,
            Self::Topic => RejectionReason::Topic,
            Self::Unavailable(_) => RejectionReason::Unavailable,
        }
    }
}

/// All configured sources.
pub struct Sources {
    by_name: HashMap<String, Arc<Source>>,
    certificates: Certificates,
    replays: Arc<Replays>,
    pool: WorkPool,
    /// Limits concurrent confirmations of subscriptions.
    confirmations: Semaphore,
    fetch: Arc<dyn Fetch>,
    clock: Arc<dyn Clock>,
}

impl Sources {
    /// The sources of a configuration that has been checked. `public_url` is where providers reach `/ingest`.
    #[must_use]
    pub fn new(settings: Vec<SourceSettings>, public_url: &str, fetch: Arc<dyn Fetch>, clock: Arc<dyn Clock>) -> Self {
        let source = |settings: SourceSettings| (settings.name.clone(), Arc::new(Source::new(settings, public_url)));
        Self {
            by_name: settings.into_iter().map(source).collect(),
            certificates: Certificates::new(fetch.clone()),
            replays: Arc::default(),
            pool: WorkPool::default(),
            confirmations: Semaphore::new(CONFIRMATIONS),
            fetch,
            clock,
        }
    }

    /// The provider of a source; `None` where no source of that name is configured.
    #[must_use]
    pub fn provider(&self, name: &str) -> Option<Provider> {
        self.by_name.get(name).map(|source| source.settings.provider)
    }

    /// Checks a request's headers before its body is read. Passing is not authentication: [`Sources::receive`] checks everything. Header
    /// names are in lower case.
    ///
    /// # Errors
    /// [`Denied`] if the request would be refused whatever its body is.
    pub fn admit(&self, name: &str, headers: &[(String, String)]) -> Result<(), Denied> {
        let source = self.by_name.get(name).ok_or(Denied::UnknownSource)?;
        source.admit(headers, self.clock.now())
    }

    /// Checks who is posting, answers handshakes, and sees whether the body can be read.
    ///
    /// # Errors
    /// [`Denied`] where nothing is to be stored.
    pub async fn receive(&self, name: &str, mut post: Post) -> Result<Received, Denied> {
        let source = self.by_name.get(name).ok_or(Denied::UnknownSource)?;
        let (now, size) = (self.clock.now(), post.body.len());
        source.admit(&post.headers, now)?;
        let mut certificate = None;
        if source.may_need_a_certificate(&post) {
            let own = source.clone();
            let look = move || own.certificate_url(&post, now).map(|url| (url, post));
            let url;
            (url, post) = self.pool.run(size, look).await??;
            certificate = self.certificate(source, url, now).await?;
        }
        let (own, replays) = (source.clone(), self.replays.clone());
        let judge = move || own.judge(post, certificate.as_deref().map(Vec::as_slice), &replays, now);
        match self.pool.run(size, judge).await?? {
            Verdict::Events { post, unreadable } => {
                Ok(Received::Events { provider: source.settings.provider, post, unreadable })
            }
            Verdict::Handshake(handshake) => self.shake_hands(&source.settings, handshake).await,
        }
    }

    async fn certificate(
        &self,
        source: &Source,
        url: Option<String>,
        now: Timestamp,
    ) -> Result<Option<Arc<Vec<u8>>>, Denied> {
        let Some(url) = url else { return Ok(None) };
        let found = self.certificates.get(&url, now).await;
        found.map(Some).map_err(|error| {
            tracing::warn!(source = source.settings.name, error = %error, "a signing certificate could not be fetched");
            Denied::Unavailable("the signing certificate could not be fetched".to_owned())
        })
    }

    async fn shake_hands(&self, settings: &SourceSettings, handshake: Handshake) -> Result<Received, Denied> {
        match handshake {
            Handshake::Ping => {}
            // Amazon's signature proves nothing here: anyone can point a topic of their own at us. Its name is not logged, since
            // a stranger chose it.
            Handshake::ConfirmSubscription { topic, .. } if !settings.topics.contains(&topic) => {
                tracing::warn!(
                    source = settings.name,
                    "a subscription to a topic that is not allowed was not confirmed"
                );
                return Err(Denied::Topic);
            }
            Handshake::ConfirmSubscription { topic, url } => {
                let _turn = self
                    .confirmations
                    .try_acquire()
                    .map_err(|_| Denied::Unavailable("too many subscriptions are being confirmed".to_owned()))?;
                self.fetch.get(&url).await.map_err(|error| {
                    tracing::warn!(source = settings.name, topic, error = %error, "a subscription could not be confirmed");
                    Denied::Unavailable("the subscription could not be confirmed".to_owned())
                })?;
                tracing::info!(source = settings.name, topic, "a subscription was confirmed");
            }
        }
        Ok(Received::Handshake)
    }
}

impl DeliveryReader for Sources {
    fn read(&self, delivery: &StoredDelivery) -> Result<Reading, ReadError> {
        let source = self.by_name.get(&delivery.source);
        let source = source.ok_or_else(|| ReadError::UnknownSource(delivery.source.clone()))?;
        source.read(delivery)
    }

    fn may_create(&self, source: &str) -> Create {
        self.by_name.get(source).map(|source| source.settings.create).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
