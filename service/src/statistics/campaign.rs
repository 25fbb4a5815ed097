//! Campaigns with their figures, read together in one statement.

use std::collections::HashMap;

use domain::Timestamp;
use entity::campaign::Column;
use sea_orm::{DbErr, QueryResult};
use serde::Serialize;

use super::figures::{CampaignStatistics, decode as decode_statistics};
use crate::access::Reader;
use crate::db::{Db, query_all};
use crate::error::{Refusal, Result};
use crate::recipients::filter::MAX_SEARCH;
use crate::recipients::paging::{Count, List, Order, Page, PageArgs, Sort};
use crate::recipients::row::{coded, time};
use crate::recipients::sql::{Cells, Sql, containing};
use crate::subject::Subject;
use domain::campaign::CampaignState;

/// A campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Campaign {
    /// Which one.
    pub id: i64,
    /// The name by which providers and imports mean it.
    pub key: String,
    /// What people call it.
    pub name: String,
    /// The subject of its mails.
    pub subject: Option<String>,
    /// Whom its mails are from; not for viewers, because it may be a person.
    pub from_address: Option<String>,
    /// How far it is.
    pub state: CampaignState,
    /// When it was sent.
    pub sent_at: Option<Timestamp>,
    /// The campaign that it reminds of.
    pub parent: Option<i64>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its figures.
    pub statistics: CampaignStatistics,
}

/// What campaigns are ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum CampaignOrder {
    /// When they were made.
    #[default]
    CreatedAt,
    /// The name.
    Name,
    /// When they were sent; those that were not come first.
    SentAt,
}

/// Which campaigns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CampaignFilter {
    /// A text in the name or the key.
    pub search: Option<String>,
    /// In one of these states; empty: in any.
    pub states: Vec<CampaignState>,
}

/// Which campaigns, in which order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CampaignQuery {
    /// The condition.
    pub filter: CampaignFilter,
    /// The order.
    pub order: CampaignOrder,
    /// The last first.
    pub descending: bool,
}

const COLUMNS: &[&str] = &[
    "c.key",
    "c.name",
    "c.subject",
    "c.from_address",
    "c.state",
    "c.sent_at",
    "c.parent_id",
    "c.created_at",
    "s.recipients",
    "s.ready",
    "s.sent_only",
    "s.delivered_only",
    "s.read",
    "s.clicked_only",
    "s.soft_bounced",
    "s.hard_bounced",
    "s.blocked",
    "s.complained_only",
    "s.unsubscribed_only",
    "s.canceled",
    "s.opened",
    "s.machine_opened",
    "s.clicked",
    "s.machine_clicked",
    "s.complained",
    "s.unsubscribed",
    "s.opens",
    "s.clicks",
    "COALESCE(s.updated_at, c.created_at)",
];

const TABLES: &str = "campaign c LEFT JOIN campaign_statistics s ON s.campaign_id = c.id";

impl Campaign {
    /// Without what this subject may not see.
    fn shown_to(self, subject: &Subject) -> Self {
        Self {
            key: subject.masked(Column::Key, self.key),
            name: subject.masked(Column::Name, self.name),
            subject: self.subject.map(|text| subject.masked(Column::Subject, text)),
            from_address: subject.visible(Column::FromAddress, self.from_address),
            ..self
        }
    }
}

