//! Sources: which provider posts where, and what becomes of its requests. For admins.

use async_graphql::{Context, Object, SimpleObject};
use service::sources::{self, SourceReport, Tally};

use super::errors::Result;
use super::scalars::{DateTime, at, int};
use super::schema::access;
use super::words::{Provider, RejectionReason};

/// A source: where a provider posts to, and what became of its requests.
pub struct Source(sources::Source);

/// A source: where a provider posts to, and what became of its requests. For admins.
#[Object]
impl Source {
    /// Its name in the configuration, which is also the last part of its URL.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// The provider; null where the source is no longer configured.
    async fn provider(&self) -> Option<Provider> {
        self.0.configured.as_ref().map(|(provider, _)| (*provider).into())
    }

    /// The URL to enter at the provider; null where the source is no longer configured.
    async fn url(&self) -> Option<&str> {
        self.0.configured.as_ref().map(|(_, url)| url.as_str())
    }

    /// When the last request was accepted; null where none was.
    async fn last_delivery_at(&self) -> Option<DateTime> {
        at(self.0.accepted.map(|tally| tally.last_at))
    }

    /// Number of requests that were accepted.
    async fn accepted(&self) -> i32 {
        int(requests(self.0.accepted))
    }

    /// Number of requests that are not in the provider's format. Those that are authentic are kept: `deliveries(state: UNREADABLE)`.
    async fn unreadable(&self) -> i32 {
        let unreadable =
            |reason: &domain::source::RejectionReason| *reason == domain::source::RejectionReason::Unreadable;
        int(requests(self.0.rejected.iter().find(|(reason, _)| unreadable(reason)).map(|(_, tally)| *tally)))
    }

    /// Number of requests that were refused; those that are unreadable are counted by `unreadable`.
    async fn refused(&self) -> i32 {
        int(self.refusals().map(|(_, tally)| tally.requests).sum())
    }

    /// The refused requests by reason, most frequent first.
    #[graphql(complexity = "12 * child_complexity + 1")]
    async fn refused_by_reason(&self) -> Vec<RefusedCount> {
        self.refusals().map(|(reason, tally)| RefusedCount::new((*reason).into(), *tally)).collect()
    }
}

impl Source {
    fn refusals(&self) -> impl Iterator<Item = &(domain::source::RejectionReason, Tally)> {
        self.0.rejected.iter().filter(|(reason, _)| *reason != domain::source::RejectionReason::Unreadable)
    }
}

/// How many requests were refused for one reason.
#[derive(SimpleObject)]
pub struct RefusedCount {
    /// The reason.
    reason: RejectionReason,
    /// Number of requests.
    count: i32,
    /// When the first of them came.
    first_at: DateTime,
    /// When the last of them came.
    last_at: DateTime,
}

impl RefusedCount {
    fn new(reason: RejectionReason, tally: Tally) -> Self {
        let Tally { requests, first_at, last_at } = tally;
        Self { reason, count: int(requests), first_at: first_at.into(), last_at: last_at.into() }
    }
}

fn requests(tally: Option<Tally>) -> i64 {
    tally.map_or(0, |tally| tally.requests)
}

/// The root of queries about sources.
#[derive(Default)]
pub struct SourceQuery;

/// What can be asked for about sources.
#[Object]
impl SourceQuery {
    /// The sources: those that are configured, in their order, then those that were configured once. Counts are since the installation
    /// counts them; what another process has counted within the last five seconds may be missing. For admins.
    #[graphql(complexity = "20 * child_complexity + 1")]
    async fn sources(&self, ctx: &Context<'_>) -> Result<Vec<Source>> {
        Ok(report(ctx).await?.sources.into_iter().map(Source).collect())
    }

    /// Requests to `/ingest/{name}` with names of no source; null where there were none. The log has the names (`webhook rejected`). For
    /// admins.
    async fn unknown_source_requests(&self, ctx: &Context<'_>) -> Result<Option<RefusedCount>> {
        let unknown = report(ctx).await?.unknown;
        Ok(unknown.map(|tally| RefusedCount::new(RejectionReason::UnknownSource, tally)))
    }
}

async fn report(ctx: &Context<'_>) -> Result<SourceReport> {
    Ok(access(ctx)?.admin()?.sources().await?)
}
