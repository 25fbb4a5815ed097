//! API tokens.

use async_graphql::{ID, InputObject, Object, SimpleObject};
use service::accounts;

use super::errors::UserError;
use super::node::Key;
use super::scalars::{DateTime, at};
use super::words::Role;

/// An API token: a role and an end, for programs.
pub struct ApiToken(pub(super) accounts::ApiToken);

/// An API token: a role and an end, for programs.
#[Object]
impl ApiToken {
    /// The global id.
    async fn id(&self) -> ID {
        Key::Token(self.0.id).id()
    }

    /// What it is for.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// What it may do.
    async fn role(&self) -> Role {
        self.0.role.into()
    }

    /// Who made it, as in the audit log.
    async fn created_by(&self) -> &str {
        &self.0.created_by
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// When it ends by itself.
    async fn expires_at(&self) -> Option<DateTime> {
        at(self.0.expires_at)
    }

    /// When it was revoked.
    async fn revoked_at(&self) -> Option<DateTime> {
        at(self.0.revoked_at)
    }
}

/// A token to be made.
#[derive(InputObject)]
pub struct ApiTokenInput {
    /// What it is for.
    pub(super) name: String,
    /// What it may do.
    pub(super) role: Role,
    /// When it ends by itself; never where nothing is said.
    pub(super) expires_at: Option<DateTime>,
}

/// A token that was made.
#[derive(SimpleObject)]
pub struct ApiTokenPayload {
    /// The token; null where it was refused.
    pub(super) api_token: Option<ApiToken>,
    /// What to send as `Authorization: Bearer …`. It is shown here and never again.
    pub(super) secret: Option<String>,
    /// Why it was refused; empty where it was not.
    pub(super) user_errors: Vec<UserError>,
}

/// Something that was ended.
#[derive(SimpleObject)]
pub struct DeletePayload {
    /// Its global id; null where it was refused.
    pub(super) deleted_id: Option<ID>,
    /// Why it was refused; empty where it was not.
    pub(super) user_errors: Vec<UserError>,
}
