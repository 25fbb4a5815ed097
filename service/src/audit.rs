//! Who changed what: written in the transaction of the change.

use domain::Timestamp;
use sea_orm::{ConnectionTrait, DbErr};

use crate::db::execute;
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
    let detail = detail.map(|detail| detail.to_string());
    execute(
        connection,
        "INSERT INTO audit_entry (at, subject, action, object, detail) VALUES ($1, $2, $3, $4, $5)",
        [at.micros().into(), subject.id.clone().into(), action.to_owned().into(), object.into(), detail.into()],
    )
    .await
    .map(|_| ())
}
