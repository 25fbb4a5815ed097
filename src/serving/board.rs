//! Who may look at apalis's board: admins, by the session of a browser, a token, or address and password.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use api::ApiOptions;
use api::auth::{Credential, cookie_name, device_cookie_name};
use api::errors::ApiError;
use api::rate_limit::SignInLimits;
use api::sign_in::{self, Shown as Attempt};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use service::accounts::SignInAnswer;
use service::error::Causes;
use service::{Role, Services};
use worker::board::{Admission, Doorkeeper, Shown};

/// The cookie of a session that began with the board. The pages' own may be bound to https, which the board has not.
const COOKIE: &str = "nachfass-board";

/// Lets admins of this installation in.
pub fn doorkeeper(services: Services, options: &ApiOptions) -> Doorkeeper {
    let limits = Arc::new(SignInLimits::new());
    let cookies = (cookie_name(options), device_cookie_name(options));
    Arc::new(move |shown| {
        let (services, limits) = (services.clone(), limits.clone());
        Box::pin(async move {
            admission(&services, &limits, cookies, shown).await.unwrap_or_else(|error| {
                tracing::warn!(error = %Causes(&error), "the board could not ask who somebody is");
                Admission::Unknown
            })
        })
    })
}

async fn admission(
    services: &Services,
    limits: &SignInLimits,
    (own_cookie, device_cookie): (&str, &str),
    shown: Shown,
) -> Result<Admission, ApiError> {
    let authorization = shown.authorization.as_deref().unwrap_or_default();
    if let Some(Credential::Token(token)) = Credential::of_authorization(authorization) {
        let subject = services.authenticate_token(&token).await?;
        return Ok(granted(subject.is_some_and(|subject| subject.role == Role::Admin)));
    }
    // Before the password, which a browser goes on sending: it is looked at once.
    for (_, secret) in shown.cookies.iter().filter(|(name, _)| name == own_cookie || name == COOKIE) {
        if services.authenticate_session(secret).await?.is_some_and(|subject| subject.role == Role::Admin) {
            return Ok(Admission::Granted);
        }
    }
    let Some((email, password)) = basic(authorization) else { return Ok(Admission::Refused) };
    let device = shown.cookies.iter().find(|(name, _)| name == device_cookie).map(|(_, value)| value.as_str());
    let address = shown.address.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    // A browser cannot be asked for a code this way: who has a second factor comes with a token, or the session of the pages.
    let attempt = Attempt { email: &email, password: &password, code: None, device, address };
    match sign_in::attempt(services, limits, attempt).await {
        Ok(SignInAnswer::SignedIn(signed_in)) if signed_in.subject.role == Role::Admin => {
            Ok(Admission::Begun(COOKIE.to_owned(), signed_in.secret.expose().to_owned()))
        }
        Ok(SignInAnswer::SignedIn(signed_in)) => {
            services.sign_out(signed_in.secret.expose()).await?;
            Ok(Admission::Refused)
        }
        Ok(SignInAnswer::TooManyCodes { .. }) | Err(ApiError::TooManyRequests { .. }) => Ok(Admission::TooOften),
        Ok(SignInAnswer::CodeRequired | SignInAnswer::CodeRefused) | Err(ApiError::Refused(_)) => {
            Ok(Admission::Refused)
        }
        Err(error) => Err(error),
    }
}

const fn granted(is_admin: bool) -> Admission {
    if is_admin { Admission::Granted } else { Admission::Refused }
}

/// Address and password of basic authentication.
fn basic(authorization: &str) -> Option<(String, String)> {
    let (scheme, value) = authorization.split_once(' ')?;
    let decoded = STANDARD.decode(value.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let (email, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((email.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_may_hold_colons() {
        let of = |text: &str| basic(&format!("Basic {}", STANDARD.encode(text)));
        assert_eq!(of("a@b.example:c:d"), Some(("a@b.example".to_owned(), "c:d".to_owned())));
        assert_eq!(of("nobody"), None);
        assert_eq!(basic("Bearer YTpi"), None);
        assert_eq!(basic("Basic ?"), None);
    }
}
