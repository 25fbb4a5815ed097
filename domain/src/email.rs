//! E-mail addresses: what is valid, when two are the same, and which belong to a provider's simulator.

use email_address::Options;

/// A valid address (RFC 5321, with a domain of at least two labels).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EmailAddress {
    written: String,
    key: String,
    at: usize,
}

/// A text that is no address. It does not repeat the text: that may be personal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEmail {
    /// Nothing but white space.
    #[error("the address is empty")]
    Empty,
    /// Longer than 254 characters.
    #[error("the address is longer than 254 characters")]
    TooLong,
    /// Not of the form `local@domain.tld`.
    #[error("not of the form name@domain.tld")]
    Malformed,
    /// The domain is no valid (internationalised) domain name.
    #[error("the domain is not valid")]
    Domain,
}

/// The longest address that SMTP can carry (RFC 5321, 4.5.3.1.3, less the angle brackets).
pub const MAX_LENGTH: usize = 254;

impl EmailAddress {
    /// Reads an address; surrounding white space does not matter. The local part is kept as written, the domain in lower case.
    ///
    /// # Errors
    /// [`InvalidEmail`] says what is wrong.
    pub fn parse(text: &str) -> Result<Self, InvalidEmail> {
        let text = text.trim();
        if text.is_empty() {
            return Err(InvalidEmail::Empty);
        }
        if text.len() > MAX_LENGTH {
            return Err(InvalidEmail::TooLong);
        }
        let options = Options::default().with_required_tld().without_display_text().without_domain_literal();
        email_address::EmailAddress::parse_with_options(text, options).map_err(|_| InvalidEmail::Malformed)?;
        let (local, domain) = text.rsplit_once('@').ok_or(InvalidEmail::Malformed)?;
        let ascii = ascii_domain(domain).ok_or(InvalidEmail::Domain)?;
        let written = format!("{local}@{}", domain.to_lowercase());
        let local = local.to_lowercase();
        Ok(Self { written, at: local.len(), key: format!("{local}@{ascii}") })
    }

    /// As it is shown and written to: the local part as it was given, the domain in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// What two spellings of the same mailbox have in common: lower case, the domain in ASCII (IDNA).
    ///
    /// RFC 5321 lets a server tell `A@x` from `a@x`; none that matters does, and providers change the case on the way.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The domain in lower case and ASCII.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.key.get(self.at + 1..).unwrap_or_default()
    }
}

fn ascii_domain(domain: &str) -> Option<String> {
    if domain.is_ascii() && !domain.contains("xn--") {
        return Some(domain.to_ascii_lowercase());
    }
    idna::domain_to_ascii(domain).ok()
}

/// What stands for the address in a mailbox with or without a name (RFC 5322, 3.4): `erika@example.com` of `Erika <erika@example.com>`. It
/// need not be an address.
#[must_use]
pub fn address_of_mailbox(text: &str) -> &str {
    let text = text.trim();
    text.strip_suffix('>').and_then(|text| text.rsplit_once('<')).map_or(text, |(_, address)| address)
}

/// The key of any text that stands where an address should: that of the address, or the text in lower case.
#[must_use]
pub fn key_of(text: &str) -> String {
    EmailAddress::parse(text).map_or_else(|_| text.trim().to_lowercase(), |address| address.key)
}

/// The part behind the last `@`, in lower case; empty where there is none.
#[must_use]
pub fn domain_of_key(key: &str) -> &str {
    key.rsplit_once('@').map_or("", |(_, domain)| domain)
}

/// Domains behind which providers simulate deliveries and bounces; mail to them says nothing about anybody.
const SIMULATORS: &[&str] = &[
    "simulator.amazonses.com",
    "sink.sparkpostmail.com",
    "bounce-testing.postmarkapp.com",
    "blackhole.postmarkapp.com",
    "sink.sendgrid.net",
    "resend.dev",
];

/// Whether a key (see [`EmailAddress::key`]) belongs to a provider's simulator. Such recipients count nowhere.
#[must_use]
pub fn is_simulator(key: &str) -> bool {
    let domain = domain_of_key(key);
    SIMULATORS.iter().any(|known| domain.strip_suffix(known).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spellings_of_one_mailbox_share_a_key() {
        for (text, written, key) in [
            (" Erika.Muster@Example.DE ", "Erika.Muster@example.de", "erika.muster@example.de"),
            ("jörg@müller.example", "jörg@müller.example", "jörg@xn--mller-kva.example"),
            ("JÖRG@MÜLLER.example", "JÖRG@müller.example", "jörg@xn--mller-kva.example"),
        ] {
            let address = EmailAddress::parse(text).expect(text);
            assert_eq!((address.as_str(), address.key()), (written, key));
        }
    }

    #[test]
    fn what_is_no_address_says_why() {
        let error = |text: &str| EmailAddress::parse(text).expect_err(text);
        assert_eq!(error("  "), InvalidEmail::Empty);
        assert_eq!(error("erika"), InvalidEmail::Malformed);
        assert_eq!(error("erika@localhost"), InvalidEmail::Malformed);
        assert_eq!(error("a b@example.com"), InvalidEmail::Malformed);
        assert_eq!(error("Erika <erika@example.com>"), InvalidEmail::Malformed);
        assert_eq!(error(&format!("{}@example.com", "a".repeat(250))), InvalidEmail::TooLong);
    }

    #[test]
    fn simulators_are_known_with_their_subdomains() {
        assert!(is_simulator("bounce@simulator.amazonses.com"));
        assert!(is_simulator("x@any.sink.sparkpostmail.com"));
        assert!(!is_simulator("x@notresend.dev"));
        assert!(!is_simulator("x@example.com"));
    }

    proptest! {
        #[test]
        fn a_key_is_its_own_key(text in "[A-Za-z0-9.+_-]{1,20}@[A-Za-z0-9-]{1,10}\\.[a-z]{2,5}") {
            if let Ok(address) = EmailAddress::parse(&text) {
                prop_assert_eq!(key_of(address.key()), address.key());
                prop_assert_eq!(key_of(&text.to_uppercase()), address.key());
                prop_assert_eq!(address.domain(), domain_of_key(address.key()));
            }
        }

        #[test]
        fn any_text_has_a_key(text in "\\PC{0,300}") {
            let _key = key_of(&text);
        }
    }
}
