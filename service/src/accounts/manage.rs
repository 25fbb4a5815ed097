//! Locking somebody out, and letting them in again: roles, passwords, and users who are disabled.
//!
//! Each change ends what was begun under the old state: the user's sessions, in the same transaction. Sockets follow, because they ask
//! again and again whether their session still is one.

use entity::{api_token, user_account};
use sea_orm::sea_query::{Expr, SimpleExpr};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    Value,
};
use serde_json::json;

use super::users::{User, object};
use super::{known, password, sessions, strength, tokens};
use crate::access::Admin;
use crate::audit;
use crate::error::{Refusal, RefusalCode, Result};
use crate::subject::Role;

/// How somebody is locked out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lockout {
    /// Even the last admin who can sign in. Then only the command line can let somebody in again.
    pub force: bool,
    /// The tokens that the user has made go on working.
    pub keep_tokens: bool,
}

/// What a change has brought about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserChange {
    /// The user as it is now.
    pub user: User,
    /// Sessions that were ended.
    pub sessions_ended: u64,
    /// The keys of the tokens that were revoked.
    pub tokens_revoked: Vec<i64>,
}

impl UserChange {
    fn none(user: User) -> Self {
        Self { user, sessions_ended: 0, tokens_revoked: Vec::new() }
    }
}

impl Admin {
    /// The user with this address.
    ///
    /// # Errors
    /// A refusal where there is none.
    pub async fn user_by_email(&self, email: &str) -> Result<User> {
        let row = self.services.user_by_key(&domain::email::key_of(email)).await?;
        let row = row.ok_or_else(|| Refusal::new(RefusalCode::NotFound, "there is no user with this address"))?;
        let has_totp = self.services.totp_of(row.id).await?.is_some();
        User::read(row, has_totp)
    }

    /// Locks a user out: no sign-in, no sessions, and none of the tokens that the user has made, by whatever way. Nothing changes for one
    /// who is disabled already.
    ///
    /// # Errors
    /// A refusal where there is no such user, and for the last admin who can sign in.
    pub async fn disable_user(&self, id: i64, how: Lockout) -> Result<UserChange> {
        let transaction = self.begin_account_change().await?;
        let user = self.lock_beside_admins(&transaction, id, how.force, |user| user.disabled_at.is_none()).await?;
        if user.disabled_at.is_some() {
            return Ok(UserChange::none(User::read(user, false)?));
        }
        let now = self.services.now();
        update(&transaction, id, user_account::Column::DisabledAt, Expr::value(now.micros())).await?;
        let user = user_account::Model { disabled_at: Some(now.micros()), ..user };
        let tokens = if how.keep_tokens { None } else { Some(Role::Viewer) };
        self.finish(transaction, user, "user.disabled", json!({}), tokens).await
    }

    /// Lets a user sign in again. Tokens that were revoked stay so.
    ///
    /// # Errors
    /// A refusal where there is no such user.
    pub async fn enable_user(&self, id: i64) -> Result<UserChange> {
        let transaction = self.begin_account_change().await?;
        let user = lock(&transaction, id).await?;
        if user.disabled_at.is_none() {
            return Ok(UserChange::none(User::read(user, false)?));
        }
        update(&transaction, id, user_account::Column::DisabledAt, Expr::value(Value::BigInt(None))).await?;
        let user = user_account::Model { disabled_at: None, ..user };
        self.finish(transaction, user, "user.enabled", json!({}), None).await
    }

    /// Gives a user another role, and ends the user's sessions. Where it is a lesser one, tokens that the user has made and that may do
    /// more are revoked.
    ///
    /// # Errors
    /// A refusal where there is no such user, and for the last admin who can sign in.
    pub async fn set_user_role(&self, id: i64, role: Role, how: Lockout) -> Result<UserChange> {
        let loses = |user: &user_account::Model| role != Role::Admin && user.disabled_at.is_none();
        let transaction = self.begin_account_change().await?;
        let user = self.lock_beside_admins(&transaction, id, how.force, loses).await?;
        let before = super::users::stored_role(user.role)?;
        if before == role {
            return Ok(UserChange::none(User::read(user, false)?));
        }
        update(&transaction, id, user_account::Column::Role, Expr::value(role.code())).await?;
        let user = user_account::Model { role: role.code(), ..user };
        let above = match role {
            Role::Viewer => Some(Role::Marketer),
            Role::Marketer => Some(Role::Admin),
            Role::Admin => None,
        };
        let tokens = above.filter(|_| role < before && !how.keep_tokens);
        self.finish(transaction, user, "user.role_changed", json!({ "from": before, "to": role }), tokens).await
    }

