//! An e-mail address, over all campaigns.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "address")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub email_key: String,
    pub health: i16,
    pub consecutive_soft_bounces: i32,
    pub outcomes: String,
    pub last_reason: Option<String>,
    pub last_reason_at: Option<i64>,
    pub blocked_at: Option<i64>,
    pub block_reason: Option<i16>,
    pub complained_at: Option<i64>,
    pub created_at: i64,
    pub cleared_at: Option<i64>,
    pub blocked_by_hand_at: Option<i64>,
    pub former_employee_at: Option<i64>,
    pub deleted_at: Option<i64>,
    pub block_note: Option<String>,
    pub block_event: Option<i64>,
    pub last_complained_at: Option<i64>,
    pub consent_given_at: Option<i64>,
    pub unsubscribed_at: Option<i64>,
    pub subscribed_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
