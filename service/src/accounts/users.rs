//! Users of this installation.

use domain::Timestamp;
use domain::email::EmailAddress;
use entity::user_account;
use sea_orm::{ConnectionTrait, DbErr, EntityTrait, QueryOrder, Value};
use serde_json::json;

use super::password;
use super::secret::Secret;
use crate::access::{Admin, Services};
use crate::audit;
use crate::db::query_one;
use crate::error::{Refusal, RefusalCode, Result, ServiceError};
use crate::subject::{Role, Subject};

/// The shortest password, in characters.
pub const MIN_PASSWORD_LENGTH: usize = 12;

/// The longest password, in bytes: long enough for any sentence, short enough to be hashed without a thought.
const MAX_PASSWORD_BYTES: usize = 1024;

/// A user, without the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The key; the subject is `user:{id}`.
    pub id: i64,
    /// The address to sign in with.
    pub email: String,
    /// What the user may do.
    pub role: Role,
    /// Since when.
    pub created_at: Timestamp,
}

impl User {
    pub(super) fn read(row: user_account::Model) -> Result<Self> {
        let role = stored_role(row.role)?;
        Ok(Self { id: row.id, email: row.email, role, created_at: Timestamp::from_micros(row.created_at) })
    }

    pub(super) fn subject(self) -> Subject {
        Subject { id: object(self.id), name: self.email, role: self.role }
    }
}

impl Admin {
    /// Adds a user.
    ///
    /// # Errors
    /// A refusal for what is no address, a password that is too short, and an address that has a user already.
    pub async fn add_user(&self, email: &str, role: Role, password: &str) -> Result<User> {
        let email = checked_address(email)?;
        check_password(password)?;
        let hash = password::hash(password.to_owned()).await?;
        let sql = "INSERT INTO user_account (email, email_key, password_hash, role, created_at)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (email_key) DO NOTHING RETURNING id";
        let transaction = self.services.db.begin().await?;
        let user = insert(&transaction, sql, &email, hash, role, self.services.now()).await?.ok_or_else(|| {
            Refusal::field(RefusalCode::Conflict, &["email"], "there is a user with this address already")
        })?;
        record_new(&transaction, &self.subject, &user).await?;
        transaction.commit().await?;
        Ok(user)
    }

    /// All users, in the order of their addresses.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn users(&self) -> Result<Vec<User>> {
        let rows = user_account::Entity::find().order_by_asc(user_account::Column::EmailKey);
        rows.all(self.services.db.read()).await?.into_iter().map(User::read).collect()
    }
}

impl Services {
    /// Whether there is anybody who could sign in.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn has_users(&self) -> Result<bool> {
        Ok(query_one(self.db.read(), "SELECT 1 AS found FROM user_account LIMIT 1", []).await?.is_some())
    }

    /// Makes the first admin, where there is no user at all, and answers the password. Of processes that start together one does.
    ///
    /// # Errors
    /// A refusal for what is no address.
    pub async fn first_admin(&self, email: &str) -> Result<Option<Secret>> {
        let email = checked_address(email)?;
        if self.has_users().await? {
            return Ok(None);
        }
        let password = Secret::password();
        let hash = password::hash(password.expose().to_owned()).await?;
        let sql = "INSERT INTO user_account (email, email_key, password_hash, role, created_at)
             SELECT $1, $2, $3, $4, $5 WHERE NOT EXISTS (SELECT 1 FROM user_account)
             ON CONFLICT (email_key) DO NOTHING RETURNING id";
        let transaction = self.db.begin().await?;
        let user = insert(&transaction, sql, &email, hash, Role::Admin, self.now()).await?;
        if let Some(user) = &user {
            record_new(&transaction, &Subject::command_line(), user).await?;
        }
        transaction.commit().await?;
        Ok(user.map(|_| password))
    }
}

/// Runs one of the two statements that insert a user and, where a row stands in their way, none.
async fn insert<C: ConnectionTrait>(
    connection: &C,
    sql: &str,
    email: &EmailAddress,
    password_hash: String,
    role: Role,
    now: Timestamp,
) -> Result<Option<User>, DbErr> {
    let values: [Value; 5] =
        [email.as_str().into(), email.key().into(), password_hash.into(), role.code().into(), now.micros().into()];
    let Some(row) = query_one(connection, sql, values).await? else {
        return Ok(None);
    };
    Ok(Some(User { id: row.try_get("", "id")?, email: email.as_str().to_owned(), role, created_at: now }))
}

async fn record_new<C: ConnectionTrait>(connection: &C, by: &Subject, user: &User) -> Result<(), DbErr> {
    let detail = json!({ "role": user.role });
    audit::record(connection, user.created_at, by, "user.added", object(user.id), Some(detail)).await
}

pub(super) fn object(id: i64) -> String {
    format!("user:{id}")
}

/// The role with this number.
pub(super) fn stored_role(code: i16) -> Result<Role> {
    Role::from_code(code).ok_or_else(|| ServiceError::Inconsistent(format!("there is no role {code}")))
}

fn checked_address(email: &str) -> Result<EmailAddress, Refusal> {
    EmailAddress::parse(email).map_err(|error| Refusal::field(RefusalCode::Invalid, &["email"], error.to_string()))
}

fn check_password(password: &str) -> Result<(), Refusal> {
    let refuse = |message: String| Err(Refusal::field(RefusalCode::Invalid, &["password"], message));
    if password.chars().count() < MIN_PASSWORD_LENGTH {
        return refuse(format!("a password has at least {MIN_PASSWORD_LENGTH} characters"));
    }
    if password.len() > MAX_PASSWORD_BYTES {
        return refuse(format!("a password has at most {MAX_PASSWORD_BYTES} bytes"));
    }
    Ok(())
}
