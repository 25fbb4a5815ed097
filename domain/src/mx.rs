//! Whether a domain takes mail at all: one sign among others of whether an address is written wrongly.

use futures::future::BoxFuture;

/// What the domain name system says about mail for a domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Exchange {
    /// It names servers for it, or at least one for the domain itself (RFC 5321, 5.1).
    Exists,
    /// It says that there is no such domain, no server, or that no mail is accepted (RFC 7505).
    Missing,
    /// Nobody was asked, or no answer came.
    #[default]
    Unknown,
}

/// Asks whether domains take mail.
pub trait MailExchanges: Send + Sync + 'static {
    /// What is known about mail for `domain`, which is in lower case and ASCII. It never fails: where there is no answer in time, it
    /// is [`Exchange::Unknown`].
    fn look_up<'a>(&'a self, domain: &'a str) -> BoxFuture<'a, Exchange>;
}

/// Asks nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLookups;

impl MailExchanges for NoLookups {
    fn look_up<'a>(&'a self, _domain: &'a str) -> BoxFuture<'a, Exchange> {
        Box::pin(std::future::ready(Exchange::Unknown))
    }
}
