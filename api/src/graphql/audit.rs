//! The audit log. For admins.

use async_graphql::{Context, ID, InputObject, Object};
use service::Refusal;
use service::audit;
use service::recipients::paging::Count;

use super::connection::List;
use super::errors::Result;
use super::node::Key;
use super::scalars::DateTime;
use super::schema::access;

/// A change that was made.
pub struct AuditEntry(pub(super) audit::AuditEntry);

/// A change that was made: by whom, what and to what.
#[Object]
impl AuditEntry {
    /// The global id.
    async fn id(&self) -> ID {
        Key::Audit(self.0.id).id()
    }

    /// When.
    async fn at(&self) -> DateTime {
        self.0.at.into()
    }

    /// By whom: `user:1`, `token:2`, `cli`, `source:name`; `system` for what nachfass does by its rules.
    async fn subject(&self) -> &str {
        &self.0.subject
    }

    /// What: `address.blocked`.
    async fn action(&self) -> &str {
        &self.0.action
    }

    /// To what: `address:1`.
    async fn object(&self) -> &str {
        &self.0.object
    }

    /// The global id of what was changed, where it has one.
    async fn object_id(&self) -> Option<ID> {
        Key::of_audit(&self.0.object).map(Key::id)
    }

    /// More about it, a JSON object without personal data.
    async fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }
}

/// Which changes. The fields are joined by AND.
#[derive(Default, InputObject)]
pub struct AuditFilter {
    /// To what has this global id: an address, a campaign, a job.
    object_id: Option<ID>,
    /// By this one: `user:1`, `token:2`, `cli`, `system`.
    subject: Option<String>,
    /// Of this kind: `address.blocked`; with a dot at its end all that begin so: `address.`.
    action: Option<String>,
    /// At this moment or after it.
    since: Option<DateTime>,
    /// Before this moment.
    until: Option<DateTime>,
}

impl TryFrom<AuditFilter> for audit::AuditFilter {
    type Error = Refusal;

    fn try_from(filter: AuditFilter) -> Result<Self, Refusal> {
        let object = filter.object_id.as_ref().map(Key::audit_object).transpose();
        Ok(Self {
            object: object.map_err(|refusal| refusal.about(&["filter", "objectId"]))?,
            subject: filter.subject,
            action: filter.action,
            since: filter.since.map(|at| at.0),
            until: filter.until.map(|at| at.0),
        })
    }
}

/// The entries that a filter finds.
pub struct AuditLog(pub(super) audit::AuditFilter);

impl List for AuditLog {
    type Node = AuditEntry;
    const CONNECTION: &'static str = "AuditConnection";
    const EDGE: &'static str = "AuditEdge";

    async fn count(&self, ctx: &Context<'_>, max: i64) -> Result<Count> {
        Ok(access(ctx)?.admin()?.count_audit_log(&self.0, max).await?)
    }
}
