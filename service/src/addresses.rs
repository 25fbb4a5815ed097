//! Addresses: how they are doing, and which are blocked.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use domain::Timestamp;
use domain::email::{domain_of_key, key_of};
use domain::health::{AddressHealth, BlockReason};
use sea_orm::DbErr;
use serde::{Deserialize, Serialize};

use crate::access::Reader;
use crate::db::query_one;
use crate::error::Result;
use crate::recipients::HIDDEN;
use crate::recipients::paging::{Count, List, Order, Page, PageArgs, Sort};
use crate::recipients::row::{coded, time};
use crate::recipients::sql::{Cells, Sql, escape_like};
use crate::subject::Role;

/// An e-mail address, whoever uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Which one.
    pub id: i64,
    /// In its normalised form; hidden from viewers.
    pub email: String,
    /// How it is doing.
    pub health: AddressHealth,
    /// Soft bounces since the last delivery.
    pub consecutive_soft_bounces: i32,
    /// What a server last said when it bounced; not for viewers.
    pub last_reason: Option<String>,
    /// When that was.
    pub last_reason_at: Option<Timestamp>,
    /// Since when it is blocked.
    pub blocked_at: Option<Timestamp>,
    /// Why it is blocked.
    pub block_reason: Option<BlockReason>,
    /// When its user last complained.
    pub complained_at: Option<Timestamp>,
    /// When it was first seen.
    pub created_at: Timestamp,
}

/// Which addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressFilter {
    /// In one of these conditions; empty: in any.
    pub health: Vec<AddressHealth>,
    /// Blocked for one of these reasons; empty: for any, or not blocked.
    pub reasons: Vec<BlockReason>,
    /// Of one of these domains; empty: of any. Not for viewers.
    pub domains: Vec<String>,
}

impl Default for AddressFilter {
    fn default() -> Self {
        Self { health: vec![AddressHealth::Blocked], reasons: Vec::new(), domains: Vec::new() }
    }
}

/// What addresses are ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum AddressOrder {
    /// Since when they are blocked; those that are not come first.
    #[default]
    BlockedAt,
    /// The address. Not for viewers.
    Email,
}

/// Which addresses, in which order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AddressQuery {
    /// The condition.
    pub filter: AddressFilter,
    /// The order.
    pub order: AddressOrder,
    /// The last first.
    pub descending: bool,
}

const COLUMNS: &[&str] = &[
    "a.email_key",
    "a.health",
    "a.consecutive_soft_bounces",
    "a.last_reason",
    "a.last_reason_at",
    "a.blocked_at",
    "a.block_reason",
    "a.complained_at",
    "a.created_at",
];

impl Reader {
    /// An address, however it is written. Not for viewers.
    ///
    /// # Errors
    /// A refusal for viewers; those of the database.
    pub async fn address(&self, email: &str) -> Result<Option<Address>> {
        self.subject.require(Role::Marketer)?;
        let sql = format!("SELECT a.id, {} FROM address a WHERE a.email_key = $1", COLUMNS.join(", "));
        let row = query_one(self.services.db.read(), &sql, [key_of(email).into()]).await?;
        Ok(row.map(|row| self.decode_address(row.try_get_by_index(0)?, Cells::from(&row, 1))).transpose()?)
    }

    /// Addresses by their ids.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn addresses_by_id(&self, ids: &[i64]) -> Result<HashMap<i64, Address>> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let mut sql = Sql::new(format!("SELECT a.id, {} FROM address a WHERE a.id IN (", COLUMNS.join(", ")));
        sql.bind_all(ids.iter().copied()).push(")");
        let addresses =
            self.read_all(sql, |row| Ok(self.decode_address(row.try_get_by_index(0)?, Cells::from(row, 1))?)).await?;
        Ok(addresses.into_iter().map(|address| (address.id, address)).collect())
    }

    /// A page of addresses: the blocked ones, unless the filter says otherwise.
    ///
    /// # Errors
    /// Refusals for what cannot be asked for, or not by this subject; those of the database.
    pub async fn addresses(&self, query: &AddressQuery, args: &PageArgs) -> Result<Page<Address>> {
        let list = self.address_list(query)?;
        list.page(&self.services, args, |id, cells| self.decode_address(id, cells)).await
    }

    /// How many addresses a query finds.
    ///
    /// # Errors
    /// As [`Reader::addresses`].
    pub async fn count_addresses(&self, query: &AddressQuery, max: i64) -> Result<Count> {
        self.address_list(query)?.count(&self.services, max).await
    }

    fn address_list(&self, query: &AddressQuery) -> Result<List> {
        let filter = &query.filter;
        let only_blocked = filter.health == [AddressHealth::Blocked];
        // Said by a literal, the planner sees that the index of blocked addresses serves.
        let mut condition = Sql::new(if only_blocked { "a.health = 3" } else { "TRUE" });
        if !only_blocked && !filter.health.is_empty() {
            condition.push(" AND a.health IN (").bind_all(filter.health.iter().map(|health| health.code())).push(")");
        }
        if !filter.reasons.is_empty() {
            condition
                .push(" AND a.block_reason IN (")
                .bind_all(filter.reasons.iter().map(|reason| reason.code()))
                .push(")");
        }
        if !filter.domains.is_empty() {
            self.subject.require(Role::Marketer)?;
            push_domains(&mut condition, &filter.domains);
        }
        let sort = match query.order {
            AddressOrder::BlockedAt if only_blocked => Sort::Number("a.blocked_at"),
            AddressOrder::BlockedAt => Sort::Number("COALESCE(a.blocked_at, 0)"),
            AddressOrder::Email => {
                self.subject.require(Role::Marketer)?;
                Sort::Text("a.email_key")
            }
        };
        Ok(List {
            columns: COLUMNS,
            from: "address a",
            condition,
            order: Order { sort: Some(sort), id: "a.id", descending: query.descending },
            scope: serde_json::to_string(&("addresses", query))?,
        })
    }

    fn decode_address(&self, id: i64, mut cells: Cells<'_>) -> Result<Address, DbErr> {
        let personal = self.subject.sees_personal_data();
        let email: String = cells.take()?;
        let health = coded(cells.take()?, AddressHealth::from_code, "address.health")?;
        let consecutive_soft_bounces = cells.take()?;
        let last_reason: Option<String> = cells.take()?;
        Ok(Address {
            id,
            email: if personal { email } else { HIDDEN.to_owned() },
            health,
            consecutive_soft_bounces,
            last_reason: last_reason.filter(|_| personal),
            last_reason_at: time(&mut cells)?,
            blocked_at: time(&mut cells)?,
            block_reason: cells.take::<Option<i16>>()?.and_then(BlockReason::from_code),
            complained_at: time(&mut cells)?,
            created_at: Timestamp::from_micros(cells.take()?),
        })
    }
}

fn push_domains(condition: &mut Sql, domains: &[String]) {
    condition.push(" AND (");
    for (index, domain) in domains.iter().enumerate() {
        let key = key_of(&format!("x@{}", domain.trim()));
        condition.push(if index > 0 { " OR a.email_key LIKE " } else { "a.email_key LIKE " });
        condition.bind(format!("%@{}", escape_like(domain_of_key(&key)))).push(" ESCAPE '\\'");
    }
    condition.push(")");
}
