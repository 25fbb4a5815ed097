//! The sessions that users have, and ending them: their own, or, for admins, anybody's.

use domain::Timestamp;
use entity::session;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde_json::json;

use super::manage::{self, UserChange};
use super::users::{User, object};
use super::{OwnAccount, known, sessions};
use crate::access::{Admin, Services};
use crate::audit;
use crate::error::{Refusal, RefusalCode, Result};
use crate::subject::Subject;

/// How many digits of the hash name a session: 128 bits, of a secret that nobody can find by its hash.
const ID_LENGTH: usize = 32;

/// A signed-in browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Names it; opens nothing.
    pub id: String,
    /// Whose it is.
    pub user_id: i64,
    /// When somebody signed in.
    pub created_at: Timestamp,
    /// When the last request came, within a minute.
    pub last_seen_at: Option<Timestamp>,
    /// When it ends, unless it ends earlier without requests.
    pub expires_at: Timestamp,
}

impl Services {
    /// The sessions of a user that are not over, the latest first.
    async fn sessions_of(&self, user_id: i64) -> Result<Vec<Session>> {
        let now = self.now();
        let rows = session::Entity::find()
            .filter(session::Column::UserId.eq(user_id))
            .filter(session::Column::ExpiresAt.gt(now.micros()))
            .order_by_desc(session::Column::CreatedAt)
            .all(self.db.read())
            .await?;
        let open = rows.into_iter().filter(|row| {
            let seen = row.last_seen_at.map(Timestamp::from_micros);
            seen.and_then(|seen| self.idle_at(seen)).is_none_or(|end| now < end)
        });
        let shown = open.map(|row| Session {
            id: row.token_hash.chars().take(ID_LENGTH).collect(),
            user_id: row.user_id,
            created_at: Timestamp::from_micros(row.created_at),
            last_seen_at: row.last_seen_at.map(Timestamp::from_micros),
            expires_at: Timestamp::from_micros(row.expires_at),
        });
        Ok(shown.collect())
    }

    /// Ends a session; of this user's only, where there is one.
    async fn end_session(&self, by: &Subject, id: &str, of: Option<i64>) -> Result<()> {
        let none = || Refusal::field(RefusalCode::NotFound, &["id"], "there is no such session; it may have ended");
        if id.len() != ID_LENGTH || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(none().into());
        }
        let transaction = self.db.begin().await?;
        let found = session::Entity::find().filter(session::Column::TokenHash.starts_with(id));
        let found = found.one(&transaction).await?.filter(|row| of.is_none_or(|user| row.user_id == user));
        let row = found.ok_or_else(none)?;
        session::Entity::delete_by_id(row.token_hash.as_str()).exec(&transaction).await?;
        audit::record(&transaction, self.now(), by, "session.ended", object(row.user_id), None).await?;
        transaction.commit().await?;
        known::forget(&row.token_hash).await;
        Ok(())
    }
}

impl Admin {
    /// The sessions of a user that are not over, the latest first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn sessions(&self, user_id: i64) -> Result<Vec<Session>> {
        self.services.sessions_of(user_id).await
    }

    /// Ends a session of anybody.
    ///
    /// # Errors
    /// A refusal where there is none.
    pub async fn end_session(&self, id: &str) -> Result<()> {
        self.services.end_session(&self.subject, id, None).await
    }

    /// Ends all sessions of a user.
    ///
    /// # Errors
    /// A refusal where there is no such user.
    pub async fn end_sessions(&self, user_id: i64) -> Result<UserChange> {
        let transaction = self.begin_account_change().await?;
        let user = manage::lock(&transaction, user_id).await?;
        let sessions_ended = sessions::end_all(&transaction, user_id).await?;
        if sessions_ended > 0 {
            let detail = json!({ "sessionsEnded": sessions_ended });
            let (now, by) = (self.services.now(), &self.subject);
            audit::record(&transaction, now, by, "user.sessions_ended", object(user_id), Some(detail)).await?;
        }
        transaction.commit().await?;
        known::forget_all();
        let has_totp = self.services.totp_of(user_id).await?.is_some();
        Ok(UserChange { user: User::read(user, has_totp)?, sessions_ended, tokens_revoked: Vec::new() })
    }
}

impl OwnAccount {
    /// The own sessions that are not over, the latest first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn sessions(&self) -> Result<Vec<Session>> {
        self.services.sessions_of(self.id).await
    }

    /// Ends one of the own sessions.
    ///
    /// # Errors
    /// A refusal where there is none.
    pub async fn end_session(&self, id: &str) -> Result<()> {
        self.services.end_session(&self.subject, id, Some(self.id)).await
    }
}
