//! Locking somebody out, idle sessions, and a second factor.

use sea_orm_migration::prelude::*;

/// What users and sessions need for that.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::run_sql(manager, include_str!("sql/000005_accounts.sql")).await
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("a database is not taken back: restore it from a backup instead".to_owned()))
    }
}
