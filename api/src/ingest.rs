//! `/ingest/{source}`: where providers post their events.
//!
//! What to make of a request knows an [`IngestDoor`]; here it is read within limits, and its outcome becomes a status.

use actix_web::http::header;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use domain::Provider;
use domain::source::RejectionReason;
use futures::future::BoxFuture;

use crate::AppState;
use crate::body::{self, Held};
use crate::errors::ApiError;

/// The largest body, after decompression.
const BODY_LIMIT: usize = 10 * 1024 * 1024;

/// Takes what providers post.
pub trait IngestDoor: Send + Sync {
    /// The provider of a source; `None` where there is no such source.
    fn known(&self, source: &str) -> Option<Provider>;

    /// Checks the headers of a request before its body is read.
    ///
    /// # Errors
    /// The outcome if the request is refused whatever its body is.
    fn admit(&self, source: &str, headers: &[(String, String)]) -> Result<(), IngestOutcome>;

    /// Told that the body of an admitted request could not be read, and why.
    fn not_read(&self, source: &str, reason: RejectionReason, detail: &str);

    /// Takes a request: names of `headers` in lower case, `body` decompressed. `hold` is to be dropped together with the body.
    fn receive<'a>(
        &'a self,
        source: &'a str,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
        hold: Box<dyn Send>,
    ) -> BoxFuture<'a, IngestOutcome>;
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IngestOutcome {
    /// It is stored, and will not be lost.
    Stored,
    /// It was no delivery but part of the provider's setting up.
    Handshake,
    /// There is no such source.
    UnknownSource,
    /// Its signature or its credentials are wrong.
    NotAuthentic {
        /// Whether the source is one that authenticates by user name and password.
        challenge: bool,
    },
    /// It cannot be understood, for this reason; it is kept.
    Unreadable(String),
    /// It cannot be stored now; the provider is to try again.
    Unavailable,
}

/// `POST`: a delivery.
pub async fn receive(
    state: Data<AppState>,
    source: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let headers = headers(&request);
    if let Err(outcome) = state.ingest.admit(&source, &headers) {
        return answer(outcome);
    }
    let read = body::read_decompressed(&request, payload, BODY_LIMIT, &state.bodies).await;
    let Held { bytes, hold } = read.inspect_err(|error| {
        state.ingest.not_read(&source, reason(error), &error.to_string());
    })?;
    answer(state.ingest.receive(&source, headers, bytes, Box::new(hold)).await)
}

/// `HEAD`: some providers look whether the address exists.
pub async fn greet(state: Data<AppState>, source: Path<String>) -> Result<HttpResponse, ApiError> {
    state.ingest.known(&source).ok_or(ApiError::NotFound)?;
    Ok(HttpResponse::Ok().finish())
}

/// `GET`: so does Unisender; everybody else has no reason to.
pub async fn check(state: Data<AppState>, source: Path<String>) -> Result<HttpResponse, ApiError> {
    match state.ingest.known(&source).ok_or(ApiError::NotFound)? {
        Provider::Unisender => Ok(HttpResponse::Ok().finish()),
        _ => Err(ApiError::MethodNotAllowed),
    }
}

/// Why a body could not be read.
const fn reason(error: &ApiError) -> RejectionReason {
    match error {
        ApiError::TooLarge { .. } => RejectionReason::TooLarge,
        ApiError::TooSlow => RejectionReason::Incomplete,
        ApiError::BadRequest(_) | ApiError::UnsupportedMediaType(_) => RejectionReason::Unreadable,
        _ => RejectionReason::Unavailable,
    }
}

fn answer(outcome: IngestOutcome) -> Result<HttpResponse, ApiError> {
    match outcome {
        IngestOutcome::Stored | IngestOutcome::Handshake => Ok(HttpResponse::Ok().finish()),
        IngestOutcome::UnknownSource => Err(ApiError::NotFound),
        IngestOutcome::NotAuthentic { challenge } => Err(ApiError::NotAuthentic { challenge }),
        IngestOutcome::Unreadable(reason) => Err(ApiError::BadRequest(reason)),
        IngestOutcome::Unavailable => Err(ApiError::Unavailable(None)),
    }
}

/// The headers as text, without those that spoke of the body before it was decompressed.
pub(crate) fn headers(request: &HttpRequest) -> Vec<(String, String)> {
    let headers = request.headers().iter();
    headers
        .filter(|(name, _)| *name != header::CONTENT_ENCODING && *name != header::CONTENT_LENGTH)
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}
