//! API tokens: a role and an end, for programs.

use domain::Timestamp;
use sea_orm::{DbErr, QueryResult};
use serde_json::json;

use super::known::{self, Known};
use super::secret::{self, Secret};
use super::users::stored_role;
use crate::access::{Admin, Services};
use crate::audit;
use crate::db::{execute, query_all, query_one};
use crate::error::{Refusal, RefusalCode, Result};
use crate::subject::{Role, Subject};

const COLUMNS: &str = "id, name, role, created_by, created_at, expires_at, revoked_at";

/// The longest name of a token, in characters.
const MAX_NAME_LENGTH: usize = 100;

/// An API token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken {
    /// Its key; its subject is `token:{id}`.
    pub id: i64,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl ApiToken {
    fn read(row: &QueryResult) -> Result<Self> {
        let time =
            |column| -> Result<_, DbErr> { Ok(row.try_get::<Option<i64>>("", column)?.map(Timestamp::from_micros)) };
        Ok(Self {
            id: row.try_get("", "id")?,
            name: row.try_get("", "name")?,
            role: stored_role(row)?,
            created_by: row.try_get("", "created_by")?,
            created_at: Timestamp::from_micros(row.try_get("", "created_at")?),
            expires_at: time("expires_at")?,
            revoked_at: time("revoked_at")?,
        })
    }
}

impl Admin {
    /// Makes a token. Its secret is given out here and never again.
    ///
    /// # Errors
    /// A refusal for a name that is empty or too long, and for an end that has passed.
    pub async fn create_token(
        &self,
        name: &str,
        role: Role,
        expires_at: Option<Timestamp>,
    ) -> Result<(ApiToken, Secret)> {
        let name = name.trim();
        if name.is_empty() || name.chars().count() > MAX_NAME_LENGTH {
            let message = format!("a token needs a name of 1 to {MAX_NAME_LENGTH} characters");
            return Err(Refusal::field(RefusalCode::Invalid, &["name"], message).into());
        }
        let now = self.services.now();
        if expires_at.is_some_and(|end| end <= now) {
            return Err(
                Refusal::field(RefusalCode::Invalid, &["expiresAt"], "the end of a token lies in the future").into()
            );
        }
        let secret = Secret::for_token();
        let transaction = self.services.db.begin().await?;
        let row = query_one(
            &transaction,
            &format!(
                "INSERT INTO api_token (name, token_hash, role, created_by, created_at, expires_at)
                 VALUES ($1, $2, $3, $4, $5, $6) RETURNING {COLUMNS}"
            ),
            [
                name.into(),
                secret::hash(secret.expose()).into(),
                role.code().into(),
                self.subject.id.clone().into(),
                now.micros().into(),
                expires_at.map(Timestamp::micros).into(),
            ],
        )
        .await?
        .ok_or_else(|| DbErr::RecordNotInserted)?;
        let token = ApiToken::read(&row)?;
        let detail = json!({ "role": role, "expiresAt": expires_at });
        audit::record(&transaction, now, &self.subject, "token.created", object(token.id), Some(detail)).await?;
        transaction.commit().await?;
        Ok((token, secret))
    }

    /// Ends a token. One that is revoked already stays as it is.
    ///
    /// # Errors
    /// A refusal where there is no such token.
    pub async fn revoke_token(&self, id: i64) -> Result<ApiToken> {
        let now = self.services.now();
        let transaction = self.services.db.begin().await?;
        let revoked = execute(
            &transaction,
            "UPDATE api_token SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL",
            [now.micros().into(), id.into()],
        )
        .await?
        .rows_affected();
        let sql = format!("SELECT {COLUMNS}, token_hash FROM api_token WHERE id = $1");
        let Some(row) = query_one(&transaction, &sql, [id.into()]).await? else {
            return Err(Refusal::new(RefusalCode::NotFound, "there is no such token").into());
        };
        if revoked > 0 {
            audit::record(&transaction, now, &self.subject, "token.revoked", object(id), None).await?;
        }
        transaction.commit().await?;
        known::forget(&row.try_get::<String>("", "token_hash")?).await;
        ApiToken::read(&row)
    }

    /// All tokens, the newest first, ended ones too.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn tokens(&self) -> Result<Vec<ApiToken>> {
        let sql = format!("SELECT {COLUMNS} FROM api_token ORDER BY id DESC");
        query_all(self.services.db.read(), &sql, []).await?.iter().map(ApiToken::read).collect()
    }
}

impl Services {
    /// Whose token this is; `None` for one that never was, is over or is revoked.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn authenticate_token(&self, secret: &str) -> Result<Option<Subject>> {
        let Some(hash) = secret::hash(secret) else {
            return Ok(None);
        };
        if let Some(known) = known::recall(&hash).await {
            return Ok(known.subject_at(self.now()));
        }
        let sql = format!("SELECT {COLUMNS} FROM api_token WHERE token_hash = $1 AND revoked_at IS NULL");
        let Some(row) = query_one(self.db.read(), &sql, [hash.clone().into()]).await? else {
            return Ok(None);
        };
        let token = ApiToken::read(&row)?;
        let subject = Subject { id: object(token.id), name: token.name, role: token.role };
        let known = Known { subject, expires_at: token.expires_at };
        known::remember(hash, known.clone()).await;
        Ok(known.subject_at(self.now()))
    }
}

fn object(id: i64) -> String {
    format!("token:{id}")
}
