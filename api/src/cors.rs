//! Pages of other origins: `allow_origins` lists those that may call the API from a browser, with a token.
//!
//! Credentials of the browser are never allowed (`Access-Control-Allow-Credentials` is not sent), and neither is the header
//! `X-Nachfass`: the session's cookie stays with our own pages.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderName,
    HeaderValue, ORIGIN, VARY,
};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{HttpResponse, HttpResponseBuilder};

use crate::AppState;
use crate::errors::ApiError;

/// The addresses that a page of another origin may have use for.
const PATHS: [&str; 3] = ["/graphql", "/uploads", "/exports/"];

/// What a browser may send to them.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST");
const HEADERS: HeaderValue =
    HeaderValue::from_static("Authorization, Content-Type, Content-Encoding, Accept, Range, If-Range, X-Request-Id");
/// What a page may read of an answer, besides its kind and its body.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "X-Request-Id, Retry-After, Content-Disposition, Content-Length, Content-Range, Accept-Ranges, ETag",
);
/// For how many seconds a browser may remember a preflight: two hours, which is as long as Chromium does.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// What an answer depends on, for caches.
const ON_ORIGIN: HeaderValue = HeaderValue::from_static("Origin");
const ON_PREFLIGHT: HeaderValue =
    HeaderValue::from_static("Origin, Access-Control-Request-Method, Access-Control-Request-Headers");

/// Middleware: answers preflight requests, and tells browsers which pages may read an answer.
///
/// # Errors
/// None of its own.
pub async fn allow(
    state: Data<AppState>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let path = request.path();
    if !PATHS.iter().any(|known| path == *known || (known.ends_with('/') && path.starts_with(known))) {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    let origin = request.headers().get(ORIGIN).cloned();
    let is_listed = |origin: &HeaderValue| origin.to_str().is_ok_and(|origin| state.options.is_listed_origin(origin));
    let listed = origin.clone().filter(is_listed);
    if is_preflight(&request) {
        let own = |origin: &HeaderValue| origin.to_str().is_ok_and(|origin| state.options.is_own_origin(origin));
        let response = preflight(listed, origin.as_ref().is_some_and(own));
        // Not `into_response`, which loses what `errors::render` needs.
        let (request, _) = request.into_parts();
        return Ok(ServiceResponse::new(request, response));
    }
    let mut response = next.call(request).await?.map_into_boxed_body();
    response.headers_mut().append(VARY, ON_ORIGIN);
    if let Some(origin) = listed {
        insert(
            response.headers_mut(),
            [(ACCESS_CONTROL_ALLOW_ORIGIN, origin), (ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED)],
        );
    }
    Ok(response)
}

fn is_preflight(request: &ServiceRequest) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(ORIGIN)
        && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to a preflight. Our own origin needs none of the headers.
fn preflight(listed: Option<HeaderValue>, is_own: bool) -> HttpResponse {
    let mut response = match listed {
        None if is_own => HttpResponse::NoContent(),
        None => {
            let mut refused = HttpResponse::from_error(ApiError::UnlistedOrigin);
            refused.headers_mut().insert(VARY, ON_PREFLIGHT);
            return refused;
        }
        Some(origin) => allowed(origin),
    };
    response.insert_header((VARY, ON_PREFLIGHT)).finish()
}

fn allowed(origin: HeaderValue) -> HttpResponseBuilder {
    let mut response = HttpResponse::NoContent();
    response
        .insert_header((ACCESS_CONTROL_ALLOW_ORIGIN, origin))
        .insert_header((ACCESS_CONTROL_ALLOW_METHODS, METHODS))
        .insert_header((ACCESS_CONTROL_ALLOW_HEADERS, HEADERS))
        .insert_header((ACCESS_CONTROL_MAX_AGE, MAX_AGE));
    response
}

fn insert<const N: usize>(headers: &mut HeaderMap, values: [(HeaderName, HeaderValue); N]) {
    for (name, value) in values {
        headers.insert(name, value);
    }
}
