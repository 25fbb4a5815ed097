//! The figures of a campaign.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "campaign_statistics")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub campaign_id: i64,
    pub recipients: i64,
    pub ready: i64,
    pub sent_only: i64,
    pub delivered_only: i64,
    pub read: i64,
    pub clicked_only: i64,
    pub soft_bounced: i64,
    pub hard_bounced: i64,
    pub blocked: i64,
    pub complained_only: i64,
    pub unsubscribed_only: i64,
    pub canceled: i64,
    pub opened: i64,
    pub machine_opened: i64,
    pub clicked: i64,
    pub machine_clicked: i64,
    pub complained: i64,
    pub unsubscribed: i64,
    pub opens: i64,
    pub clicks: i64,
    pub updated_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
