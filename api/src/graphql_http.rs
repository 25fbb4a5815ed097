//! `POST /graphql`.
//!
//! The request is read here and not by an adapter: a body of one kind only, so that no form of another site can send one, and
//! limits on its size, the number of operations and the time they take. It is executed by [`crate::graphql_threads`], and dropped there
//! when its time is up or the client hangs up. What was executed before and asks for little, such as the figures of a campaign or a
//! page of a list, is executed here: handing it over would cost more than the work. Whatever goes wrong is said as GraphQL says it.

use std::panic::AssertUnwindSafe;

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT, CONTENT_TYPE};
use actix_web::web::{Data, Payload};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, ResponseError};
use async_graphql::{BatchRequest, BatchResponse, Request, Response, Value};
use futures::FutureExt;
use serde_json::json;
use service::{Access, Services};

use crate::AppState;
use crate::auth::SignedIn;
use crate::body;
use crate::bounded::Bounded;
use crate::concurrency::Heavy;
use crate::errors::ApiError;
use crate::graphql::limits::MAX_NESTING;
use crate::graphql::{NewSession, json_nesting};
use crate::request_id::RequestId;
use crate::session;

/// The largest body: 1 MB.
const BODY_LIMIT: usize = 1024 * 1024;

/// The most operations in one request.
const BATCH_LIMIT: usize = 10;

/// The largest body, and the deepest JSON in it, of what is executed where it arrives.
const LIGHT_BODY: usize = 8 * 1024;
const LIGHT_NESTING: usize = 8;

const JSON: &str = "application/json";
const GRAPHQL_JSON: &str = "application/graphql-response+json";

/// `POST`: one operation, or several.
pub async fn execute(
    state: Data<AppState>,
    request: HttpRequest,
    payload: Payload,
    signed_in: Result<SignedIn, ApiError>,
) -> HttpResponse {
    let new_session = NewSession::default();
    let executed = async { run(&state, &request, payload, signed_in?, new_session.clone()).await };
    let answer = executed.await.map(|Written { body, is_refused }| {
        let kind = accepted(&request);
        let status = if kind == GRAPHQL_JSON && is_refused { StatusCode::BAD_REQUEST } else { StatusCode::OK };
        let mut response = HttpResponse::build(status);
        if let Some(signed_in) = new_session.take() {
            session::set_cookies(&state, &mut response, &signed_in);
        }
        response.insert_header((CONTENT_TYPE, kind)).body(body)
    });
    answer.unwrap_or_else(|error| refuse(&request, &error))
}

/// An answer as it goes out.
struct Written {
    body: Vec<u8>,
    /// Whether it says that the operation was not even begun.
    is_refused: bool,
}

async fn run(
    state: &AppState,
    request: &HttpRequest,
    payload: Payload,
    SignedIn(access): SignedIn,
    new_session: NewSession,
) -> Result<Written, ApiError> {
    if !body::is_type(request, JSON) {
        return Err(ApiError::UnsupportedMediaType("send application/json"));
    }
    let body = body::read_plain(request, payload, BODY_LIMIT).await?;
    let subject = access.subject().clone();
    let limit = state.options.graphql_time_limit;
    let executed = async {
        let _admitted = state.concurrency.admit(&subject).await?;
        let heavy = state.concurrency.heavy(&subject);
        let (schema, most) = (state.schema.clone(), state.options.max_response_bytes);
        if let Some(response) = execute_light(state, &access, &heavy, &body).await? {
            return write(&BatchResponse::Single(response), most);
        }
        let work = async move |services: Services| {
            let batch = parse(&body)?.data(services.access(subject)).data(heavy).data(new_session);
            write(&Box::pin(schema.execute_batch(batch)).await, most)
        };
        state.graphql.run(work).await.map_err(|panicked| ApiError::Fault(Box::new(panicked)))?
    };
    tokio::time::timeout(limit, executed).await.map_err(|_| ApiError::TimeLimit { seconds: limit.as_secs() })?
}

