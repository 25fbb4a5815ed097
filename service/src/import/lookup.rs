//! Finding what the rows of an import may stand for: recipients and addresses, and locking them.

use std::collections::{HashMap, HashSet};

use domain::Timestamp;
use domain::health::BlockReason;
use domain::standing::{Consent, Standing};
use domain::status::{RecipientStatus, SkipReason};
use sea_orm::{DatabaseTransaction, DbErr, QueryResult};

use super::columns::Row;
use super::plan::{Fresh, Known, Texts};
use super::write::Target;
use crate::batch::{Batch, Column};
use crate::error::{Result, ServiceError};
use crate::reminders::UNSUBSCRIBED;

/// An address that is stored.
#[derive(Clone, Copy, Debug)]
pub struct Address {
    /// Its key in the database.
    pub id: i64,
    /// Why it is not to be written to, if it is not.
    pub skip: Option<SkipReason>,
    /// Its user unsubscribed, and has not subscribed since.
    pub is_unsubscribed: bool,
}

/// Finds things within a transaction.
#[derive(Clone, Copy)]
pub struct Lookup<'a> {
    /// The transaction.
    pub transaction: &'a DatabaseTransaction,
    /// Whether rows are locked one by one: SQLite's transaction holds the only write lock.
    pub postgres: bool,
    /// What is imported.
    pub target: Target,
}

