//! What a request is answered that cannot be served: a status, and `{"error":{"code","message","requestId"}}`.
//!
//! A fault tells the outside nothing but the request's id; the log holds its cause under the same id.

use std::error::Error as StdError;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpResponse, ResponseError};
use serde_json::{Value, json};
use service::uploads::UploadError;
use service::{Refusal, RefusalCode, ServiceError};

use crate::request_id::RequestId;

/// Why a request is not served.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// It cannot be understood.
    #[error("{0}")]
    BadRequest(String),
    /// Nobody is signed in.
    #[error("sign in, or send a valid API token as Authorization: Bearer …")]
    Unauthenticated,
    /// The password is right, and the user has a second factor.
    #[error("enter the code of your authenticator app, or a recovery code")]
    CodeRequired,
    /// The password is right, the code is not.
    #[error("the code is wrong or was used already; wait for the next one")]
    CodeRefused,
    /// What a provider posted is not proved to be the provider's.
    #[error("the signature or the credentials are wrong")]
    NotAuthentic {
        /// Whether user name and password are asked for.
        challenge: bool,
    },
    /// A session came without the header that only our own pages send.
    #[error("with a session cookie this needs the header X-Nachfass: 1")]
    MissingHeader,
    /// A page of somebody else asked with the user's session.
    #[error("this request comes from another site")]
    ForeignOrigin,
    /// A page of an origin that may not call the API.
    #[error("pages of this origin may not call the API; list the origin in allow_origins of the configuration")]
    UnlistedOrigin,
    /// There is nothing at this address.
    #[error("there is nothing here")]
    NotFound,
    /// A link that was not made here, or was changed.
    #[error("this link is not one of ours, or was changed: ask for a new one")]
    Forged,
    /// What was here is gone.
    #[error("this link has ended, or the file was removed: ask for a new link, or export again")]
    Gone,
    /// The address does not know this method.
    #[error("this address does not know this method")]
    MethodNotAllowed,
    /// The body is larger than allowed.
    #[error("the body has more than the {limit} bytes that are allowed: send less at once")]
    TooLarge {
        /// As many bytes are allowed, decompressed.
        limit: u64,
    },
    /// The answer would be larger than allowed.
    #[error("the answer has more than the {limit} bytes that are allowed: ask for less at once")]
    AnswerTooLarge {
        /// As many bytes are allowed, before compression.
        limit: usize,
    },
    /// The body's kind is not one that is read here.
    #[error("{0}")]
    UnsupportedMediaType(&'static str),
    /// Too many attempts.
    #[error("too many attempts; try again in {retry_after} s")]
    TooManyRequests {
        /// Seconds until the next attempt may succeed.
        retry_after: u64,
    },
    /// Too many uploads go on at the same time.
    #[error("{0}")]
    TooManyUploads(String),
    /// There is no room for an upload.
    #[error("{0}")]
    NoRoom(String),
    /// The client was too slow with its body.
    #[error("the body did not arrive in time")]
    TooSlow,
    /// It took longer than allowed.
    #[error("this took longer than {seconds} s and was given up; ask for less at once")]
    TimeLimit {
        /// As long it may take.
        seconds: u64,
    },
    /// The database is out of reach; the same request may succeed later.
    #[error("this cannot be served at the moment; try again")]
    Unavailable(#[source] Option<ServiceError>),
    /// The webhook requests in progress have exhausted their memory budget; the same request may succeed later.
    #[error("too many webhook requests in progress; try again in 5 s")]
    Overloaded,
    /// A use case refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Something broke.
    #[error("something broke on our side; the log tells what, under the id of this request")]
    Fault(#[source] Box<dyn StdError + Send + Sync>),
}

impl From<ServiceError> for ApiError {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::Refused(refusal) => Self::Refused(refusal),
            error if error.is_transient() => Self::Unavailable(Some(error)),
            error => Self::Fault(Box::new(error)),
        }
    }
}

impl From<UploadError> for ApiError {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::TooLarge { limit } => Self::TooLarge { limit },
            UploadError::NoRoom(message) => Self::NoRoom(message),
            UploadError::Busy => Self::TooManyUploads(error.to_string()),
            UploadError::Service(error) => error.into(),
        }
    }
}

