//! Whom to remind of which campaigns, and when.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "reminder_rule")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub name: String,
    pub campaign_id: Option<i64>,
    pub name_pattern: Option<String>,
    pub after_hours: i32,
    pub audience: i16,
    pub max_reminders: i32,
    pub time_zone: String,
    pub send_from: Option<String>,
    pub send_to: Option<String>,
    pub send_days: Option<String>,
    pub action: i16,
    pub subject_prefix: Option<String>,
    pub enabled: bool,
    pub created_by: String,
    pub created_at: i64,
    pub updated_at: i64,
    pub deleted_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
