//! Sets of addresses that something is done with: some that are named, or all that a filter finds.

use domain::email::EmailAddress;
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use serde::{Deserialize, Serialize};

use super::{AddressFilter, filter};
use crate::batch::{Batch, Column};
use crate::db::{query_all, query_one};
use crate::error::{Refusal, RefusalCode, Result};
use crate::recipients::sql::Sql;
use crate::subject::Subject;

/// How many addresses may be named at once. For more there are filters.
pub const MAX_NAMED: usize = 10_000;

/// Which addresses are meant, as a user says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressSet {
    /// These.
    Emails(Vec<EmailAddress>),
    /// All that the filter finds when the work gets to them.
    Where(AddressFilter),
}

/// The same by ids, as it stands in a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum StoredSet {
    /// These, in their order.
    Ids(Vec<i64>),
    /// All that the filter finds.
    Where(AddressFilter),
}

impl AddressSet {
    /// Refuses what is no set: nobody named, or too many; and filters that the subject may not use.
    ///
    /// # Errors
    /// The refusal.
    pub(crate) fn check(&self, subject: &Subject) -> Result<(), Refusal> {
        match self {
            Self::Emails(emails) if emails.is_empty() => {
                Err(Refusal::field(RefusalCode::Invalid, &["emails"], "name at least one address"))
            }
            Self::Emails(emails) if emails.len() > MAX_NAMED => {
                let size = (emails.len(), MAX_NAMED, "addresses");
                Err(Refusal::exceeds(&["emails"], "the set", size, "name them by a filter (where)"))
            }
            Self::Emails(_) => Ok(()),
            Self::Where(filter) => filter::check(filter, subject),
        }
    }
}

impl StoredSet {
    /// The addresses that are known; and how many are not.
    pub(crate) async fn find<C: ConnectionTrait>(connection: &C, set: AddressSet) -> Result<(Self, i64)> {
        let emails = match set {
            AddressSet::Where(filter) => return Ok((Self::Where(filter), 0)),
            AddressSet::Emails(emails) => emails,
        };
        let mut keys: Vec<&str> = emails.iter().map(EmailAddress::key).collect();
        keys.sort_unstable();
        keys.dedup();
        let wanted = keys.len();
        let mut batch = Batch::new(&[("email_key", Column::Text)]);
        keys.into_iter().for_each(|key| batch.push([key.to_owned().into()]));
        let sql = "SELECT a.id FROM {rows} CROSS JOIN address a WHERE a.email_key = rows.email_key ORDER BY a.id";
        let ids = ids(&batch.query(connection, sql, []).await?)?;
        let unknown = i64::try_from(wanted.saturating_sub(ids.len())).unwrap_or(i64::MAX);
        Ok((Self::Ids(ids), unknown))
    }

    /// Whether the addresses were named one by one.
    pub(crate) const fn is_named(&self) -> bool {
        matches!(self, Self::Ids(_))
    }

    /// How many there are now.
    pub(crate) async fn count<C: ConnectionTrait>(&self, connection: &C) -> Result<i64> {
        match self {
            Self::Ids(ids) => Ok(i64::try_from(ids.len()).unwrap_or(i64::MAX)),
            Self::Where(filter) => {
                let (text, values) =
                    filter::condition(filter).prefixed("SELECT count(*) FROM address a WHERE ").into_parts();
                let row = query_one(connection, &text, values).await?;
                Ok(row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or_default())
            }
        }
    }

    /// The next `limit` ids behind `after`.
    pub(crate) async fn next<C: ConnectionTrait>(&self, connection: &C, after: i64, limit: usize) -> Result<Vec<i64>> {
        match self {
            Self::Ids(ids) => Ok(ids.iter().copied().filter(|id| *id > after).take(limit).collect()),
            Self::Where(filter) => {
                let mut sql: Sql = filter::condition(filter).prefixed("SELECT a.id FROM address a WHERE ");
                sql.push(" AND a.id > ").bind(after).push(" ORDER BY a.id LIMIT ");
                let (text, values) = sql.push_number(i64::try_from(limit).unwrap_or(i64::MAX)).clone().into_parts();
                ids(&query_all(connection, &text, values).await?)
            }
        }
    }
}

fn ids(rows: &[QueryResult]) -> Result<Vec<i64>> {
    Ok(rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, DbErr>>()?)
}
