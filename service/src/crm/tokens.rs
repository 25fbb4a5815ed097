//! What the CRM gave us for later requests, encrypted with a key of the installation (AES-256-GCM-SIV, RFC 8452).

use aes_gcm_siv::aead::{Aead, KeyInit, Payload};
use aes_gcm_siv::{Aes256GcmSiv, Nonce};
use domain::Timestamp;
use domain::crm::{Token, TokenStore};
use futures::future::BoxFuture;

use crate::access::Services;
use crate::db::{execute, query_one};
use crate::error::{Causes, Result, ServiceError};
use crate::keys;

/// Seals and opens tokens.
#[derive(Clone)]
pub struct TokenKey(Aes256GcmSiv);

impl TokenKey {
    /// A key of its own, derived from the installation's.
    #[must_use]
    pub fn derive(secret: &[u8; 32]) -> Self {
        Self(Aes256GcmSiv::new(&keys::derive(secret, "nachfass crm token").into()))
    }

    /// A token under its name. Without a nonce: the same token under the same name looks the same, and nothing else can be told.
    pub(crate) fn seal(&self, name: &str, secret: &str) -> Result<Vec<u8>> {
        let sealed = self.0.encrypt(&Nonce::default(), Payload { msg: secret.as_bytes(), aad: name.as_bytes() });
        sealed.map_err(|_| ServiceError::Inconsistent("a token could not be sealed".to_owned()))
    }

    /// `None` where it was sealed with another key, or under another name.
    pub(crate) fn open(&self, name: &str, sealed: &[u8]) -> Option<String> {
        let opened = self.0.decrypt(&Nonce::default(), Payload { msg: sealed, aad: name.as_bytes() }).ok()?;
        String::from_utf8(opened).ok()
    }
}

impl Services {
    async fn read_token(&self, name: &str) -> Result<Option<Token>> {
        let sql = "SELECT sealed, expires_at FROM crm_token WHERE name = $1";
        let Some(row) = query_one(self.db.read(), sql, [name.into()]).await? else { return Ok(None) };
        let expires_at = row.try_get_by_index::<Option<i64>>(1)?.map(Timestamp::from_micros);
        let secret = self.token_key.open(name, &row.try_get_by_index::<Vec<u8>>(0)?);
        Ok(secret.map(|secret| Token { secret, expires_at }))
    }

    async fn write_token(&self, name: &str, token: &Token) -> Result<()> {
        let sql = "INSERT INTO crm_token (name, sealed, expires_at, updated_at) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed, expires_at = excluded.expires_at, \
                   updated_at = excluded.updated_at";
        let values = [
            name.into(),
            self.token_key.seal(name, &token.secret)?.into(),
            token.expires_at.map(Timestamp::micros).into(),
            self.now().micros().into(),
        ];
        execute(self.db.write(), sql, values).await?;
        Ok(())
    }
}

impl TokenStore for Services {
    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<Token>> {
        Box::pin(async move {
            let token = self.read_token(name).await;
            token.unwrap_or_else(|error| {
                tracing::warn!(name, error = %Causes(&error), "a token of the CRM could not be read");
                None
            })
        })
    }

    fn put<'a>(&'a self, name: &'a str, token: &'a Token) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if let Err(error) = self.write_token(name, token).await {
                tracing::warn!(name, error = %Causes(&error), "a token of the CRM could not be kept");
            }
        })
    }
}
