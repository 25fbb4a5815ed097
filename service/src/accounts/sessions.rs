//! Signing in with a password, and the session that comes of it.

use domain::{Timestamp, email};
use entity::{session, user_account};
use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};

use super::known::{self, Known};
use super::password;
use super::secret::{self, Secret};
use super::users::User;
use crate::access::Services;
use crate::audit;
use crate::error::{Refusal, RefusalCode, Result};
use crate::subject::Subject;

/// How long a session lasts: 14 days.
pub const SESSION_SECONDS: i64 = 14 * 24 * 60 * 60;

/// Somebody has signed in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// What proves it from now on.
    pub secret: Secret,
    /// Who it is.
    pub subject: Subject,
    /// When the session ends by itself.
    pub expires_at: Timestamp,
}

impl Services {
    /// Begins a session. An unknown address costs the same time as a wrong password, and gets the same answer.
    ///
    /// # Errors
    /// A refusal, always the same, where the two do not belong together.
    pub async fn sign_in(&self, email: &str, password: &str) -> Result<SignedIn> {
        let row = user_account::Entity::find().filter(user_account::Column::EmailKey.eq(email::key_of(email)));
        let row = row.one(self.db.read()).await?;
        let hash = row.as_ref().map(|row| row.password_hash.clone());
        let fits = password::verify(password.to_owned(), hash).await?;
        let Some(row) = row.filter(|_| fits) else {
            return Err(Refusal::new(RefusalCode::Unauthenticated, "the address or the password is wrong").into());
        };
        self.begin_session(User::read(row)?).await
    }

    async fn begin_session(&self, user: User) -> Result<SignedIn> {
        let now = self.now();
        let expires_at = now.plus_seconds(SESSION_SECONDS);
        let secret = Secret::for_session();
        let session = session::Model {
            token_hash: secret.hash(),
            user_id: user.id,
            created_at: now.micros(),
            expires_at: expires_at.micros(),
        };
        let subject = user.subject();
        let transaction = self.db.begin().await?;
        let over = session::Column::ExpiresAt.lte(now.micros());
        session::Entity::delete_many().filter(over).exec(&transaction).await?;
        session::Entity::insert(session.into_active_model()).exec_without_returning(&transaction).await?;
        audit::record(&transaction, now, &subject, "session.begun", subject.id.clone(), None).await?;
        transaction.commit().await?;
        Ok(SignedIn { secret, subject, expires_at })
    }

    /// Ends a session; one that is over already stays so.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn sign_out(&self, secret: &str) -> Result<()> {
        let Some(subject) = self.authenticate_session(secret).await? else {
            return Ok(());
        };
        let Some(hash) = secret::hash(secret) else {
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

    /// Whose session this is; `None` for one that never was or is over.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn authenticate_session(&self, secret: &str) -> Result<Option<Subject>> {
        let Some(hash) = secret::hash(secret) else {
            return Ok(None);
        };
        if let Some(known) = known::recall(&hash).await {
            return Ok(known.subject_at(self.now()));
        }
        let found = session::Entity::find_by_id(hash.as_str()).find_both_related(user_account::Entity);
        let Some((session, user)) = found.one(self.db.read()).await? else {
            return Ok(None);
        };
        let expires_at = Timestamp::from_micros(session.expires_at);
        let known = Known { subject: User::read(user)?.subject(), expires_at: Some(expires_at) };
        known::remember(hash, known.clone()).await;
        Ok(known.subject_at(self.now()))
    }
}
