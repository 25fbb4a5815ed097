//! What users do with their own account. Each step asks for the password again: a session alone, perhaps left open, is not enough to
//! keep others out or let them in.

use entity::{user_account, user_recovery_code, user_totp};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::json;

use super::password::{self, Lane};
use super::secret::Secret;
use super::sign_in::SignedIn;
use super::totp::{self, Enrolment};
use super::users::object;
use super::{known, manage, sessions, strength};
use crate::access::{Access, Services};
use crate::audit;
use crate::error::{Refusal, RefusalCode, Result};
use crate::subject::{Role, Subject};

/// The account of the user who is asking.
#[derive(Clone)]
pub struct OwnAccount {
    pub(super) services: Services,
    pub(super) subject: Subject,
    pub(super) id: i64,
}

impl Access {
    /// The account of whoever is asking.
    ///
    /// # Errors
    /// A refusal for API tokens and the command line, which have none.
    pub fn own_account(&self) -> Result<OwnAccount, Refusal> {
        let subject = self.subject().clone();
        let id = subject.id.strip_prefix("user:").and_then(|id| id.parse().ok());
        let id = id.ok_or_else(|| {
            Refusal::new(RefusalCode::Forbidden, "an API token has no account of its own: sign in as a user")
        })?;
        Ok(OwnAccount { services: self.services().clone(), subject, id })
    }
}

impl OwnAccount {
    /// Changes the password. All sessions end, this one, too; a new one begins.
    ///
    /// # Errors
    /// A refusal for a wrong old password, and for a new one that is too short or too easily guessed.
    pub async fn change_password(&self, old: &str, new: &str) -> Result<SignedIn> {
        let seen = self.prove(&["oldPassword"], old).await?;
        strength::require("newPassword", new, &seen.email).await?;
        let hash = password::hash(new.to_owned()).await?;
        let transaction = self.services.db.begin().await?;
        let user = self.lock(&transaction, &seen).await?;
        manage::update(&transaction, self.id, user_account::Column::PasswordHash, Expr::value(hash.clone())).await?;
        let ended = sessions::end_all(&transaction, self.id).await?;
        let detail = json!({ "sessionsEnded": ended });
        let (now, by) = (self.services.now(), &self.subject);
        audit::record(&transaction, now, by, "user.password_changed", object(self.id), Some(detail)).await?;
        let user = user_account::Model { password_hash: hash, ..user };
        let signed_in = self.services.insert_session(&transaction, user).await?;
        transaction.commit().await?;
        known::forget_all();
        Ok(signed_in)
    }

    /// Makes a secret for an authenticator app. It is asked for once [`OwnAccount::confirm_totp`] has seen a code; until then another one
    /// may be made.
    ///
    /// # Errors
    /// A refusal for a wrong password, and where there is a second factor already.
    pub async fn begin_totp(&self, password: &str) -> Result<Enrolment> {
        let seen = self.prove(&["password"], password).await?;
        let transaction = self.services.db.begin().await?;
        let user = self.lock(&transaction, &seen).await?;
        let row = user_totp::Entity::find_by_id(self.id).one(&transaction).await?;
        if row.is_some_and(|row| row.confirmed_at.is_some()) {
            let message = "there is a second factor already: remove it first";
            return Err(Refusal::new(RefusalCode::Conflict, message).into());
        }
        let enrolment = self.services.write_totp(&transaction, &user, None).await?;
        transaction.commit().await?;
        Ok(enrolment)
    }

    /// Shows that the app has the secret: from now on its codes are asked for. Answers the recovery codes. All sessions end, this one,
    /// too; a new one begins.
    ///
    /// # Errors
    /// A refusal for a wrong code, and where nothing was begun.
    pub async fn confirm_totp(&self, code: &str) -> Result<(Vec<Secret>, SignedIn)> {
        self.count()?;
        let transaction = self.services.db.begin().await?;
        let user = manage::lock(&transaction, self.id).await?;
        let row = user_totp::Entity::find_by_id(self.id).one(&transaction).await?;
        let row = row.filter(|row| row.confirmed_at.is_none()).ok_or_else(|| {
            Refusal::new(RefusalCode::Conflict, "no second factor waits to be confirmed: begin again")
        })?;
        let check = self.services.check_code(&row, code)?.ok_or_else(wrong_code)?;
        if !check.use_up(&transaction, self.id).await? {
            return Err(wrong_code().into());
        }
        let now = self.services.now();
        user_totp::Entity::update_many()
            .col_expr(user_totp::Column::ConfirmedAt, Expr::value(now.micros()))
            .filter(user_totp::Column::UserId.eq(self.id))
            .exec(&transaction)
            .await?;
        let codes = self.services.write_recovery_codes(&transaction, self.id).await?;
        let ended = sessions::end_all(&transaction, self.id).await?;
        totp::record(&transaction, now, &self.subject, "user.totp_enabled", self.id, ended).await?;
        let signed_in = self.services.insert_session(&transaction, user).await?;
        transaction.commit().await?;
        known::forget_all();
        Ok((codes, signed_in))
    }

