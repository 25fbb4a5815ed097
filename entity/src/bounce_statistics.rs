//! Why recipients of a campaign bounced.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "bounce_statistics")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub campaign_id: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub bounce_class: i16,
    #[sea_orm(primary_key, auto_increment = false)]
    pub smtp_code: i16,
    #[sea_orm(primary_key, auto_increment = false)]
    pub enhanced_code: String,
    pub recipients: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
