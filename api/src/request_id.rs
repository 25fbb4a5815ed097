//! An id for every request: in its span, in the answer, in the log.

use std::sync::Arc;
use std::time::Instant;

use actix_web::HttpMessage;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use serde::Serialize;
use tracing::Instrument;
use ulid::Ulid;

/// The header that brings an id, and takes it back.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is taken over from outside.
const MAX_LENGTH: usize = 64;

/// What a request is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// The caller's own id where it is a harmless one, else a new one.
    #[must_use]
    pub fn choose(given: Option<&HeaderValue>) -> Self {
        let given = given.and_then(|value| value.to_str().ok()).filter(|id| is_harmless(id));
        Self(given.map_or_else(|| Ulid::generate().to_string().into(), Into::into))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Letters, digits and a few marks: nothing that could break out of a log line or hold an address.
fn is_harmless(id: &str) -> bool {
    (1..=MAX_LENGTH).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// Middleware: names the request, and writes its line of the log. That line holds the route, never the path or the query.
///
/// # Errors
/// None of its own.
pub async fn track(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let id = RequestId::choose(request.headers().get(HEADER));
    let span = tracing::info_span!("request", request_id = id.as_str(), method = %request.method());
    request.extensions_mut().insert(id.clone());
    let started = Instant::now();
    let mut response = next.call(request).instrument(span.clone()).await?;
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert(HEADER, value);
    }
    span.in_scope(|| log(&response, started));
    Ok(response)
}

fn log<B>(response: &ServiceResponse<B>, started: Instant) {
    let route = response.request().match_pattern();
    let route = route.as_deref().unwrap_or("none");
    let status = response.status().as_u16();
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    if is_routine(route) && response.status().is_success() {
        tracing::debug!(route, status, duration_ms, "answered a request");
    } else {
        tracing::info!(route, status, duration_ms, "answered a request");
    }
}

/// What machines ask all day long: a line for each would bury the others.
fn is_routine(route: &str) -> bool {
    matches!(route, "/healthz" | "/readyz" | "/ingest/{source}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(given: &'static str) -> String {
        RequestId::choose(Some(&HeaderValue::from_static(given))).as_str().to_owned()
    }

    #[test]
    fn a_harmless_id_is_taken_over_and_any_other_replaced() {
        assert_eq!(chosen("trace-1.a_B"), "trace-1.a_B");
        for id in ["", "erika@example.com", "a b", "a\"b"] {
            assert_eq!(chosen(id).len(), 26, "{id}");
        }
        assert_eq!(RequestId::choose(HeaderValue::from_str(&"a".repeat(65)).ok().as_ref()).as_str().len(), 26);
        assert_eq!(RequestId::choose(None).as_str().len(), 26);
    }
}
