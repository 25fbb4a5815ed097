//! Addresses: how they are doing, and which are blocked.

pub mod actions;
pub mod complaints;
pub(crate) mod filter;
pub mod groups;
pub mod review;
pub mod set;
pub mod settle;
pub(crate) mod state;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use domain::Timestamp;
use domain::email::key_of;
use domain::health::{AddressHealth, BlockReason};
use domain::standing::Consent;
use entity::address::Column;
use sea_orm::DbErr;
use serde::Serialize;

pub use self::filter::AddressFilter;
pub use self::set::AddressSet;
use crate::access::Reader;
use crate::db::query_one;
use crate::error::Result;
use crate::recipients::paging::{Count, List, Order, Page, PageArgs, Sort};
use crate::recipients::row::{coded, time};
use crate::recipients::sql::{Cells, Sql};
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
    /// Why somebody blocked it, in their words; not for viewers.
    pub block_note: Option<String>,
    /// The event that the block rests on, where it rests on one.
    pub block_event: Option<i64>,
    /// When its user last complained.
    pub complained_at: Option<Timestamp>,
    /// Whether its user has withdrawn the consent to be written to, by a complaint.
    pub consent_withdrawn: bool,
    /// When its user last unsubscribed from anything.
    pub unsubscribed_at: Option<Timestamp>,
    /// When it was first seen.
    pub created_at: Timestamp,
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
    "a.block_note",
    "a.block_event",
    "a.last_complained_at",
    "a.consent_given_at",
    "a.unsubscribed_at",
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
        filter::check(filter, &self.subject)?;
        let sort = match query.order {
            AddressOrder::BlockedAt if filter.is_of_blocked() => Sort::Number("a.blocked_at"),
            AddressOrder::BlockedAt => Sort::Number("COALESCE(a.blocked_at, 0)"),
            AddressOrder::Email => {
                self.subject.require(Role::Marketer)?;
                Sort::Text("a.email_key")
            }
        };
        Ok(List {
            columns: COLUMNS,
            from: "address a",
            condition: filter::condition(filter),
            order: Order { sort: Some(sort), id: "a.id", descending: query.descending },
            scope: serde_json::to_string(&("addresses", query))?,
        })
    }

    fn decode_address(&self, id: i64, mut cells: Cells<'_>) -> Result<Address, DbErr> {
        let subject = &self.subject;
        let email: String = cells.take()?;
        let health = coded(cells.take()?, AddressHealth::from_code, "address.health")?;
        let consecutive_soft_bounces = cells.take()?;
        let last_reason: Option<String> = cells.take()?;
        let (last_reason_at, blocked_at) = (time(&mut cells)?, time(&mut cells)?);
        let block_reason = cells.take::<Option<i16>>()?.and_then(BlockReason::from_code);
        let (block_note, block_event): (Option<String>, _) = (cells.take()?, cells.take()?);
        let consent = Consent { complained_at: time(&mut cells)?, given_at: time(&mut cells)? };
        Ok(Address {
            id,
            email: subject.masked(Column::EmailKey, email),
            health,
            consecutive_soft_bounces,
            last_reason: subject.visible(Column::LastReason, last_reason),
            last_reason_at,
            blocked_at,
            block_reason,
            block_note: subject.visible(Column::BlockNote, block_note),
            block_event,
            complained_at: consent.complained_at,
            consent_withdrawn: consent.is_withdrawn(),
            unsubscribed_at: time(&mut cells)?,
            created_at: Timestamp::from_micros(cells.take()?),
        })
    }
}
