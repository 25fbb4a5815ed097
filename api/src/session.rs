//! `/session`: signing in with address and password, and out again. JSON for programs, a form for the page.

use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::web::{Data, Payload, Query};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use serde::Deserialize;
use serde_json::json;
use service::RefusalCode;
use service::accounts::{SignInAnswer, SignedIn};

use crate::auth::{self, Credential};
use crate::errors::ApiError;
use crate::index::{self, SignInForm};
use crate::sign_in::{self, Shown};
use crate::{AppState, body, rate_limit};

/// An address and a password need no more.
const BODY_LIMIT: usize = 8 * 1024;

#[derive(Deserialize)]
struct Credentials {
    email: String,
    password: String,
    /// The code of the second factor, or a recovery code.
    code: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewPassword {
    old_password: String,
    new_password: String,
}

/// `POST`: begins a session and sets its cookie.
pub async fn sign_in(state: Data<AppState>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, ApiError> {
    if body::is_type(&request, "application/json") {
        let body = body::read_plain(&request, payload, BODY_LIMIT).await?;
        let credentials = serde_json::from_slice(&body).map_err(|_| not_credentials())?;
        return Ok(welcome(&state, &attempt(&state, &request, &credentials).await?));
    }
    if body::is_type(&request, "application/x-www-form-urlencoded") {
        auth::require_own_origin(&request, &state.options)?;
        let body = body::read_plain(&request, payload, BODY_LIMIT).await?;
        let text = std::str::from_utf8(&body).map_err(|_| not_credentials())?;
        let credentials = Query::<Credentials>::from_query(text).map_err(|_| not_credentials())?.into_inner();
        return by_form(&state, &request, &credentials).await;
    }
    Err(ApiError::UnsupportedMediaType("send application/json, or the form of the page"))
}

/// A form's answer is a page: the start page, or the form again with what was wrong.
async fn by_form(state: &AppState, request: &HttpRequest, credentials: &Credentials) -> Result<HttpResponse, ApiError> {
    let error = match attempt(state, request, credentials).await {
        Ok(signed_in) => {
            let mut response = HttpResponse::SeeOther();
            response.insert_header((LOCATION, "/"));
            return Ok(set_cookies(state, &mut response, &signed_in).finish());
        }
        Err(error) => error,
    };
    let status = match &error {
        ApiError::Refused(refusal) if refusal.code == RefusalCode::Unauthenticated => StatusCode::UNAUTHORIZED,
        ApiError::Refused(refusal) if refusal.code == RefusalCode::Forbidden => StatusCode::FORBIDDEN,
        ApiError::CodeRequired | ApiError::CodeRefused => StatusCode::UNAUTHORIZED,
        ApiError::TooManyRequests { .. } => StatusCode::TOO_MANY_REQUESTS,
        _ => return Err(error),
    };
    let wants_code = matches!(error, ApiError::CodeRequired | ApiError::CodeRefused);
    let form = SignInForm { problem: Some(error.to_string()), email: credentials.email.clone(), wants_code };
    Ok(index::page(state, None, &form, status).await)
}

async fn attempt(state: &AppState, request: &HttpRequest, credentials: &Credentials) -> Result<SignedIn, ApiError> {
    let device = auth::device(request, &state.options);
    let shown = Shown {
        email: &credentials.email,
        password: &credentials.password,
        code: credentials.code.as_deref(),
        device: device.as_deref(),
        address: rate_limit::client_address(request, &state.options.trusted_proxies),
    };
    match sign_in::attempt(&state.services, &state.sign_in_limits, shown).await? {
        SignInAnswer::SignedIn(signed_in) => Ok(signed_in),
        SignInAnswer::CodeRequired => Err(ApiError::CodeRequired),
        SignInAnswer::CodeRefused => Err(ApiError::CodeRefused),
        SignInAnswer::TooManyCodes { retry_after } => Err(ApiError::TooManyRequests { retry_after }),
    }
}

/// `POST /session/password`: changes the password of whoever is signed in. All sessions end; the answer begins a new one.
pub async fn change_password(
    state: Data<AppState>,
    request: HttpRequest,
    payload: Payload,
    auth::SignedIn(access): auth::SignedIn,
) -> Result<HttpResponse, ApiError> {
    if !body::is_type(&request, "application/json") {
        return Err(ApiError::UnsupportedMediaType("send application/json"));
    }
    let account = access.own_account()?;
    let body = body::read_plain(&request, payload, BODY_LIMIT).await?;
    let NewPassword { old_password, new_password } = serde_json::from_slice(&body)
        .map_err(|_| ApiError::BadRequest("the body is not {\"oldPassword\": …, \"newPassword\": …}".to_owned()))?;
    Ok(welcome(&state, &account.change_password(&old_password, &new_password).await?))
}

fn welcome(state: &AppState, signed_in: &SignedIn) -> HttpResponse {
    let subject = json!({ "name": signed_in.subject.name, "role": signed_in.subject.role });
    let mut response = HttpResponse::Ok();
    set_cookies(state, &mut response, signed_in).json(json!({ "subject": subject, "expiresAt": signed_in.expires_at }))
}

/// Sets the cookies of a session that has begun.
pub fn set_cookies<'a>(
    state: &AppState,
    response: &'a mut HttpResponseBuilder,
    signed_in: &SignedIn,
) -> &'a mut HttpResponseBuilder {
    response
        .cookie(auth::cookie(&state.options, Some(signed_in.secret.expose())))
        .cookie(auth::device_cookie(&state.options, signed_in.device.expose()))
}

/// `DELETE`: ends the session and removes its cookie, whether or not the session is still one. The browser stays known.
pub async fn sign_out(state: Data<AppState>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    auth::require_own_page(&request)?;
    if let Some(Credential::Session(secret)) = Credential::of(&request, &state.options) {
        state.services.sign_out(&secret).await?;
    }
    Ok(HttpResponse::NoContent().cookie(auth::cookie(&state.options, None)).finish())
}

/// What is wrong with them is not said: it would repeat parts of them.
fn not_credentials() -> ApiError {
    ApiError::BadRequest("the body is not {\"email\": …, \"password\": …}".to_owned())
}
