//! The root of subscriptions.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::{Context, ID};
use futures::future::FutureExt;
use futures::stream::{BoxStream, Stream, StreamExt, unfold};
use service::statistics::CampaignChanges;
use service::{Reader, Refusal, RefusalCode};
use tokio::time::{Instant, sleep_until};

use super::errors::{Failure, Result};
use super::node;
use super::schema::reader;
use super::statistics::CampaignStatistics;

/// The least time between two items.
const PAUSE: Duration = Duration::from_secs(1);

/// The root of subscriptions.
pub struct Subscription;

/// What can be watched.
#[async_graphql::Subscription]
impl Subscription {
    /// How a campaign is doing: now, and after each change; at most once a second.
    async fn campaign_statistics(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the campaign.")] campaign_id: ID,
    ) -> Result<impl Stream<Item = Result<CampaignStatistics>>> {
        let campaign = node::campaign(&campaign_id)?;
        let changes = ctx.data_opt::<Arc<dyn CampaignChanges>>().ok_or_else(Failure::no_context)?.subscribe(campaign);
        let reader = reader(ctx)?;
        // Listening began before looking: what changes in between is seen.
        let first = figures(&reader, campaign).await?;
        Ok(watch(reader, campaign, changes, first))
    }
}

/// The figures now, then after each change, but never within [`PAUSE`] of the last: what changes meanwhile is in the next item.
/// An error is the last item.
fn watch(
    reader: Reader,
    campaign: i64,
    changes: BoxStream<'static, ()>,
    first: CampaignStatistics,
) -> impl Stream<Item = Result<CampaignStatistics>> {
    let later = unfold(Some((changes, Instant::now())), move |state| {
        let reader = reader.clone();
        async move {
            let (mut changes, last) = state?;
            changes.next().await?;
            sleep_until(last + PAUSE).await;
            while changes.next().now_or_never().flatten().is_some() {}
            let last = Instant::now();
            let item = figures(&reader, campaign).await;
            let state = item.is_ok().then_some((changes, last));
            Some((item, state))
        }
    });
    futures::stream::once(async { Ok(first) }).chain(later)
}

async fn figures(reader: &Reader, campaign: i64) -> Result<CampaignStatistics> {
    let statistics = reader.campaign_statistics(campaign).await?;
    let refusal = || Refusal::new(RefusalCode::NotFound, "there is no such campaign");
    Ok(statistics.ok_or_else(refusal)?.into())
}
