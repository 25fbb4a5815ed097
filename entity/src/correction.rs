//! Another address in place of one.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "correction")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub old_email: String,
    pub old_key: String,
    pub old_domain: String,
    pub new_email: String,
    pub new_key: String,
    pub new_domain: String,
    pub person_id: Option<i64>,
    pub state: i16,
    pub source: i16,
    pub suggestion: Option<i16>,
    pub confidence: Option<i16>,
    pub reason: Option<String>,
    pub push: i16,
    pub push_error: Option<String>,
    pub crm_email: Option<String>,
    pub job_id: Option<i64>,
    pub created_by: String,
    pub created_at: i64,
    pub decided_by: Option<String>,
    pub decided_at: Option<i64>,
    pub is_added: bool,
    pub push_job: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
