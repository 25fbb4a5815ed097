//! Signing certificates, fetched once and kept for a while.
//!
//! Which certificate is wanted says a request that nobody has verified yet, and the URLs of a provider leave room for any number of
//! names. So requests for one certificate share one fetch, few are under way at once, a fetch that failed is not repeated for a while,
//! and strangers cannot make more than a few a minute.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::Timestamp;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};

use crate::http::Fetch;
use crate::providers::sns;

/// How long a certificate is used before it is fetched again, in seconds.
const KEPT_SECONDS: i64 = 24 * 3600;
/// How long a fetch that failed is not tried again, in seconds.
const FAILED_SECONDS: i64 = 60;
/// As many are kept, and as many failures; a provider has a handful, one for each region.
const MOST: usize = 64;
/// As many fetches are under way at once.
const MOST_FETCHES: usize = 4;
/// As many fetches begin within a minute.
const MOST_A_MINUTE: usize = 20;

/// Why there is no certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Fetching it failed, now or a moment ago.
    #[error("it could not be fetched: {0}")]
    Failed(String),
    /// What was fetched is not one.
    #[error("what lies there is no valid certificate with an RSA key")]
    Invalid,
    /// Too many are asked for.
    #[error("too many certificates are asked for at the moment")]
    Busy,
}

type Found = Result<Arc<Vec<u8>>, CertificateError>;
type Fetching = Shared<BoxFuture<'static, Found>>;

/// Certificates by URL. The URLs are checked by the adapters to be the provider's own.
pub struct Certificates {
    fetch: Arc<dyn Fetch>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    fetched: HashMap<String, (Timestamp, Found)>,
    fetching: HashMap<String, Fetching>,
    /// When the latest fetches began, the oldest first.
    begun: VecDeque<Timestamp>,
}

impl Certificates {
    /// Certificates that are fetched with `fetch`.
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
        // Who waited with others finds that the first one has noted it.
        if known.fetching.remove(url).is_some() {
            known.keep(url, now, found.clone());
        }
        found
    }

    /// What is known, or the fetch to wait for.
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
        // Who hung up while their fetch was under way has left it behind.
        self.fetching.retain(|_, fetching| fetching.peek().is_none());
        while self.begun.front().is_some_and(|at| now.since(*at) >= 60_000_000) {
            self.begun.pop_front();
        }
        let may = self.fetching.len() < MOST_FETCHES && self.begun.len() < MOST_A_MINUTE;
        if may {
            self.begun.push_back(now);
        }
        may
    }

    /// Failures make room for certificates, never the other way round.
    fn keep(&mut self, url: &str, now: Timestamp, found: Found) {
        if self.fetched.len() >= MOST {
            self.fetched.retain(|_, (at, found)| now.since(*at) < kept(found) * 1_000_000);
        }
        if self.fetched.len() >= MOST {
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

/// Fetches in a task of its own, which goes on where all who wait for it hang up.
fn fetch(fetch: Arc<dyn Fetch>, url: String, now: Timestamp) -> Fetching {
    let task = tokio::spawn(async move {
        let document = fetch.get(&url).await.map_err(|error| CertificateError::Failed(error.to_string()))?;
        if sns::is_certificate(&document, now) { Ok(Arc::new(document)) } else { Err(CertificateError::Invalid) }
    });
    let ended = |_| Err(CertificateError::Failed("the task ended before it".to_owned()));
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

    /// Answers when it is allowed to; counts.
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
    async fn those_who_want_the_same_certificate_share_a_fetch() {
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
    async fn a_failure_is_remembered_for_a_while() {
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
    async fn strangers_cause_few_fetches_whatever_they_name() {
        let slow = Slow::new(Err(404), 10_000);
        let certificates = Certificates::new(slow.clone());
        for number in 0..1_000 {
            assert!(certificates.get(&format!("u{number}"), NOW).await.is_err());
        }
        assert_eq!(slow.asked(), MOST_A_MINUTE);
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
        assert!(slow.asked() <= 20 * MOST_A_MINUTE);
        let known = certificates.lock();
        assert!(known.fetched.len() <= MOST && known.fetching.is_empty() && known.begun.len() <= MOST_A_MINUTE);
    }

    #[tokio::test]
    async fn few_fetches_are_under_way_at_once_and_go_on_without_those_who_wait() {
        let slow = Slow::new(Ok("sns/certificate.pem"), 0);
        let certificates = Certificates::new(slow.clone());
        for number in 0..10 {
            // Polled once, and given up.
            certificates.get(&format!("u{number}"), NOW).now_or_never();
        }
        assert_eq!(certificates.lock().fetching.len(), MOST_FETCHES);
        slow.gate.add_permits(MOST_FETCHES);
        assert!(certificates.get("u0", NOW).await.is_ok());
        assert_eq!(slow.asked(), MOST_FETCHES);
    }

    #[tokio::test]
    async fn failures_drive_no_certificate_out() {
        let slow = Slow::new(Ok("sns/certificate.pem"), 1);
        let certificates = Certificates::new(slow.clone());
        certificates.get("good", NOW).await.expect("a certificate");
        let mut known = certificates.lock();
        for number in 0..1_000 {
            known.keep(&format!("u{number}"), NOW, Err(CertificateError::Invalid));
        }
        assert!(known.fetched.len() <= MOST && known.still_good("good", NOW).is_some());
    }
}
