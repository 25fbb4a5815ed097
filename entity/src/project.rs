//! A project.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "project")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub key: String,
    pub crm_id: Option<String>,
    pub name: String,
    pub description: Option<String>,
    pub kind: i16,
    pub member_count: i64,
    pub seen_in: i64,
    pub created_by: String,
    pub created_at: i64,
    pub job_id: Option<i64>,
    pub pusher: Option<i64>,
    pub synced_at: Option<i64>,
    pub sync_error: Option<String>,
    pub deleted_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
