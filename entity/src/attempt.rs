//! What became of a recipient when the campaign was sent to it before.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "attempt")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub campaign_id: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub number: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub attempt: i64,
    pub address_id: i64,
    pub email_key: String,
    pub email: String,
    pub status: i16,
    pub skip_reason: Option<i16>,
    pub skip: Option<i16>,
    pub canceled: bool,
    pub queued_at: Option<i64>,
    pub sent_at: Option<i64>,
    pub delivered_at: Option<i64>,
    pub last_delivered_at: Option<i64>,
    pub last_soft_bounced_at: Option<i64>,
    pub hard_bounced_at: Option<i64>,
    pub refused_at: Option<i64>,
    pub failure_gravity: Option<i16>,
    pub failure_at: Option<i64>,
    pub failure_class: Option<i16>,
    pub failure_smtp_code: Option<i16>,
    pub failure_enhanced_code: Option<String>,
    pub failure_diagnostic: Option<String>,
    pub first_opened_at: Option<i64>,
    pub last_opened_at: Option<i64>,
    pub opens: i32,
    pub machine_opens: i32,
    pub first_clicked_at: Option<i64>,
    pub last_clicked_at: Option<i64>,
    pub clicks: i32,
    pub machine_clicks: i32,
    pub complained_at: Option<i64>,
    pub unsubscribed_at: Option<i64>,
    pub ended_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
