//! Requests to the tenant's API, with what has to be done until there is an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use domain::crm::{CrmError, TokenStore, Trouble};
use domain::{Clock, Timestamp, backoff};
use reqwest::header::{HeaderValue, IF_UNMODIFIED_SINCE};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use url::Url;

use super::failure;
use super::settings::{Settings, SettingsError};
use super::tenant::Tenant;
use super::tokens::{Held, Tokens};
use super::transport::{Failure, Reply, Transport};

/// A request is sent so many times at most where that does no harm.
const TRIES: i32 = 3;
/// For one request a token is replaced so many times at most: the one in memory, and one of another process that is dead as well.
const RENEWALS: i32 = 2;

/// A request.
pub(super) struct Call {
    method: Method,
    /// Below `/api/v1/`; made of our own words and of numbers.
    path: String,
    query: Vec<(&'static str, String)>,
    body: Option<(&'static str, Value)>,
    unmodified_since: Option<Timestamp>,
    /// Whether it is to change something.
    changes: bool,
    /// Whether sending it twice comes to the same as once.
    repeatable: bool,
}

impl Call {
    /// Reads something.
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path.into(), false)
    }

    /// Changes something, or does it by a method of an agent.
    pub(super) fn post(path: impl Into<String>, body: Value) -> Self {
        Self { body: Some(("application/json", body)), ..Self::new(Method::POST, path.into(), true) }
    }

    /// Changes parts of something (RFC 6902).
    pub(super) fn patch(path: impl Into<String>, body: Value) -> Self {
        Self { body: Some(("application/json-patch+json", body)), ..Self::new(Method::PATCH, path.into(), true) }
    }

    /// Removes something.
    pub(super) fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path.into(), true)
    }

    fn new(method: Method, path: String, changes: bool) -> Self {
        let repeatable = !changes;
        Self { method, path, query: Vec::new(), body: None, unmodified_since: None, changes, repeatable }
    }

    /// With a parameter.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// Doing it twice comes to the same as doing it once.
    pub(super) const fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    /// It only reads, by a method of an agent.
    pub(super) const fn reading(mut self) -> Self {
        self.changes = false;
        self.repeatable = true;
        self
    }

    /// Only if it was not changed since.
    pub(super) const fn if_unmodified_since(mut self, time: Option<Timestamp>) -> Self {
        self.unmodified_since = time;
        self
    }
}

/// Sends requests as one user of one tenant.
pub(super) struct Client {
    transport: Transport,
    tenant: Tenant,
    tokens: Tokens,
    language: HeaderValue,
    /// Spreads what was refused together.
    seed: AtomicI64,
}

/// What one try came to.
enum Outcome {
    Done(Vec<u8>),
    /// The token was refused.
    Refused(Held),
    /// The tenant is not there any more.
    Moved(Url),
    /// It has too much to do, and did nothing.
    Busy(CrmError),
    /// Whether it did what it was to do is not known.
    Doubtful(CrmError),
    /// It was not sent: that can be tried again.
    Unsent(CrmError),
    /// It was refused, or is to be tried later only.
    Over(CrmError),
}

impl Client {
    pub(super) fn new(
        settings: &Settings,
        clock: &Arc<dyn Clock>,
        store: Arc<dyn TokenStore>,
    ) -> Result<Self, SettingsError> {
        Ok(Self {
            transport: Transport::new(settings, clock.clone())?,
            tenant: Tenant::new(settings, clock.clone()),
            tokens: Tokens::new(settings, store, clock.clone())?,
            language: HeaderValue::from_str(&settings.language).map_err(|_| SettingsError::Language)?,
            seed: AtomicI64::new(0),
        })
    }

