//! Work that is due, and its history.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "job")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub kind: i16,
    pub queue: i16,
    pub payload: String,
    pub idempotency_key: Option<String>,
    pub state: i16,
    pub run_at: i64,
    pub attempt: i32,
    pub forgiven: i32,
    pub lease_until: Option<i64>,
    pub worker: Option<String>,
    pub done: i64,
    pub total: Option<i64>,
    pub skipped: i64,
    pub result: Option<String>,
    pub error: Option<String>,
    pub created_by: String,
    pub created_at: i64,
    pub started_at: Option<i64>,
    pub finished_at: Option<i64>,
    pub position: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