impl Lookup<'_> {
    /// The recipients that rows may stand for, locked in the order of their numbers.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn known(&self, rows: &[Row]) -> Result<Vec<Known>> {
        let mut candidates = self.with_ids(rows).await?;
        candidates.extend(self.with_addresses(rows).await?);
        candidates.sort_unstable();
        candidates.dedup();
        if candidates.is_empty() {
            return Ok(Vec::new());
        }
        let mut numbers = Batch::new(&[("campaign_id", Column::Big), ("number", Column::Big)]);
        candidates.into_iter().for_each(|number| numbers.push([self.target.campaign.into(), number.into()]));
        let lock = if self.postgres { "FOR NO KEY UPDATE OF r" } else { "" };
        let sql = format!(
            "SELECT r.number, r.email_key, r.domain, r.ref, r.crm_id, \
                CAST(COALESCE(octet_length(r.name), 0) + COALESCE(octet_length(r.company), 0) \
                    + COALESCE(octet_length(r.owner), 0) + COALESCE(octet_length(r.attributes), 0) AS BIGINT), \
                r.is_simulator, r.status, r.skip, r.import_id, r.attempt \
             FROM {{rows}} CROSS JOIN recipient AS r \
             WHERE r.campaign_id = rows.campaign_id AND r.number = rows.number ORDER BY r.number {lock}"
        );
        let found = numbers.query(self.transaction, &sql, []).await?;
        found.iter().map(|row| read_known(row, self.target.import)).collect()
    }

    /// The texts of recipients that have any, by their numbers.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn texts(&self, recipients: impl Iterator<Item = &Known>) -> Result<HashMap<i64, Texts>> {
        let mut numbers = Batch::new(&[("campaign_id", Column::Big), ("number", Column::Big)]);
        let campaign = self.target.campaign;
        let with_any = recipients.filter(|known| known.texts_size > 0);
        with_any.for_each(|known| numbers.push([campaign.into(), known.number.into()]));
        if numbers.is_empty() {
            return Ok(HashMap::new());
        }
        let sql = "SELECT r.number, r.name, r.company, r.owner, r.attributes FROM {rows} CROSS JOIN recipient AS r \
            WHERE r.campaign_id = rows.campaign_id AND r.number = rows.number";
        let read = |row: &QueryResult| {
            let texts = Texts {
                name: row.try_get_by_index(1)?,
                company: row.try_get_by_index(2)?,
                owner: row.try_get_by_index(3)?,
                attributes: row.try_get_by_index(4)?,
            };
            Ok((row.try_get_by_index(0)?, texts))
        };
        let found = numbers.query(self.transaction, sql, []).await?;
        Ok(found.iter().map(read).collect::<Result<_, DbErr>>()?)
    }

    /// The numbers of those with the rows' recipient ids.
    async fn with_ids(&self, rows: &[Row]) -> Result<Vec<i64>> {
        let ids: HashSet<&str> = rows.iter().filter_map(|row| row.recipient_id.as_deref()).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let campaign = self.target.campaign;
        let mut batch = Batch::new(&[("campaign_id", Column::Big), ("ref", Column::Text)]);
        ids.into_iter().for_each(|id| batch.push([campaign.into(), id.to_owned().into()]));
        let sql = "SELECT r.number FROM {rows} CROSS JOIN recipient AS r \
            WHERE r.ref = rows.ref AND r.campaign_id = rows.campaign_id";
        numbers(&batch.query(self.transaction, sql, []).await?)
    }

    /// The numbers of those with the rows' addresses: of each as many as there are rows with it, first those that no row of this
    /// import stands for.
    async fn with_addresses(&self, rows: &[Row]) -> Result<Vec<i64>> {
        let mut wanted: HashMap<&str, i64> = HashMap::new();
        rows.iter().for_each(|row| *wanted.entry(&row.email_key).or_default() += 1);
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let campaign = self.target.campaign;
        let mut batch =
            Batch::new(&[("campaign_id", Column::Big), ("email_key", Column::Text), ("wanted", Column::Big)]);
        wanted.into_iter().for_each(|(key, count)| batch.push([campaign.into(), key.to_owned().into(), count.into()]));
        let sql = "SELECT number FROM (\
                SELECT r.number, rows.wanted, row_number() OVER (PARTITION BY r.email_key \
                    ORDER BY CASE WHEN r.import_id = {1} THEN 1 ELSE 0 END, r.number) AS place \
                FROM {rows} CROSS JOIN recipient AS r \
                WHERE r.campaign_id = rows.campaign_id AND r.email_key = rows.email_key\
            ) AS candidate WHERE place <= wanted";
        numbers(&batch.query(self.transaction, sql, [self.target.import.into()]).await?)
    }

    /// The addresses of new recipients, made where they are not known yet.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn addresses(&self, fresh: &[Fresh<'_>], now: Timestamp) -> Result<HashMap<String, Address>> {
        self.addresses_of(fresh.iter().map(|new| new.row.email_key.as_str()).collect(), now).await
    }

    /// These addresses, made where they are not known yet.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn addresses_of(&self, mut keys: Vec<&str>, now: Timestamp) -> Result<HashMap<String, Address>> {
        keys.sort_unstable();
        keys.dedup();
        let mut batch = Batch::new(&[("email_key", Column::Text)]);
        keys.into_iter().for_each(|key| batch.push([key.to_owned().into()]));
        let insert = "INSERT INTO address (email_key, created_at) SELECT email_key, {1} FROM {rows} WHERE true \
            ON CONFLICT (email_key) DO NOTHING";
        batch.clone().execute(self.transaction, insert, [now.micros().into()]).await?;
        // What the foreign key would lock one by one.
        let lock = if self.postgres { "FOR KEY SHARE OF a" } else { "" };
        let select = format!(
            "SELECT a.email_key, a.id, a.block_reason, a.last_complained_at, a.consent_given_at, {UNSUBSCRIBED} \
             FROM {{rows}} CROSS JOIN address AS a WHERE a.email_key = rows.email_key \
             ORDER BY a.email_key {lock}"
        );
        let found = batch.query(self.transaction, &select, []).await?;
        let read = |row: &QueryResult| -> Result<(String, Address), DbErr> {
            let time = |index| Ok::<_, DbErr>(row.try_get_by_index::<Option<i64>>(index)?.map(Timestamp::from_micros));
            let standing = Standing {
                blocked: row.try_get_by_index::<Option<i16>>(2)?.and_then(BlockReason::from_code),
                consent: Consent { complained_at: time(3)?, given_at: time(4)? },
            };
            let address = Address {
                id: row.try_get_by_index(1)?,
                skip: standing.skip_reason(),
                is_unsubscribed: row.try_get_by_index(5)?,
            };
            Ok((row.try_get_by_index(0)?, address))
        };
        Ok(found.iter().map(read).collect::<Result<_, _>>()?)
    }
}

/// Rows of one number each.
///
/// # Errors
/// Those of the database.
pub fn numbers(rows: &[QueryResult]) -> Result<Vec<i64>> {
    Ok(rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, DbErr>>()?)
}

fn read_known(row: &QueryResult, import: i64) -> Result<Known> {
    let status: i16 = row.try_get_by_index(7)?;
    let unknown = || ServiceError::Inconsistent(format!("a recipient has the unknown status {status}"));
    Ok(Known {
        number: row.try_get_by_index(0)?,
        email_key: row.try_get_by_index(1)?,
        domain: row.try_get_by_index(2)?,
        recipient_id: row.try_get_by_index(3)?,
        crm_id: row.try_get_by_index(4)?,
        texts_size: row.try_get_by_index(5)?,
        is_simulator: row.try_get_by_index(6)?,
        status: RecipientStatus::from_code(status).ok_or_else(unknown)?,
        is_skipped: row.try_get_by_index::<Option<i16>>(8)?.is_some(),
        is_claimed: row.try_get_by_index::<Option<i64>>(9)? == Some(import),
        attempt: row.try_get_by_index(10)?,
    })
}
