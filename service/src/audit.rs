//! Who changed what: written in the transaction of the change.

use domain::Timestamp;
use domain::text::cut;
use entity::audit_entry;
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter};
use serde::Serialize;

use crate::access::Admin;
use crate::error::Result;
use crate::recipients::paging::{Count, List, Order, Page, PageArgs};
use crate::recipients::sql::{Cells, Sql, escape_like};
use crate::subject::Subject;

/// As long what was changed may be called, in characters.
const MAX_OBJECT: usize = 500;

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
    let entry = entry(at, subject, action, object, detail.as_ref());
    audit_entry::Entity::insert(entry).exec_without_returning(connection).await.map(|_| ())
}

/// The same, for an entry that goes on counting: answers its key.
///
/// # Errors
/// Those of the database.
pub(crate) async fn insert<C: ConnectionTrait>(
    connection: &C,
    at: Timestamp,
    subject: &Subject,
    action: &str,
    object: String,
    detail: &serde_json::Value,
) -> Result<i64, DbErr> {
    let entry = entry(at, subject, action, object, Some(detail));
    Ok(audit_entry::Entity::insert(entry).exec(connection).await?.last_insert_id)
}

/// Replaces the detail of an entry that goes on counting.
///
/// # Errors
/// Those of the database.
pub(crate) async fn amend<C: ConnectionTrait>(
    connection: &C,
    id: i64,
    detail: &serde_json::Value,
) -> Result<(), DbErr> {
    let amended = audit_entry::Entity::update_many()
        .col_expr(audit_entry::Column::Detail, Expr::value(detail.to_string()))
        .filter(audit_entry::Column::Id.eq(id));
    amended.exec(connection).await.map(|_| ())
}

fn entry(
    at: Timestamp,
    subject: &Subject,
    action: &str,
    object: String,
    detail: Option<&serde_json::Value>,
) -> audit_entry::ActiveModel {
    audit_entry::ActiveModel {
        id: NotSet,
        at: Set(at.micros()),
        subject: Set(subject.id.clone()),
        action: Set(action.to_owned()),
        object: Set(if object.len() > MAX_OBJECT { cut(&object, MAX_OBJECT) } else { object }),
        detail: Set(detail.map(ToString::to_string)),
    }
}

/// A change that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Which one.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// By whom: `user:1`, `token:2`, `cli`, `source:name`, `system`, `anonymous`.
    pub subject: String,
    /// What: `address.blocked`.
    pub action: String,
    /// To what: `address:1`.
    pub object: String,
    /// More about it, a JSON object without personal data.
    pub detail: Option<String>,
}

/// Which changes. What is empty restricts nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AuditFilter {
    /// To this.
    pub object: Option<String>,
    /// By this one.
    pub subject: Option<String>,
    /// Of this kind: `address.blocked`, or all that begin so: `address.`.
    pub action: Option<String>,
    /// At this moment or after it.
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
}

impl Admin {
    /// A page of the audit log, the latest first.
    ///
    /// # Errors
    /// Refusals for what cannot be asked for; those of the database.
    pub async fn audit_log(&self, filter: &AuditFilter, args: &PageArgs) -> Result<Page<AuditEntry>> {
        let decode = |id, mut cells: Cells<'_>| {
            Ok(AuditEntry {
                id,
                at: Timestamp::from_micros(cells.take()?),
                subject: cells.take()?,
                action: cells.take()?,
                object: cells.take()?,
                detail: cells.take()?,
            })
        };
        list(filter)?.page(&self.services, args, decode).await
    }

    /// How many entries there are.
    ///
    /// # Errors
    /// As [`Admin::audit_log`].
    pub async fn count_audit_log(&self, filter: &AuditFilter, max: i64) -> Result<Count> {
        list(filter)?.count(&self.services, max).await
    }
}

fn list(filter: &AuditFilter) -> Result<List> {
    let mut condition = Sql::new("TRUE");
    for (column, wanted) in [("object", &filter.object), ("subject", &filter.subject)] {
        if let Some(wanted) = wanted {
            condition.push(&format!(" AND {column} = ")).bind(wanted.clone());
        }
    }
    if let Some(action) = &filter.action {
        condition.push(" AND action LIKE ").bind(beginning(action)).push(" ESCAPE '\\'");
    }
    if let Some(since) = filter.since {
        condition.push(" AND at >= ").bind(since.micros());
    }
    if let Some(until) = filter.until {
        condition.push(" AND at < ").bind(until.micros());
    }
    Ok(List {
        columns: &["at", "subject", "action", "object", "detail"],
        from: "audit_entry",
        condition,
        order: Order { sort: None, id: "id", descending: true },
        scope: serde_json::to_string(&("audit log", filter))?,
    })
}

/// A whole action, or with a dot at its end the beginning of several.
fn beginning(action: &str) -> String {
    let pattern = escape_like(action);
    if action.ends_with('.') { format!("{pattern}%") } else { pattern }
}
