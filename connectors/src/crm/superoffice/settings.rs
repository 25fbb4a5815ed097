//! How SuperOffice is reached, and where requests may go.

use std::num::NonZeroU16;
use std::time::Duration;

use url::{Host, Url};

use super::system_user::SigningKey;

/// The domain in which all of the vendor's services lie.
const VENDOR: &str = "superoffice.com";

/// How a tenant of SuperOffice is reached.
#[derive(Clone)]
pub struct Settings {
    /// Where the tenant's state and tokens are asked for: `https://online.superoffice.com`.
    pub login_url: Url,
    /// The tenant: `Cust12345`.
    pub tenant: String,
    /// The id of the registered application.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// As whom requests are made.
    pub credentials: Credentials,
    /// No more requests than that go out in a second from one process, one after the other at an even pace.
    pub requests_per_second: NonZeroU16,
    /// Hosts besides the vendor's that requests may go to.
    pub allow_hosts: Vec<String>,
    /// What webhooks are signed with; without it none is believed.
    pub webhook_secret: Option<String>,
    /// The language of names that SuperOffice translates, as `Accept-Language` writes it.
    pub language: String,
    /// How long an answer may take.
    pub timeout: Duration,
}

/// As whom requests are made.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// As the user who consented; the refresh token is good until that is withdrawn.
    RefreshToken(String),
    /// As the application's own user in the tenant.
    SystemUser {
        /// What the tenant's administrator got when consenting: `App-name-xxxxxxxxxx`.
        token: String,
        /// The application's RSA key, as PEM (PKCS#8 or PKCS#1).
        private_key: String,
    },
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::RefreshToken(_) => "RefreshToken",
            Self::SystemUser { .. } => "SystemUser",
        })
    }
}

/// Why SuperOffice cannot be reached with these settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Requests must not go there.
    #[error(transparent)]
    LoginUrl(#[from] NotAllowed),
    /// The tenant's name cannot be part of a URL.
    #[error("a tenant is letters and digits, such as Cust12345")]
    Tenant,
    /// The key cannot be read.
    #[error("it is not an RSA key as PEM (PKCS#8 or PKCS#1)")]
    PrivateKey,
    /// The language cannot be sent.
    #[error("it is not a language, such as en or de")]
    Language,
    /// The HTTP client could not be made.
    #[error("the HTTP client cannot be made")]
    Http(#[source] reqwest::Error),
}

impl Settings {
    /// How long an answer may take where nothing else is said: the vendor's slow requests take two seconds.
    pub const TIMEOUT: Duration = Duration::from_secs(60);

    /// Whether it can be tried with these.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), SettingsError> {
        self.places().check(&self.login_url)?;
        if self.tenant.is_empty() || !self.tenant.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(SettingsError::Tenant);
        }
        if let Credentials::SystemUser { private_key, .. } = &self.credentials {
            SigningKey::from_pem(private_key).ok_or(SettingsError::PrivateKey)?;
        }
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_,;=.* ".contains(&byte);
        if self.language.is_empty() || !self.language.bytes().all(letter) {
            return Err(SettingsError::Language);
        }
        Ok(())
    }

    pub(super) fn places(&self) -> Places {
        Places { allowed: self.allow_hosts.iter().map(|host| host.trim().to_ascii_lowercase()).collect() }
    }
}

/// A URL that no request may go to.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// It lies elsewhere.
    #[error("{0} lies neither within superoffice.com nor in crm.superoffice.allow_hosts")]
    Host(String),
    /// It contains credentials, or a port at a host of the vendor.
    #[error("the URL contains a user, or a port at a host of superoffice.com")]
    Extras,
    /// Others could listen in.
    #[error("requests go to https:// only (http:// to 127.0.0.1)")]
    Plain,
}

/// Where requests may go. What SuperOffice says about where it is counts no more than a configuration would.
#[derive(Clone, Debug)]
pub(super) struct Places {
    allowed: Vec<String>,
}

impl Places {
    /// Whether a request may go to this URL.
    pub(super) fn check(&self, url: &Url) -> Result<(), NotAllowed> {
        // The URL parser has normalised the host: lower case, no percent-encoding.
        let host = url.host_str().unwrap_or_default();
        let within =
            host == VENDOR || host.strip_suffix(VENDOR).and_then(|name| name.strip_suffix('.')).is_some_and(labels);
        let listed = self.allowed.iter().any(|allowed| allowed == host);
        if !within && !listed {
            return Err(NotAllowed::Host(host.to_owned()));
        }
        let has_user = !url.username().is_empty() || url.password().is_some();
        if has_user || !listed && url.port().is_some() {
            return Err(NotAllowed::Extras);
        }
        let here = matches!(url.host(), Some(Host::Ipv4(address)) if address.is_loopback());
        match url.scheme() {
            "https" => Ok(()),
            "http" if here => Ok(()),
            _ => Err(NotAllowed::Plain),
        }
    }
}

/// Whether a name consists of host labels (RFC 1123) separated by dots.
fn labels(name: &str) -> bool {
    let label = |label: &str| {
        let plain = label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        plain && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_go_to_the_vendor_or_where_they_may() {
        let places = Places { allowed: vec!["crm.example.com".to_owned(), "127.0.0.1".to_owned()] };
        let check = |url: &str| places.check(&Url::parse(url).expect("a URL"));
        for url in [
            "https://online.superoffice.com",
            "https://ONLINE3.superoffice.com/Cust1/api",
            "https://superoffice.com",
            "https://online.superoffice.com:443/",
            "https://crm.example.com:8443/x",
            "http://127.0.0.1:4000",
        ] {
            assert_eq!(check(url), Ok(()), "{url}");
        }
        for url in [
            "https://superoffice.com.example.com",
            "https://evilsuperoffice.com",
            "https://.superoffice.com",
            "https://a_b.superoffice.com",
            "https://online.superoffice.com.",
            "https://online..superoffice.com",
            "https://online.superoffice.com@example.com",
            "https://169.254.169.254/",
            "https://[::1]/",
            "https://localhost",
        ] {
            assert!(matches!(check(url), Err(NotAllowed::Host(_))), "{url}");
        }
        for url in
            ["https://online.superoffice.com:8443", "https://a@online.superoffice.com", "https://:b@crm.example.com/"]
        {
            assert_eq!(check(url), Err(NotAllowed::Extras), "{url}");
        }
        for url in ["http://online.superoffice.com", "http://crm.example.com", "ftp://127.0.0.1"] {
            assert_eq!(check(url), Err(NotAllowed::Plain), "{url}");
        }
        let none = Places { allowed: Vec::new() };
        assert!(none.check(&Url::parse("http://127.0.0.1:1").expect("a URL")).is_err());
    }
}
