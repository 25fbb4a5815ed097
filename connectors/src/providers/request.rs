//! A webhook request as the adapters see it.

use domain::Timestamp;

/// A request to `/ingest/{source}`, its body already decompressed.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Header names in lower case, and their values.
    pub headers: &'a [(String, String)],
    /// The body as it was sent, after content decoding.
    pub body: &'a [u8],
    /// The URLs that the provider may have been configured with (with and without credentials): Mandrill signs them.
    pub urls: &'a [String],
    /// When it was received: the time of events that carry none.
    pub received_at: Timestamp,
    /// The metadata names that may hold the campaign's key, in order of preference.
    pub campaign_keys: &'a [String],
    /// The metadata names that may hold our recipient id, in order of preference.
    pub recipient_keys: &'a [String],
    /// The certificate (PEM or DER) behind [`super::Webhook::certificate_url`], once fetched.
    pub certificate: Option<&'a [u8]>,
}

impl<'a> Request<'a> {
    /// The first header of that name (lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The media type in lower case, without parameters; empty where there is none.
    #[must_use]
    pub fn media_type(&self) -> String {
        let value = self.header("content-type").unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }
}

/// Why a request was not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// There is no signature where there must be one.
    #[error("the signature is missing: {0}")]
    Missing(&'static str),
    /// No configured key fits the signature.
    #[error("the signature does not fit any configured key")]
    Invalid,
    /// The signature is right, but was made too long ago (or in the future).
    #[error("the signature is outside of the replay window of {window_seconds} s")]
    Stale {
        /// The width of the window, in seconds.
        window_seconds: i64,
    },
    /// A configured secret is not usable with this provider.
    #[error("a configured secret cannot be used: {0}")]
    Secret(String),
    /// The certificate that the request names is not the provider's own.
    #[error("the signing certificate is not acceptable: {0}")]
    Certificate(String),
    /// The signature stands in the body, and the body cannot be read.
    #[error("the body cannot be read: {0}")]
    Unreadable(String),
}

/// Refuses times that lie further than `window_seconds` from `now`, in either direction.
///
/// # Errors
/// [`Rejection::Stale`].
pub fn within_window(signed_at: Timestamp, now: Timestamp, window_seconds: i64) -> Result<(), Rejection> {
    if now.since(signed_at).abs() > window_seconds.saturating_mul(1_000_000) {
        return Err(Rejection::Stale { window_seconds });
    }
    Ok(())
}
