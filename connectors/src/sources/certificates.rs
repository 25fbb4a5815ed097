//! A cache of signing certificates.
//!
//! An unverified request names the certificate, and a provider's URL pattern permits any number of names. Therefore requests for the
//! same URL share one fetch, failures are cached, and both concurrent fetches and fetches per minute are limited.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::Timestamp;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};

use crate::http::Fetch;
use crate::providers::sns;

/// Lifetime of a cached certificate, in seconds.
const KEPT_SECONDS: i64 = 24 * 3600;
/// Lifetime of a cached failure, in seconds.
const FAILED_SECONDS: i64 = 60;
/// Maximum number of cached certificates and failures. A provider has a handful of certificates, one per region.
const MAX_ENTRIES: usize = 64;
/// Maximum number of concurrent fetches.
const MAX_FETCHES: usize = 4;
/// Maximum number of fetches started per minute.
const MAX_FETCHES_PER_MINUTE: usize = 20;

/// Why a certificate is not available.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The fetch failed, or a cached failure applies.
    #[error("the fetch failed: {0}")]
    Failed(String),
    /// The document is not a certificate.
    #[error("the document is not a valid certificate with an RSA key")]
    Invalid,
    /// Too many fetches.
    #[error("too many certificates are being fetched")]
    Busy,
}

type Found = Result<Arc<Vec<u8>>, CertificateError>;
type Fetching = Shared<BoxFuture<'static, Found>>;

/// Certificates by URL. The adapters have checked that the URLs belong to the provider.
pub struct Certificates {
    fetch: Arc<dyn Fetch>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    fetched: HashMap<String, (Timestamp, Found)>,
    fetching: HashMap<String, Fetching>,
    /// Start times of the fetches of the last minute, oldest first.
    begun: VecDeque<Timestamp>,
}

impl Certificates {
    /// An empty cache that fetches with `fetch`.
    pub fn new(fetch: Arc<dyn Fetch>) -> Self {
        Self { fetch, known: Mutex::default() }
    }

    /// The certificate at `url`.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub async fn get(&self, url: &str, now: Timestamp) -> Found {
        let fetching = match self.look(url, now) {
            Ok(found) => return found,
            Err(fetching) => fetching,
        };
        let found = fetching.await;
        let mut known = self.lock();
        // Of several waiting requests, the first one stores the result.
        if known.fetching.remove(url).is_some() {
            known.keep(url, now, found.clone());
        }
        found
    }

    /// A cached result, or the fetch to wait for.
    fn look(&self, url: &str, now: Timestamp) -> Result<Found, Fetching> {
        let mut known = self.lock();
        if let Some(found) = known.still_good(url, now) {
            return Ok(found);
        }
        if let Some(fetching) = known.fetching.get(url) {
            return Err(fetching.clone());
        }
        if !known.may_begin(now) {
            return Ok(Err(CertificateError::Busy));
        }
        let fetching = fetch(self.fetch.clone(), url.to_owned(), now);
        known.fetching.insert(url.to_owned(), fetching.clone());
        Err(fetching)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn still_good(&self, url: &str, now: Timestamp) -> Option<Found> {
        let (at, found) = self.fetched.get(url)?;
        (now.since(*at) < kept(found) * 1_000_000).then(|| found.clone())
    }

    fn may_begin(&mut self, now: Timestamp) -> bool {
        // Drop finished fetches whose requests were cancelled.
        self.fetching.retain(|_, fetching| fetching.peek().is_none());
        while self.begun.front().is_some_and(|at| now.since(*at) >= 60_000_000) {
            self.begun.pop_front();
        }
        let may = self.fetching.len() < MAX_FETCHES && self.begun.len() < MAX_FETCHES_PER_MINUTE;
        if may {
            self.begun.push_back(now);
        }
        may
    }

    /// Stores a result. A full cache evicts failures, never valid certificates.
    fn keep(&mut self, url: &str, now: Timestamp, found: Found) {
        if self.fetched.len() >= MAX_ENTRIES {
            self.fetched.retain(|_, (at, found)| now.since(*at) < kept(found) * 1_000_000);
        }
        if self.fetched.len() >= MAX_ENTRIES {
            let failed = self.fetched.iter().filter(|(_, (_, found))| found.is_err());
            let oldest = failed.min_by_key(|(_, (at, _))| *at).map(|(url, _)| url.clone());
            match oldest {
                Some(oldest) => self.fetched.remove(&oldest),
                None => return,
            };
        }
        self.fetched.insert(url.to_owned(), (now, found));
    }
}

fn kept(found: &Found) -> i64 {
    if found.is_ok() { KEPT_SECONDS } else { FAILED_SECONDS }
}

