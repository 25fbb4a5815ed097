//! Bodies that are forms, urlencoded or multipart, read within limits.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use futures::Stream;

use super::Request;
use super::bounds::MAX_FIELDS;

/// Size of the pieces that the multipart parser gets, in bytes. It buffers what it has not parsed yet.
const PIECE: usize = 64 * 1024;

/// Whether the request's body is a form.
#[must_use]
pub fn is_form(request: &Request<'_>) -> bool {
    matches!(request.media_type().as_str(), "application/x-www-form-urlencoded" | "multipart/form-data")
}

/// The fields of the form whose names are `wanted`, in the order of the body. Any media type but multipart is read as urlencoded.
///
/// # Errors
/// The reason, without content, if the form is malformed or has too many fields.
pub fn fields(request: &Request<'_>, wanted: impl Fn(&str) -> bool) -> Result<Vec<(String, String)>, String> {
    if request.media_type() == "multipart/form-data" {
        let boundary = multer::parse_boundary(request.header("content-type").unwrap_or_default());
        let boundary = boundary.map_err(|_error| "the multipart form has no boundary".to_owned())?;
        return now(multipart(request.body, boundary, wanted), request.body.len());
    }
    let mut fields = Vec::new();
    for (place, (name, value)) in form_urlencoded::parse(request.body).enumerate() {
        if place >= MAX_FIELDS {
            return Err(too_many());
        }
        if wanted(&name) {
            fields.push((name.into_owned(), value.into_owned()));
        }
    }
    Ok(fields)
}

async fn multipart(
    body: &[u8],
    boundary: String,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<(String, String)>, String> {
    let damaged = |_error: multer::Error| "the multipart form is malformed".to_owned();
    let mut form = multer::Multipart::new(Pieces { rest: body.chunks(PIECE), taken: false }, boundary);
    let mut fields = Vec::new();
    for _ in 0..MAX_FIELDS {
        let Some(field) = form.next_field().await.map_err(damaged)? else { return Ok(fields) };
        let name = field.name().unwrap_or_default().to_owned();
        if wanted(&name) {
            fields.push((name, field.text().await.map_err(damaged)?));
        }
    }
    match form.next_field().await.map_err(damaged)? {
        Some(_) => Err(too_many()),
        None => Ok(fields),
    }
}

/// A body in memory as a stream. It is pending after each piece: the parser buffers everything that is ready before it parses.
struct Pieces<'a> {
    rest: std::slice::Chunks<'a, u8>,
    taken: bool,
}

impl Stream for Pieces<'_> {
    type Item = Result<Vec<u8>, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.taken = !self.taken;
        if self.taken { Poll::Ready(self.rest.next().map(|piece| Ok(piece.to_vec()))) } else { Poll::Pending }
    }
}

/// Polls work to completion that only waits for [`Pieces`] of a body of `bytes` bytes.
fn now<T>(work: impl Future<Output = Result<T, String>>, bytes: usize) -> Result<T, String> {
    let mut work = pin!(work);
    for _ in 0..bytes / PIECE + 4 {
        if let Poll::Ready(outcome) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return outcome;
        }
    }
    Err("the multipart form is incomplete".to_owned())
}

fn too_many() -> String {
    format!("the form has more than {MAX_FIELDS} fields")
}
