//! A file that a job made, to be downloaded.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "export_file")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub job_id: i64,
    pub name: String,
    pub content_type: String,
    pub size: i64,
    pub rows_written: i64,
    pub snapshot_at: i64,
    pub created_by: String,
    pub created_at: i64,
    pub expires_at: i64,
    pub removed_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
