//! What SuperOffice tells by itself. It only shortens the wait until something is read: what is not told, or forged, does no harm.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::crm::Told;
use serde_json::Value;

use crate::providers::signature::{hmac_sha256, same};

/// The header with the signature: base64 of the HMAC with SHA-256 over the body as it came.
const SIGNATURE: &str = "x-superoffice-signature";

/// Whether the headers contain a well-formed signature. Without a secret no request is accepted.
pub(super) fn may_tell(secret: Option<&str>, headers: &[(String, String)]) -> bool {
    secret.is_some_and(|secret| !secret.is_empty()) && signature(headers).is_some()
}

/// The signature: base64 of 32 bytes.
fn signature(headers: &[(String, String)]) -> Option<&str> {
    let signature = headers.iter().find(|(name, _)| name == SIGNATURE).map(|(_, value)| value.trim())?;
    (signature.len() == 44 && STANDARD.decode(signature).is_ok_and(|bytes| bytes.len() == 32)).then_some(signature)
}

/// What a request tells; `None` where it is not the tenant's.
pub(super) fn told(secret: Option<&str>, tenant: &str, headers: &[(String, String)], body: &[u8]) -> Option<Vec<Told>> {
    let secret = secret.filter(|secret| !secret.is_empty())?;
    let signature = signature(headers)?;
    let expected = STANDARD.encode(hmac_sha256(secret.as_bytes(), &[body]));
    if !same(expected.as_bytes(), signature.as_bytes()) {
        return None;
    }
    let event: Value = serde_json::from_slice(body).ok()?;
    let context = event.get("ContextIdentifier").and_then(Value::as_str);
    if context.is_some_and(|context| !context.eq_ignore_ascii_case(tenant)) {
        return None;
    }
    let name = event.get("Event").and_then(Value::as_str).unwrap_or_default();
    Some(vec![subject(name)])
}

/// What an event is about. A company's owner is its persons' owner, and its name stands with them.
fn subject(event: &str) -> Told {
    match event.split('.').next().unwrap_or_default() {
        "person" | "contact" => Told::Persons,
        "project" | "projectmember" => Told::Projects,
        _ => Told::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tell(secret: Option<&str>, signature: &str, body: &str) -> Option<Vec<Told>> {
        let headers = [("x-superoffice-signature".to_owned(), signature.to_owned())];
        told(secret, "Cust12345", &headers, body.as_bytes())
    }

    #[test]
    fn only_what_is_signed_is_believed() {
        let body = r#"{"Event":"person.changed","ContextIdentifier":"Cust12345"}"#;
        // echo -n BODY | openssl dgst -sha256 -hmac hush -binary | base64
        let signature = "4CSaADVZO9Y2mwd6eN/JlpilXOQTMKoIZvCTj0sFeHM=";
        assert_eq!(tell(Some("hush"), signature, body), Some(vec![Told::Persons]));
        assert_eq!(tell(Some("other"), signature, body), None);
        assert_eq!(tell(Some("hush"), signature, &body.replace("person", "project")), None);
        assert_eq!(tell(Some("hush"), "", body), None);
        assert_eq!(tell(None, signature, body), None);
        assert_eq!(tell(Some(""), signature, body), None);
        assert_eq!(told(Some("hush"), "Cust1", &[(SIGNATURE.to_owned(), signature.to_owned())], body.as_bytes()), None);
        assert_eq!(told(Some("hush"), "Cust12345", &[], body.as_bytes()), None);
    }

    #[test]
    fn requests_without_a_well_formed_signature_are_refused_early() {
        let headers = |signature: &str| vec![(SIGNATURE.to_owned(), signature.to_owned())];
        let fitting = headers("4CSaADVZO9Y2mwd6eN/JlpilXOQTMKoIZvCTj0sFeHM=");
        assert!(may_tell(Some("hush"), &fitting));
        assert!(!may_tell(None, &fitting) && !may_tell(Some(""), &fitting));
        for signature in ["", "AAAA", "4CSaADVZO9Y2mwd6eN/JlpilXOQTMKoIZvCTj0sFeHM", &"A".repeat(100_000)] {
            assert!(!may_tell(Some("hush"), &headers(signature)), "{}", signature.len());
        }
        assert!(!may_tell(Some("hush"), &[]));
    }

    #[test]
    fn events_are_about_persons_projects_or_nothing_of_ours() {
        for (event, expected) in [
            ("person.created", Told::Persons),
            ("contact.changed", Told::Persons),
            ("projectmember.deleted", Told::Projects),
            ("project.softdeleted", Told::Projects),
            ("sale.changed", Told::Nothing),
            ("personal.changed", Told::Nothing),
            ("", Told::Nothing),
        ] {
            assert_eq!(subject(event), expected, "{event}");
        }
    }
}
