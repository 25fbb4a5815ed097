//! From a provider's webhook to statistics and recipient lists.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

/// The tables of the chain.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::run_sql(manager, include_str!("sql/000001_chain.sql")).await?;
        if manager.get_database_backend() == DatabaseBackend::Postgres {
            // What belongs to no month that has a partition of its own yet (years in the past or future) lands here.
            crate::run_sql(manager, "CREATE TABLE event_default PARTITION OF event DEFAULT;\n").await?;
        }
        Ok(())
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("the first migration is not undone: drop the database instead".to_owned()))
    }
}
