//! Signing certificates, fetched once and kept for a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::Timestamp;

use crate::http::{Fetch, FetchError};

/// How long a certificate is used before it is fetched again, in seconds.
const KEPT_SECONDS: i64 = 24 * 3600;
/// As many are kept; a provider has a handful, one for each region.
const MOST: usize = 64;

/// Certificates by URL. The URLs are checked by the adapters to be the provider's own.
#[derive(Default)]
pub struct Certificates(Mutex<HashMap<String, Fetched>>);

type Fetched = (Timestamp, Arc<Vec<u8>>);

impl Certificates {
    /// The certificate at `url`.
    ///
    /// # Errors
    /// [`FetchError`] where it cannot be fetched.
    pub async fn get(&self, fetch: &dyn Fetch, url: &str, now: Timestamp) -> Result<Arc<Vec<u8>>, FetchError> {
        if let Some(known) = self.known(url, now) {
            return Ok(known);
        }
        let fetched = Arc::new(fetch.get(url).await?);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST {
            all.clear();
        }
        all.insert(url.to_owned(), (now, fetched.clone()));
        Ok(fetched)
    }

    fn known(&self, url: &str, now: Timestamp) -> Option<Arc<Vec<u8>>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, certificate) = all.get(url)?;
        (now.since(*at) < KEPT_SECONDS * 1_000_000).then(|| certificate.clone())
    }
}
