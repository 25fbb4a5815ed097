//! The second factor: codes of an authenticator app (RFC 6238), and recovery codes for whoever has lost it.
//!
//! The secret that the app shares with us is encrypted with a key of the installation (AES-256-GCM-SIV, RFC 8452). A code is accepted
//! once; the one before and the one after the present one count, too, for clocks that are a little off.

use aes_gcm_siv::aead::{Aead, KeyInit, Payload};
use aes_gcm_siv::{Aes256GcmSiv, Nonce};
use domain::Timestamp;
use entity::{user_account, user_recovery_code, user_totp};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, IntoActiveModel, QueryFilter};
use serde_json::json;
use totp_rs::{Builder, Totp};

use super::manage::{self, UserChange};
use super::secret::{self, Secret};
use super::users::{User, object};
use super::{known, mac, sessions};
use crate::access::{Admin, Services};
use crate::audit;
use crate::error::{Refusal, RefusalCode, Result, ServiceError};
use crate::keys;
use crate::subject::Subject;

/// Bytes of a secret: as many as SHA-1 gives, as RFC 4226 recommends.
const SECRET_BYTES: usize = 20;
/// Digits of a code.
const DIGITS: u8 = 6;
/// Steps before and after the present one whose codes are accepted.
const SKEW: u16 = 1;
/// Recovery codes that a user gets.
const RECOVERY_CODES: usize = 10;
/// Characters of a recovery code, of 5 bits each.
const RECOVERY_LENGTH: usize = 16;

/// Encrypts the secrets of authenticator apps.
pub(super) struct TotpKey(Aes256GcmSiv);

impl TotpKey {
    /// A key of its own, derived from the installation's.
    pub fn derive(secret: &[u8; 32]) -> Self {
        Self(Aes256GcmSiv::new(&keys::derive(secret, "nachfass second factor").into()))
    }

    fn seal(&self, user_id: i64, secret: &[u8]) -> Result<Vec<u8>> {
        let owner = object(user_id);
        let sealed = self.0.encrypt(&Nonce::default(), Payload { msg: secret, aad: owner.as_bytes() });
        sealed.map_err(|_| ServiceError::Inconsistent("a second factor could not be encrypted".to_owned()))
    }

    fn open(&self, user_id: i64, sealed: &[u8]) -> Result<Vec<u8>> {
        let owner = object(user_id);
        let opened = self.0.decrypt(&Nonce::default(), Payload { msg: sealed, aad: owner.as_bytes() });
        opened.map_err(|_| {
            ServiceError::Inconsistent(format!(
                "the second factor of {owner} was encrypted with another secret_key: nachfass user totp reset makes a new one"
            ))
        })
    }
}

/// What somebody needs for a second factor. It is shown once.
#[derive(Clone, Debug)]
pub struct Enrolment {
    /// The URI for the app: `otpauth://totp/…`, to be shown as a QR code.
    pub uri: Secret,
    /// The same for typing: the secret in base32.
    pub secret: Secret,
    /// Codes for whoever has lost the app, each for one time; empty until the app is confirmed.
    pub recovery_codes: Vec<Secret>,
}

/// A code that may be right. It counts when it is used up.
#[derive(Clone, Debug)]
pub(super) enum CodeCheck {
    /// That of an app, for this time step.
    Step(i64),
    /// Perhaps one for recovery, by its hash.
    Recovery(String),
}

impl CodeCheck {
    /// Uses it up; `false` where it was used before, or never was one.
    pub async fn use_up<C: ConnectionTrait>(&self, connection: &C, user_id: i64) -> Result<bool, DbErr> {
        let used = match self {
            Self::Step(step) => {
                let update = user_totp::Entity::update_many()
                    .col_expr(user_totp::Column::LastStep, Expr::value(*step))
                    .filter(user_totp::Column::UserId.eq(user_id))
                    .filter(user_totp::Column::LastStep.lt(*step));
                update.exec(connection).await?.rows_affected
            }
            Self::Recovery(hash) => {
                let delete = user_recovery_code::Entity::delete_many()
                    .filter(user_recovery_code::Column::CodeHash.eq(hash))
                    .filter(user_recovery_code::Column::UserId.eq(user_id));
                delete.exec(connection).await?.rows_affected
            }
        };
        Ok(used == 1)
    }
}

impl Services {
    /// The second factor of a user, if there is one that is confirmed.
    pub(super) async fn totp_of(&self, user_id: i64) -> Result<Option<user_totp::Model>> {
        let row = user_totp::Entity::find_by_id(user_id).one(self.db.read()).await?;
        Ok(row.filter(|row| row.confirmed_at.is_some()))
    }

