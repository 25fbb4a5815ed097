//! Requests on their way: no faster than may be, nowhere else, and left alone for a while where nothing answers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::Clock;
use domain::crm::{CrmError, Trouble};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use tokio::time::Instant;

use super::circuit::Circuit;
use super::failure;
use super::pace::Pace;
use super::settings::{NotAllowed, Places, Settings, SettingsError};

/// The largest answer that is read: a page of 1,000 persons has less than one of them.
const MAX_BYTES: usize = 16 << 20;
/// Whoever would wait longer than that for their turn, in microseconds, is told to come again.
const MAX_WAIT: i64 = 20_000_000;
/// For so many seconds nothing is sent where SuperOffice has too much to do, and does not say for how long.
const PAUSE: u32 = 2;
/// No longer than that is waited because SuperOffice says so, in seconds.
const MAX_PAUSE: u32 = 3_600;

/// Why something failed.
pub(super) type Source = Box<dyn std::error::Error + Send + Sync>;

/// An answer as it came.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    /// In seconds.
    pub(super) retry_after: Option<u32>,
    pub(super) body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nothing was sent.
    Unsent { source: Source, retry_after: Option<u32> },
    /// Something was sent, and no whole answer came.
    Doubtful(Source),
    /// It must not go there.
    NotAllowed(NotAllowed),
}

impl Failure {
    /// As who asked the CRM is told; `changes` where the request was to change something.
    pub(super) fn into_error(self, changes: bool) -> CrmError {
        match self {
            Self::Unsent { source, retry_after } => {
                CrmError::Unavailable { source, may_have_happened: false, retry_after }
            }
            Self::Doubtful(source) => CrmError::Unavailable { source, may_have_happened: changes, retry_after: None },
            Self::NotAllowed(why) => CrmError::NoAccess(why.to_string()),
        }
    }
}

/// The way out, shared by all requests.
pub(super) struct Transport {
    pub(super) http: reqwest::Client,
    places: Places,
    pace: Mutex<Pace>,
    circuit: Mutex<Circuit>,
    /// What was wrong the last time that it failed: it is what keeps the circuit open.
    trouble: Mutex<Option<Trouble>>,
    /// What the pace counts from: it must go on where a test stops the clock.
    began: Instant,
    clock: Arc<dyn Clock>,
}

impl Transport {
    pub(super) fn new(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Self, SettingsError> {
        let here = settings.login_url.scheme() == "http";
        let mut http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(settings.timeout)
            .connect_timeout(settings.timeout.min(Duration::from_secs(10)))
            .user_agent(concat!("nachfass/", env!("CARGO_PKG_VERSION")));
        // No proxy reaches this machine.
        http = if here { http.no_proxy() } else { http.https_only(true) };
        Ok(Self {
            http: http.build().map_err(SettingsError::Http)?,
            places: settings.places(),
            pace: Mutex::new(Pace::new(settings.requests_per_second.get())),
            circuit: Mutex::new(Circuit::new()),
            trouble: Mutex::new(None),
            began: Instant::now(),
            clock,
        })
    }

    /// Whether requests may go to this URL.
    pub(super) fn check(&self, url: &url::Url) -> Result<(), NotAllowed> {
        self.places.check(url)
    }

    /// Sends a request when it is its turn, and reads the answer, whatever its status is.
    pub(super) async fn exchange(&self, request: reqwest::Request) -> Result<Reply, Failure> {
        self.places.check(request.url()).map_err(Failure::NotAllowed)?;
        self.turn().await?;
        if let Err(micros) = lock(&self.circuit).ask(self.clock.now()) {
            let why = lock(&self.trouble).unwrap_or(Trouble::Fault);
            let source = why.because("it has not answered lately, and is left alone for a while");
            return Err(Failure::Unsent { source, retry_after: Some(seconds(micros)) });
        }
        let (method, route, began) = (request.method().clone(), route(request.url()), Instant::now());
        let reply = match self.http.execute(request).await {
            Ok(response) => read(response, self.clock.now().seconds()).await,
            Err(error) if error.is_connect() || error.is_builder() => {
                Err(Failure::Unsent { source: broken(error), retry_after: None })
            }
            Err(error) => Err(Failure::Doubtful(broken(error))),
        };
        let status = reply.as_ref().ok().map(|reply| reply.status.as_u16());
        let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(%method, route, status, duration_ms, "SuperOffice was asked");
        self.learn(&reply);
        reply
    }

    async fn turn(&self) -> Result<(), Failure> {
        let turn = lock(&self.pace).take(self.elapsed(), MAX_WAIT);
        match turn {
            Ok(wait) => {
                let wait = Duration::from_micros(u64::try_from(wait).unwrap_or_default());
                if !wait.is_zero() {
                    tokio::time::sleep(wait).await;
                }
                Ok(())
            }
            Err(wait) => {
                let source = Trouble::Pause.because("it asked for a pause");
                Err(Failure::Unsent { source, retry_after: Some(seconds(wait)) })
            }
        }
    }

    /// What an answer, or none, says about how SuperOffice is doing.
    fn learn(&self, reply: &Result<Reply, Failure>) {
        let is_fine = matches!(reply, Ok(reply) if !reply.status.is_server_error());
        if !is_fine {
            *lock(&self.trouble) = match reply {
                Ok(reply) => Some(failure::trouble(reply.status, reply.retry_after)),
                Err(Failure::Unsent { source, .. } | Failure::Doubtful(source)) => Trouble::of(source.as_ref()),
                Err(Failure::NotAllowed(_)) => None,
            };
        }
        let mut circuit = lock(&self.circuit);
        if is_fine {
            circuit.succeeded();
        } else if circuit.failed(self.clock.now()) {
            tracing::warn!("SuperOffice does not answer, and is left alone for a while");
        }
        drop(circuit);
        let Ok(reply) = reply else { return };
        let pause = match reply.status {
            StatusCode::TOO_MANY_REQUESTS => reply.retry_after.unwrap_or(PAUSE),
            StatusCode::SERVICE_UNAVAILABLE => reply.retry_after.unwrap_or_default(),
            _ => 0,
        };
        if pause > 0 {
            let micros = i64::from(pause.min(MAX_PAUSE)).saturating_mul(1_000_000);
            lock(&self.pace).pause(self.elapsed().saturating_add(micros));
        }
    }

    fn elapsed(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_micros()).unwrap_or(i64::MAX)
    }
}

