//! Complaints: who reported which campaign's mail as spam.

use domain::Timestamp;
use domain::email::{domain_of_key, key_of};
use sea_orm::DbErr;
use serde::{Deserialize, Serialize};

use crate::access::Reader;
use crate::error::Result;
use crate::recipients::RecipientKey;
use crate::recipients::paging::{Count, List, Order, Page, PageArgs, Sort};
use crate::recipients::sql::{Cells, Sql};
use crate::subject::{Role, Subject};

/// A recipient who reported a mail as spam.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// Which one.
    pub id: i64,
    /// The recipient.
    pub recipient: RecipientKey,
    /// The address.
    pub address_id: i64,
    /// When they first complained about this campaign.
    pub complained_at: Timestamp,
}

/// Which complaints. What is empty restricts nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ComplaintFilter {
    /// About this campaign.
    pub campaign: Option<i64>,
    /// At this moment or after it.
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
    /// From addresses of one of these domains. Not for viewers.
    pub domains: Vec<String>,
}

/// Refuses what would tell a viewer about persons.
///
/// # Errors
/// The refusal.
pub(crate) fn check(filter: &ComplaintFilter, subject: &Subject) -> Result<()> {
    if !filter.domains.is_empty() {
        subject.require(Role::Marketer)?;
    }
    Ok(())
}

/// The tables that a [`condition`] is about.
pub(crate) const TABLES: &str =
    "complaint m JOIN recipient r ON r.campaign_id = m.campaign_id AND r.number = m.recipient";

/// The condition on complaints `m` of recipients `r`; never empty.
pub(crate) fn condition(filter: &ComplaintFilter) -> Sql {
    let mut sql = Sql::new("TRUE");
    if let Some(campaign) = filter.campaign {
        sql.push(" AND m.campaign_id = ").bind(campaign);
    }
    if let Some(since) = filter.since {
        sql.push(" AND m.complained_at >= ").bind(since.micros());
    }
    if let Some(until) = filter.until {
        sql.push(" AND m.complained_at < ").bind(until.micros());
    }
    if !filter.domains.is_empty() {
        let keys = filter.domains.iter().map(|domain| key_of(&format!("x@{}", domain.trim())));
        sql.push(" AND r.domain IN (").bind_all(keys.map(|key| domain_of_key(&key).to_owned())).push(")");
    }
    sql
}

impl Reader {
    /// A page of complaints, the latest first.
    ///
    /// # Errors
    /// Refusals for what cannot be asked for, or not by this subject; those of the database.
    pub async fn complaints(&self, filter: &ComplaintFilter, args: &PageArgs) -> Result<Page<Complaint>> {
        self.complaint_list(filter)?.page(&self.services, args, decode).await
    }

    /// How many complaints there are.
    ///
    /// # Errors
    /// As [`Reader::complaints`].
    pub async fn count_complaints(&self, filter: &ComplaintFilter, max: i64) -> Result<Count> {
        self.complaint_list(filter)?.count(&self.services, max).await
    }

    fn complaint_list(&self, filter: &ComplaintFilter) -> Result<List> {
        check(filter, &self.subject)?;
        Ok(List {
            columns: &["m.campaign_id", "m.recipient", "m.address_id"],
            from: TABLES,
            condition: condition(filter),
            order: Order { sort: Some(Sort::Number("m.complained_at")), id: "m.id", descending: true },
            scope: serde_json::to_string(&("complaints", filter))?,
        })
    }
}

fn decode(id: i64, mut cells: Cells<'_>) -> Result<Complaint, DbErr> {
    let recipient = RecipientKey { campaign: cells.take()?, number: cells.take()? };
    let address_id = cells.take()?;
    // What the list is ordered by stands behind its columns.
    Ok(Complaint { id, recipient, address_id, complained_at: Timestamp::from_micros(cells.take()?) })
}
