//! Signing in with a password, and the session that comes of it.

use domain::{Timestamp, email};

use super::known::{self, Known};
use super::password;
use super::secret::{self, Secret};
use super::users::User;
use crate::access::Services;
use crate::audit;
use crate::db::{execute, query_one};
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
        let row = query_one(
            self.db.read(),
            "SELECT id, email, role, created_at, password_hash FROM user_account WHERE email_key = $1",
            [email::key_of(email).into()],
        )
        .await?;
        let hash = row.as_ref().map(|row| row.try_get::<String>("", "password_hash")).transpose()?;
        let fits = password::verify(password.to_owned(), hash).await?;
        let Some(row) = row.filter(|_| fits) else {
            return Err(Refusal::new(RefusalCode::Unauthenticated, "the address or the password is wrong").into());
        };
        self.begin_session(User::read(&row)?).await
    }

    async fn begin_session(&self, user: User) -> Result<SignedIn> {
        let now = self.now();
        let expires_at = now.plus_seconds(SESSION_SECONDS);
        let secret = Secret::for_session();
        let user_id = user.id;
        let subject = user.subject();
        let transaction = self.db.begin().await?;
        execute(&transaction, "DELETE FROM session WHERE expires_at <= $1", [now.micros().into()]).await?;
        execute(
            &transaction,
            "INSERT INTO session (token_hash, user_id, created_at, expires_at) VALUES ($1, $2, $3, $4)",
            [secret::hash(secret.expose()).into(), user_id.into(), now.micros().into(), expires_at.micros().into()],
        )
        .await?;
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
        let ended = execute(&transaction, "DELETE FROM session WHERE token_hash = $1", [hash.clone().into()]).await?;
        if ended.rows_affected() > 0 {
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
        let row = query_one(
            self.db.read(),
            "SELECT u.id, u.email, u.role, u.created_at, s.expires_at FROM session s
             JOIN user_account u ON u.id = s.user_id WHERE s.token_hash = $1",
            [hash.clone().into()],
        )
        .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let expires_at = Timestamp::from_micros(row.try_get("", "expires_at")?);
        let known = Known { subject: User::read(&row)?.subject(), expires_at: Some(expires_at) };
        known::remember(hash, known.clone()).await;
        Ok(known.subject_at(self.now()))
    }
}
