//! Whom a rule reminded.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "reminder_target")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub rule_id: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub campaign_id: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub recipient: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub round: i64,
    pub child_id: Option<i64>,
    pub child_recipient: Option<i64>,
    pub created_at: i64,
    pub attempt: Option<i64>,
    pub is_taken_back: bool,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
