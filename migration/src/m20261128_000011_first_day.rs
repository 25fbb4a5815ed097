//! How often requests to each source were accepted and rejected.

use sea_orm_migration::prelude::*;

/// The table that this needs.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::run_sql(manager, include_str!("sql/000011_first_day.sql")).await
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("a database is not taken back: restore it from a backup instead".to_owned()))
    }
}
