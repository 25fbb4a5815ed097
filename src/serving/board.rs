//! Who may look at apalis's board: admins, by the session of a browser, a token, or address and password.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use api::ApiOptions;
use api::auth::{Credential, cookie_name};
use api::rate_limit::SignInLimits;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use service::error::Causes;
use service::{Role, ServiceError, Services};
use worker::board::{Admission, Doorkeeper, Shown};

/// The cookie of a session that began with the board. The pages' own may be bound to https, which the board has not.
const COOKIE: &str = "nachfass-board";

/// Lets admins of this installation in.
pub fn doorkeeper(services: Services, options: &ApiOptions) -> Doorkeeper {
    let limits = Arc::new(SignInLimits::new());
    let own_cookie = cookie_name(options);
    Arc::new(move |shown| {
        let (services, limits) = (services.clone(), limits.clone());
        Box::pin(async move {
            admission(&services, &limits, own_cookie, shown).await.unwrap_or_else(|error| {
                tracing::warn!(error = %Causes(&error), "the board could not ask who somebody is");
                Admission::Unknown
            })
        })
    })
}

async fn admission(
    services: &Services,
    limits: &SignInLimits,
    own_cookie: &str,
    shown: Shown,
) -> Result<Admission, ServiceError> {
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
    let address = shown.address.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    if limits.check(address, &email).is_err() {
        return Ok(Admission::TooOften);
    }
    match services.sign_in(&email, &password).await {
        Ok(signed_in) if signed_in.subject.role == Role::Admin => {
            Ok(Admission::Begun(COOKIE.to_owned(), signed_in.secret.expose().to_owned()))
        }
        Ok(signed_in) => {
            services.sign_out(signed_in.secret.expose()).await?;
            Ok(Admission::Refused)
        }
        Err(ServiceError::Refused(_)) => {
            tracing::warn!("a sign-in at the board was refused");
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
