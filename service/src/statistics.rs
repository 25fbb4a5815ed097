//! Campaigns as they are looked at: their figures, what these consist of, and lists of campaigns.

pub mod breakdown;
pub mod campaign;
pub mod figures;
#[cfg(test)]
mod tests;

pub use self::breakdown::{BounceReasonCount, DomainStatistics, Interval, StatusCount, TimelinePoint, TrackedLink};
pub use self::campaign::{Campaign, CampaignFilter, CampaignOrder, CampaignQuery};
pub use self::figures::CampaignStatistics;
use self::figures::{columns, decode};
use crate::access::Reader;
use crate::db::query_one;
use crate::error::Result;
use crate::recipients::sql::Cells;

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
