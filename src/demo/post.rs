//! Posting the requests as providers do: some at once, over connections that are kept, and again where the answer was 503.

use std::time::Duration;

use domain::Clock;
use futures::{StreamExt, stream};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::dice::HOUR;
use super::story::END;
use super::stream::{Plan, Posting};
use super::{Demo, DemoError, Progress, Speed, Totals, beginning};

/// As many requests are under way at most.
const AT_ONCE: usize = 16;
/// A request is tried so often.
const ATTEMPTS: u32 = 30;
/// The first wait before trying again; it doubles each time …
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// … up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// As long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Posts the whole demo to `{base_url}/ingest/{source}`. Returns what was posted, also where it was cancelled.
///
/// `progress` is called after each request that was accepted.
///
/// # Errors
/// [`DemoError`] where a request is refused, or nobody answers for a minute or two.
pub async fn post(
    base_url: &str,
    demo: Demo,
    clock: &dyn Clock,
    mut progress: impl FnMut(&Progress),
    cancelled: &CancellationToken,
) -> Result<Totals, DemoError> {
    let poster = Poster { client: client()?, base_url: base_url.trim_end_matches('/') };
    let now = clock.now();
    let plan = tokio::task::spawn_blocking(move || Plan::new(demo.seed)).await.map_err(|_| DemoError::Plan)?;
    let (all_requests, all_events) = (plan.requests(), plan.events());
    let pace = Pace { begun: Instant::now(), speed: demo.speed };
    let turns = stream::unfold(plan.postings(beginning(now), now), |mut postings| async move {
        let posting = postings.next()?;
        if let Some(due) = pace.due(posting.at) {
            sleep_until(due).await;
        }
        Some((posting, postings))
    });
    let mut answers = std::pin::pin!(turns.map(|posting| poster.post(posting)).buffer_unordered(AT_ONCE));
    let mut totals = Totals::default();
    loop {
        let answer = tokio::select! {
            biased;
            () = cancelled.cancelled() => {
                totals.is_cancelled = true;
                return Ok(totals);
            }
            answer = answers.next() => answer,
        };
        let Some(answer) = answer else { return Ok(totals) };
        let accepted = answer?;
        totals.requests += 1;
        totals.events += u64::from(accepted.events);
        totals.retries += u64::from(accepted.retries);
        progress(&Progress { totals, hour: accepted.at / HOUR, all_requests, all_events });
    }
}

/// A client for plain HTTP nearby: no proxy, and connections enough for all requests that are under way.
fn client() -> Result<Client, DemoError> {
    // The client wants to know how to encrypt although it never will. Whoever came first has settled it.
    rustls::crypto::ring::default_provider().install_default().ok();
    let builder = Client::builder().no_proxy().timeout(TIMEOUT).pool_max_idle_per_host(AT_ONCE);
    builder.redirect(reqwest::redirect::Policy::none()).build().map_err(DemoError::Client)
}

/// How the time of the demo passes.
#[derive(Clone, Copy)]
struct Pace {
    begun: Instant,
    speed: Speed,
}

impl Pace {
    /// When it is `at` in the demo; `None` where nobody waits for that.
    fn due(self, at: i64) -> Option<Instant> {
        let Speed::Within(whole) = self.speed else { return None };
        let seconds = |millis: i64| u32::try_from(millis / 1_000).unwrap_or_default();
        Some(self.begun + whole.saturating_mul(seconds(at.clamp(0, END))) / seconds(END).max(1))
    }
}

/// A request that was accepted.
struct Accepted {
    at: i64,
    events: u32,
    retries: u32,
}

struct Poster<'a> {
    client: Client,
    base_url: &'a str,
}

impl Poster<'_> {
    /// Posts until it is accepted or there is no hope.
    async fn post(&self, posting: Posting) -> Result<Accepted, DemoError> {
        let source = posting.channel.source();
        let mut wait = FIRST_WAIT;
        for retries in 0..ATTEMPTS {
            let pause = match self.send(&posting).await {
                Ok(response) if response.status().is_success() => {
                    // Read to its end, so that the connection can be used again.
                    response.bytes().await.ok();
                    return Ok(Accepted { at: posting.at, events: posting.events, retries });
                }
                Ok(response) if response.status() == StatusCode::SERVICE_UNAVAILABLE => {
                    let asked = retry_after(response.headers());
                    response.bytes().await.ok();
                    asked
                }
                Ok(response) => return Err(refused(source, response).await),
                Err(error) => {
                    tracing::debug!(source, error = %error, "a request of the demo was not answered");
                    None
                }
            };
            sleep(pause.unwrap_or(wait).min(LONGEST_WAIT)).await;
            wait = wait.saturating_mul(2).min(LONGEST_WAIT);
        }
        Err(DemoError::Unanswered { source_name: source, attempts: ATTEMPTS })
    }

    async fn send(&self, posting: &Posting) -> Result<Response, reqwest::Error> {
        let url = format!("{}/ingest/{}", self.base_url, posting.channel.source());
        let headers = posting.headers.iter();
        headers
            .fold(self.client.post(url), |request, (name, value)| request.header(*name, value))
            .body(posting.body.clone())
            .send()
            .await
    }
}

async fn refused(source_name: &'static str, response: Response) -> DemoError {
    let status = response.status().as_u16();
    let reason = response.text().await.unwrap_or_default().chars().take(200).collect();
    DemoError::Refused { source_name, status, reason }
}

/// How long the server asks to wait, in seconds.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests;