    /// Whether a code may be right.
    ///
    /// # Errors
    /// Where the secret cannot be read.
    pub(super) fn check_code(&self, row: &user_totp::Model, code: &str) -> Result<Option<CodeCheck>> {
        let code: String = code.chars().filter(|character| !matches!(character, ' ' | '-')).collect();
        if code.len() == RECOVERY_LENGTH {
            return Ok(Some(CodeCheck::Recovery(self.recovery_hash(row.user_id, &code.to_ascii_lowercase()))));
        }
        let shared = self.accounts.totp_key.open(row.user_id, &row.sealed)?;
        let seconds = u64::try_from(self.now().seconds()).unwrap_or_default();
        let step = totp(shared, "")?.check(&code, seconds).and_then(|step| i64::try_from(step).ok());
        Ok(step.filter(|step| *step > row.last_step).map(CodeCheck::Step))
    }

    fn recovery_hash(&self, user_id: i64, code: &str) -> String {
        let mac = mac(&self.accounts.recovery_key, &[object(user_id).as_bytes(), code.as_bytes()]);
        mac.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Gives a user a new secret, in place of one that there may be. It is not asked for until `confirmed_at`.
    pub(super) async fn write_totp(
        &self,
        transaction: &DatabaseTransaction,
        user: &user_account::Model,
        confirmed_at: Option<Timestamp>,
    ) -> Result<Enrolment> {
        let secret = rand::random::<[u8; SECRET_BYTES]>().to_vec();
        let row = user_totp::Model {
            user_id: user.id,
            sealed: self.accounts.totp_key.seal(user.id, &secret)?,
            created_at: self.now().micros(),
            confirmed_at: confirmed_at.map(Timestamp::micros),
            last_step: 0,
        };
        delete_totp(transaction, user.id).await?;
        user_totp::Entity::insert(row.into_active_model()).exec_without_returning(transaction).await?;
        let recovery_codes = match confirmed_at {
            Some(_) => self.write_recovery_codes(transaction, user.id).await?,
            None => Vec::new(),
        };
        let totp = totp(secret, &user.email)?;
        let uri = totp.to_url().map_err(|error| ServiceError::Inconsistent(format!("a second factor: {error}")))?;
        Ok(Enrolment { uri: Secret::of(uri), secret: Secret::of(totp.secret().to_base32()), recovery_codes })
    }

    /// Gives a user new recovery codes.
    pub(super) async fn write_recovery_codes(
        &self,
        transaction: &DatabaseTransaction,
        user_id: i64,
    ) -> Result<Vec<Secret>> {
        let codes: Vec<String> = (0..RECOVERY_CODES).map(|_| secret::random_word::<RECOVERY_LENGTH>()).collect();
        let rows = codes.iter().map(|code| {
            let row = user_recovery_code::Model { code_hash: self.recovery_hash(user_id, code), user_id };
            row.into_active_model()
        });
        user_recovery_code::Entity::insert_many(rows).exec_without_returning(transaction).await?;
        Ok(codes.into_iter().map(|code| Secret::of(in_groups(&code))).collect())
    }
}

/// Takes the second factor from a user; answers whether there was one that was asked for.
pub(super) async fn delete_totp<C: ConnectionTrait>(connection: &C, user_id: i64) -> Result<bool, DbErr> {
    let row = user_totp::Entity::find_by_id(user_id).one(connection).await?;
    user_totp::Entity::delete_by_id(user_id).exec(connection).await?;
    delete_recovery_codes(connection, user_id).await?;
    Ok(row.is_some_and(|row| row.confirmed_at.is_some()))
}

/// Makes the recovery codes of a user void.
pub(super) async fn delete_recovery_codes<C: ConnectionTrait>(connection: &C, user_id: i64) -> Result<(), DbErr> {
    let codes = user_recovery_code::Entity::delete_many().filter(user_recovery_code::Column::UserId.eq(user_id));
    codes.exec(connection).await.map(|_| ())
}

impl Admin {
    /// Gives a user a second factor, which is asked for from now on. All sessions of the user end.
    ///
    /// # Errors
    /// A refusal where the user has one already.
    pub async fn enable_totp(&self, id: i64) -> Result<Enrolment> {
        if self.services.totp_of(id).await?.is_some() {
            let message = "this user has a second factor already; reset it if the app was lost";
            return Err(Refusal::new(RefusalCode::Conflict, message).into());
        }
        self.replace_totp(id, "user.totp_enabled").await
    }

