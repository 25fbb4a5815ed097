//! `/session`: signing in with address and password, and out again. JSON for programs, a form for the page.

use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::web::{Data, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::json;
use service::accounts::SignedIn;
use service::{RefusalCode, ServiceError};

use crate::auth::{self, Credential};
use crate::errors::ApiError;
use crate::{AppState, body, index, rate_limit};

/// An address and a password need no more.
const BODY_LIMIT: usize = 8 * 1024;

#[derive(Deserialize)]
struct Credentials {
    email: String,
    password: String,
}

/// `POST`: begins a session and sets its cookie.
pub async fn sign_in(state: Data<AppState>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, ApiError> {
    if body::is_type(&request, "application/json") {
        let body = body::read_plain(&request, payload, BODY_LIMIT).await?;
        let credentials = serde_json::from_slice(&body).map_err(|_| not_credentials())?;
        let signed_in = attempt(&state, &request, credentials).await?;
        let subject = json!({ "name": signed_in.subject.name, "role": signed_in.subject.role });
        return Ok(HttpResponse::Ok()
            .cookie(auth::cookie(&state.options, Some(signed_in.secret.expose())))
            .json(json!({ "subject": subject, "expiresAt": signed_in.expires_at })));
    }
    if body::is_type(&request, "application/x-www-form-urlencoded") {
        auth::require_own_origin(&request, &state.options)?;
        let body = body::read_plain(&request, payload, BODY_LIMIT).await?;
        let text = std::str::from_utf8(&body).map_err(|_| not_credentials())?;
        let credentials = Query::<Credentials>::from_query(text).map_err(|_| not_credentials())?.into_inner();
        return by_form(&state, &request, credentials).await;
    }
    Err(ApiError::UnsupportedMediaType("send application/json, or the form of the page"))
}

/// A form's answer is a page: the start page, or the form again with what was wrong.
async fn by_form(state: &AppState, request: &HttpRequest, credentials: Credentials) -> Result<HttpResponse, ApiError> {
    match attempt(state, request, credentials).await {
        Ok(signed_in) => Ok(HttpResponse::SeeOther()
            .insert_header((LOCATION, "/"))
            .cookie(auth::cookie(&state.options, Some(signed_in.secret.expose())))
            .finish()),
        Err(ApiError::Refused(refusal)) if refusal.code == RefusalCode::Unauthenticated => {
            Ok(index::page(state, None, Some(&refusal.message), StatusCode::UNAUTHORIZED).await)
        }
        Err(error @ ApiError::TooManyRequests { .. }) => {
            Ok(index::page(state, None, Some(&error.to_string()), StatusCode::TOO_MANY_REQUESTS).await)
        }
        Err(error) => Err(error),
    }
}

async fn attempt(state: &AppState, request: &HttpRequest, credentials: Credentials) -> Result<SignedIn, ApiError> {
    let address = rate_limit::client_address(request, &state.options.trusted_proxies);
    state.sign_in_limits.check(address, &credentials.email)?;
    let signed_in = state.services.sign_in(&credentials.email, &credentials.password).await;
    if let Err(ServiceError::Refused(_)) = &signed_in {
        tracing::warn!("a sign-in was refused");
    }
    Ok(signed_in?)
}

/// `DELETE`: ends the session and removes its cookie, whether or not the session is still one.
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
