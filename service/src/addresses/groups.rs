//! Addresses in groups: by domain, reason, person in charge or month.

use std::collections::BTreeMap;

use chrono::Datelike;
use domain::Timestamp;
use domain::health::BlockReason;
use sea_orm::QueryResult;

use super::{AddressFilter, filter};
use crate::access::Reader;
use crate::db::query_all;
use crate::error::Result;
use crate::subject::Role;

/// What addresses are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupKey {
    /// The domain. Not for viewers.
    Domain,
    /// Why they are blocked.
    Reason,
    /// Who is responsible for the people behind them; an address of several is in several groups. Not for viewers.
    Owner,
    /// The month in which they were blocked, in UTC.
    Month,
}

/// Addresses that have something in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressGroup {
    /// What they have in common: a domain, a reason, a name, a month such as `2026-01`; `None` for those that have none of it.
    pub key: Option<String>,
    /// How many they are.
    pub count: i64,
    /// Since when the latest of them is blocked.
    pub latest: Option<Timestamp>,
}

/// The part behind the last `@`, in a way that both databases understand: what is left of the key when everything but `@` is cut off
/// its end, cut off its beginning.
const DOMAIN: &str = "substr(a.email_key, length(rtrim(a.email_key, replace(a.email_key, '@', ''))) + 1)";
/// Microseconds of a day.
const DAY: i64 = 24 * Timestamp::HOUR;
/// At most so many groups are shown, the largest ones.
const MOST: usize = 1_000;

impl Reader {
    /// The addresses that a filter finds, in groups, the largest first, months in their order. At most 1,000 groups.
    ///
    /// # Errors
    /// Refusals for what cannot be asked for, or not by this subject; those of the database.
    pub async fn address_groups(&self, by: GroupKey, address_filter: &AddressFilter) -> Result<Vec<AddressGroup>> {
        filter::check(address_filter, &self.subject)?;
        if matches!(by, GroupKey::Domain | GroupKey::Owner) {
            self.subject.require(Role::Marketer)?;
        }
        let (key, from) = match by {
            GroupKey::Domain => (DOMAIN.to_owned(), "address a"),
            GroupKey::Reason => ("a.block_reason".to_owned(), "address a"),
            GroupKey::Month => (format!("a.blocked_at / {DAY}"), "address a"),
            GroupKey::Owner => ("r.owner".to_owned(), "address a LEFT JOIN recipient r ON r.address_id = a.id"),
        };
        let mut sql = filter::condition(address_filter).prefixed(&format!(
            "SELECT {key}, count(DISTINCT a.id) AS addresses, max(a.blocked_at) FROM {from} WHERE "
        ));
        sql.push(" GROUP BY 1 ORDER BY addresses DESC, 1 LIMIT ").push_number(i64::try_from(MOST).unwrap_or(i64::MAX));
        let (text, values) = sql.into_parts();
        let rows = query_all(self.services.db.read(), &text, values).await?;
        if by == GroupKey::Month {
            return by_month(&rows);
        }
        rows.iter().map(|row| group(by, row)).collect()
    }
}

fn group(by: GroupKey, row: &QueryResult) -> Result<AddressGroup> {
    let key = match by {
        GroupKey::Reason => {
            let reason = row.try_get_by_index::<Option<i16>>(0)?.and_then(BlockReason::from_code);
            reason.map(|reason| reason.as_str().to_owned())
        }
        _ => row.try_get_by_index(0)?,
    };
    let latest = row.try_get_by_index::<Option<i64>>(2)?.map(Timestamp::from_micros);
    Ok(AddressGroup { key, count: row.try_get_by_index(1)?, latest })
}

/// Days put together to months.
fn by_month(days: &[QueryResult]) -> Result<Vec<AddressGroup>> {
    let mut months: BTreeMap<Option<String>, AddressGroup> = BTreeMap::new();
    for row in days {
        let day: Option<i64> = row.try_get_by_index(0)?;
        let month = day.map(|day| {
            let date = Timestamp::from_micros(day * DAY).to_chrono();
            format!("{:04}-{:02}", date.year(), date.month())
        });
        let latest = row.try_get_by_index::<Option<i64>>(2)?.map(Timestamp::from_micros);
        let group = months.entry(month.clone()).or_insert_with(|| AddressGroup { key: month, count: 0, latest: None });
        group.count += row.try_get_by_index::<i64>(1)?;
        group.latest = group.latest.max(latest);
    }
    Ok(months.into_values().collect())
}
