//! API tokens: a role and an end, for programs.

use domain::Timestamp;
use entity::api_token;
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder};
use serde_json::json;

use super::known::{self, Known};
use super::secret::{self, Secret};
use super::users::stored_role;
use crate::access::{Admin, Services};
use crate::audit;
use crate::error::{Refusal, RefusalCode, Result};
use crate::subject::{Role, Subject};

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
    fn read(row: api_token::Model) -> Result<Self> {
        Ok(Self {
            id: row.id,
            name: row.name,
            role: stored_role(row.role)?,
            created_by: row.created_by,
            created_at: Timestamp::from_micros(row.created_at),
            expires_at: row.expires_at.map(Timestamp::from_micros),
            revoked_at: row.revoked_at.map(Timestamp::from_micros),
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
        let length = name.chars().count();
        if length == 0 {
            let message = format!("the name is empty: enter 1 to {MAX_NAME_LENGTH} characters");
            return Err(Refusal::field(RefusalCode::Invalid, &["name"], message).into());
        }
        if length > MAX_NAME_LENGTH {
            let size = (length, MAX_NAME_LENGTH, "characters");
            return Err(Refusal::exceeds(&["name"], "the name", size, "shorten it").into());
        }
        let now = self.services.now();
        if expires_at.is_some_and(|end| end <= now) {
            let message = "the expiry has passed already: it must be in the future";
            return Err(Refusal::field(RefusalCode::Invalid, &["expiresAt"], message).into());
        }
        let secret = Secret::for_token();
        let row = api_token::ActiveModel {
            id: NotSet,
            name: Set(name.to_owned()),
            token_hash: Set(secret.hash()),
            role: Set(role.code()),
            created_by: Set(self.subject.id.clone()),
            created_at: Set(now.micros()),
            expires_at: Set(expires_at.map(Timestamp::micros)),
            revoked_at: Set(None),
        };
        let transaction = self.begin_account_change().await?;
        let token = ApiToken::read(row.insert(&transaction).await?)?;
        let detail = json!({ "role": role, "expiresAt": expires_at });
        audit::record(&transaction, now, &self.subject, "token.created", object(token.id), Some(detail)).await?;
        transaction.commit().await?;
        Ok((token, secret))
    }

    /// Ends a token, and with it the sockets that it opened. One that is revoked already stays as it is.
    ///
    /// # Errors
    /// A refusal where there is no such token.
    pub async fn revoke_token(&self, id: i64) -> Result<ApiToken> {
        let now = self.services.now();
        let transaction = self.begin_account_change().await?;
        let is_revoked = revoke(&transaction, id, now).await?;
        let Some(row) = api_token::Entity::find_by_id(id).one(&transaction).await? else {
            return Err(Refusal::new(RefusalCode::NotFound, "there is no such token").into());
        };
        if is_revoked {
            audit::record(&transaction, now, &self.subject, "token.revoked", object(id), None).await?;
        }
        transaction.commit().await?;
        known::forget(&row.token_hash).await;
        ApiToken::read(row)
    }

    /// All tokens, the newest first, ended ones too.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn tokens(&self) -> Result<Vec<ApiToken>> {
        let rows = api_token::Entity::find().order_by_desc(api_token::Column::Id);
        rows.all(self.services.db.read()).await?.into_iter().map(ApiToken::read).collect()
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
        let found = api_token::Entity::find()
            .filter(api_token::Column::TokenHash.eq(hash.as_str()))
            .filter(api_token::Column::RevokedAt.is_null());
        let Some(row) = found.one(self.db.read()).await? else {
            return Ok(None);
        };
        let token = ApiToken::read(row)?;
        let subject = Subject { id: object(token.id), name: token.name, role: token.role };
        let known = Known { subject, expires_at: token.expires_at, seen_at: None, idle_at: None };
        known::remember(hash, known.clone()).await;
        Ok(known.subject_at(self.now()))
    }
}

/// Revokes the tokens that a user has made, also by way of other tokens, and that have this role or a higher one; answers their keys.
pub(super) async fn revoke_made_by<C: ConnectionTrait>(
    connection: &C,
    now: Timestamp,
    by: &Subject,
    user: &str,
    role: Role,
) -> Result<Vec<i64>> {
    let mut makers = vec![user.to_owned()];
    let mut revoked = Vec::new();
    // What a token has made is newer than the token: this ends.
    while !makers.is_empty() {
        let made = api_token::Entity::find().filter(api_token::Column::CreatedBy.is_in(makers));
        let made = made.order_by_asc(api_token::Column::Id).all(connection).await?;
        for token in made.iter().filter(|token| token.revoked_at.is_none() && token.role >= role.code()) {
            if revoke(connection, token.id, now).await? {
                audit::record(connection, now, by, "token.revoked", object(token.id), None).await?;
                revoked.push(token.id);
            }
        }
        makers = made.iter().map(|token| object(token.id)).collect();
    }
    Ok(revoked)
}

/// Revokes a token; answers whether it was not revoked before.
async fn revoke<C: ConnectionTrait>(connection: &C, id: i64, now: Timestamp) -> Result<bool, DbErr> {
    let revoked = api_token::Entity::update_many()
        .col_expr(api_token::Column::RevokedAt, Expr::value(now.micros()))
        .filter(api_token::Column::Id.eq(id))
        .filter(api_token::Column::RevokedAt.is_null());
    Ok(revoked.exec(connection).await?.rows_affected > 0)
}

fn object(id: i64) -> String {
    format!("token:{id}")
}
