//! What SuperOffice says when it does not do something.

use std::error::Error;

use domain::crm::{CrmError, Trouble};
use reqwest::StatusCode;
use serde_json::Value;

/// The status and the kind of error, for people. The message is left out: it may hold names and addresses.
pub(super) fn said(status: StatusCode, body: &[u8]) -> String {
    let code = status.as_u16();
    match kind(body) {
        _ if status.is_redirection() => format!("it redirects elsewhere (status {code}), which is not followed"),
        Some(kind) => format!("it answered with the status {code} ({kind})"),
        None => format!("it answered with the status {code}"),
    }
}

/// What is wrong where an answer with this status does not help, whoever gave it.
pub(super) fn trouble(status: StatusCode, retry_after: Option<u32>) -> Trouble {
    match status {
        StatusCode::TOO_MANY_REQUESTS => Trouble::Pause,
        StatusCode::SERVICE_UNAVAILABLE if retry_after.is_some() => Trouble::Pause,
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => Trouble::TimeOut,
        StatusCode::MISDIRECTED_REQUEST => Trouble::Astray,
        _ if status.is_redirection() => Trouble::Redirect,
        _ if status.is_server_error() => Trouble::Fault,
        _ => Trouble::Unreadable,
    }
}

/// What is wrong where no answer came.
pub(super) fn broken(error: &reqwest::Error) -> Trouble {
    if is_about_certificate(error) {
        Trouble::Certificate
    } else if error.is_timeout() {
        Trouble::TimeOut
    } else if error.is_connect() {
        Trouble::NoConnection
    } else {
        Trouble::Interrupted
    }
}

/// Whether the connection was given up because of whom it leads to. An I/O error does not name the error inside of it as its source.
fn is_about_certificate(error: &reqwest::Error) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return matches!(tls, rustls::Error::InvalidCertificate(_));
        }
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = inner.map(|inner| -> &(dyn Error + 'static) { inner }).or_else(|| error.source());
    }
    false
}

/// What an answer means by which SuperOffice refuses a request.
pub(super) fn refusal(status: StatusCode, body: &[u8], method: &str, path: &str) -> CrmError {
    match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => CrmError::NotFound,
        StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => CrmError::Conflict,
        StatusCode::FORBIDDEN => CrmError::NoAccess(format!("SuperOffice does not allow {method} {path}")),
        _ => CrmError::Refused(format!("SuperOffice refuses {method} {path}: {}", said(status, body))),
    }
}

/// A new token is refused like the one before.
pub(super) fn not_let_in() -> CrmError {
    CrmError::NoAccess("SuperOffice refuses a token that it has just given".to_owned())
}

/// One token after the other that other processes kept is refused. Nobody has to see to that: one is asked for when this is tried again.
pub(super) fn others_not_let_in() -> CrmError {
    let source = Trouble::Tokens.because("it refuses the tokens that other processes were given");
    CrmError::Unavailable { source, may_have_happened: false, retry_after: Some(5) }
}

/// The tenant is not where SuperOffice says.
pub(super) fn nowhere() -> CrmError {
    let source = Trouble::Astray.because("the tenant is not where it says");
    CrmError::Unavailable { source, may_have_happened: false, retry_after: None }
}

/// The name of the exception (`SoNotFoundException`), no more than letters and digits of it.
fn kind(body: &[u8]) -> Option<String> {
    let error: Value = serde_json::from_slice(body).ok()?;
    let kind = error.get("ErrorType")?.as_str()?;
    let kind: String = kind.chars().filter(char::is_ascii_alphanumeric).take(60).collect();
    Some(kind).filter(|kind| !kind.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_message_of_superoffice_is_shown() {
        let body = br#"{"Error":true,"ErrorType":"SoRestriction<b>","ErrorMessage":"ada@example.com is wrong"}"#;
        let error = refusal(StatusCode::BAD_REQUEST, body, "GET", "Person");
        assert_eq!(
            error.to_string(),
            "SuperOffice refuses GET Person: it answered with the status 400 (SoRestrictionb)"
        );
        assert_eq!(said(StatusCode::BAD_GATEWAY, b"<html>"), "it answered with the status 502");
        assert!(matches!(refusal(StatusCode::CONFLICT, b"", "PATCH", ""), CrmError::Conflict));
    }
}
