//! A person of the CRM.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "person")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub crm_id: String,
    pub name: Option<String>,
    pub company_id: Option<String>,
    pub company: Option<String>,
    pub owner_id: Option<String>,
    pub owner: Option<String>,
    pub owner_is_active: bool,
    pub is_former_employee: bool,
    pub no_mailing: bool,
    pub consent: Option<bool>,
    pub subscriptions: Option<String>,
    pub crm_updated_at: Option<i64>,
    pub seen_in: i64,
    pub created_at: i64,
    pub updated_at: i64,
    pub deleted_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
