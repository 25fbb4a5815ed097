//! The requests of providers as they came: for admins, because their bodies hold whatever the provider knows.

use domain::{Provider, Timestamp};
use sea_orm::DbErr;
use serde::Serialize;

use crate::access::Admin;
use crate::db::query_one;
use crate::error::{Result, ServiceError};
use crate::recipients::paging::{Count, List, Order, Page, PageArgs};
use crate::recipients::row::{coded, time};
use crate::recipients::sql::{Cells, Sql};

/// How far a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum DeliveryState {
    /// Stored, and not applied yet.
    Stored,
    /// All of its events are applied.
    Applied,
    /// Applied but for some elements that could not be read.
    PartlyApplied,
    /// Nothing in it could be read.
    Unreadable,
}

impl DeliveryState {
    /// The number in the database; never reused.
    #[must_use]
    pub const fn code(self) -> i16 {
        match self {
            Self::Stored => 1,
            Self::Applied => 2,
            Self::PartlyApplied => 3,
            Self::Unreadable => 4,
        }
    }

    /// What the database's number stands for.
    #[must_use]
    pub const fn from_code(code: i16) -> Option<Self> {
        match code {
            1 => Some(Self::Stored),
            2 => Some(Self::Applied),
            3 => Some(Self::PartlyApplied),
            4 => Some(Self::Unreadable),
            _ => None,
        }
    }
}

/// A request of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Which one.
    pub id: i64,
    /// The name of the source that it came in by.
    pub source: String,
    /// Whose format it has.
    pub provider: Provider,
    /// When it came in.
    pub received_at: Timestamp,
    /// How large its body is, in bytes.
    pub body_size: i64,
    /// How far it is.
    pub state: DeliveryState,
    /// How many events were found in it.
    pub events: i32,
    /// How many of these were not known before.
    pub new_events: i32,
    /// How many of its elements could not be read.
    pub failures: i32,
    /// What went wrong.
    pub error: Option<String>,
    /// When it was applied.
    pub applied_at: Option<Timestamp>,
}

/// Which deliveries, the latest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DeliveryQuery {
    /// Only those that came in by this source.
    pub source: Option<String>,
    /// Only those in this state.
    pub state: Option<DeliveryState>,
}

const COLUMNS: &[&str] = &[
    "d.source",
    "d.provider",
    "d.received_at",
    "d.body_size",
    "d.state",
    "d.events",
    "d.new_events",
    "d.failures",
    "d.error",
    "d.applied_at",
];

/// A body larger than this is shown up to here.
const MAX_SHOWN: usize = 1 << 20;

impl Admin {
    /// A page of deliveries.
    ///
    /// # Errors
    /// Refusals for what cannot be asked for; those of the database.
    pub async fn deliveries(&self, query: &DeliveryQuery, args: &PageArgs) -> Result<Page<Delivery>> {
        delivery_list(query)?.page(&self.services, args, decode).await
    }

    /// How many deliveries a query finds.
    ///
    /// # Errors
    /// As [`Admin::deliveries`].
    pub async fn count_deliveries(&self, query: &DeliveryQuery, max: i64) -> Result<Count> {
        delivery_list(query)?.count(&self.services, max).await
    }

    /// One delivery.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn delivery(&self, id: i64) -> Result<Option<Delivery>> {
        let sql = format!("SELECT {} FROM delivery d WHERE d.id = $1", COLUMNS.join(", "));
        let row = query_one(self.services.db.read(), &sql, [id.into()]).await?;
        Ok(row.map(|row| decode(id, Cells::from(&row, 0))).transpose()?)
    }

    /// The body of a delivery as text, as far as it is text and not longer than a megabyte.
    ///
    /// # Errors
    /// Where it cannot be unpacked; those of the database.
    pub async fn delivery_body(&self, id: i64) -> Result<Option<String>> {
        let sql = "SELECT body FROM delivery WHERE id = $1";
        let Some(row) = query_one(self.services.db.read(), sql, [id.into()]).await? else { return Ok(None) };
        let packed: Vec<u8> = row.try_get_by_index(0)?;
        let mut body = zstd::stream::decode_all(packed.as_slice()).map_err(ServiceError::Io)?;
        body.truncate(MAX_SHOWN);
        Ok(Some(String::from_utf8_lossy(&body).into_owned()))
    }
}

fn delivery_list(query: &DeliveryQuery) -> Result<List> {
    let mut condition = Sql::new("TRUE");
    if let Some(source) = &query.source {
        condition.push(" AND d.source = ").bind(source.clone());
    }
    if let Some(state) = query.state {
        condition.push(" AND d.state = ").bind(state.code());
    }
    Ok(List {
        columns: COLUMNS,
        from: "delivery d",
        condition,
        order: Order { sort: None, id: "d.id", descending: true },
        scope: serde_json::to_string(&("deliveries", query))?,
    })
}

fn decode(id: i64, mut cells: Cells<'_>) -> Result<Delivery, DbErr> {
    Ok(Delivery {
        id,
        source: cells.take()?,
        provider: coded(cells.take()?, Provider::from_code, "delivery.provider")?,
        received_at: Timestamp::from_micros(cells.take()?),
        body_size: cells.take()?,
        state: coded(cells.take()?, DeliveryState::from_code, "delivery.state")?,
        events: cells.take()?,
        new_events: cells.take()?,
        failures: cells.take()?,
        error: cells.take()?,
        applied_at: time(&mut cells)?,
    })
}
