//! Rows that are removed by a condition alone.

use domain::Timestamp;
use sea_orm::Value;

use super::{CHUNK, Item, Run};
use crate::access::Services;
use crate::db::{execute, query_one};
use crate::error::Result;

/// A clock in disorder may have left so many young rows among the old: they do not end the search.
const STRAY: usize = if cfg!(test) { 5 } else { 100 };

/// Which rows of a table are removed.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// The table.
    pub name: &'static str,
    /// The columns of its primary key.
    pub key: &'static str,
    /// Which rows are removed; `$1` is the cutoff.
    pub condition: &'static str,
    /// The time by which its rows are older, where there is no index of it, but `id` grows with it: only the rows before the first
    /// young ones ([`STRAY`]) are looked at.
    pub time: Option<&'static str>,
}

impl Table {
    /// How many rows would be removed.
    pub async fn count(self, services: &Services, cutoff: Timestamp) -> Result<u64> {
        let (condition, values) = self.filter(services, cutoff).await?;
        let sql = format!("SELECT count(*) FROM {} WHERE {condition}", self.name);
        number(query_one(services.db.read(), &sql, values).await?.as_ref())
    }

    /// Removes them.
    pub async fn remove(self, run: &mut Run<'_>, item: Item, cutoff: Timestamp) -> Result<()> {
        let (condition, values) = self.filter(run.services, cutoff).await?;
        let Self { name, key, .. } = self;
        let order = if self.time.is_some() { "ORDER BY id" } else { "" };
        let sql = format!(
            "DELETE FROM {name} WHERE ({key}) IN (SELECT {key} FROM {name} WHERE {condition} {order} LIMIT {CHUNK})"
        );
        loop {
            let transaction = run.services.db.begin_keyed().await?;
            let removed = execute(&transaction, &sql, values.clone()).await?.rows_affected();
            if removed == 0 {
                return Ok(());
            }
            run.commit(transaction, item, removed).await?;
        }
    }

    async fn filter(self, services: &Services, cutoff: Timestamp) -> Result<(String, Vec<Value>)> {
        let mut values: Vec<Value> = vec![cutoff.micros().into()];
        let Some(time) = self.time else { return Ok((self.condition.to_owned(), values)) };
        let sql = format!("SELECT id FROM {} WHERE {time} >= $1 ORDER BY id LIMIT 1 OFFSET {STRAY}", self.name);
        let young = query_one(services.db.read(), &sql, values.clone()).await?;
        let young: i64 = young.map_or(Ok(i64::MAX), |row| row.try_get_by_index(0))?;
        values.push(young.into());
        Ok((format!("{} AND id < $2", self.condition), values))
    }
}

/// The number that a count answers.
pub fn number(row: Option<&sea_orm::QueryResult>) -> Result<u64> {
    let number: i64 = row.map_or(Ok(0), |row| row.try_get_by_index(0))?;
    Ok(u64::try_from(number).unwrap_or_default())
}
