//! Signing in: with a password and, where there is a second factor, a code.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use domain::{Timestamp, email};
use entity::{session, user_account};
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter, QuerySelect};

use super::devices::Device;
use super::password::{self, Lane};
use super::refusals::Reason;
use super::secret::Secret;
use super::sessions::SESSION_SECONDS;
use super::totp::CodeCheck;
use super::users::User;
use crate::access::Services;
use crate::audit;
use crate::error::{Refusal, RefusalCode, Result};
use crate::subject::{Role, Subject};

/// Longer than any address: nobody is looked for.
const MAX_KEY_LENGTH: usize = 320;

/// Where somebody comes from, as far as it is written down: not the address, but a network of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpAddr);

impl Network {
    /// The network that this address belongs to: of IPv4 the first 24 bits, of IPv6 the first 64.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << 8)).into(),
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = if self.0.is_ipv4() { 24 } else { 64 };
        write!(f, "{}/{bits}", self.0)
    }
}

/// What somebody shows to sign in.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    /// The address.
    pub email: &'a str,
    /// The password.
    pub password: &'a str,
    /// The code of the second factor, or a recovery code.
    pub code: Option<&'a str>,
    /// Where it comes from.
    pub network: Network,
    /// The browser, if it is known.
    pub device: Option<Device>,
}

impl<'a> Attempt<'a> {
    /// With nothing but address and password, from nowhere.
    #[must_use]
    pub fn new(email: &'a str, password: &'a str) -> Self {
        Self { email, password, code: None, network: Network::of(Ipv6Addr::UNSPECIFIED.into()), device: None }
    }

    /// The same with a code.
    #[must_use]
    pub const fn with_code(mut self, code: &'a str) -> Self {
        self.code = Some(code);
        self
    }
}

/// Somebody has signed in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// What proves it from now on.
    pub secret: Secret,
    /// What makes the browser known, see [`Device`].
    pub device: Secret,
    /// Who it is.
    pub subject: Subject,
    /// When the session ends by itself.
    pub expires_at: Timestamp,
}

/// What comes of an attempt with the right password; anything else is a refusal.
#[derive(Clone, Debug)]
pub enum SignInAnswer {
    /// A session.
    SignedIn(SignedIn),
    /// The user has a second factor, and no code came along.
    CodeRequired,
    /// The code is wrong, or was used before.
    CodeRefused,
    /// Too many codes were wrong.
    TooManyCodes {
        /// Seconds until another one may be tried.
        retry_after: u64,
    },
}

impl Services {
    /// Begins a session. An unknown address costs the same time as a wrong password, and gets the same answer; so does a user who is
    /// disabled. What is refused is logged and audited.
    ///
    /// # Errors
    /// A refusal, always the same, where address and password do not belong together; another one where an admin needs a second
    /// factor and has none.
    pub async fn sign_in(&self, attempt: &Attempt<'_>) -> Result<SignInAnswer> {
        let user = self.user_by_key(&email::key_of(attempt.email)).await?;
        let hash = user.as_ref().map(|user| user.password_hash.clone());
        let lane = if attempt.device.is_some() { Lane::Known } else { Lane::Stranger };
        let fits = password::verify(lane, attempt.password.to_owned(), hash).await?;
        let Some(user) = user.filter(|_| fits) else {
            return self.refuse(attempt, Reason::Credentials).await;
        };
        if user.disabled_at.is_some() {
            return self.refuse(attempt, Reason::Disabled).await;
        }
        let Some(totp) = self.totp_of(user.id).await? else {
            if self.sign_in.require_totp_for_admins && user.role == Role::Admin.code() {
                return self.refuse(attempt, Reason::NoSecondFactor).await;
            }
            return self.begin_session(attempt, user, None).await;
        };
        let Some(code) = attempt.code.map(str::trim).filter(|code| !code.is_empty()) else {
            return Ok(SignInAnswer::CodeRequired);
        };
        if let Err(retry_after) = self.accounts.codes.check(&(user.id, attempt.device)) {
            self.note_refused_sign_in(attempt, Reason::TooMany).await;
            return Ok(SignInAnswer::TooManyCodes { retry_after });
        }
        match self.check_code(&totp, code)? {
            Some(check) => self.begin_session(attempt, user, Some(check)).await,
            None => self.refuse_code(attempt).await,
        }
    }

