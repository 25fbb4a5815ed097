//! `POST /uploads`: a file, streamed to where a job will read it.

use std::cell::Cell;
use std::io;
use std::time::Duration;

use actix_web::http::header;
use actix_web::web::{Bytes, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures::{Stream, StreamExt, stream};
use serde_json::json;
use service::uploads::Announced;

use crate::auth::SignedIn;
use crate::body::Encoding;
use crate::errors::ApiError;

/// As long a client may pause.
const PAUSE_LIMIT: Duration = Duration::from_secs(60);

/// Stores the body as it comes; gzip stays gzip.
pub async fn store(
    request: HttpRequest,
    payload: Payload,
    SignedIn(access): SignedIn,
) -> Result<HttpResponse, ApiError> {
    let marketer = access.marketer()?;
    let gzip = match Encoding::of(&request)? {
        Encoding::Identity => false,
        Encoding::Gzip => true,
        Encoding::Deflate | Encoding::Brotli => {
            return Err(ApiError::UnsupportedMediaType("an upload comes as it is, or with Content-Encoding: gzip"));
        }
    };
    let announced = Announced {
        content_type: text_header(&request, &header::CONTENT_TYPE),
        gzip,
        size: text_header(&request, &header::CONTENT_LENGTH).and_then(|length| length.parse().ok()),
    };
    let failed = Cell::new(None);
    let stored = marketer.store_upload(chunks(payload, &failed), announced).await;
    // Where the client is the cause, it says more than the broken stream that the service saw.
    match failed.take() {
        Some(error) => Err(error),
        None => stored
            .map(|upload| HttpResponse::Created().json(json!({ "uploadId": upload.id, "size": upload.size })))
            .map_err(ApiError::from),
    }
}

fn text_header<'a>(request: &'a HttpRequest, name: &header::HeaderName) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

/// The body's chunks; what ends them too early is kept in `failed`.
fn chunks(payload: Payload, failed: &Cell<Option<ApiError>>) -> impl Stream<Item = io::Result<Bytes>> {
    stream::unfold(payload, move |mut payload| async move {
        let fail = |error: ApiError| {
            failed.set(Some(error));
            io::Error::other("the upload has ended early")
        };
        let chunk = match tokio::time::timeout(PAUSE_LIMIT, payload.next()).await {
            Ok(None) => return None,
            Ok(Some(Ok(chunk))) => Ok(chunk),
            Ok(Some(Err(_))) => Err(fail(ApiError::BadRequest("the body is cut off".to_owned()))),
            Err(_) => Err(fail(ApiError::TooSlow)),
        };
        Some((chunk, payload))
    })
}
