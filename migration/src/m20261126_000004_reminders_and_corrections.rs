//! What a reminder may be: a campaign, members of a selection, or another attempt; what the corrections need besides.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DatabaseBackend};

/// The columns that these need.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite cannot take a NOT NULL back: there the two tables are made anew.
        let tables = match manager.get_connection().get_database_backend() {
            DatabaseBackend::Sqlite => include_str!("sql/000004_reminders_and_corrections.sqlite.sql"),
            _ => include_str!("sql/000004_reminders_and_corrections.postgres.sql"),
        };
        crate::run_sql(manager, tables).await?;
        crate::run_sql(manager, include_str!("sql/000004_reminders_and_corrections.sql")).await
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("a database is not taken back: restore it from a backup instead".to_owned()))
    }
}