    /// Removes the second factor.
    ///
    /// # Errors
    /// A refusal for a wrong password or code, where there is none, and where this installation asks admins for one.
    pub async fn remove_totp(&self, password: &str, code: &str) -> Result<()> {
        let seen = self.prove(&["password"], password).await?;
        if self.services.sign_in.require_totp_for_admins && seen.role == Role::Admin.code() {
            return Err(Refusal::new(RefusalCode::Conflict, "admins need a second factor here").into());
        }
        let row = self.services.totp_of(self.id).await?;
        let row = row.ok_or_else(|| Refusal::new(RefusalCode::Conflict, "there is no second factor"))?;
        let check = self.services.check_code(&row, code)?.ok_or_else(wrong_code)?;
        let transaction = self.services.db.begin().await?;
        self.lock(&transaction, &seen).await?;
        if !check.use_up(&transaction, self.id).await? {
            return Err(wrong_code().into());
        }
        totp::delete_totp(&transaction, self.id).await?;
        totp::record(&transaction, self.services.now(), &self.subject, "user.totp_disabled", self.id, 0).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Replaces the recovery codes; those of before are void. Answers the new ones.
    ///
    /// # Errors
    /// A refusal for a wrong password or code, and where there is no second factor.
    pub async fn renew_recovery_codes(&self, password: &str, code: &str) -> Result<Vec<Secret>> {
        let seen = self.prove(&["password"], password).await?;
        let row = self.services.totp_of(self.id).await?;
        let row = row.ok_or_else(|| Refusal::new(RefusalCode::Conflict, "there is no second factor"))?;
        let check = self.services.check_code(&row, code)?.ok_or_else(wrong_code)?;
        let transaction = self.services.db.begin().await?;
        self.lock(&transaction, &seen).await?;
        if !check.use_up(&transaction, self.id).await? {
            return Err(wrong_code().into());
        }
        totp::delete_recovery_codes(&transaction, self.id).await?;
        let codes = self.services.write_recovery_codes(&transaction, self.id).await?;
        totp::record(&transaction, self.services.now(), &self.subject, "user.recovery_codes_renewed", self.id, 0)
            .await?;
        transaction.commit().await?;
        Ok(codes)
    }

    /// How many recovery codes are left; `None` where there is no second factor.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn recovery_codes_left(&self) -> Result<Option<u64>> {
        if self.services.totp_of(self.id).await?.is_none() {
            return Ok(None);
        }
        let codes = user_recovery_code::Entity::find().filter(user_recovery_code::Column::UserId.eq(self.id));
        Ok(Some(codes.count(self.services.db.read()).await?))
    }

    /// The user as it is stored, if this is the password.
    async fn prove(&self, field: &[&str], password: &str) -> Result<user_account::Model> {
        self.count()?;
        let user = user_account::Entity::find_by_id(self.id).one(self.services.db.read()).await?;
        let hash = user.as_ref().map(|user| user.password_hash.clone());
        let fits = password::verify(Lane::Known, password.to_owned(), hash).await?;
        let user = user.filter(|user| fits && user.disabled_at.is_none());
        Ok(user.ok_or_else(|| Refusal::field(RefusalCode::Invalid, field, "this is not your password"))?)
    }

    /// The user, locked, unless it has changed since it was read.
    async fn lock(&self, transaction: &DatabaseTransaction, seen: &user_account::Model) -> Result<user_account::Model> {
        let user = manage::lock(transaction, self.id).await?;
        if user != *seen {
            return Err(Refusal::new(RefusalCode::Conflict, "your account was changed meanwhile: try again").into());
        }
        Ok(user)
    }

    fn count(&self) -> Result<(), Refusal> {
        self.services.accounts.own_passwords.check(&self.id).map_err(|seconds| {
            let minutes = seconds.div_ceil(60);
            Refusal::new(RefusalCode::Conflict, format!("too many attempts; try again in {minutes} min"))
        })
    }
}

fn wrong_code() -> Refusal {
    Refusal::field(RefusalCode::Invalid, &["code"], "the code is wrong or was used already: enter the next one")
}
