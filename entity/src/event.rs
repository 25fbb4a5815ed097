//! What a provider reported.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "event")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub provider: i16,
    #[sea_orm(primary_key, auto_increment = false)]
    pub event_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub occurred_at: i64,
    pub id: i64,
    pub kind: i16,
    pub campaign_id: Option<i64>,
    pub recipient: Option<i64>,
    pub bounce_class: Option<i16>,
    pub smtp_code: Option<i16>,
    pub enhanced_code: Option<String>,
    pub diagnostic: Option<String>,
    pub url: Option<String>,
    pub verdict: Option<i16>,
    pub message_id: Option<String>,
    pub email: Option<String>,
    pub recipient_ref: Option<String>,
    pub campaign_keys: Option<String>,
    pub source: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
