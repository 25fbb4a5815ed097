//! What can become of a request that somebody posts to a source.

/// Why a request to a source was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RejectionReason {
    /// No source of this name is configured.
    UnknownSource,
    /// User and password are missing or wrong.
    Credentials,
    /// The signature, or the token in its place, is missing.
    SignatureMissing,
    /// No configured key fits the signature.
    SignatureInvalid,
    /// The signature was made too long ago, or in the future.
    SignatureExpired,
    /// A configured secret cannot be used with this provider.
    SecretUnusable,
    /// The signing certificate is not the provider's own.
    Certificate,
    /// The topic is none of those that are configured.
    Topic,
    /// The body is not in the provider's format.
    Unreadable,
    /// The body is larger than allowed.
    TooLarge,
    /// The body did not arrive in time, or not completely.
    Incomplete,
    /// The request could not be served; the provider was asked to come again.
    Unavailable,
}

impl RejectionReason {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::UnknownSource,
        Self::Credentials,
        Self::SignatureMissing,
        Self::SignatureInvalid,
        Self::SignatureExpired,
        Self::SecretUnusable,
        Self::Certificate,
        Self::Topic,
        Self::Unreadable,
        Self::TooLarge,
        Self::Incomplete,
        Self::Unavailable,
    ];

    /// The number in the database; never reused.
    #[must_use]
    pub const fn code(self) -> i16 {
        match self {
            Self::UnknownSource => 2,
            Self::Credentials => 3,
            Self::SignatureMissing => 4,
            Self::SignatureInvalid => 5,
            Self::SignatureExpired => 6,
            Self::SecretUnusable => 7,
            Self::Certificate => 8,
            Self::Topic => 9,
            Self::Unreadable => 10,
            Self::TooLarge => 11,
            Self::Incomplete => 12,
            Self::Unavailable => 13,
        }
    }

    /// The word for logs, which is also GraphQL's.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownSource => "UNKNOWN_SOURCE",
            Self::Credentials => "CREDENTIALS",
            Self::SignatureMissing => "SIGNATURE_MISSING",
            Self::SignatureInvalid => "SIGNATURE_INVALID",
            Self::SignatureExpired => "SIGNATURE_EXPIRED",
            Self::SecretUnusable => "SECRET_UNUSABLE",
            Self::Certificate => "CERTIFICATE",
            Self::Topic => "TOPIC",
            Self::Unreadable => "UNREADABLE",
            Self::TooLarge => "TOO_LARGE",
            Self::Incomplete => "INCOMPLETE",
            Self::Unavailable => "UNAVAILABLE",
        }
    }
}

/// What became of a request to a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SourceOutcome {
    /// It was stored, or was a set-up request that was answered.
    Accepted,
    /// It was rejected.
    Rejected(RejectionReason),
}

impl SourceOutcome {
    const ACCEPTED: i16 = 1;

    /// The number in the database; never reused.
    #[must_use]
    pub const fn code(self) -> i16 {
        match self {
            Self::Accepted => Self::ACCEPTED,
            Self::Rejected(reason) => reason.code(),
        }
    }

    /// What the database's number stands for.
    #[must_use]
    pub fn from_code(code: i16) -> Option<Self> {
        if code == Self::ACCEPTED {
            return Some(Self::Accepted);
        }
        RejectionReason::ALL.into_iter().find(|reason| reason.code() == code).map(Self::Rejected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_leads_back_to_its_outcome() {
        let rejected = RejectionReason::ALL.map(SourceOutcome::Rejected);
        for outcome in rejected.into_iter().chain([SourceOutcome::Accepted]) {
            assert_eq!(SourceOutcome::from_code(outcome.code()), Some(outcome));
        }
        assert_eq!(SourceOutcome::from_code(0), None);
    }
}
