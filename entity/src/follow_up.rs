//! A task for somebody who is responsible for a person.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "follow_up")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub key: String,
    pub crm_id: Option<String>,
    pub campaign_id: Option<i64>,
    pub recipient: Option<i64>,
    pub person_id: i64,
    pub owner_id: String,
    pub owner: Option<String>,
    pub title: String,
    pub description: Option<String>,
    pub reason: String,
    pub due_at: Option<i64>,
    pub state: i16,
    pub error: Option<String>,
    pub job_id: Option<i64>,
    pub created_by: String,
    pub created_at: i64,
    pub done_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