/// Why there is no answer: what is wrong, and the library's own words for the log.
fn broken(error: reqwest::Error) -> Source {
    failure::broken(&error).because(error.without_url())
}

/// The path without what differs from one person to the next: without ids.
fn route(url: &url::Url) -> String {
    let is_id = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<&str> = url.path().split('/').map(|part| if is_id(part) { "{id}" } else { part }).collect();
    parts.join("/")
}

/// The answer, as far as it may go. `now` is in seconds since 1970.
async fn read(mut response: reqwest::Response, now: i64) -> Result<Reply, Failure> {
    let status = response.status();
    let retry_after = retry_after(response.headers(), now);
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => break,
            // That it was done, or not, is said by the status alone.
            Err(_) if status != StatusCode::OK && status != StatusCode::CREATED => break,
            Err(error) => return Err(Failure::Doubtful(broken(error))),
        }
        if body.len() > MAX_BYTES {
            let source = format!("its answer is larger than {MAX_BYTES} bytes");
            return Err(Failure::Doubtful(Trouble::Unreadable.because(source)));
        }
    }
    Ok(Reply { status, retry_after, body })
}

/// `Retry-After` in seconds from now: a number of them, or a date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap, now: i64) -> Option<u32> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    let at = chrono::DateTime::parse_from_rfc2822(text).ok()?.timestamp();
    u32::try_from(at.saturating_sub(now).max(0)).ok()
}

fn seconds(micros: i64) -> u32 {
    u32::try_from(micros.saturating_add(999_999).div_euclid(1_000_000)).unwrap_or(u32::MAX)
}

/// A lock that is held for a moment; whoever panicked with it left nothing half done.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_names_nobody() {
        let url = "https://x.superoffice.com/Cust1/api/v1/Person/25?$filter=x".parse().expect("a URL");
        assert_eq!(route(&url), "/Cust1/api/v1/Person/{id}");
    }

    #[test]
    fn a_time_to_come_again_is_seconds_or_a_date() {
        let read = |text: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().expect("a value"))]);
            retry_after(&headers, 1_445_412_470)
        };
        assert_eq!(read("7"), Some(7));
        assert_eq!(read("Wed, 21 Oct 2015 07:28:00 GMT"), Some(10));
        assert_eq!(read("Wed, 21 Oct 2014 07:28:00 GMT"), None, "a day of the week that was none");
        assert_eq!(read("Tue, 21 Oct 2014 07:28:00 GMT"), Some(0));
        assert_eq!(read("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new(), 0), None);
    }
}
