//! Who is asking: an API token, or the session of a browser.
//!
//! A browser sends its cookie along with whatever any page makes it ask. The cookie is therefore `SameSite=Strict`, and counts for
//! anything but looking only together with the header `X-Nachfass: 1`, which no page of another site can add.

use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN};
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use service::{Access, Services, Subject};

use crate::errors::ApiError;
use crate::{ApiOptions, AppState};

/// The header that our own pages send along with the session's cookie.
pub const OWN_PAGE: HeaderName = HeaderName::from_static("x-nachfass");

/// What somebody shows to be let in.
#[derive(Clone)]
pub enum Credential {
    /// The secret of an API token.
    Token(String),
    /// The secret of a session.
    Session(String),
}

impl Credential {
    /// What a request shows: the token, even a wrong one, goes before the cookie.
    #[must_use]
    pub fn of(request: &HttpRequest, options: &ApiOptions) -> Option<Self> {
        if let Some(value) = request.headers().get(AUTHORIZATION) {
            return Some(Self::Token(bearer(value.to_str().unwrap_or_default()).unwrap_or_default().to_owned()));
        }
        request.cookie(cookie_name(options)).map(|cookie| Self::Session(cookie.value().to_owned()))
    }

    /// What the value of an `Authorization` header shows.
    #[must_use]
    pub fn of_authorization(value: &str) -> Option<Self> {
        bearer(value).map(|token| Self::Token(token.to_owned()))
    }

    /// Whose it is; `None` where it is nobody's (any more).
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn access(&self, services: &Services) -> Result<Option<Access>, ApiError> {
        let subject = match self {
            Self::Token(secret) => services.authenticate_token(secret).await?,
            Self::Session(secret) => services.authenticate_session(secret).await?,
        };
        Ok(subject.map(|subject| services.access(subject)))
    }
}

impl Credential {
    /// Whose it is, without counting a session as used: for a socket, which is to ask every two seconds. Then whoever is locked out loses
    /// it within five seconds in every process (each remembers an answer for one second), and a socket alone keeps no session.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn holder(&self, services: &Services) -> Result<Option<Subject>, ApiError> {
        Ok(match self {
            Self::Token(secret) => services.authenticate_token(secret).await?,
            Self::Session(secret) => services.session_holder(secret).await?,
        })
    }
}

fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Somebody who is signed in, for any request: refused where nobody is.
pub struct SignedIn(pub Access);

impl FromRequest for SignedIn {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        async move {
            let state = state(&request)?;
            let credential = Credential::of(&request, &state.options).ok_or(ApiError::Unauthenticated)?;
            if matches!(credential, Credential::Session(_)) && !request.method().is_safe() {
                require_own_page(&request)?;
            }
            credential.access(&state.services).await?.map(Self).ok_or(ApiError::Unauthenticated)
        }
        .boxed_local()
    }
}

/// Refuses what a page of another site may have brought about.
///
/// # Errors
/// Where the header is missing.
pub fn require_own_page(request: &HttpRequest) -> Result<(), ApiError> {
    if request.headers().get(OWN_PAGE).is_some_and(|value| value.as_bytes() == b"1") {
        return Ok(());
    }
    Err(ApiError::MissingHeader)
}

/// Refuses what a page of another site sends with a form or a WebSocket, where no header can be asked for.
///
/// # Errors
/// Where the browser names another origin than ours.
pub fn require_own_origin(request: &HttpRequest, options: &ApiOptions) -> Result<(), ApiError> {
    match Origin::of(request, options) {
        Origin::Own => Ok(()),
        Origin::Program | Origin::Listed | Origin::Foreign => Err(ApiError::ForeignOrigin),
    }
}

/// Where a request comes from, as far as a browser says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It names no origin: it comes from a program.
    Program,
    /// One of our own pages.
    Own,
    /// A page of another origin that may call the API with a token.
    Listed,
    /// A page of any other origin.
    Foreign,
}

impl Origin {
    /// What the request's `Origin` header says.
    #[must_use]
    pub fn of(request: &HttpRequest, options: &ApiOptions) -> Self {
        let Some(origin) = request.headers().get(ORIGIN) else { return Self::Program };
        let origin = origin.to_str().unwrap_or_default();
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
        let is_same_host = origin.split_once("://").is_some_and(|(_, origin_host)| Some(origin_host) == host);
        if is_same_host || options.is_own_origin(origin) {
            Self::Own
        } else if options.is_listed_origin(origin) {
            Self::Listed
        } else {
            Self::Foreign
        }
    }
}

fn state(request: &HttpRequest) -> Result<&Data<AppState>, ApiError> {
    request.app_data::<Data<AppState>>().ok_or_else(|| ApiError::Fault("the state is not there".into()))
}

/// The name of the session's cookie. With `__Host-` browsers take it over https only, and from no other host.
#[must_use]
pub fn cookie_name(options: &ApiOptions) -> &'static str {
    if options.is_https() { "__Host-nachfass" } else { "nachfass" }
}

/// The cookie of a session, or what removes it.
#[must_use]
pub fn cookie(options: &ApiOptions, secret: Option<&str>) -> Cookie<'static> {
    let seconds = if secret.is_some() { service::accounts::SESSION_SECONDS } else { 0 };
    build(options, cookie_name(options), secret.unwrap_or_default(), seconds)
}

/// The name of the cookie that makes a browser known.
#[must_use]
pub fn device_cookie_name(options: &ApiOptions) -> &'static str {
    if options.is_https() { "__Host-nachfass-device" } else { "nachfass-device" }
}

/// What makes the browser known that a request comes from.
#[must_use]
pub fn device(request: &HttpRequest, options: &ApiOptions) -> Option<String> {
    request.cookie(device_cookie_name(options)).map(|cookie| cookie.value().to_owned())
}

/// The cookie that makes a browser known.
#[must_use]
pub fn device_cookie(options: &ApiOptions, device: &str) -> Cookie<'static> {
    build(options, device_cookie_name(options), device, service::accounts::Device::SECONDS)
}

fn build(options: &ApiOptions, name: &'static str, value: &str, seconds: i64) -> Cookie<'static> {
    Cookie::build(name, value.to_owned())
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(options.is_https())
        .max_age(Duration::seconds(seconds))
        .finish()
}