impl ApiError {
    /// The stable name of the reason.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::BadRequest(_) => "BAD_REQUEST",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::CodeRequired => "TOTP_REQUIRED",
            Self::CodeRefused => "TOTP_INVALID",
            Self::NotAuthentic { .. } => "NOT_AUTHENTIC",
            Self::MissingHeader => "MISSING_HEADER",
            Self::ForeignOrigin | Self::UnlistedOrigin => "FOREIGN_ORIGIN",
            Self::Forged => "FORBIDDEN",
            Self::NotFound => "NOT_FOUND",
            Self::Gone => "GONE",
            Self::MethodNotAllowed => "METHOD_NOT_ALLOWED",
            Self::TooLarge { .. } => "TOO_LARGE",
            Self::AnswerTooLarge { .. } => "RESPONSE_TOO_LARGE",
            Self::UnsupportedMediaType(_) => "UNSUPPORTED_MEDIA_TYPE",
            Self::TooManyRequests { .. } | Self::TooManyUploads(_) => "TOO_MANY_REQUESTS",
            Self::NoRoom(_) => "NO_ROOM",
            Self::TooSlow => "TOO_SLOW",
            Self::TimeLimit { .. } => "TIME_LIMIT",
            Self::Unavailable(_) => "UNAVAILABLE",
            Self::Overloaded => "OVERLOADED",
            Self::Refused(refusal) => match refusal.code {
                RefusalCode::NotFound => "NOT_FOUND",
                RefusalCode::Conflict => "CONFLICT",
                RefusalCode::Invalid => "INVALID",
                RefusalCode::Forbidden => "FORBIDDEN",
                RefusalCode::Unauthenticated => "UNAUTHENTICATED",
            },
            Self::Fault(_) => "INTERNAL",
        }
    }

    /// Writes a fault to the log; refusals are not worth a line beside the one for the request.
    pub fn log(&self) {
        match self {
            Self::Fault(error) => tracing::error!(error = %chain(error.as_ref()), "a request failed"),
            Self::Unavailable(Some(error)) => tracing::warn!(error = %chain(error), "a request could not be served"),
            _ => {}
        }
    }

    fn for_status(status: StatusCode) -> Option<Self> {
        match status {
            StatusCode::NOT_FOUND => Some(Self::NotFound),
            StatusCode::METHOD_NOT_ALLOWED => Some(Self::MethodNotAllowed),
            _ => None,
        }
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Unauthenticated | Self::CodeRequired | Self::CodeRefused | Self::NotAuthentic { .. } => {
                StatusCode::UNAUTHORIZED
            }
            Self::MissingHeader | Self::ForeignOrigin | Self::UnlistedOrigin | Self::Forged => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Gone => StatusCode::GONE,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::AnswerTooLarge { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Self::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooManyRequests { .. } | Self::TooManyUploads(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::NoRoom(_) => StatusCode::INSUFFICIENT_STORAGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Unavailable(_) | Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::TimeLimit { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::Refused(refusal) => match refusal.code {
                RefusalCode::NotFound => StatusCode::NOT_FOUND,
                RefusalCode::Conflict => StatusCode::CONFLICT,
                RefusalCode::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
                RefusalCode::Forbidden => StatusCode::FORBIDDEN,
                RefusalCode::Unauthenticated => StatusCode::UNAUTHORIZED,
            },
            Self::Fault(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The head alone; [`render`] adds the body, which names the request.
    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        match self {
            Self::Unauthenticated => response.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"nachfass\"")),
            Self::NotAuthentic { challenge: true } => {
                response.insert_header((header::WWW_AUTHENTICATE, "Basic realm=\"nachfass\""))
            }
            Self::TooManyRequests { retry_after } => response.insert_header((header::RETRY_AFTER, *retry_after)),
            Self::TooManyUploads(_) => response.insert_header((header::RETRY_AFTER, 10)),
            Self::Unavailable(_) | Self::Overloaded => response.insert_header((header::RETRY_AFTER, 5)),
            _ => &mut response,
        };
        response.finish()
    }
}

/// An error and what caused it, and what caused that.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// Middleware: gives errors their body, those of the framework too.
///
/// # Errors
/// None of its own.
pub async fn render(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let response = next.call(request).await?.map_into_boxed_body();
    let Some(body) = error_body(&response) else {
        return Ok(response);
    };
    let mut response = response.map_body(|_, _| BoxBody::new(body.to_string()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

fn error_body(response: &ServiceResponse<BoxBody>) -> Option<Value> {
    let status = response.status();
    let id = response.request().extensions().get::<RequestId>().cloned();
    let body =
        |code: &str, message: &str| Some(json!({ "error": { "code": code, "message": message, "requestId": id } }));
    let error = response.response().error();
    if let Some(error) = error.and_then(|error| error.as_error::<ApiError>()) {
        error.log();
        return body(error.code(), &error.to_string());
    }
    let empty = matches!(response.response().body().size(), BodySize::None | BodySize::Sized(0));
    if status.as_u16() < 400 || (error.is_none() && !empty) {
        return None;
    }
    match ApiError::for_status(status) {
        Some(error) => body(error.code(), &error.to_string()),
        None if status.is_server_error() => body("INTERNAL", "something broke on our side"),
        None => body("BAD_REQUEST", status.canonical_reason().unwrap_or("the request cannot be understood")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::middleware::from_fn;
    use actix_web::test::{self, TestRequest};
    use actix_web::{App, web};

    async fn fail() -> Result<&'static str, ApiError> {
        Err(ApiError::Fault("erika@example.com broke it".into()))
    }

    #[actix_web::test]
    async fn a_fault_tells_the_outside_nothing_but_the_requests_id() {
        let app =
            App::new().wrap(from_fn(render)).wrap(from_fn(crate::request_id::track)).route("/", web::get().to(fail));
        let app = test::init_service(app).await;
        let request = TestRequest::get().insert_header(("x-request-id", "trace-1")).to_request();
        let response = test::call_service(&app, request).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = test::read_body(response).await;
        let text = std::str::from_utf8(&body).expect("a text");
        assert!(text.contains("INTERNAL") && text.contains("trace-1") && !text.contains("erika"), "{text}");
    }

    #[test]
    fn a_chain_names_every_cause() {
        let error = ServiceError::Io(std::io::Error::other("disk full"));
        assert_eq!(chain(&error), "a file could not be read or written: disk full");
    }
}
