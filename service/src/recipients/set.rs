//! Recipients that somebody chose for something: these, or all of a campaign that a condition holds for.
//!
//! A set is part of a job's payload. Whoever works it off reads it in pieces, in the order of the keys, and goes on behind the last key
//! of a piece; so it works the same for three recipients and for three million.

use std::collections::HashMap;

use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};

use super::filter::{RecipientFilter, check_search};
use super::paging::Count;
use super::row::RecipientKey;
use super::scan::Scan;
use super::sql::Sql;
use super::{BY_STATUS, RecipientOrder, RecipientQuery};
use crate::access::Reader;
use crate::db::query_all;
use crate::error::{Refusal, RefusalCode, Result};
use crate::subject::{Role, Subject};

/// How many recipients a set may name; for more there are conditions.
pub const MAX_IDS: usize = 10_000;

/// Which recipients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RecipientSet {
    /// These, each once, in the order of their keys. Those that do not exist are nobody.
    Ids(Vec<RecipientKey>),
    /// All of a campaign that a condition holds for.
    Where(RecipientsWhere),
}

/// All recipients of a campaign that a condition holds for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecipientsWhere {
    /// The campaign.
    pub campaign: i64,
    /// The condition.
    #[serde(default)]
    pub filter: RecipientFilter,
    /// A text in the address, the name or the company.
    #[serde(default)]
    pub search: Option<String>,
}

impl RecipientSet {
    /// The one of the two that is given, checked: `subject` may choose recipients so.
    ///
    /// # Errors
    /// A refusal where it is none of them or both, where it names nobody or too many, where the condition cannot be asked for; and
    /// for viewers.
    pub fn new(
        ids: Option<Vec<RecipientKey>>,
        all: Option<RecipientsWhere>,
        subject: &Subject,
    ) -> Result<Self, Refusal> {
        subject.require(Role::Marketer)?;
        let refuse = |field: &[&str], message: String| Err(Refusal::field(RefusalCode::Invalid, field, message));
        match (ids, all) {
            (Some(ids), None) if ids.is_empty() => refuse(&["ids"], "name at least one recipient".to_owned()),
            (Some(ids), None) if ids.len() > MAX_IDS => {
                let size = (ids.len(), MAX_IDS, "recipients");
                Err(Refusal::exceeds(&["ids"], "the set", size, "name the recipients by a filter (where)"))
            }
            (Some(mut ids), None) => {
                ids.sort_unstable();
                ids.dedup();
                Ok(Self::Ids(ids))
            }
            (None, Some(all)) => {
                let within = |refusal: Refusal| Refusal {
                    field: std::iter::once("where".to_owned()).chain(refusal.field).collect(),
                    ..refusal
                };
                all.filter.check(subject).map_err(within)?;
                let search = check_search(all.search.as_deref(), subject).map_err(within)?;
                Ok(Self::Where(RecipientsWhere { search, ..all }))
            }
            _ => refuse(&[], "give ids, or where: exactly one of them".to_owned()),
        }
    }

    /// The campaign of all of them, where there is one.
    #[must_use]
    pub fn campaign(&self) -> Option<i64> {
        match self {
            Self::Ids(keys) => {
                let first = keys.first()?.campaign;
                keys.iter().all(|key| key.campaign == first).then_some(first)
            }
            Self::Where(all) => Some(all.campaign),
        }
    }

    /// How many there are: by the roll-up where only the status matters, else counted, but not beyond `max`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn size(&self, reader: &Reader, max: i64) -> Result<Count> {
        match self {
            Self::Ids(keys) => Ok(Count { value: i64::try_from(keys.len()).unwrap_or(i64::MAX), exact: true }),
            Self::Where(RecipientsWhere { campaign, filter, search }) => {
                let (filter, search) = (filter.clone(), search.clone());
                let (order, descending) = (RecipientOrder::Number, false);
                let query = RecipientQuery { campaign: *campaign, filter, search, order, descending };
                reader.count_recipients(&query, max).await
            }
        }
    }

    /// The next of them behind `after`, in the order of their keys; fewer than `limit` only where these are the last ones.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn chunk<C: ConnectionTrait>(
        &self,
        connection: &C,
        after: Option<RecipientKey>,
        limit: i64,
    ) -> Result<Vec<RecipientKey>> {
        let place = match (after, self) {
            (None, _) => Vec::new(),
            (Some(key), Self::Ids(_)) => vec![key.campaign, key.number],
            (Some(key), Self::Where(_)) => vec![key.number],
        };
        let (text, values) = self.scan().select(&[], &place, limit).into_parts();
        let rows = query_all(connection, &text, values).await?;
        let keys = rows.iter().map(|row| {
            Ok(match self {
                Self::Ids(_) => RecipientKey { campaign: row.try_get_by_index(0)?, number: row.try_get_by_index(1)? },
                Self::Where(all) => RecipientKey { campaign: all.campaign, number: row.try_get_by_index(0)? },
            })
        });
        keys.collect()
    }

    /// The list of them, as `recipient r`, in the order of their keys.
    pub(crate) fn scan(&self) -> Scan {
        match self {
            Self::Ids(keys) => {
                Scan { from: "recipient r".to_owned(), condition: one_of(keys), keys: &["r.campaign_id", "r.number"] }
            }
            Self::Where(RecipientsWhere { campaign, filter, search }) => {
                // With several statuses their recipients would have to be sorted for every piece anew.
                let by_status = filter.asks_for_one_status();
                Scan {
                    from: if by_status { BY_STATUS } else { "recipient r" }.to_owned(),
                    condition: filter.condition(*campaign, search.as_deref(), by_status),
                    keys: if by_status { &["s.number"] } else { &["r.number"] },
                }
            }
        }
    }
}

fn one_of(keys: &[RecipientKey]) -> Sql {
    let mut numbers: HashMap<i64, Vec<i64>> = HashMap::new();
    keys.iter().for_each(|key| numbers.entry(key.campaign).or_default().push(key.number));
    let mut sql = Sql::new("(");
    for (index, (campaign, numbers)) in numbers.into_iter().enumerate() {
        sql.push(if index > 0 { " OR " } else { "" });
        sql.push("(r.campaign_id = ").bind(campaign).push(" AND r.number IN (").bind_all(numbers).push("))");
    }
    sql.push(if keys.is_empty() { "FALSE)" } else { ")" });
    sql
}
