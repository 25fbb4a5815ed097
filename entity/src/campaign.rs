//! A campaign.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "campaign")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub key: String,
    pub name: String,
    pub subject: Option<String>,
    pub from_address: Option<String>,
    pub state: i16,
    pub sent_at: Option<i64>,
    pub parent_id: Option<i64>,
    pub last_recipient: i64,
    pub created_by: String,
    pub created_at: i64,
    pub reopened_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
