//! Who is asking.

use async_graphql::{ComplexObject, Context, SimpleObject};
use service::Subject;

use super::account::Session;
use super::errors::Result;
use super::schema::access;
use super::words::Role;

/// Who is asking, and what they may do.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct Viewer {
    /// How they stand in the audit log: `user:1`, `token:2`.
    subject: String,
    /// What to call them: the address of a user, the name of an API token.
    name: String,
    /// What they may do.
    role: Role,
    /// Whether they may see addresses, names and other personal data.
    sees_personal_data: bool,
}

/// What a user is told about the own account; an API token has none.
#[ComplexObject]
impl Viewer {
    /// The own sessions that are not over, the latest first; empty for an API token.
    #[graphql(complexity = "10 * child_complexity + 1")]
    async fn sessions(&self, ctx: &Context<'_>) -> Result<Vec<Session>> {
        let Ok(account) = access(ctx)?.own_account() else { return Ok(Vec::new()) };
        Ok(account.sessions().await?.into_iter().map(Session).collect())
    }

    /// Number of recovery codes that are left; null without a second factor, and for an API token.
    async fn recovery_codes_left(&self, ctx: &Context<'_>) -> Result<Option<i32>> {
        let Ok(account) = access(ctx)?.own_account() else { return Ok(None) };
        Ok(account.recovery_codes_left().await?.map(|left| i32::try_from(left).unwrap_or(i32::MAX)))
    }
}

impl From<&Subject> for Viewer {
    fn from(subject: &Subject) -> Self {
        Self {
            subject: subject.id.clone(),
            name: subject.name.clone(),
            role: subject.role.into(),
            sees_personal_data: subject.sees_personal_data(),
        }
    }
}
