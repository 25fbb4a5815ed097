//! The timeline of a campaign.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "campaign_hour")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub campaign_id: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub hour: i64,
    pub sent: i64,
    pub delivered: i64,
    pub soft_bounced: i64,
    pub hard_bounced: i64,
    pub opened: i64,
    pub clicked: i64,
    pub complained: i64,
    pub unsubscribed: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