    /// The user with this address, if it is one that could have a user.
    pub(super) async fn user_by_key(&self, key: &str) -> Result<Option<user_account::Model>> {
        if key.len() > MAX_KEY_LENGTH || key.contains('\0') {
            return Ok(None);
        }
        let user = user_account::Entity::find().filter(user_account::Column::EmailKey.eq(key));
        Ok(user.one(self.db.read()).await?)
    }

    async fn refuse<T>(&self, attempt: &Attempt<'_>, reason: Reason) -> Result<T> {
        self.note_refused_sign_in(attempt, reason).await;
        Err(match reason {
            Reason::NoSecondFactor => Refusal::new(
                RefusalCode::Forbidden,
                "admins need a second factor here: ask for nachfass user totp enable at the command line",
            ),
            _ => Refusal::new(RefusalCode::Unauthenticated, "the address or the password is wrong"),
        }
        .into())
    }

    async fn refuse_code(&self, attempt: &Attempt<'_>) -> Result<SignInAnswer> {
        self.note_refused_sign_in(attempt, Reason::Code).await;
        Ok(SignInAnswer::CodeRefused)
    }

    /// Begins a session of `user`, as read a moment ago, and uses up the code.
    async fn begin_session(
        &self,
        attempt: &Attempt<'_>,
        user: user_account::Model,
        code: Option<CodeCheck>,
    ) -> Result<SignInAnswer> {
        let transaction = self.db.begin().await?;
        // Locked: whoever disables the user now waits, and then ends this session, too.
        let now_stored = user_account::Entity::find_by_id(user.id).lock_exclusive().one(&transaction).await?;
        if now_stored.as_ref() != Some(&user) {
            transaction.rollback().await?;
            return self.refuse(attempt, Reason::Credentials).await;
        }
        if let Some(check) = &code
            && !check.use_up(&transaction, user.id).await?
        {
            transaction.rollback().await?;
            return self.refuse_code(attempt).await;
        }
        if matches!(code, Some(CodeCheck::Recovery(_))) {
            let by = User::read(user.clone(), true)?.subject();
            audit::record(&transaction, self.now(), &by, "user.recovery_code_used", by.id.clone(), None).await?;
        }
        let signed_in = self.insert_session(&transaction, user).await?;
        transaction.commit().await?;
        self.forget_first_admin().await;
        Ok(SignInAnswer::SignedIn(signed_in))
    }

    /// A new session, with its entry in the audit log.
    pub(super) async fn insert_session(
        &self,
        transaction: &DatabaseTransaction,
        user: user_account::Model,
    ) -> Result<SignedIn> {
        let now = self.now();
        let expires_at = now.plus_seconds(SESSION_SECONDS);
        let (secret, device) = (Secret::for_session(), self.accounts.new_device(&user, now));
        let session = session::Model {
            token_hash: secret.hash(),
            user_id: user.id,
            created_at: now.micros(),
            expires_at: expires_at.micros(),
            last_seen_at: Some(now.micros()),
        };
        let subject = User::read(user, false)?.subject();
        let over = session::Column::ExpiresAt.lte(now.micros());
        session::Entity::delete_many().filter(over).exec(transaction).await?;
        session::Entity::insert(session.into_active_model()).exec_without_returning(transaction).await?;
        audit::record(transaction, now, &subject, "session.begun", subject.id.clone(), None).await?;
        Ok(SignedIn { secret, device, subject, expires_at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_down_as_networks() {
        let of = |text: &str| Network::of(text.parse().expect("an address")).to_string();
        assert_eq!(of("203.0.113.77"), "203.0.113.0/24");
        assert_eq!(of("::ffff:203.0.113.77"), "203.0.113.0/24");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
    }
}
