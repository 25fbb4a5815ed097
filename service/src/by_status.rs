//! Recipients by status, for the lists that ask for one: on PostgreSQL a table of its own instead of an index.
//!
//! A recipient changes its status several times, and PostgreSQL writes a row whose indexed columns change into every one of its
//! indexes anew. Without an index that names the status the row stays in its place (a HOT update), and only this small table is
//! written: see docs/decisions/0013. On SQLite `recipient_status` is a view, and an index does the work.

use std::collections::BTreeMap;

use domain::status::RecipientStatus;
use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr};

use crate::batch::{Batch, Column};
use crate::db::{execute, query_one};

const COLUMNS: &[(&str, Column)] = &[("campaign_id", Column::Big), ("status", Column::Small), ("number", Column::Big)];

/// The changes of status that a transaction makes.
#[derive(Debug, Default)]
pub struct ByStatus(BTreeMap<(i64, i64), Change>);

#[derive(Debug)]
struct Change {
    before: Option<RecipientStatus>,
    after: RecipientStatus,
}

impl ByStatus {
    /// The status of recipient `number` of `campaign` is now `after`; a new one had none before.
    pub fn change(&mut self, campaign: i64, number: i64, before: Option<RecipientStatus>, after: RecipientStatus) {
        self.0.entry((campaign, number)).and_modify(|change| change.after = after).or_insert(Change { before, after });
    }

    /// Writes them.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn write<C: ConnectionTrait>(self, connection: &C) -> Result<(), DbErr> {
        if connection.get_database_backend() != DatabaseBackend::Postgres {
            return Ok(());
        }
        let (mut gone, mut come) = (Batch::new(COLUMNS), Batch::new(COLUMNS));
        for ((campaign, number), Change { before, after }) in self.0 {
            if before == Some(after) {
                continue;
            }
            if let Some(before) = before {
                gone.push([campaign.into(), before.code().into(), number.into()]);
            }
            come.push([campaign.into(), after.code().into(), number.into()]);
        }
        if !gone.is_empty() {
            let sql = "DELETE FROM recipient_status USING {rows} WHERE recipient_status.campaign_id = rows.campaign_id \
                       AND recipient_status.status = rows.status AND recipient_status.number = rows.number";
            gone.execute(connection, sql, []).await?;
        }
        if !come.is_empty() {
            let sql = "INSERT INTO recipient_status (campaign_id, status, number) SELECT campaign_id, status, number FROM {rows}";
            come.execute(connection, sql, []).await?;
        }
        Ok(())
    }
}

/// All recipients of a campaign with one status have got another, in one statement elsewhere.
///
/// # Errors
/// Those of the database.
pub async fn change_all<C: ConnectionTrait>(
    connection: &C,
    campaign: i64,
    before: RecipientStatus,
    after: RecipientStatus,
) -> Result<(), DbErr> {
    if connection.get_database_backend() == DatabaseBackend::Postgres {
        let sql = "UPDATE recipient_status SET status = $3 WHERE campaign_id = $1 AND status = $2";
        execute(connection, sql, [campaign.into(), before.code().into(), after.code().into()]).await?;
    }
    Ok(())
}

/// How many recipients of a campaign do not stand where they belong, or stand where they do not.
///
/// # Errors
/// Those of the database.
pub async fn differences<C: ConnectionTrait>(connection: &C, campaign: i64) -> Result<i64, DbErr> {
    if connection.get_database_backend() != DatabaseBackend::Postgres {
        // A view cannot differ from its table, and SQLite would compare each recipient with each.
        return Ok(0);
    }
    let sql = "SELECT count(*) FROM (SELECT campaign_id, number, status FROM recipient WHERE campaign_id = $1) AS r \
               FULL JOIN (SELECT campaign_id, number, status FROM recipient_status WHERE campaign_id = $1) AS s \
               ON s.campaign_id = r.campaign_id AND s.number = r.number AND s.status = r.status \
               WHERE r.number IS NULL OR s.number IS NULL";
    query_one(connection, sql, [campaign.into()]).await?.map_or(Ok(0), |row| row.try_get_by_index(0))
}

/// Puts every recipient of a campaign where it belongs.
///
/// # Errors
/// Those of the database.
pub async fn repair<C: ConnectionTrait>(connection: &C, campaign: i64) -> Result<(), DbErr> {
    if connection.get_database_backend() == DatabaseBackend::Postgres {
        execute(connection, "DELETE FROM recipient_status WHERE campaign_id = $1", [campaign.into()]).await?;
        let sql = "INSERT INTO recipient_status (campaign_id, status, number) \
                   SELECT campaign_id, status, number FROM recipient WHERE campaign_id = $1";
        execute(connection, sql, [campaign.into()]).await?;
    }
    Ok(())
}
