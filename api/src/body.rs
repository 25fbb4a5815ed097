//! Bodies of requests, read and decompressed within limits.
//!
//! The framework's own decompression turns each chunk into as much as it holds before anybody can count it: a few kilobytes of
//! Brotli may be gigabytes. Here the compressed body is collected first, and its decompression stops at the limit.

use std::io::Read;
use std::time::Duration;

use actix_web::http::header;
use actix_web::web::{Bytes, BytesMut, Payload};
use actix_web::{HttpMessage, HttpRequest};
use futures::StreamExt;

use crate::errors::ApiError;

/// As long a client may take for a whole body (uploads have a limit of their own).
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// gzip.
    Gzip,
    /// zlib, which HTTP calls deflate.
    Deflate,
    /// Brotli.
    Brotli,
}

impl Encoding {
    /// What `Content-Encoding` says.
    ///
    /// # Errors
    /// For an encoding that is not known here.
    pub fn of(request: &HttpRequest) -> Result<Self, ApiError> {
        let Some(value) = request.headers().get(header::CONTENT_ENCODING) else {
            return Ok(Self::Identity);
        };
        match value.to_str().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "deflate" => Ok(Self::Deflate),
            "br" => Ok(Self::Brotli),
            _ => Err(ApiError::UnsupportedMediaType("the Content-Encoding is not one of gzip, deflate, br")),
        }
    }
}

/// Whether the body is of this type, whatever its parameters.
#[must_use]
pub fn is_type(request: &HttpRequest, mime: &str) -> bool {
    request.content_type().trim().eq_ignore_ascii_case(mime)
}

/// Reads a body that may not be compressed.
///
/// # Errors
/// Where it is compressed, larger than `limit` bytes, cut off or too slow.
pub async fn read_plain(request: &HttpRequest, payload: Payload, limit: usize) -> Result<Bytes, ApiError> {
    if Encoding::of(request)? != Encoding::Identity {
        return Err(ApiError::UnsupportedMediaType("the body may not be compressed here"));
    }
    read(request, payload, limit).await
}

/// Reads and decompresses a body.
///
/// # Errors
/// Where it is larger than `limit` bytes before or after decompression, damaged, cut off or too slow.
pub async fn read_decompressed(request: &HttpRequest, payload: Payload, limit: usize) -> Result<Bytes, ApiError> {
    let encoding = Encoding::of(request)?;
    let body = read(request, payload, limit).await?;
    if encoding == Encoding::Identity {
        return Ok(body);
    }
    let work = tokio::task::spawn_blocking(move || decompress(encoding, &body, limit));
    work.await.map_err(|error| ApiError::Fault(Box::new(error)))?
}

async fn read(request: &HttpRequest, payload: Payload, limit: usize) -> Result<Bytes, ApiError> {
    let announced =
        request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    tokio::time::timeout(TIME_LIMIT, collect(payload, announced.unwrap_or(0), limit))
        .await
        .map_err(|_| ApiError::TooSlow)?
}

async fn collect(mut payload: Payload, announced: usize, limit: usize) -> Result<Bytes, ApiError> {
    // No more than this on the word of a client alone.
    let mut body = BytesMut::with_capacity(announced.min(64 * 1024));
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| ApiError::BadRequest("the body is cut off".to_owned()))?;
        if body.len() + chunk.len() > limit {
            return Err(too_large(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn decompress(encoding: Encoding, body: &[u8], limit: usize) -> Result<Bytes, ApiError> {
    match encoding {
        Encoding::Identity => take(body, limit),
        Encoding::Gzip => take(flate2::read::MultiGzDecoder::new(body), limit),
        Encoding::Deflate => take(flate2::read::ZlibDecoder::new(body), limit),
        Encoding::Brotli => take(brotli_decompressor::Decompressor::new(body, 8 * 1024), limit),
    }
}

/// Reads one byte more than allowed at most: then it is too large.
fn take(reader: impl Read, limit: usize) -> Result<Bytes, ApiError> {
    let mut body = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let read = reader.take(most).read_to_end(&mut body);
    read.map_err(|_| ApiError::BadRequest("the body is not what its Content-Encoding says".to_owned()))?;
    if body.len() > limit {
        return Err(too_large(limit));
    }
    Ok(body.into())
}

fn too_large(limit: usize) -> ApiError {
    ApiError::TooLarge { limit: u64::try_from(limit).unwrap_or(u64::MAX) }
}
