//! The signature schemes that several providers share. Comparisons take the same time wherever they differ.

use hmac::{Hmac, KeyInit, Mac};
use rsa::PublicKey;
use subtle::ConstantTimeEq;

use super::Rejection;

/// Whether two texts are equal, in a time that depends on their lengths only.
#[must_use]
pub fn same(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

/// HMAC with SHA-256 over the parts, one after the other.
#[must_use]
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    // HMAC takes keys of any length (RFC 2104), so this cannot fail; an empty result would fit no signature.
    let Ok(mut mac) = Hmac::<sha2::Sha256>::new_from_slice(key) else { return Vec::new() };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

/// HMAC with SHA-1 over the parts, one after the other.
#[must_use]
pub fn hmac_sha1(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let Ok(mut mac) = Hmac::<sha1::Sha1>::new_from_slice(key) else { return Vec::new() };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

/// Bytes as lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}

/// Accepts if any secret gives `signature`: `expected` makes, from a secret, what the provider would have sent.
///
/// # Errors
/// [`Rejection::Invalid`].
pub fn any_fits(secrets: &[String], signature: &[u8], expected: impl Fn(&str) -> Vec<u8>) -> Result<(), Rejection> {
    let fits = secrets.iter().any(|secret| !secret.is_empty() && same(&expected(secret), signature));
    if fits { Ok(()) } else { Err(Rejection::Invalid) }
}

/// Accepts if any secret gives `signature`, the hexadecimal HMAC with SHA-256 over the parts.
///
/// # Errors
/// [`Rejection::Invalid`].
pub fn any_fits_hex(secrets: &[String], signature: &str, parts: &[&[u8]]) -> Result<(), Rejection> {
    let signature = signature.trim().to_ascii_lowercase();
    any_fits(secrets, signature.as_bytes(), |secret| hex(&hmac_sha256(secret.as_bytes(), parts)).into_bytes())
}

/// Checks that a header has the form of a hexadecimal SHA-256, as [`any_fits_hex`] compares it.
///
/// # Errors
/// [`Rejection::Invalid`].
pub fn is_hex_sha256(signature: &str) -> Result<(), Rejection> {
    let signature = signature.trim();
    let fits = signature.len() == 64 && signature.bytes().all(|byte| byte.is_ascii_hexdigit());
    if fits { Ok(()) } else { Err(Rejection::Invalid) }
}

/// Providers that sign nothing: one of `secrets` must come as `Authorization: Bearer` or as `X-Nachfass-Secret`.
///
/// # Errors
/// [`Rejection::Missing`] without either header, [`Rejection::Invalid`] where no secret fits.
pub fn bearer(request: &super::Request<'_>, secrets: &[String]) -> Result<(), Rejection> {
    let bearer = request.header("authorization").and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let token = request.header("x-nachfass-secret").or(bearer);
    let token = token.ok_or(Rejection::Missing("neither a bearer token nor X-Nachfass-Secret was sent"))?;
    any_fits(secrets, token.as_bytes(), |secret| secret.as_bytes().to_vec())
}

/// The hash that an RSA signature is made over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RsaHash {
    /// SHA-1, for the sake of providers that offer nothing better.
    Sha1,
    /// SHA-256.
    Sha256,
}

/// Whether an RSASSA-PKCS1-v1_5 signature (RFC 8017, section 8.2) over `message` is `key`'s own.
#[must_use]
pub fn rsa_pkcs1_fits(key: &PublicKey, hash: RsaHash, message: &[u8], signature: &[u8]) -> bool {
    let verified = match hash {
        RsaHash::Sha1 => key.pkcs1v15_verify::<sha1::Sha1>(message, signature),
        RsaHash::Sha256 => key.pkcs1v15_verify::<sha2::Sha256>(message, signature),
    };
    verified.is_ok()
}
