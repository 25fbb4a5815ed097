//! `/crm/webhook`: where the CRM tells of its own changes. That only shortens the wait: they are read anyway.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use crate::AppState;
use crate::body;
use crate::errors::ApiError;
use crate::ingest::headers;

/// The largest body, after decompression.
const BODY_LIMIT: usize = 1024 * 1024;

/// `POST`: something changed.
pub async fn receive(state: Data<AppState>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, ApiError> {
    if state.services.crm().is_builtin() {
        return Err(ApiError::NotFound);
    }
    let headers = headers(&request);
    if !state.services.crm().may_tell(&headers) {
        return Err(ApiError::NotAuthentic { challenge: false });
    }
    let body = body::read_decompressed(&request, payload, BODY_LIMIT, &state.bodies).await?;
    match state.services.hear_crm(&headers, &body.bytes).await {
        Ok(true) => Ok(HttpResponse::Ok().finish()),
        Ok(false) => Err(ApiError::NotAuthentic { challenge: false }),
        Err(error) => Err(error.into()),
    }
}
