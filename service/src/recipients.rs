//! Recipients of a campaign: lists with filter, search and order, and single ones.

pub mod filter;
pub(crate) mod new_address;
pub mod paging;
pub mod row;
pub(crate) mod scan;
pub mod set;
pub(crate) mod sql;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashMap;

use domain::contribution::Figure;
use serde::Serialize;

pub use self::filter::RecipientFilter;
use self::filter::check_search;
use self::paging::{Count, List, Order, Page, PageArgs, Sort, check_max};
use self::row::{ALL, SUMMARY, decode};
pub use self::row::{Recipient, RecipientDetails, RecipientKey};
pub use self::set::{RecipientSet, RecipientsWhere};
use self::sql::{Cells, Sql};
use crate::access::Reader;
use crate::db::query_all;
use crate::error::Result;
use crate::subject::Role;

/// What the recipients of a list are ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum RecipientOrder {
    /// The order of import.
    #[default]
    Number,
    /// The address, in its normalised form. Not for viewers.
    Email,
    /// The status, in the order of its values.
    Status,
}

/// Which recipients of a campaign, in which order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecipientQuery {
    /// The campaign.
    pub campaign: i64,
    /// The condition.
    pub filter: RecipientFilter,
    /// A text in the address, the name or the company.
    pub search: Option<String>,
    /// The order.
    pub order: RecipientOrder,
    /// The last first.
    pub descending: bool,
}

/// Where a list begins with the status.
const BY_STATUS: &str = "recipient_status s JOIN recipient r ON r.campaign_id = s.campaign_id AND r.number = s.number";

impl Reader {
    /// A page of the recipients of a campaign: none where there is no such campaign. With `details` they are read whole.
    ///
    /// # Errors
    /// Refusals for what cannot be asked for, or not by this subject; those of the database.
    pub async fn recipients(&self, query: &RecipientQuery, args: &PageArgs, details: bool) -> Result<Page<Recipient>> {
        let list = self.recipient_list(query, if details { ALL } else { SUMMARY })?;
        list.page(&self.services, args, |number, cells| decode(number, cells, details, &self.subject)).await
    }

    /// How many recipients a query finds. Where only the status matters, the roll-up knows and nothing is counted;
    /// else at most `max` are.
    ///
    /// # Errors
    /// As [`Reader::recipients`].
    pub async fn count_recipients(&self, query: &RecipientQuery, max: i64) -> Result<Count> {
        check_max(max)?;
        let list = self.recipient_list(query, &[])?;
        match query.filter.statuses() {
            Some(statuses) if query.search.as_deref().is_none_or(|text| text.trim().is_empty()) => {
                let statistics = self.campaign_statistics(query.campaign).await?;
                let figures = statistics.map(|statistics| statistics.figures).unwrap_or_default();
                let value = statuses.into_iter().map(|status| figures.get(Figure::of_status(status))).sum();
                Ok(Count { value, exact: true })
            }
            _ => list.count(&self.services, max).await,
        }
    }

    /// One recipient, whole.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn recipient(&self, key: RecipientKey) -> Result<Option<Recipient>> {
        Ok(self.recipients_by_key(&[key]).await?.remove(&key))
    }

    /// Recipients of any campaigns, whole; those that do not exist are left out.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn recipients_by_key(&self, keys: &[RecipientKey]) -> Result<HashMap<RecipientKey, Recipient>> {
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let mut sql = Sql::new(format!("SELECT r.number, {} FROM recipient r WHERE ", ALL.join(", ")));
        let mut numbers: HashMap<i64, Vec<i64>> = HashMap::new();
        keys.iter().for_each(|key| numbers.entry(key.campaign).or_default().push(key.number));
        for (index, (campaign, numbers)) in numbers.into_iter().enumerate() {
            sql.push(if index > 0 { " OR " } else { "" });
            sql.push("(r.campaign_id = ").bind(campaign).push(" AND r.number IN (").bind_all(numbers).push("))");
        }
        let (text, values) = sql.into_parts();
        let rows = query_all(self.services.db.read(), &text, values).await?;
        let recipients = rows.iter().map(|row| {
            let recipient = decode(row.try_get_by_index(0)?, Cells::from(row, 1), true, &self.subject)?;
            Ok((recipient.key, recipient))
        });
        recipients.collect()
    }

    fn recipient_list(&self, query: &RecipientQuery, columns: &'static [&'static str]) -> Result<List> {
        query.filter.check(&self.subject)?;
        let search = check_search(query.search.as_deref(), &self.subject)?;
        let sort = match query.order {
            RecipientOrder::Number => None,
            RecipientOrder::Email => {
                self.subject.require(Role::Marketer)?;
                Some(Sort::Text("r.email_key"))
            }
            RecipientOrder::Status => Some(Sort::Small("s.status")),
        };
        let by_status = query.order == RecipientOrder::Status || query.filter.asks_for_status();
        let scope = serde_json::to_string(&(
            "recipients",
            query.campaign,
            &query.filter,
            &search,
            query.order,
            query.descending,
        ))?;
        Ok(List {
            columns,
            from: if by_status { BY_STATUS } else { "recipient r" },
            condition: query.filter.condition(query.campaign, search.as_deref(), by_status),
            order: Order { sort, id: if by_status { "s.number" } else { "r.number" }, descending: query.descending },
            scope,
        })
    }
}
