//! The root of subscriptions.

use std::time::Duration;

use async_graphql::{Context, ID};
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{BoxStream, Stream, StreamExt, unfold};
use service::changes::{Change, Changes};
use service::{Access, Refusal, RefusalCode};
use tokio::time::{Instant, sleep_until};

use super::errors::{Failure, Result};
use super::job::Job;
use super::node;
use super::schema::{access, reader};
use super::statistics::CampaignStatistics;

/// The least time between two items about a campaign.
const CAMPAIGN_PAUSE: Duration = Duration::from_secs(1);
/// The least time between two items about a job.
const JOB_PAUSE: Duration = Duration::from_millis(250);

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
        let campaign = node::campaign(&campaign_id).map_err(|refusal| refusal.about(&["campaignId"]))?;
        let reader = reader(ctx)?;
        let look = move || {
            let reader = reader.clone();
            let look = async move {
                let statistics = reader.campaign_statistics(campaign).await?;
                let refusal = || Refusal::new(RefusalCode::NotFound, "there is no such campaign");
                Ok(Item { value: statistics.ok_or_else(refusal)?.into(), is_last: false })
            };
            look.boxed()
        };
        watch(ctx, Change::Campaign(campaign), CAMPAIGN_PAUSE, Box::new(look)).await
    }

    /// A job: now, and after each change of its state and progress, at most four times a second. Ends with the job.
    async fn job(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the job.")] id: ID,
    ) -> Result<impl Stream<Item = Result<Job>>> {
        let id = node::job(&id)?;
        let access: Access = access(ctx)?.clone();
        let look = move || {
            let access = access.clone();
            let look = async move {
                let row = access.reader().require_job(id).await?;
                let is_last = row.state.is_final();
                Ok(Item { value: Job::new(row, Ok(&access))?, is_last })
            };
            look.boxed()
        };
        watch(ctx, Change::Job(id), JOB_PAUSE, Box::new(look)).await
    }
}

/// How something is doing, and whether that is its end.
struct Item<T> {
    value: T,
    is_last: bool,
}

type Look<T> = Box<dyn Fn() -> BoxFuture<'static, Result<Item<T>>> + Send + Sync>;

/// How something is doing now, then after each change, but never within `pause` of the last: what changes meanwhile is in the next
/// item. An error is the last item.
async fn watch<T: Send + 'static>(
    ctx: &Context<'_>,
    what: Change,
    pause: Duration,
    look: Look<T>,
) -> Result<impl Stream<Item = Result<T>> + use<T>> {
    // Listening begins before looking: what changes in between is seen.
    let changes: BoxStream<'static, ()> = ctx.data_opt::<Changes>().ok_or_else(Failure::no_context)?.of(what);
    let first = look().await?;
    let state = (!first.is_last).then(|| (changes, Instant::now(), look));
    let later = unfold(state, move |state| async move {
        let (mut changes, last, look) = state?;
        changes.next().await?;
        sleep_until(last + pause).await;
        while changes.next().now_or_never().flatten().is_some() {}
        let last = Instant::now();
        match look().await {
            Ok(item) => Some((Ok(item.value), (!item.is_last).then_some((changes, last, look)))),
            Err(failure) => Some((Err(failure), None)),
        }
    });
    Ok(futures::stream::once(async { Ok(first.value) }).chain(later))
}
