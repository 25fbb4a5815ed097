//! Stub, being written.
use domain::Timestamp;
use domain::reading::{ReadError, Reading};
use super::{Rejection, Request, Webhook};
/// Stub.
#[derive(Clone, Copy, Debug)]
pub struct Mailersend;
impl Webhook for Mailersend {
    fn verify(&self, _request: &Request<'_>, _secrets: &[String], _now: Timestamp) -> Result<(), Rejection> { Err(Rejection::Invalid) }
    fn read(&self, _request: &Request<'_>) -> Result<Reading, ReadError> { Ok(Reading::default()) }
}
