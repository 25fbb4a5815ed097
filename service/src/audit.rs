//! Who changed what: written in the transaction of the change.

use domain::Timestamp;
use entity::audit_entry;
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::{ConnectionTrait, DbErr, EntityTrait};

use crate::subject::Subject;

/// Writes an audit entry. `object` is `kind:id`; `detail` holds no personal data.
///
/// # Errors
/// Those of the database.
pub async fn record<C: ConnectionTrait>(
    connection: &C,
    at: Timestamp,
    subject: &Subject,
    action: &str,
    object: String,
    detail: Option<serde_json::Value>,
) -> Result<(), DbErr> {
    let entry = audit_entry::ActiveModel {
        id: NotSet,
        at: Set(at.micros()),
        subject: Set(subject.id.clone()),
        action: Set(action.to_owned()),
        object: Set(object),
        detail: Set(detail.map(|detail| detail.to_string())),
    };
    audit_entry::Entity::insert(entry).exec_without_returning(connection).await.map(|_| ())
}