impl Reader {
    /// A campaign with its figures.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn campaign(&self, id: i64) -> Result<Option<Campaign>> {
        let db = self.services.db.clone();
        let load = move |ids: Vec<i64>| {
            let db = db.clone();
            async move {
                let campaigns = campaigns_where(&db, "c.id", &ids).await?;
                Ok(campaigns.into_iter().map(|campaign| (campaign.id, campaign)).collect())
            }
        };
        let campaign = self.services.campaigns.get(id, load).await?;
        Ok(campaign.map(|campaign| campaign.shown_to(&self.subject)))
    }

    /// Campaigns with their figures, by their ids.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn campaigns_by_id(&self, ids: &[i64]) -> Result<HashMap<i64, Campaign>> {
        let campaigns = campaigns_where(&self.services.db, "c.id", ids).await?;
        Ok(campaigns.into_iter().map(|campaign| (campaign.id, campaign.shown_to(&self.subject))).collect())
    }

    /// The campaigns that remind of these, in the order in which they were made.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn reminders(&self, parents: &[i64]) -> Result<HashMap<i64, Vec<Campaign>>> {
        let mut reminders: HashMap<i64, Vec<Campaign>> = HashMap::new();
        for campaign in campaigns_where(&self.services.db, "c.parent_id", parents).await? {
            if let Some(parent) = campaign.parent {
                reminders.entry(parent).or_default().push(campaign.shown_to(&self.subject));
            }
        }
        Ok(reminders)
    }

    /// A page of campaigns with their figures.
    ///
    /// # Errors
    /// Refusals for what cannot be asked for; those of the database.
    pub async fn campaigns(&self, query: &CampaignQuery, args: &PageArgs) -> Result<Page<Campaign>> {
        let list = self.campaign_list(query)?;
        let show = |campaign: Campaign| campaign.shown_to(&self.subject);
        list.page(&self.services, args, |id, mut cells| decode(id, &mut cells).map(show)).await
    }

    /// How many campaigns a query finds.
    ///
    /// # Errors
    /// As [`Reader::campaigns`].
    pub async fn count_campaigns(&self, query: &CampaignQuery, max: i64) -> Result<Count> {
        self.campaign_list(query)?.count(&self.services, max).await
    }

    fn campaign_list(&self, query: &CampaignQuery) -> Result<List> {
        let mut condition = Sql::new("TRUE");
        if !query.filter.states.is_empty() {
            condition
                .push(" AND c.state IN (")
                .bind_all(query.filter.states.iter().map(|state| state.code()))
                .push(")");
        }
        if let Some(search) = query.filter.search.as_deref().map(str::trim).filter(|search| !search.is_empty()) {
            let length = search.chars().count();
            if length > MAX_SEARCH {
                let (field, size) = (["filter", "search"], (length, MAX_SEARCH, "characters"));
                return Err(Refusal::exceeds(&field, "the search text", size, "search for a part of it").into());
            }
            let pattern = containing(&search.to_lowercase());
            condition
                .push(" AND (lower(c.name) LIKE ")
                .bind(pattern.clone())
                .push(" ESCAPE '\\' OR lower(c.key) LIKE ");
            condition.bind(pattern).push(" ESCAPE '\\')");
            if !self.subject.sees_personal_data() {
                // What is not shown cannot be searched for.
                condition.push(" AND c.name NOT LIKE '%@%' AND c.key NOT LIKE '%@%'");
            }
        }
        let sort = match query.order {
            CampaignOrder::CreatedAt => Sort::Number("c.created_at"),
            CampaignOrder::Name => Sort::Text("c.name"),
            CampaignOrder::SentAt => Sort::Number("COALESCE(c.sent_at, 0)"),
        };
        Ok(List {
            columns: COLUMNS,
            from: TABLES,
            condition,
            order: Order { sort: Some(sort), id: "c.id", descending: query.descending },
            scope: serde_json::to_string(&("campaigns", query))?,
        })
    }
}

async fn campaigns_where(db: &Db, column: &str, ids: &[i64]) -> Result<Vec<Campaign>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut sql = Sql::new(format!("SELECT c.id, {} FROM {TABLES} WHERE {column} IN (", COLUMNS.join(", ")));
    let (text, values) = sql.bind_all(ids.iter().copied()).push(") ORDER BY c.id").clone().into_parts();
    let rows = query_all(db.read(), &text, values).await?;
    let read = |row: &QueryResult| decode(row.try_get_by_index(0)?, &mut Cells::from(row, 1));
    Ok(rows.iter().map(read).collect::<Result<_, DbErr>>()?)
}

fn decode(id: i64, cells: &mut Cells<'_>) -> Result<Campaign, DbErr> {
    let (key, name, mail_subject) = (cells.take()?, cells.take()?, cells.take()?);
    Ok(Campaign {
        id,
        key,
        name,
        subject: mail_subject,
        from_address: cells.take()?,
        state: coded(cells.take()?, CampaignState::from_code, "campaign.state")?,
        sent_at: time(cells)?,
        parent: cells.take()?,
        created_at: Timestamp::from_micros(cells.take()?),
        statistics: decode_statistics(cells)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::figures::columns;

    #[test]
    fn the_columns_hold_all_figures_in_their_order() {
        let figures: Vec<&str> = COLUMNS.iter().copied().filter(|column| column.starts_with("s.")).collect();
        assert_eq!(figures, columns("s"));
    }
}
