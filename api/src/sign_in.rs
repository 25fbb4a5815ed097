//! An attempt to sign in, from wherever it comes: counted, then checked.

use std::net::IpAddr;

use service::Services;
use service::accounts::{Attempt, Network, Reason, SignInAnswer};

use crate::errors::ApiError;
use crate::rate_limit::SignInLimits;

/// What somebody shows to sign in.
#[derive(Clone, Copy)]
pub struct Shown<'a> {
    /// The address of the account.
    pub email: &'a str,
    /// The password.
    pub password: &'a str,
    /// The code of the second factor.
    pub code: Option<&'a str>,
    /// What makes the browser known.
    pub device: Option<&'a str>,
    /// Where the request comes from.
    pub address: IpAddr,
}

/// Signs somebody in, unless there were too many attempts.
///
/// # Errors
/// That there were; those of [`Services::sign_in`].
pub async fn attempt(services: &Services, limits: &SignInLimits, shown: Shown<'_>) -> Result<SignInAnswer, ApiError> {
    let Shown { email, password, code, address, .. } = shown;
    let device = match shown.device {
        Some(cookie) => services.recognise_device(email, cookie).await?,
        None => None,
    };
    let attempt = Attempt { email, password, code, network: Network::of(address), device };
    if let Err(refused) = limits.check(address, email, device) {
        services.note_refused_sign_in(&attempt, Reason::TooMany).await;
        return Err(refused);
    }
    Ok(services.sign_in(&attempt).await?)
}
