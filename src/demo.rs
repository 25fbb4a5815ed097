//! `nachfass demo`: three campaigns to 50,000 made-up recipients, and 72 hours of what their providers report, posted to nachfass's
//! own `/ingest` as providers post it: signed, late, twice and out of order, with proxies and scanners among the readers.
//!
//! Everything but the time follows from a seed: the recipients ([`world`]), what happens to their mails ([`story`]), in which requests
//! and in which order it is reported ([`stream`]), and therefore the figures in the end ([`expected`]).
//!
//! To run it: configure [`sources`], create each of [`campaigns`] as sent at [`world::Campaign::sent_at`], import its
//! [`world::Campaign::list`], and [`post`].

pub mod dice;
pub mod expected;
pub mod names;
pub mod payload;
mod post;
pub mod signing;
pub mod story;
pub mod stream;
pub mod world;

use std::time::Duration;

use connectors::sources::SourceSettings;
use domain::Timestamp;

pub use expected::{Expected, expected};
pub use post::post;
use signing::{Channel, Keys};
use world::{CAMPAIGNS, Campaign};

/// How long the 72 hours take where nothing else is said.
pub const USUAL_DURATION: Duration = Duration::from_secs(180);

/// Why the demo could not go on.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The HTTP client could not be made.
    #[error("the HTTP client could not be made")]
    Client(#[source] reqwest::Error),
    /// The stories could not be told.
    #[error("the requests could not be planned")]
    Plan,
    /// A request was refused.
    #[error("the request to the source {source_name} was answered with {status}: {reason}")]
    Refused {
        /// The name of the source.
        source_name: &'static str,
        /// The status of the answer.
        status: u16,
        /// The beginning of the answer.
        reason: String,
    },
    /// Nobody answered, or only with 503.
    #[error("the request to the source {source_name} was not accepted in {attempts} attempts")]
    Unanswered {
        /// The name of the source.
        source_name: &'static str,
        /// How often it was tried.
        attempts: u32,
    },
}

/// How fast the 72 hours pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speed {
    /// Within this time, or longer where the answers take longer.
    Within(Duration),
    /// As fast as the answers come.
    Unlimited,
}

impl Default for Speed {
    fn default() -> Self {
        Self::Within(USUAL_DURATION)
    }
}

/// Which demo, and how fast.
#[derive(Clone, Copy, Debug, Default)]
pub struct Demo {
    /// What everything but the time follows from.
    pub seed: u64,
    /// How fast.
    pub speed: Speed,
}

/// What was posted and accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests.
    pub requests: u64,
    /// Events in them, those that came twice counted twice.
    pub events: u64,
    /// How many times a request had to be tried again.
    pub retries: u64,
    /// It was cancelled before everything had been posted.
    pub is_cancelled: bool,
}

/// How far the demo is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What has been posted.
    pub totals: Totals,
    /// The hour of the demo, from 0; up to 71, and a few more for what is reported late.
    pub hour: i64,
    /// How many requests there are.
    pub all_requests: usize,
    /// How many different events there are.
    pub all_events: usize,
}

/// The sources that the demo posts to, with their keys, which anybody can work out from the seed.
#[must_use]
pub fn sources(seed: u64) -> Vec<SourceSettings> {
    let keys = Keys::new(seed);
    Channel::ALL.map(|channel| keys.source(channel)).into()
}

/// The campaigns of the demo.
#[must_use]
pub const fn campaigns() -> &'static [Campaign] {
    CAMPAIGNS
}

/// When a demo that is shown at `now` began: 72 to 96 hours before, at eight in the morning of Central European (winter) time.
///
/// So all of it lies in the past, people read by day and sleep at night, and two demos on one day have the same times.
#[must_use]
pub fn beginning(now: Timestamp) -> Timestamp {
    const DAY: i64 = 24 * Timestamp::HOUR;
    let first_hour_utc = (story::FIRST_HOUR - 1) * Timestamp::HOUR;
    let latest = now.micros() - story::END * 1_000;
    Timestamp::from_micros(latest - (latest - first_hour_utc).rem_euclid(DAY))
}