    /// Gives a user another password, and ends the user's sessions.
    ///
    /// # Errors
    /// A refusal where there is no such user, and for a password that is too short or too easily guessed.
    pub async fn set_user_password(&self, id: i64, password: &str) -> Result<UserChange> {
        let found = user_account::Entity::find_by_id(id).one(self.services.db.read()).await?;
        let email = found.ok_or_else(no_such_user)?.email;
        strength::require("password", password, &email).await?;
        let hash = password::hash(password.to_owned()).await?;
        let transaction = self.begin_account_change().await?;
        let user = lock(&transaction, id).await?;
        update(&transaction, id, user_account::Column::PasswordHash, Expr::value(hash)).await?;
        self.finish(transaction, user, "user.password_changed", json!({}), None).await
    }

    /// Begins a transaction that gives or takes access: refused for an admin who was locked out while the request was under way.
    ///
    /// # Errors
    /// That refusal.
    pub(super) async fn begin_account_change(&self) -> Result<DatabaseTransaction> {
        let transaction = self.services.db.begin().await?;
        let id = |prefix: &str| self.subject.id.strip_prefix(prefix).and_then(|id| id.parse::<i64>().ok());
        let is_admin = if let Some(id) = id("user:") {
            let user = user_account::Entity::find_by_id(id).one(&transaction).await?;
            user.is_some_and(|user| is_active_admin(&user))
        } else if let Some(id) = id("token:") {
            let token = api_token::Entity::find_by_id(id).one(&transaction).await?;
            token.is_some_and(|token| token.revoked_at.is_none())
        } else {
            true
        };
        if !is_admin {
            return Err(Refusal::new(RefusalCode::Forbidden, "this needs the role admin, which you have lost").into());
        }
        Ok(transaction)
    }

    /// Ends the sessions, revokes the tokens from a role on, audits, and commits.
    async fn finish(
        &self,
        transaction: DatabaseTransaction,
        user: user_account::Model,
        action: &str,
        mut detail: serde_json::Value,
        tokens_from: Option<Role>,
    ) -> Result<UserChange> {
        let (id, now) = (user.id, self.services.now());
        let sessions_ended = sessions::end_all(&transaction, id).await?;
        if let Some(fields) = detail.as_object_mut() {
            fields.insert("sessionsEnded".to_owned(), json!(sessions_ended));
        }
        audit::record(&transaction, now, &self.subject, action, object(id), Some(detail)).await?;
        let tokens_revoked = match tokens_from {
            Some(role) => tokens::revoke_made_by(&transaction, now, &self.subject, &object(id), role).await?,
            None => Vec::new(),
        };
        transaction.commit().await?;
        known::forget_all();
        let has_totp = self.services.totp_of(id).await?.is_some();
        Ok(UserChange { user: User::read(user, has_totp)?, sessions_ended, tokens_revoked })
    }

    /// Locks a user's row, together with those of all admins who can sign in, so that two of them cannot lock each other out at the same
    /// time. `loses` says whether the user will not be one of them any more.
    async fn lock_beside_admins(
        &self,
        transaction: &DatabaseTransaction,
        id: i64,
        force: bool,
        loses: impl FnOnce(&user_account::Model) -> bool,
    ) -> Result<user_account::Model> {
        let admins = Condition::all()
            .add(user_account::Column::Role.eq(Role::Admin.code()))
            .add(user_account::Column::DisabledAt.is_null());
        let rows = user_account::Entity::find()
            .filter(Condition::any().add(user_account::Column::Id.eq(id)).add(admins))
            .order_by_asc(user_account::Column::Id)
            .lock_exclusive()
            .all(transaction)
            .await?;
        let others = rows.iter().filter(|row| row.id != id && is_active_admin(row)).count();
        let user = rows.into_iter().find(|row| row.id == id).ok_or_else(no_such_user)?;
        if !force && others == 0 && is_active_admin(&user) && loses(&user) {
            let message = "this is the last admin who can sign in: make another user an admin first";
            return Err(Refusal::new(RefusalCode::Conflict, message).into());
        }
        Ok(user)
    }
}

/// Locks a user's row until the transaction ends.
///
/// # Errors
/// A refusal where there is no such user.
pub(super) async fn lock(transaction: &DatabaseTransaction, id: i64) -> Result<user_account::Model> {
    let row = user_account::Entity::find_by_id(id).lock_exclusive().one(transaction).await?;
    Ok(row.ok_or_else(no_such_user)?)
}

/// Changes a column of a user.
pub(super) async fn update<C: ConnectionTrait>(
    connection: &C,
    id: i64,
    column: user_account::Column,
    value: SimpleExpr,
) -> Result<()> {
    let update = user_account::Entity::update_many().col_expr(column, value);
    update.filter(user_account::Column::Id.eq(id)).exec(connection).await?;
    Ok(())
}

fn is_active_admin(user: &user_account::Model) -> bool {
    user.role == Role::Admin.code() && user.disabled_at.is_none()
}

fn no_such_user() -> Refusal {
    Refusal::field(RefusalCode::NotFound, &["id"], "there is no such user")
}