    /// Sends a request and reads its answer as JSON; null where there is none.
    pub(super) async fn json(&self, call: &Call) -> Result<Value, CrmError> {
        let body = self.send(call).await?;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|_| CrmError::Unavailable {
            source: Trouble::Unreadable.because("its answer cannot be read"),
            may_have_happened: call.changes,
            retry_after: None,
        })
    }

    /// Sends a request, again where that does no harm.
    pub(super) async fn send(&self, call: &Call) -> Result<Vec<u8>, CrmError> {
        let (mut renewals, mut found, mut tries) = (0, false, 0);
        loop {
            tries += 1;
            let error = match self.once(call).await {
                Outcome::Done(body) => return Ok(body),
                // The first one may have been over for long, and so may one that another process kept meanwhile.
                Outcome::Refused(held) if renewals == 0 || (held.is_kept && renewals < RENEWALS) => {
                    renewals += 1;
                    self.tokens.renew(&held, &self.transport).await?;
                    continue;
                }
                Outcome::Refused(held) if held.is_kept => return Err(failure::others_not_let_in()),
                Outcome::Refused(_) => return Err(failure::not_let_in()),
                Outcome::Moved(from) if !found => {
                    found = true;
                    self.tenant.moved(&from).await;
                    continue;
                }
                Outcome::Moved(_) => return Err(failure::nowhere()),
                // Our next turn is when it said that it may be.
                Outcome::Busy(_) if tries < TRIES => continue,
                Outcome::Doubtful(_) if call.repeatable && tries < TRIES => None,
                Outcome::Unsent(_) if tries < TRIES => None,
                Outcome::Busy(error) | Outcome::Doubtful(error) | Outcome::Unsent(error) | Outcome::Over(error) => {
                    Some(error)
                }
            };
            if let Some(error) = error {
                return Err(error);
            }
            let seed = self.seed.fetch_add(1, Ordering::Relaxed);
            let wait = u64::try_from(backoff::wait_ms(tries, seed)).unwrap_or_default() / 8;
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
    }

    async fn once(&self, call: &Call) -> Outcome {
        let (api, held, request) = match self.prepare(call).await {
            Ok(prepared) => prepared,
            Err(error @ CrmError::Unavailable { retry_after: None, .. }) => return Outcome::Unsent(error),
            Err(error) => return Outcome::Over(error),
        };
        match self.transport.exchange(request).await {
            Ok(reply) => judge(reply, call, held, api),
            Err(failure @ Failure::Doubtful(_)) => Outcome::Doubtful(failure.into_error(call.changes)),
            Err(failure @ Failure::Unsent { retry_after: None, .. }) => Outcome::Unsent(failure.into_error(false)),
            Err(failure) => Outcome::Over(failure.into_error(false)),
        }
    }

    /// What a request needs: where to go, and what lets it in.
    async fn prepare(&self, call: &Call) -> Result<(Url, Held, reqwest::Request), CrmError> {
        let api = self.tenant.api(&self.transport).await?;
        let held = self.tokens.current(&self.transport).await?;
        let request = self.request(&api, &held, call)?;
        Ok((api, held, request))
    }

    fn request(&self, api: &Url, held: &Held, call: &Call) -> Result<reqwest::Request, CrmError> {
        let base = api.as_str().trim_end_matches('/');
        let mut url = Url::parse(&format!("{base}/v1/{}", call.path)).map_err(|_| failure::nowhere())?;
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        let mut request = self
            .transport
            .http
            .request(call.method.clone(), url)
            .header("accept", "application/json")
            .header("accept-language", self.language.clone())
            // Without it times come in the user's own zone, and do not say so.
            .header("so-timezone", "UTC");
        request = self.tokens.authorize(request, held);
        if let Some((kind, body)) = &call.body {
            request = request.header("content-type", *kind).body(body.to_string());
        }
        if let Some(time) = call.unmodified_since {
            request = request.header(IF_UNMODIFIED_SINCE, http_date(time));
        }
        request.build().map_err(|error| CrmError::Unavailable {
            source: error.without_url().into(),
            may_have_happened: false,
            retry_after: None,
        })
    }
}

/// What an answer means.
fn judge(reply: Reply, call: &Call, held: Held, api: Url) -> Outcome {
    let Reply { status, retry_after, body } = reply;
    let unavailable = |may_have_happened: bool| CrmError::Unavailable {
        source: failure::trouble(status, retry_after).because(failure::said(status, &body)),
        may_have_happened,
        retry_after,
    };
    match status {
        _ if status.is_success() => Outcome::Done(body),
        StatusCode::UNAUTHORIZED => Outcome::Refused(held),
        StatusCode::MISDIRECTED_REQUEST => Outcome::Moved(api),
        StatusCode::TOO_MANY_REQUESTS => Outcome::Busy(unavailable(false)),
        _ if status.is_redirection() => Outcome::Over(unavailable(false)),
        _ if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => {
            Outcome::Doubtful(unavailable(call.changes))
        }
        _ => Outcome::Over(failure::refusal(status, &body, call.method.as_str(), &call.path)),
    }
}

/// A time as HTTP writes it, to the second; the next one where it has a fraction, which SuperOffice's own does not have either.
fn http_date(time: Timestamp) -> String {
    let up = time.plus_micros(999_999).seconds();
    Timestamp::from_seconds(up).to_chrono().format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
