//! What is wrong with a CRM that cannot be reached, in words that anybody may read.

use std::error::Error;
use std::fmt;

/// What keeps a CRM from being asked. Its words hold no URL, no token, no name and no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It has too much to do, and asked to be left alone for a while.
    Pause,
    /// Nobody may use the tenant for now.
    Suspended,
    /// The vendor is working on the tenant.
    Maintenance,
    /// The tenant does not run, for another reason.
    AtRest,
    /// The tenant is not where it is said to be.
    Astray,
    /// It sends elsewhere, where we do not go.
    Redirect,
    /// No answer came in time.
    TimeOut,
    /// It does not show that it is itself.
    Certificate,
    /// Nothing is there to be connected to, or the way there is closed.
    NoConnection,
    /// The connection ended before the answer did.
    Interrupted,
    /// It failed by itself.
    Fault,
    /// It answered something else than it should.
    Unreadable,
    /// It refuses tokens that other processes of ours were given.
    Tokens,
}

impl Trouble {
    /// For people: what is wrong.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Pause => "the CRM asked for a pause",
            Self::Suspended => "the CRM says that the tenant is suspended",
            Self::Maintenance => "the CRM is being maintained",
            Self::AtRest => "the CRM says that the tenant does not run",
            Self::Astray => "the tenant is not where the CRM says",
            Self::Redirect => "the CRM redirects elsewhere, which is not followed",
            Self::TimeOut => "the CRM did not answer in time",
            Self::Certificate => "the certificate of the CRM is not valid",
            Self::NoConnection => "the CRM cannot be connected to",
            Self::Interrupted => "the connection to the CRM broke off",
            Self::Fault => "the CRM failed by itself",
            Self::Unreadable => "the answer of the CRM cannot be read",
            Self::Tokens => "the CRM refuses the tokens that it gave",
        }
    }

    /// A cause that says which trouble it is; it reads as `source` does.
    #[must_use]
    pub fn because(self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Box<dyn Error + Send + Sync> {
        Box::new(Cause { trouble: self, source: source.into() })
    }

    /// Which trouble a cause says that it is.
    #[must_use]
    pub fn of(cause: &(dyn Error + Send + Sync + 'static)) -> Option<Self> {
        cause.downcast_ref::<Cause>().map(|cause| cause.trouble)
    }
}

#[derive(Debug)]
struct Cause {
    trouble: Trouble,
    source: Box<dyn Error + Send + Sync>,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crm::CrmError;

    #[test]
    fn a_cause_reads_as_before_and_says_what_is_wrong() {
        let inner = std::io::Error::other(std::fmt::Error);
        let (text, below) = (inner.to_string(), inner.source().map(ToString::to_string));
        let source = Trouble::Pause.because(inner);
        assert_eq!((source.to_string(), source.source().map(ToString::to_string)), (text, below));
        let error = CrmError::Unavailable { source, may_have_happened: false, retry_after: None };
        assert_eq!(error.trouble(), Some(Trouble::Pause));
        let error = CrmError::Unavailable { source: "?".into(), may_have_happened: false, retry_after: None };
        assert_eq!((error.trouble(), CrmError::NotFound.trouble()), (None, None));
    }
}
