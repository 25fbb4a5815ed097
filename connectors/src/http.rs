//! The one way out: fetching a document over HTTPS.

use futures::future::BoxFuture;

/// Why a document could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The request failed or was answered with an error.
    #[error("the request failed")]
    Request(#[from] reqwest::Error),
    /// The status is not 200; redirects are not followed.
    #[error("the answer has the status {0}")]
    Status(u16),
    /// The answer is larger than any document that we ask for.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The HTTP client could not be made.
    #[error("{0}")]
    Unavailable(String),
}

/// Fetches documents; replaced in tests.
pub trait Fetch: Send + Sync + 'static {
    /// The document at `url`, which the caller has checked to be one that may be asked for.
    fn get<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Vec<u8>, FetchError>>;
}

/// The largest document that is accepted: certificates and confirmations are a few kilobytes.
const MAX_BYTES: usize = 64 * 1024;

/// Fetches over HTTPS, without redirects and cookies, within ten seconds (five to connect).
#[derive(Clone, Debug)]
pub struct HttpsFetch(reqwest::Client);

impl HttpsFetch {
    /// A client that speaks HTTPS only.
    ///
    /// # Errors
    /// [`FetchError`] where the TLS set-up of the machine is unusable.
    pub fn try_new() -> Result<Self, FetchError> {
        let client = reqwest::Client::builder()
            .https_only(true)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(std::time::Duration::from_secs(10))
            .connect_timeout(std::time::Duration::from_secs(5))
            .user_agent(concat!("nachfass/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self(client))
    }
}

impl Fetch for HttpsFetch {
    fn get<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Vec<u8>, FetchError>> {
        Box::pin(async move {
            let mut response = self.0.get(url).send().await?;
            if response.status() != reqwest::StatusCode::OK {
                return Err(FetchError::Status(response.status().as_u16()));
            }
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await? {
                if body.len() + chunk.len() > MAX_BYTES {
                    return Err(FetchError::TooLarge(MAX_BYTES));
                }
                body.extend_from_slice(&chunk);
            }
            Ok(body)
        })
    }
}
