//! A request of a provider as it came.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "delivery")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub source: String,
    pub provider: i16,
    pub received_at: i64,
    pub headers: String,
    pub body: Vec<u8>,
    pub body_size: i64,
    pub state: i16,
    pub events: i32,
    pub new_events: i32,
    pub failures: i32,
    pub error: Option<String>,
    pub applied_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