    /// Gives a user a new second factor in place of the old one. All sessions of the user end.
    ///
    /// # Errors
    /// A refusal where the user has none.
    pub async fn reset_totp(&self, id: i64) -> Result<Enrolment> {
        if self.services.totp_of(id).await?.is_none() {
            let message = "this user has no second factor: enable it first";
            return Err(Refusal::new(RefusalCode::Conflict, message).into());
        }
        self.replace_totp(id, "user.totp_reset").await
    }

    async fn replace_totp(&self, id: i64, action: &str) -> Result<Enrolment> {
        let now = self.services.now();
        let transaction = self.begin_account_change().await?;
        let user = manage::lock(&transaction, id).await?;
        let enrolment = self.services.write_totp(&transaction, &user, Some(now)).await?;
        let ended = sessions::end_all(&transaction, id).await?;
        record(&transaction, now, &self.subject, action, id, ended).await?;
        transaction.commit().await?;
        known::forget_all();
        Ok(enrolment)
    }

    /// Takes the second factor from a user, and ends all sessions of the user. One who has none keeps the sessions.
    ///
    /// # Errors
    /// A refusal where there is no such user.
    pub async fn disable_totp(&self, id: i64) -> Result<UserChange> {
        let now = self.services.now();
        let transaction = self.begin_account_change().await?;
        let user = User::read(manage::lock(&transaction, id).await?, false)?;
        let mut change = UserChange { user, sessions_ended: 0, tokens_revoked: Vec::new() };
        if delete_totp(&transaction, id).await? {
            change.sessions_ended = sessions::end_all(&transaction, id).await?;
            record(&transaction, now, &self.subject, "user.totp_disabled", id, change.sessions_ended).await?;
        }
        transaction.commit().await?;
        known::forget_all();
        Ok(change)
    }
}

/// Writes a change of a second factor into the audit log.
pub(super) async fn record<C: ConnectionTrait>(
    connection: &C,
    at: Timestamp,
    by: &Subject,
    action: &str,
    user_id: i64,
    sessions_ended: u64,
) -> Result<(), DbErr> {
    let detail = json!({ "sessionsEnded": sessions_ended });
    audit::record(connection, at, by, action, object(user_id), Some(detail)).await
}

fn totp(secret: Vec<u8>, email: &str) -> Result<Totp> {
    let totp = Builder::new()
        .with_digits(DIGITS)
        .with_skew(SKEW)
        .with_secret(secret)
        // A colon would end the label's first part.
        .with_account_name(email.replace(':', "_"))
        .with_issuer(Some("nachfass"));
    totp.build().map_err(|error| ServiceError::Inconsistent(format!("a second factor: {error}")))
}

/// `abcd-efgh-ijkm-npqr`.
fn in_groups(code: &str) -> String {
    let mut text = String::with_capacity(RECOVERY_LENGTH + RECOVERY_LENGTH / 4);
    for (index, character) in code.chars().enumerate() {
        if index > 0 && index % 4 == 0 {
            text.push('-');
        }
        text.push(character);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B, with the last six of its eight digits.
    #[test]
    fn codes_are_those_of_the_standard() {
        let totp = totp(b"12345678901234567890".to_vec(), "erika@example.com").expect("a secret");
        for (seconds, code) in
            [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, "353130")]
        {
            assert_eq!(totp.generate(seconds).to_string(), code);
            assert_eq!(totp.check(code, seconds), Some(seconds / 30));
            assert_eq!(totp.check(code, seconds + 30), Some(seconds / 30), "one step late");
            assert_eq!(totp.check(code, seconds + 61), None);
        }
        for none in ["", "28708", "2870820", "abcdef", "２８７０８２"] {
            assert_eq!(totp.check(none, 59), None, "{none}");
        }
        let uri = "otpauth://totp/nachfass:erika%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=nachfass";
        assert_eq!(totp.to_url().expect("a URI"), uri);
    }

    #[test]
    fn a_secret_opens_for_its_user_and_installation_only() {
        let key = TotpKey::derive(&[1; 32]);
        let sealed = key.seal(1, b"secret").expect("sealed");
        assert_eq!(key.open(1, &sealed).expect("opened"), b"secret");
        assert!(key.open(2, &sealed).is_err());
        assert!(TotpKey::derive(&[2; 32]).open(1, &sealed).is_err());
    }

    #[test]
    fn recovery_codes_are_long_and_legible() {
        let code = secret::random_word::<RECOVERY_LENGTH>();
        assert_eq!((code.len(), in_groups(&code).len()), (16, 19));
        assert_eq!(in_groups(&code).replace('-', ""), code);
    }
}
