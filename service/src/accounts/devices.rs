//! Browsers that somebody has signed in with before: "device cookies" as OWASP describes them.
//!
//! Whoever knows an address can use up the attempts that strangers have for it. A browser that its user was signed in with shows a
//! cookie and has attempts of its own. The cookie opens nothing by itself.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::{Timestamp, email};
use entity::user_account;
use subtle::ConstantTimeEq;

use super::secret::Secret;
use super::{Accounts, mac};
use crate::access::Services;
use crate::error::Result;

/// How long a browser is known: a year.
const DEVICE_SECONDS: i64 = 365 * 24 * 60 * 60;

/// The bytes of a cookie: the id, the time, the password's fingerprint, the signature.
const ID: usize = 16;
const TIME: usize = 8;
const FINGERPRINT: usize = 8;
const LENGTH: usize = ID + TIME + FINGERPRINT + 32;

/// A browser that this account was signed in with before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Device([u8; ID]);

impl Device {
    /// As long, in seconds, a browser keeps the cookie.
    pub const SECONDS: i64 = DEVICE_SECONDS;
}

impl Accounts {
    /// The cookie for a browser whose user has just signed in.
    pub(super) fn new_device(&self, user: &user_account::Model, now: Timestamp) -> Secret {
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.extend(rand::random::<[u8; ID]>());
        bytes.extend(now.micros().to_le_bytes());
        bytes.extend(self.fingerprint(&user.password_hash));
        let signature = mac(&self.device_key, &[user.email_key.as_bytes(), &bytes]);
        bytes.extend(signature);
        Secret::of(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Changes with the password, and tells nothing about it.
    fn fingerprint(&self, password_hash: &str) -> [u8; FINGERPRINT] {
        let mut fingerprint = [0; FINGERPRINT];
        let mac = mac(&self.device_key, &[b"password", password_hash.as_bytes()]);
        fingerprint.iter_mut().zip(mac).for_each(|(to, from)| *to = from);
        fingerprint
    }

    /// What a cookie of ours for this account holds: the device, and the fingerprint of the password that it was signed in with.
    fn open_device(&self, email_key: &str, cookie: &str, now: Timestamp) -> Option<(Device, [u8; FINGERPRINT])> {
        if cookie.len() > LENGTH * 2 {
            return None;
        }
        let bytes: [u8; LENGTH] = URL_SAFE_NO_PAD.decode(cookie).ok()?.try_into().ok()?;
        let (signed, signature) = bytes.split_last_chunk::<32>()?;
        let expected = mac(&self.device_key, &[email_key.as_bytes(), signed]);
        if !bool::from(expected.ct_eq(signature)) {
            return None;
        }
        let (id, rest) = signed.split_first_chunk::<ID>()?;
        let (time, fingerprint) = rest.split_first_chunk::<TIME>()?;
        let made = Timestamp::from_micros(i64::from_le_bytes(*time));
        let is_over = now >= made.plus_seconds(DEVICE_SECONDS);
        (!is_over).then_some((Device(*id), fingerprint.try_into().ok()?))
    }
}

impl Services {
    /// The browser that shows this cookie, if this account was signed in with it since its password was last changed.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn recognise_device(&self, email: &str, cookie: &str) -> Result<Option<Device>> {
        let key = email::key_of(email);
        let Some((device, fingerprint)) = self.accounts.open_device(&key, cookie, self.now()) else {
            return Ok(None);
        };
        let user = self.user_by_key(&key).await?;
        let is_current = user.is_some_and(|user| self.accounts.fingerprint(&user.password_hash) == fingerprint);
        Ok(is_current.then_some(device))
    }
}