/// Fetches in a separate task, which completes even if all waiting requests are cancelled.
fn fetch(fetch: Arc<dyn Fetch>, url: String, now: Timestamp) -> Fetching {
    let task = tokio::spawn(async move {
        let document = fetch.get(&url).await.map_err(|error| CertificateError::Failed(error.to_string()))?;
        if sns::is_certificate(&document, now) { Ok(Arc::new(document)) } else { Err(CertificateError::Invalid) }
    });
    let ended = |_| Err(CertificateError::Failed("the task was cancelled".to_owned()));
    let found = async move { task.await.unwrap_or_else(ended) };
    found.boxed().shared()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;
    use crate::http::FetchError;

    const NOW: Timestamp = Timestamp::from_seconds(1_893_456_000);

    /// Answers once a permit is available, and counts requests.
    struct Slow {
        asked: AtomicUsize,
        gate: Semaphore,
        answer: Result<Vec<u8>, u16>,
    }

    impl Slow {
        fn new(answer: Result<&str, u16>, open: usize) -> Arc<Self> {
            let answer = answer.map(crate::providers::tests::fixture);
            Arc::new(Self { asked: AtomicUsize::new(0), gate: Semaphore::new(open), answer })
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::SeqCst)
        }
    }

    impl Fetch for Slow {
        fn get<'a>(&'a self, _url: &'a str) -> BoxFuture<'a, Result<Vec<u8>, FetchError>> {
            Box::pin(async {
                self.asked.fetch_add(1, Ordering::SeqCst);
                self.gate.acquire().await.expect("open").forget();
                self.answer.clone().map_err(FetchError::Status)
            })
        }
    }

    #[tokio::test]
    async fn requests_for_one_certificate_share_a_fetch() {
        let slow = Slow::new(Ok("sns/certificate.pem"), 1);
        let certificates = Certificates::new(slow.clone());
        let found = futures::future::join_all((0..50).map(|_| certificates.get("u", NOW))).await;
        assert!(found.iter().all(Result::is_ok));
        assert_eq!(slow.asked(), 1);
        assert!(certificates.get("u", NOW.plus_seconds(KEPT_SECONDS - 1)).await.is_ok());
        assert_eq!(slow.asked(), 1);
        slow.gate.add_permits(1);
        assert!(certificates.get("u", NOW.plus_seconds(KEPT_SECONDS)).await.is_ok());
        assert_eq!(slow.asked(), 2);
    }

    #[tokio::test]
    async fn failures_are_cached() {
        for answer in [Err(302), Ok("sns/public-key.pem")] {
            let slow = Slow::new(answer, 2);
            let certificates = Certificates::new(slow.clone());
            let first = certificates.get("u", NOW).await;
            assert!(first.is_err());
            assert_eq!(certificates.get("u", NOW.plus_seconds(59)).await, first);
            assert_eq!(slow.asked(), 1);
            assert!(certificates.get("u", NOW.plus_seconds(60)).await.is_err());
            assert_eq!(slow.asked(), 2);
        }
    }

    #[tokio::test]
    async fn distinct_urls_cause_a_bounded_number_of_fetches() {
        let slow = Slow::new(Err(404), 10_000);
        let certificates = Certificates::new(slow.clone());
        for number in 0..1_000 {
            assert!(certificates.get(&format!("u{number}"), NOW).await.is_err());
        }
        assert_eq!(slow.asked(), MAX_FETCHES_PER_MINUTE);
        assert_eq!(certificates.get("one more", NOW).await, Err(CertificateError::Busy));
        for minute in 1..20 {
            let now = NOW.plus_seconds(60 * minute);
            futures::future::join_all((0..100).map(|number| {
                let url = format!("m{minute}u{number}");
                let certificates = &certificates;
                async move { certificates.get(&url, now).await }
            }))
            .await;
        }
        assert!(slow.asked() <= 20 * MAX_FETCHES_PER_MINUTE);
        let known = certificates.lock();
        assert!(
            known.fetched.len() <= MAX_ENTRIES
                && known.fetching.is_empty()
                && known.begun.len() <= MAX_FETCHES_PER_MINUTE
        );
    }

    #[tokio::test]
    async fn concurrent_fetches_are_limited_and_survive_cancelled_requests() {
        let slow = Slow::new(Ok("sns/certificate.pem"), 0);
        let certificates = Certificates::new(slow.clone());
        for number in 0..10 {
            // Polled once, then cancelled.
            certificates.get(&format!("u{number}"), NOW).now_or_never();
        }
        assert_eq!(certificates.lock().fetching.len(), MAX_FETCHES);
        slow.gate.add_permits(MAX_FETCHES);
        assert!(certificates.get("u0", NOW).await.is_ok());
        assert_eq!(slow.asked(), MAX_FETCHES);
    }

    #[tokio::test]
    async fn failures_do_not_evict_certificates() {
        let slow = Slow::new(Ok("sns/certificate.pem"), 1);
        let certificates = Certificates::new(slow.clone());
        certificates.get("good", NOW).await.expect("a certificate");
        let mut known = certificates.lock();
        for number in 0..1_000 {
            known.keep(&format!("u{number}"), NOW, Err(CertificateError::Invalid));
        }
        assert!(known.fetched.len() <= MAX_ENTRIES && known.still_good("good", NOW).is_some());
    }
}
