//! Users of this installation.

use std::collections::HashSet;

use domain::Timestamp;
use domain::email::EmailAddress;
use entity::{user_account, user_totp};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, Value};
use serde_json::json;

use super::secret::{self, Secret};
use super::{password, strength};
use crate::access::{Admin, Services};
use crate::audit;
use crate::db::{execute, query_one};
use crate::error::{Refusal, RefusalCode, Result, ServiceError};
use crate::subject::{Role, Subject};

/// The domain of the first admin's address where none is configured: reserved (RFC 6761), so nobody's.
const FIRST_ADMIN_DOMAIN: &str = "nachfass.localhost";

/// The file in the data folder that says how the first admin signs in, until somebody has.
pub const FIRST_ADMIN_FILE: &str = "first-admin.txt";

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
    /// Since when the user may not sign in any more.
    pub disabled_at: Option<Timestamp>,
    /// Whether the user has a second factor.
    pub has_totp: bool,
}

/// The first admin of an installation, made by itself.
#[derive(Clone, Debug)]
pub struct FirstAdmin {
    /// The address to sign in with.
    pub email: String,
    /// The password. It is kept in [`FIRST_ADMIN_FILE`] until somebody has signed in.
    pub password: Secret,
}

impl User {
    pub(super) fn read(row: user_account::Model, has_totp: bool) -> Result<Self> {
        Ok(Self {
            id: row.id,
            email: row.email,
            role: stored_role(row.role)?,
            created_at: Timestamp::from_micros(row.created_at),
            disabled_at: row.disabled_at.map(Timestamp::from_micros),
            has_totp,
        })
    }

    pub(super) fn subject(self) -> Subject {
        Subject { id: object(self.id), name: self.email, role: self.role }
    }
}

impl Admin {
    /// Adds a user.
    ///
    /// # Errors
    /// A refusal for what is no address, a password that is too short or too easily guessed, and an address that has a user already.
    pub async fn add_user(&self, email: &str, role: Role, password: &str) -> Result<User> {
        let email = checked_address(email)?;
        strength::require("password", password, email.as_str()).await?;
        let hash = password::hash(password.to_owned()).await?;
        let sql = "INSERT INTO user_account (email, email_key, password_hash, role, created_at)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (email_key) DO NOTHING RETURNING id";
        let transaction = self.begin_account_change().await?;
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
        let rows = rows.all(self.services.db.read()).await?;
        let confirmed = user_totp::Entity::find().filter(user_totp::Column::ConfirmedAt.is_not_null());
        let with_totp = confirmed.all(self.services.db.read()).await?;
        let with_totp: HashSet<i64> = with_totp.into_iter().map(|row| row.user_id).collect();
        rows.into_iter()
            .map(|row| {
                let has_totp = with_totp.contains(&row.id);
                User::read(row, has_totp)
            })
            .collect()
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

    /// Whether anybody has ever signed in, as far as sessions and the audit log reach back.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn has_signed_in(&self) -> Result<bool> {
        let sql = "SELECT 1 AS found WHERE EXISTS (SELECT 1 FROM session) \
                   OR EXISTS (SELECT 1 FROM audit_entry WHERE action = 'session.begun')";
        Ok(query_one(self.db.read(), sql, []).await?.is_some())
    }

    /// Removes the file that says how the first admin signs in: somebody has signed in.
    pub(super) async fn forget_first_admin(&self) {
        let file = self.data_dir.join(FIRST_ADMIN_FILE);
        if let Err(error) = tokio::fs::remove_file(&file).await
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %file.display(), %error, "first admin's password file not removed; remove it");
        }
    }

    /// Makes the first admin, where there is no user at all. Of processes that start together one does. Without an address it gets one that
    /// nobody can guess: whoever knows no address cannot try passwords on it.
    ///
    /// # Errors
    /// A refusal for what is no address.
    pub async fn first_admin(&self, email: Option<&str>) -> Result<Option<FirstAdmin>> {
        let email = checked_address(&email.map_or_else(random_address, str::to_owned))?;
        if self.has_users().await? {
            return Ok(None);
        }
        let password = Secret::password();
        let hash = password::hash(password.expose().to_owned()).await?;
        let sql = "INSERT INTO user_account (email, email_key, password_hash, role, created_at)
             SELECT $1, $2, $3, $4, $5 WHERE NOT EXISTS (SELECT 1 FROM user_account)
             ON CONFLICT (email_key) DO NOTHING RETURNING id";
        let transaction = self.db.begin().await?;
        // With addresses that differ, only a lock keeps two processes from making one each.
        if self.db.is_postgres() {
            execute(&transaction, "LOCK TABLE user_account IN SHARE ROW EXCLUSIVE MODE", []).await?;
        }
        let user = insert(&transaction, sql, &email, hash, Role::Admin, self.now()).await?;
        if let Some(user) = &user {
            record_new(&transaction, &Subject::command_line(), user).await?;
        }
        transaction.commit().await?;
        Ok(user.map(|user| FirstAdmin { email: user.email, password }))
    }
}

/// `admin-k7q2xm@nachfass.localhost`.
fn random_address() -> String {
    format!("admin-{}@{FIRST_ADMIN_DOMAIN}", secret::random_word::<6>())
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
    Ok(Some(User {
        id: row.try_get("", "id")?,
        email: email.as_str().to_owned(),
        role,
        created_at: now,
        disabled_at: None,
        has_totp: false,
    }))
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
    crate::email::read(email, &["email"])
}
