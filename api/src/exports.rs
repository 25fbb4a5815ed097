//! `GET /exports/{id}`: a file that a job made, for whoever has a link that is good.
//!
//! The link is the proof; nothing else is asked for, so that a browser, a download manager or a script may go on where it was cut off.

use std::ops::Range;

use actix_web::body::SizedStream;
use actix_web::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    HeaderName, IF_RANGE, RANGE,
};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use futures::stream;
use http_range_header::parse_range_header;
use service::exports::{ExportFile, LinkState};

use crate::AppState;
use crate::errors::ApiError;

/// For a file that a browser shows although it was told to save it: no script, no form, no request, an origin of its own.
const SANDBOX: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// Sends the file, or the part of it that is asked for.
pub async fn download(state: Data<AppState>, id: Path<String>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let file = follow(&state, &id, request.query_string()).await?;
    let etag = format!("\"{}\"", file.id);
    let (status, range) = match wanted(&request, &etag, file.size) {
        Wanted::All => (StatusCode::OK, 0..file.size),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Wanted::Nothing => return Ok(unsatisfiable(&file)),
    };
    let mut response = HttpResponse::build(status);
    response
        .insert_header((CONTENT_TYPE, file.content_type.as_str()))
        .insert_header((CONTENT_DISPOSITION, disposition(&file.name)))
        .insert_header((ETAG, etag))
        .insert_header((ACCEPT_RANGES, "bytes"))
        .insert_header((CACHE_CONTROL, "private, no-store"))
        .insert_header((CONTENT_SECURITY_POLICY, SANDBOX));
    if status == StatusCode::PARTIAL_CONTENT {
        let text = format!("bytes {}-{}/{}", range.start, range.end.saturating_sub(1), file.size);
        response.insert_header((CONTENT_RANGE, text));
    }
    let length = range.end - range.start;
    if request.method() == Method::HEAD || length == 0 {
        // The length is that of the file, and nothing of it is read.
        return Ok(response.body(SizedStream::new(length, stream::empty::<std::io::Result<_>>())));
    }
    let content = state.services.read_export(&file, range).await?.ok_or(ApiError::Gone)?;
    Ok(response.body(SizedStream::new(length, content)))
}

/// The file that the link leads to.
async fn follow(state: &AppState, id: &str, query: &str) -> Result<ExportFile, ApiError> {
    // Read here and not by an extractor: those log a query that they cannot read.
    let pair = |name: &str| query.split('&').filter_map(|pair| pair.split_once('=')).find(|pair| pair.0 == name);
    let value = |name: &str| pair(name).map(|pair| pair.1);
    let expires = value("expires").and_then(|seconds| seconds.parse().ok()).ok_or(ApiError::Forged)?;
    let signature = value("signature").ok_or(ApiError::Forged)?;
    match state.services.follow_link(id, expires, signature).await? {
        LinkState::There(file) => Ok(file),
        LinkState::Forged => Err(ApiError::Forged),
        LinkState::Over => Err(ApiError::Gone),
        LinkState::Unknown => Err(ApiError::NotFound),
    }
}

/// What of a file is asked for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    All,
    Part(Range<u64>),
    Nothing,
}

/// Which part is asked for. What cannot be understood, and more than one part, is answered with the whole, as RFC 9110 allows.
fn wanted(request: &HttpRequest, etag: &str, size: u64) -> Wanted {
    let text = |name: &HeaderName| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
    let Some(range) = text(&RANGE) else { return Wanted::All };
    // Another file than the one whose end is missing.
    if text(&IF_RANGE).is_some_and(|known| known != etag) {
        return Wanted::All;
    }
    let Ok(parsed) = parse_range_header(range.trim()) else { return Wanted::All };
    match parsed.validate(size).as_deref() {
        Ok([one]) => Wanted::Part(*one.start()..one.end().saturating_add(1).min(size)),
        Ok(_) => Wanted::All,
        Err(_) => Wanted::Nothing,
    }
}

fn unsatisfiable(file: &ExportFile) -> HttpResponse {
    HttpResponse::build(StatusCode::RANGE_NOT_SATISFIABLE)
        .insert_header((CONTENT_RANGE, format!("bytes */{}", file.size)))
        .insert_header((ACCEPT_RANGES, "bytes"))
        .finish()
}

/// To be saved under this name: in ASCII for old programs, and as it is (RFC 5987).
fn disposition(name: &str) -> String {
    let ascii: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect();
    let encode = |byte: u8| {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    let encoded: String = name.bytes().map(encode).collect();
    format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn of(range: &str, if_range: Option<&str>) -> Wanted {
        let mut request = TestRequest::get().insert_header((RANGE, range));
        if let Some(tag) = if_range {
            request = request.insert_header((IF_RANGE, tag));
        }
        wanted(&request.to_http_request(), "\"x\"", 100)
    }

    #[test]
    fn one_part_is_given_and_everything_else_is_answered_with_the_whole() {
        assert_eq!(of("bytes=0-9", None), Wanted::Part(0..10));
        assert_eq!(of("bytes=90-", None), Wanted::Part(90..100));
        assert_eq!(of("bytes=-5", None), Wanted::Part(95..100));
        assert_eq!(of("bytes=99-1000", None), Wanted::Part(99..100));
        assert_eq!(of("bytes=10-19", Some("\"x\"")), Wanted::Part(10..20));
        for (range, tag) in [
            ("bytes=10-19", Some("\"y\"")),
            ("bytes=10-19", Some("W/\"x\"")),
            ("bytes=10-19", Some("Thu, 01 Jan 2026 00:00:00 GMT")),
            ("bytes=0-9,20-29", None),
            ("lines=1-2", None),
            ("bytes=x", None),
            ("bytes=9-1", None),
        ] {
            assert_eq!(of(range, tag), Wanted::All, "{range} {tag:?}");
        }
        assert_eq!(of("bytes=100-", None), Wanted::Nothing);
    }

    #[test]
    fn a_name_breaks_no_header() {
        let header = disposition("recipients-Größe\r\n\"x\";日.csv");
        assert!(header.is_ascii() && !header.contains(['\r', '\n']), "{header}");
        assert!(
            header.starts_with(
                "attachment; filename=\"recipients-Gr__e___x___.csv\"; filename*=UTF-8''recipients-Gr%C3%B6"
            )
        );
    }
}
