//! The configured sources: which provider posts to `/ingest/{name}`, how it proves who it is, and what it sent.

mod certificates;
mod replays;
mod settings;

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::reading::{Create, DeliveryReader, ReadError, Reading, StoredDelivery};
use domain::{Clock, Provider, Timestamp};

use crate::http::Fetch;
use crate::providers::{Handshake, Rejection, Request, signature, sns, webhook};
use certificates::Certificates;
use replays::Replays;

pub use settings::{SourceSettings, default_campaign_keys, default_recipient_keys};

/// What came of a request that is authentic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// Events, to be stored with these headers.
    Events {
        /// Whose format it is.
        provider: Provider,
        /// The headers that reading needs again.
        headers: Vec<(String, String)>,
        /// Why the body cannot be read; `None` where it can.
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
    /// The body in which the signature should stand cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// Something outside did not answer; the provider should come again.
    #[error("{0}")]
    Unavailable(String),
}

struct Source {
    settings: SourceSettings,
    urls: Vec<String>,
}

/// All configured sources.
pub struct Sources {
    by_name: HashMap<String, Source>,
    certificates: Certificates,
    replays: Replays,
    fetch: Arc<dyn Fetch>,
    clock: Arc<dyn Clock>,
}

impl Sources {
    /// The sources of a configuration that has been checked. `public_url` is where providers reach `/ingest`.
    #[must_use]
    pub fn new(settings: Vec<SourceSettings>, public_url: &str, fetch: Arc<dyn Fetch>, clock: Arc<dyn Clock>) -> Self {
        let source = |settings: SourceSettings| {
            let urls = urls(&settings, public_url);
            (settings.name.clone(), Source { settings, urls })
        };
        Self {
            by_name: settings.into_iter().map(source).collect(),
            certificates: Certificates::default(),
            replays: Replays::default(),
            fetch,
            clock,
        }
    }

    /// The provider of a source; `None` where no source of that name is configured.
    #[must_use]
    pub fn provider(&self, name: &str) -> Option<Provider> {
        self.by_name.get(name).map(|source| source.settings.provider)
    }

    /// Checks who is posting, answers handshakes, and sees whether the body can be read. Names of headers are in lower case.
    ///
    /// # Errors
    /// [`Denied`] where nothing is to be stored.
    pub async fn receive(&self, name: &str, headers: &[(String, String)], body: &[u8]) -> Result<Received, Denied> {
        let source = self.by_name.get(name).ok_or(Denied::UnknownSource)?;
        let settings = &source.settings;
        let adapter = webhook(settings.provider);
        let now = self.clock.now();
        let mut request = source.request(headers, body, now);
        if !settings.basic_auth.is_empty() && !basic_auth_fits(&request, &settings.basic_auth) {
            return Err(Denied::Credentials);
        }
        let certificate = self.certificate(source, &request, now).await?;
        request.certificate = certificate.as_deref().map(Vec::as_slice);
        if !settings.secrets.is_empty() || request.certificate.is_some() {
            adapter.verify(&request, &settings.secrets, now).map_err(|rejection| match rejection {
                Rejection::Unreadable(reason) => Denied::Unreadable(reason),
                other => Denied::Signature(other),
            })?;
            self.replays.check(name, adapter.replay_key(&request), body, now)?;
        } else if settings.basic_auth.is_empty() && !settings.insecure {
            // Neither signed nor with credentials: a topic alone is a name that anybody can write.
            return Err(Rejection::Missing("nothing shows where the request comes from").into());
        }
        if !settings.topics.is_empty() && sns::topic(&request).is_none_or(|topic| !settings.topics.contains(&topic)) {
            return Err(Rejection::Missing("the topic is none of those that may post").into());
        }
        match adapter.handshake(&request) {
            Ok(Some(handshake)) => return self.shake_hands(settings, handshake).await,
            Ok(None) => {}
            Err(error) => return Err(Denied::Unreadable(error.to_string())),
        }
        let unreadable = adapter.read(&request).err().map(|error| error.to_string());
        let kept =
            |(name, _): &&(String, String)| name == "content-type" || adapter.kept_headers().contains(&name.as_str());
        let headers = headers.iter().filter(kept).cloned().collect();
        Ok(Received::Events { provider: settings.provider, headers, unreadable })
    }

    /// The certificate that the request's signature is to be checked with, where the scheme has one and no key is pinned.
    async fn certificate(
        &self,
        source: &Source,
        request: &Request<'_>,
        now: Timestamp,
    ) -> Result<Option<Arc<Vec<u8>>>, Denied> {
        let settings = &source.settings;
        // Checked by credentials alone: asked for by `insecure`, or unavoidable with raw delivery.
        if !settings.secrets.is_empty() || settings.insecure || sns::is_raw(request) {
            return Ok(None);
        }
        match webhook(settings.provider).certificate_url(request)? {
            Some(url) => {
                let fetched = self.certificates.get(self.fetch.as_ref(), &url, now).await;
                fetched.map(Some).map_err(|error| {
                    tracing::warn!(source = settings.name, error = %error, "a signing certificate could not be fetched");
                    Denied::Unavailable("the signing certificate could not be fetched".to_owned())
                })
            }
            None => Ok(None),
        }
    }

    async fn shake_hands(&self, settings: &SourceSettings, handshake: Handshake) -> Result<Received, Denied> {
        match handshake {
            Handshake::Ping => {}
            // A signature by Amazon proves nothing: anybody can point a topic of their own at us.
            Handshake::ConfirmSubscription { topic, .. } if !settings.topics.contains(&topic) => {
                tracing::warn!(
                    source = settings.name,
                    topic,
                    "a subscription to a topic that is not allowed was not confirmed"
                );
                return Err(Rejection::Missing("the topic is none of those that may be confirmed").into());
            }
            Handshake::ConfirmSubscription { topic, url } => {
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
        let request = source.request(&delivery.headers, &delivery.body, delivery.received_at);
        webhook(source.settings.provider).read(&request)
    }

    fn may_create(&self, source: &str) -> Create {
        self.by_name.get(source).map(|source| source.settings.create).unwrap_or_default()
    }
}

impl Source {
    fn request<'a>(&'a self, headers: &'a [(String, String)], body: &'a [u8], received_at: Timestamp) -> Request<'a> {
        Request {
            headers,
            body,
            urls: &self.urls,
            received_at,
            campaign_keys: &self.settings.campaign_keys,
            recipient_keys: &self.settings.recipient_keys,
            certificate: None,
        }
    }
}

/// The URLs that the provider may have been configured with: with each pair of credentials, and without.
fn urls(settings: &SourceSettings, public_url: &str) -> Vec<String> {
    let base = settings
        .url
        .clone()
        .unwrap_or_else(|| format!("{}/ingest/{}", public_url.trim_end_matches('/'), settings.name));
    let with_credentials = |pair: &String| {
        let (scheme, rest) = base.split_once("://")?;
        Some(format!("{scheme}://{pair}@{rest}"))
    };
    let mut urls: Vec<String> = settings.basic_auth.iter().filter_map(with_credentials).collect();
    urls.push(base.clone());
    urls
}

/// Whether the request carries one of the `user:password` pairs.
#[must_use]
pub fn basic_auth_fits(request: &Request<'_>, pairs: &[String]) -> bool {
    let given = request.header("authorization").and_then(|value| {
        let (scheme, encoded) = value.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        STANDARD.decode(encoded.trim()).ok()
    });
    let Some(given) = given else { return false };
    pairs.iter().any(|pair| signature::same(pair.as_bytes(), &given))
}

#[cfg(test)]
mod tests;
