//! Who reports events: the e-mail service providers, and our own generic format.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A sender of webhooks whose format nachfass reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are the providers' own")]
pub enum Provider {
    Mailgun,
    Sendgrid,
    Ses,
    Postmark,
    Brevo,
    Sparkpost,
    Mailjet,
    Resend,
    Mandrill,
    Mailersend,
    Mailtrap,
    Postal,
    Unisender,
    Scaleway,
    /// Our own documented JSON, for anything else that sends mail.
    Generic,
}

/// A name that is no provider's.
#[derive(Debug, thiserror::Error)]
#[error("unknown provider {0:?}; known are {known}", known = Provider::names())]
pub struct UnknownProvider(String);

impl Provider {
    /// Every provider, in the order of their numbers.
    pub const ALL: [Self; 15] = [
        Self::Mailgun,
        Self::Sendgrid,
        Self::Ses,
        Self::Postmark,
        Self::Brevo,
        Self::Sparkpost,
        Self::Mailjet,
        Self::Resend,
        Self::Mandrill,
        Self::Mailersend,
        Self::Mailtrap,
        Self::Postal,
        Self::Unisender,
        Self::Scaleway,
        Self::Generic,
    ];

    /// The name in configuration, on the command line and in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mailgun => "mailgun",
            Self::Sendgrid => "sendgrid",
            Self::Ses => "ses",
            Self::Postmark => "postmark",
            Self::Brevo => "brevo",
            Self::Sparkpost => "sparkpost",
            Self::Mailjet => "mailjet",
            Self::Resend => "resend",
            Self::Mandrill => "mandrill",
            Self::Mailersend => "mailersend",
            Self::Mailtrap => "mailtrap",
            Self::Postal => "postal",
            Self::Unisender => "unisender",
            Self::Scaleway => "scaleway",
            Self::Generic => "generic",
        }
    }

    /// The number that stands for it in the database; never reused.
    #[must_use]
    pub const fn code(self) -> i16 {
        match self {
            Self::Mailgun => 1,
            Self::Sendgrid => 2,
            Self::Ses => 3,
            Self::Postmark => 4,
            Self::Brevo => 5,
            Self::Sparkpost => 6,
            Self::Mailjet => 7,
            Self::Resend => 8,
            Self::Mandrill => 9,
            Self::Mailersend => 10,
            Self::Mailtrap => 11,
            Self::Postal => 12,
            Self::Unisender => 13,
            Self::Scaleway => 14,
            Self::Generic => 15,
        }
    }

    /// The provider that the database's number stands for.
    #[must_use]
    pub fn from_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.code() == code)
    }

    fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Provider {
    type Err = UnknownProvider;

    fn from_str(name: &str) -> Result<Self, UnknownProvider> {
        Self::ALL
            .into_iter()
            .find(|provider| provider.name().eq_ignore_ascii_case(name.trim()))
            .ok_or_else(|| UnknownProvider(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_lead_back() {
        for provider in Provider::ALL {
            assert_eq!(provider.name().parse::<Provider>().expect("own name"), provider);
            assert_eq!(Provider::from_code(provider.code()), Some(provider));
        }
    }
}
