//! Alerts: what is wrong with campaigns, found by a job, told by another, and shown.

mod check;
mod notice;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use domain::Timestamp;
use domain::alerts::{Alert as Finding, AlertKind};
use sea_orm::{DbErr, QueryResult};

use crate::access::Reader;
use crate::db::query_all;
use crate::error::Result;
use crate::recipients::row::coded;
use crate::recipients::sql::Sql;
pub use check::check;
pub use notice::tell;

/// So many alerts of a campaign are shown, the latest ones: those that are over are only history.
const SHOWN: i64 = 100;

/// Something that is wrong with a campaign, or was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alert {
    /// Its key in the database.
    pub id: i64,
    /// The campaign.
    pub campaign: i64,
    /// What is wrong: with the worst value that was seen.
    pub finding: Finding,
    /// Since when.
    pub raised_at: Timestamp,
    /// Until when.
    pub resolved_at: Option<Timestamp>,
}

const COLUMNS: &str = "id, campaign_id, kind, value, limit_value, raised_at, resolved_at";

impl Reader {
    /// The alerts of campaigns, the latest first: those that hold, and the ones that are over where they are wanted.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn alerts(&self, campaigns: &[i64], resolved: bool) -> Result<HashMap<i64, Vec<Alert>>> {
        let mut alerts: HashMap<i64, Vec<Alert>> = HashMap::new();
        if campaigns.is_empty() {
            return Ok(alerts);
        }
        let mut sql = Sql::new(format!(
            "SELECT {COLUMNS} FROM (SELECT {COLUMNS}, row_number() OVER (PARTITION BY campaign_id ORDER BY id DESC) AS place \
             FROM alert WHERE campaign_id IN ("
        ));
        let open = if resolved { "" } else { " AND resolved_at IS NULL" };
        sql.bind_all(campaigns.iter().copied()).push(&format!("){open}) AS latest WHERE place <= "));
        let (text, values) = sql.bind(SHOWN).push(" ORDER BY campaign_id, id DESC").clone().into_parts();
        for row in query_all(self.services.db.read(), &text, values).await? {
            let alert = read(&row)?;
            alerts.entry(alert.campaign).or_default().push(alert);
        }
        Ok(alerts)
    }
}

/// Reads [`COLUMNS`].
fn read(row: &QueryResult) -> Result<Alert, DbErr> {
    let kind = coded(row.try_get_by_index(2)?, AlertKind::from_code, "alert.kind")?;
    Ok(Alert {
        id: row.try_get_by_index(0)?,
        campaign: row.try_get_by_index(1)?,
        finding: Finding {
            kind,
            value: kind.decode(row.try_get_by_index(3)?),
            limit: kind.decode(row.try_get_by_index(4)?),
        },
        raised_at: Timestamp::from_micros(row.try_get_by_index(5)?),
        resolved_at: row.try_get_by_index::<Option<i64>>(6)?.map(Timestamp::from_micros),
    })
}
