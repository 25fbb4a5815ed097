//! Sessions of browsers: whose they are, and when they end.

use std::time::Duration;

use domain::Timestamp;
use entity::{session, user_account};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter};

use super::known::{self, Known};
use super::secret;
use super::users::User;
use crate::access::Services;
use crate::audit;
use crate::db::{Db, execute};
use crate::error::{Causes, Result};
use crate::subject::{Role, Subject};

/// How long a session lasts: 14 days.
pub const SESSION_SECONDS: i64 = 14 * 24 * 60 * 60;

/// How exactly it is kept when a session was last used.
const SEEN_EVERY: Duration = Duration::from_secs(60);

/// Ends all sessions of a user; answers how many there were. To be done after the user's row was changed, in the same transaction:
/// a session that begins meanwhile waits for that row.
pub(super) async fn end_all<C: ConnectionTrait>(connection: &C, user_id: i64) -> Result<u64, DbErr> {
    let ended = session::Entity::delete_many().filter(session::Column::UserId.eq(user_id)).exec(connection).await?;
    Ok(ended.rows_affected)
}

impl Services {
    /// Ends a session; one that is over already stays so.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn sign_out(&self, secret: &str) -> Result<()> {
        let Some(hash) = secret::hash(secret) else {
            return Ok(());
        };
        let Some(subject) = self.session(&hash).await?.and_then(|known| known.subject_at(self.now())) else {
            return Ok(());
        };
        let transaction = self.db.begin().await?;
        let ended = session::Entity::delete_by_id(hash.as_str()).exec(&transaction).await?;
        if ended.rows_affected > 0 {
            audit::record(&transaction, self.now(), &subject, "session.ended", subject.id.clone(), None).await?;
        }
        transaction.commit().await?;
        known::forget(&hash).await;
        Ok(())
    }

    /// Whose session this is; `None` for one that never was or is over. It counts as used.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn authenticate_session(&self, secret: &str) -> Result<Option<Subject>> {
        let Some(hash) = secret::hash(secret) else {
            return Ok(None);
        };
        let now = self.now();
        let Some(known) = self.session(&hash).await?.filter(|known| known.is_alive(now)) else {
            return Ok(None);
        };
        let is_recent = known.seen_at.is_some_and(|seen| seconds_between(seen, now) < SEEN_EVERY.as_secs());
        if !is_recent {
            self.note_use(hash, &known, now).await;
        }
        Ok(Some(known.subject))
    }

    /// Whose session this is, without counting it as used: for what only waits, such as a socket. Asked every two seconds, it costs a
    /// query a second for each session at most.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn session_holder(&self, secret: &str) -> Result<Option<Subject>> {
        let Some(hash) = secret::hash(secret) else {
            return Ok(None);
        };
        Ok(self.session(&hash).await?.and_then(|known| known.subject_at(self.now())))
    }

    async fn session(&self, hash: &str) -> Result<Option<Known>> {
        if let Some(known) = known::recall(hash).await {
            return Ok(Some(known));
        }
        let found = session::Entity::find_by_id(hash).find_both_related(user_account::Entity);
        let Some((session, user)) = found.one(self.db.read()).await? else {
            return Ok(None);
        };
        if user.disabled_at.is_some() || self.lacks_second_factor(&user).await? {
            return Ok(None);
        }
        let seen_at = session.last_seen_at.map(Timestamp::from_micros);
        let known = Known {
            subject: User::read(user, false)?.subject(),
            expires_at: Some(Timestamp::from_micros(session.expires_at)),
            seen_at,
            idle_at: seen_at.and_then(|seen| self.idle_at(seen)),
        };
        known::remember(hash.to_owned(), known.clone()).await;
        Ok(Some(known))
    }

    async fn lacks_second_factor(&self, user: &user_account::Model) -> Result<bool> {
        if !self.sign_in.require_totp_for_admins || user.role != Role::Admin.code() {
            return Ok(false);
        }
        Ok(self.totp_of(user.id).await?.is_none())
    }

    /// When a session that was used at `seen` ends unless it is used again.
    pub(super) fn idle_at(&self, seen: Timestamp) -> Option<Timestamp> {
        let seconds = self.sign_in.idle_seconds;
        (seconds > 0).then(|| seen.plus_seconds(seconds))
    }

    /// Writes down that a session was used now. The request does not wait for that: on SQLite it may have to stand in line behind an
    /// import.
    async fn note_use(&self, hash: String, known: &Known, now: Timestamp) {
        let used = Known { seen_at: Some(now), idle_at: self.idle_at(now), ..known.clone() };
        known::remember(hash.clone(), used).await;
        let db = self.db.clone();
        tokio::spawn(async move {
            if let Err(error) = write_use(&db, &hash, now).await {
                tracing::warn!(error = %Causes(&error), "recording the use of a session failed");
            }
        });
    }
}

async fn write_use(db: &Db, hash: &str, now: Timestamp) -> Result<(), DbErr> {
    let sql =
        "UPDATE session SET last_seen_at = $1 WHERE token_hash = $2 AND (last_seen_at IS NULL OR last_seen_at < $1)";
    execute(db.write(), sql, [now.micros().into(), hash.into()]).await.map(|_| ())
}

fn seconds_between(earlier: Timestamp, later: Timestamp) -> u64 {
    u64::try_from(later.seconds().saturating_sub(earlier.seconds())).unwrap_or_default()
}
