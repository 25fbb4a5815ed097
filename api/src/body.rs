//! Bodies of requests, read and decompressed within limits.
//!
//! The framework's own decompression turns each chunk into as much as it holds before anybody can count it: a few kilobytes of
//! Brotli may be gigabytes. Here the compressed body is collected first, then its unpacked size is determined, then memory is allocated.
//!
//! Webhook bodies share a [`Budget`](budget::Budget), because their senders are not authenticated yet.

pub mod budget;
mod pieces;

use std::io::Read;
use std::time::Duration;

use actix_web::http::header;
use actix_web::web::{Bytes, BytesMut, Payload};
use actix_web::{HttpMessage, HttpRequest};
use futures::StreamExt;

use crate::errors::ApiError;
use budget::{Budget, Hold};
use pieces::Pieces;

/// As long a client may take for a whole body (uploads have a limit of their own).
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// Maximum pause between two chunks of a webhook's body.
const PAUSE_LIMIT: Duration = Duration::from_secs(10);

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

/// A body in memory and its share of the budget.
pub struct Held {
    /// The body, decompressed.
    pub bytes: Vec<u8>,
    /// To be dropped together with the bytes.
    pub hold: Hold,
}

/// Reads and decompresses a body within a budget.
///
/// # Errors
/// If it is larger than `limit` bytes before or after decompression, malformed, incomplete or too slow, or if the budget is exhausted.
pub async fn read_decompressed(
    request: &HttpRequest,
    payload: Payload,
    limit: usize,
    budget: &Budget,
) -> Result<Held, ApiError> {
    let encoding = Encoding::of(request)?;
    announced(request, limit)?;
    let mut hold = budget.request()?;
    let collected = tokio::time::timeout(TIME_LIMIT, pieces(payload, limit, &mut hold));
    let bytes = collected.await.map_err(|_| ApiError::TooSlow)??;
    if encoding == Encoding::Identity {
        return Ok(Held { bytes, hold });
    }
    let turn = budget.turn().await;
    // The closure owns both, because the work continues if the client disconnects.
    let work = tokio::task::spawn_blocking(move || {
        let held = decompress(encoding, bytes, limit, hold);
        drop(turn);
        held
    });
    work.await.map_err(|error| ApiError::Fault(Box::new(error)))?
}

/// Collects a body; each chunk is counted before it is stored.
async fn pieces(mut payload: Payload, limit: usize, hold: &mut Hold) -> Result<Vec<u8>, ApiError> {
    let mut body = Pieces::default();
    loop {
        let next = tokio::time::timeout(PAUSE_LIMIT, payload.next());
        let Some(chunk) = next.await.map_err(|_| ApiError::TooSlow)? else { return Ok(body.join()) };
        let chunk = chunk.map_err(|_| ApiError::BadRequest("the body is cut off".to_owned()))?;
        if body.len() + chunk.len() > limit {
            return Err(too_large(limit));
        }
        hold.resize(body.len() + chunk.len())?;
        body.push(&chunk);
    }
}

/// The announced length of the body (0 if unknown); an error if it exceeds the limit.
fn announced(request: &HttpRequest, limit: usize) -> Result<usize, ApiError> {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<usize>().ok()).unwrap_or(0);
    if length > limit { Err(too_large(limit)) } else { Ok(length) }
}

async fn read(request: &HttpRequest, payload: Payload, limit: usize) -> Result<Bytes, ApiError> {
    let announced = announced(request, limit)?;
    tokio::time::timeout(TIME_LIMIT, collect(payload, announced, limit)).await.map_err(|_| ApiError::TooSlow)?
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

/// Decompresses in two passes: the first determines the size, the second writes into memory that has been reserved.
fn decompress(encoding: Encoding, compressed: Vec<u8>, limit: usize, mut hold: Hold) -> Result<Held, ApiError> {
    let length = length(reader(encoding, &compressed), limit)?;
    hold.resize(compressed.len() + length)?;
    let mut bytes = Vec::with_capacity(length);
    reader(encoding, &compressed).take(as_u64(length)).read_to_end(&mut bytes).map_err(|_| damaged())?;
    drop(compressed);
    hold.resize(bytes.len())?;
    Ok(Held { bytes, hold })
}

fn reader(encoding: Encoding, body: &[u8]) -> Box<dyn Read + '_> {
    match encoding {
        Encoding::Identity => Box::new(body),
        Encoding::Gzip => Box::new(flate2::read::MultiGzDecoder::new(body)),
        Encoding::Deflate => Box::new(flate2::read::ZlibDecoder::new(body)),
        Encoding::Brotli => Box::new(brotli_decompressor::Decompressor::new(body, 8 * 1024)),
    }
}

/// Counts the bytes of a reader; an error beyond `limit`, after reading one more.
fn length(reader: impl Read, limit: usize) -> Result<usize, ApiError> {
    let mut within = reader.take(as_u64(limit).saturating_add(1));
    let length = std::io::copy(&mut within, &mut std::io::sink()).map_err(|_| damaged())?;
    usize::try_from(length).ok().filter(|length| *length <= limit).ok_or_else(|| too_large(limit))
}

fn damaged() -> ApiError {
    ApiError::BadRequest("the body is not what its Content-Encoding says".to_owned())
}

fn as_u64(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}

fn too_large(limit: usize) -> ApiError {
    ApiError::TooLarge { limit: as_u64(limit) }
}
