//! Campaigns as they are looked at: their figures, what these consist of, and lists of campaigns.

pub mod breakdown;
pub mod campaign;
pub mod figures;
#[cfg(test)]
mod tests;

use std::future::ready;

use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::broadcast::error::RecvError;

pub use self::breakdown::{BounceReasonCount, DomainStatistics, Interval, StatusCount, TimelinePoint, TrackedLink};
pub use self::campaign::{Campaign, CampaignFilter, CampaignOrder, CampaignQuery};
pub use self::figures::CampaignStatistics;
use self::figures::{columns, decode};
use crate::access::Reader;
use crate::changes::Changes;
use crate::db::query_one;
use crate::error::Result;
use crate::recipients::sql::Cells;

/// Tells when the figures of a campaign may have changed.
pub trait CampaignChanges: Send + Sync + 'static {
    /// From now on, an item for each change of this campaign; ends when the program does. Several changes may become one item.
    fn subscribe(&self, campaign: i64) -> BoxStream<'static, ()>;
}

/// Within a process.
impl CampaignChanges for Changes {
    fn subscribe(&self, campaign: i64) -> BoxStream<'static, ()> {
        let changes = stream::unfold(Self::subscribe(self), async |mut changes| match changes.recv().await {
            Ok(changed) => Some((Some(changed), changes)),
            // Some were missed: this campaign's may be among them.
            Err(RecvError::Lagged(_)) => Some((None, changes)),
            Err(RecvError::Closed) => None,
        });
        let mine = move |changed: &Option<i64>| ready(changed.is_none_or(|changed| changed == campaign));
        changes.filter(mine).map(|_| ()).boxed()
    }
}

impl Reader {
    /// The figures of a campaign; `None` where there is no such campaign.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn campaign_statistics(&self, campaign: i64) -> Result<Option<CampaignStatistics>> {
        let columns = columns("s").join(", ");
        let sql = format!(
            "SELECT {columns}, COALESCE(s.updated_at, c.created_at) FROM campaign c \
             LEFT JOIN campaign_statistics s ON s.campaign_id = c.id WHERE c.id = $1"
        );
        let row = query_one(self.services.db.read(), &sql, [campaign.into()]).await?;
        Ok(row.map(|row| decode(&mut Cells::from(&row, 0))).transpose()?)
    }
}
