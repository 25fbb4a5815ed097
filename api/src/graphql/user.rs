//! Users: who may sign in, and as what. For admins.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use service::accounts::{self, Lockout};

use super::account::Session;
use super::errors::{Result, UserError, outcome};
use super::node::{self, Key};
use super::scalars::{DateTime, at};
use super::schema::access;
use super::words::Role;

/// Somebody who may sign in.
pub struct User(accounts::User);

/// Somebody who may sign in.
#[Object]
impl User {
    /// The global id.
    async fn id(&self) -> ID {
        Key::User(self.0.id).id()
    }

    /// The address to sign in with.
    async fn email(&self) -> &str {
        &self.0.email
    }

    /// What the user may do.
    async fn role(&self) -> Role {
        self.0.role.into()
    }

    /// When the user was added.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// Since when the user may not sign in; null for a user who may.
    async fn disabled_at(&self) -> Option<DateTime> {
        at(self.0.disabled_at)
    }

    /// Whether the user signs in with a second factor.
    async fn has_second_factor(&self) -> bool {
        self.0.has_totp
    }

    /// The user's sessions that are not over, the latest first. For admins.
    #[graphql(complexity = "10 * child_complexity + 20")]
    async fn sessions(&self, ctx: &Context<'_>) -> Result<Vec<Session>> {
        Ok(access(ctx)?.admin()?.sessions(self.0.id).await?.into_iter().map(Session).collect())
    }
}

/// A user to be added.
#[derive(InputObject)]
pub struct AddUserInput {
    /// The address to sign in with.
    email: String,
    /// What the user may do.
    role: Role,
    /// The password: at least 12 characters, and not easily guessed.
    password: String,
}

/// A user who was added or changed.
#[derive(SimpleObject)]
pub struct UserPayload {
    /// The user; null where it was refused.
    user: Option<User>,
    /// Number of sessions that the change has ended.
    sessions_ended: i32,
    /// Global ids of the API tokens that the change has revoked.
    revoked_token_ids: Vec<ID>,
    /// Reasons for refusing the mutation; empty if it succeeded.
    user_errors: Vec<UserError>,
}

impl UserPayload {
    pub(super) fn of(changed: service::Result<accounts::UserChange>) -> Result<Self> {
        let (change, user_errors) = outcome(changed)?;
        let Some(change) = change else {
            return Ok(Self { user: None, sessions_ended: 0, revoked_token_ids: Vec::new(), user_errors });
        };
        Ok(Self {
            user: Some(User(change.user)),
            sessions_ended: i32::try_from(change.sessions_ended).unwrap_or(i32::MAX),
            revoked_token_ids: change.tokens_revoked.into_iter().map(|id| Key::Token(id).id()).collect(),
            user_errors,
        })
    }
}

/// The root of queries about users.
#[derive(Default)]
pub struct UserQuery;

/// What can be asked for about users.
#[Object]
impl UserQuery {
    /// All users, in the order of their addresses. For admins.
    #[graphql(complexity = "100 * child_complexity + 1")]
    async fn users(&self, ctx: &Context<'_>) -> Result<Vec<User>> {
        Ok(access(ctx)?.admin()?.users().await?.into_iter().map(User).collect())
    }
}

/// The root of mutations of users.
#[derive(Default)]
pub struct UserMutation;

/// What can be changed about users. Whatever takes something from a user ends the user's sessions and sockets within 5 seconds.
#[Object]
impl UserMutation {
    /// Adds a user. For admins.
    async fn add_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The user.")] input: AddUserInput,
    ) -> Result<UserPayload> {
        let admin = access(ctx)?.admin()?;
        let (user, user_errors) = outcome(admin.add_user(&input.email, input.role.into(), &input.password).await)?;
        Ok(UserPayload { user: user.map(User), sessions_ended: 0, revoked_token_ids: Vec::new(), user_errors })
    }

    /// Gives a user another role and ends the user's sessions. API tokens that the user made and that may do more than the new role are
    /// revoked. Refused for the last admin who can sign in. For admins.
    async fn set_user_role(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the user.")] id: ID,
        #[graphql(desc = "What the user may do from now on.")] role: Role,
        #[graphql(desc = "Whether tokens that the user made stay valid.", default = false)] keep_tokens: bool,
    ) -> Result<UserPayload> {
        let (admin, how) = (access(ctx)?.admin()?, Lockout { force: false, keep_tokens });
        UserPayload::of(async { admin.set_user_role(node::user(&id)?, role.into(), how).await }.await)
    }

    /// Locks a user out, or lets the user in again. Locking out ends all sessions and revokes the API tokens that the user made. Refused
    /// for the last admin who can sign in. For admins.
    async fn set_user_disabled(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the user.")] id: ID,
        #[graphql(desc = "Whether the user is locked out.")] disabled: bool,
        #[graphql(desc = "Whether tokens that the user made stay valid.", default = false)] keep_tokens: bool,
    ) -> Result<UserPayload> {
        let (admin, how) = (access(ctx)?.admin()?, Lockout { force: false, keep_tokens });
        let changed = async {
            let id = node::user(&id)?;
            if disabled { admin.disable_user(id, how).await } else { admin.enable_user(id).await }
        };
        UserPayload::of(changed.await)
    }

    /// Gives a user another password and ends the user's sessions. For admins.
    async fn set_user_password(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the user.")] id: ID,
        #[graphql(desc = "The password: at least 12 characters, and not easily guessed.")] password: String,
    ) -> Result<UserPayload> {
        let admin = access(ctx)?.admin()?;
        UserPayload::of(async { admin.set_user_password(node::user(&id)?, &password).await }.await)
    }
}