/// Executes a small request that asks for little; `None` where it does not.
async fn execute_light(
    state: &AppState,
    access: &Access,
    heavy: &Heavy,
    body: &[u8],
) -> Result<Option<Response>, ApiError> {
    if body.len() > LIGHT_BODY || json_nesting(body) > LIGHT_NESTING {
        return Ok(None);
    }
    let Ok(request) = serde_json::from_slice::<Request>(body) else { return Ok(None) };
    let request = request.data(access.clone()).data(heavy.clone());
    // A panic must not take along the thread's other connections.
    let executed = AssertUnwindSafe(state.schema.execute_light(request)).catch_unwind().await;
    executed.map_err(|_| ApiError::Fault("a resolver panicked".into()))
}

/// Writes a response, as far as the limit goes.
fn write(response: &BatchResponse, most: usize) -> Result<Written, ApiError> {
    let mut body = Bounded::new(most);
    match serde_json::to_writer(&mut body, response) {
        Ok(()) => Ok(Written { is_refused: is_refused(response), body: body.into_bytes() }),
        Err(_) if body.is_full() => Err(ApiError::AnswerTooLarge { limit: most }),
        Err(error) => Err(ApiError::Fault(Box::new(error))),
    }
}

/// Whether an operation was not even begun: it cannot be parsed, asks for unknown fields or for too much. GraphQL over HTTP wants a
/// bad request then with its own kind of answer; with plain JSON it is 200, as it always was.
fn is_refused(response: &BatchResponse) -> bool {
    let is_refused = |response: &Response| {
        response.is_err() && response.data == Value::Null && response.errors.iter().all(|error| error.path.is_empty())
    };
    matches!(response, BatchResponse::Single(response) if is_refused(response))
}

pub(crate) fn parse(body: &[u8]) -> Result<BatchRequest, ApiError> {
    let nesting = json_nesting(body);
    if nesting > MAX_NESTING {
        let message = format!(
            "the JSON of the body is nested {nesting} deep, and at most {MAX_NESTING} are allowed: flatten the variables"
        );
        return Err(ApiError::BadRequest(message));
    }
    // The derived reading of the library would take an empty list for an operation without a text.
    let parsed = if body.trim_ascii_start().starts_with(b"[") {
        serde_json::from_slice(body).map(BatchRequest::Batch)
    } else {
        serde_json::from_slice(body).map(BatchRequest::Single)
    };
    let batch = parsed.map_err(|_| {
        ApiError::BadRequest("the body is no GraphQL request: {\"query\": …, \"variables\": …}".to_owned())
    })?;
    let count = batch.iter().count();
    if !(1..=BATCH_LIMIT).contains(&count) {
        let message = format!(
            "the list has {count} operations, and 1 to {BATCH_LIMIT} are allowed: send them in several requests"
        );
        return Err(ApiError::BadRequest(message));
    }
    Ok(batch)
}

/// The newer of the two kinds where the client names it.
fn accepted(request: &HttpRequest) -> &'static str {
    let accept = request.headers().get_all(ACCEPT).filter_map(|value| value.to_str().ok());
    let newer = accept.flat_map(|value| value.split(',')).any(|kind| {
        let mut parts = kind.split(';').map(str::trim);
        parts.next() == Some(GRAPHQL_JSON) && !parts.any(|part| matches!(part, "q=0" | "q=0.0"))
    });
    if newer { GRAPHQL_JSON } else { JSON }
}

fn refuse(request: &HttpRequest, error: &ApiError) -> HttpResponse {
    error.log();
    let id = request.extensions().get::<RequestId>().cloned();
    let body = json!({
        "errors": [{ "message": error.to_string(), "extensions": { "code": error.code(), "requestId": id } }],
    });
    let head = error.error_response();
    let mut response = HttpResponse::build(head.status());
    for header in head.headers() {
        response.append_header(header);
    }
    response.insert_header((CONTENT_TYPE, accepted(request))).body(body.to_string())
}
