//! A single source: how it authenticates and reads requests.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::Timestamp;
use domain::reading::{ReadError, Reading, StoredDelivery};

use super::replays::Replays;
use super::{Denied, Post, SourceSettings};
use crate::providers::{Handshake, Rejection, Request, Webhook, signature, sns, webhook};

/// A configured source.
pub struct Source {
    pub(super) settings: SourceSettings,
    urls: Vec<String>,
}

/// The content of an authentic request.
pub enum Verdict {
    /// Events, to be stored.
    Events {
        /// The request, reduced to the headers that reading needs.
        post: Post,
        /// Why the body is unreadable; `None` if it is readable.
        unreadable: Option<String>,
    },
    /// A set-up request.
    Handshake(Handshake),
}

impl Source {
    pub(super) fn new(settings: SourceSettings, public_url: &str) -> Self {
        let urls = urls(&settings, public_url);
        Self { settings, urls }
    }

    fn adapter(&self) -> &'static dyn Webhook {
        webhook(self.settings.provider)
    }

    /// Checks what the headers alone can prove or disprove.
    pub(super) fn admit(&self, headers: &[(String, String)], now: Timestamp) -> Result<(), Denied> {
        let settings = &self.settings;
        let head = self.request(headers, &[], now);
        if !settings.basic_auth.is_empty() && !basic_auth_fits(&head, &settings.basic_auth) {
            return Err(Denied::Credentials);
        }
        if !settings.secrets.is_empty() {
            self.adapter().precheck(&head, &settings.secrets, now)?;
        }
        // SNS repeats the topic in a header. If that names another topic, no body can be acceptable.
        let other = |topic: &str| !settings.topics.iter().any(|allowed| allowed == topic);
        if !settings.topics.is_empty() && head.header(sns::TOPIC).is_some_and(other) {
            return Err(Denied::Topic);
        }
        Ok(())
    }

    /// Whether the signature may have to be checked with a fetched certificate: not if the key is pinned, and not if the request is
    /// authenticated by credentials alone (`insecure`, or raw delivery, which is unsigned).
    pub(super) fn may_need_a_certificate(&self, post: &Post) -> bool {
        let head = self.request(&post.headers, &[], Timestamp::from_seconds(0));
        let pinned = !self.settings.secrets.is_empty() || self.settings.insecure;
        self.adapter().has_certificates() && !pinned && !sns::is_raw(&head)
    }

    /// URL of the certificate that verifies the request. Only allowed topics get this far.
    pub(super) fn certificate_url(&self, post: &Post, now: Timestamp) -> Result<Option<String>, Denied> {
        let request = self.request(&post.headers, &post.body, now);
        self.check_topic(&request)?;
        Ok(self.adapter().certificate_url(&request)?)
    }

    /// Verifies the request and determines its content.
    pub(super) fn judge(
        &self,
        mut post: Post,
        certificate: Option<&[u8]>,
        replays: &Replays,
        now: Timestamp,
    ) -> Result<Verdict, Denied> {
        let (settings, adapter) = (&self.settings, self.adapter());
        let mut request = self.request(&post.headers, &post.body, now);
        request.certificate = certificate;
        if !settings.secrets.is_empty() || certificate.is_some() {
            adapter.verify(&request, &settings.secrets, now).map_err(|rejection| match rejection {
                Rejection::Unreadable(reason) => Denied::Unreadable(reason),
                other => Denied::Signature(other),
            })?;
            replays.check(&settings.name, adapter.replay_key(&request), &post.body, now)?;
        } else if settings.basic_auth.is_empty() && !settings.insecure {
            // Neither signed nor with credentials: a topic alone is a name that anybody can write.
            return Err(Rejection::Missing("nothing shows where the request comes from").into());
        }
        self.check_topic(&request)?;
        match adapter.handshake(&request) {
            Ok(Some(handshake)) => return Ok(Verdict::Handshake(handshake)),
            Ok(None) => {}
            Err(error) => return Err(Denied::Unreadable(error.to_string())),
        }
        let unreadable = adapter.read(&request).err().map(|error| error.to_string());
        let kept = |name: &str| name == "content-type" || adapter.kept_headers().contains(&name);
        post.headers.retain(|(name, _)| kept(name));
        Ok(Verdict::Events { post, unreadable })
    }

    fn check_topic(&self, request: &Request<'_>) -> Result<(), Denied> {
        let topics = &self.settings.topics;
        if !topics.is_empty() && sns::topic(request).is_none_or(|topic| !topics.contains(&topic)) {
            return Err(Denied::Topic);
        }
        Ok(())
    }

    /// The events of a stored request.
    pub(super) fn read(&self, delivery: &StoredDelivery) -> Result<Reading, ReadError> {
        self.adapter().read(&self.request(&delivery.headers, &delivery.body, delivery.received_at))
    }

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
pub(super) fn urls(settings: &SourceSettings, public_url: &str) -> Vec<String> {
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
