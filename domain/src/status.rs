//! The status of a recipient: derived from the facts, never set.

use crate::coded_enum;
use crate::facts::Facts;

coded_enum! {
    /// What became of a recipient.
    RecipientStatus {
        /// Chosen, not sent yet.
        Ready = 1 "READY",
        /// Sent; nothing more is known.
        Sent = 2 "SENT",
        /// Accepted by the recipient's server.
        Delivered = 3 "DELIVERED",
        /// Opened by a person.
        Read = 4 "READ",
        /// A link was followed by a person.
        Clicked = 5 "CLICKED",
        /// Not delivered, for a reason that may pass or is the sender's.
        SoftBounced = 6 "SOFT_BOUNCED",
        /// Not delivered, for good.
        HardBounced = 7 "HARD_BOUNCED",
        /// Not sent; the skip reason says why.
        Blocked = 8 "BLOCKED",
        /// Reported as spam.
        Complained = 9 "COMPLAINED",
        /// Unsubscribed.
        Unsubscribed = 10 "UNSUBSCRIBED",
        /// The campaign was cancelled before it was sent.
        Canceled = 11 "CANCELED",
    }
}

coded_enum! {
    /// Why a recipient was not sent to.
    SkipReason {
        /// The address is blocked.
        BlockedAddress = 1 "BLOCKED_ADDRESS",
        /// The address bounced too often.
        TooManyBounces = 2 "TOO_MANY_BOUNCES",
        /// The address stands in the campaign already.
        Duplicate = 3 "DUPLICATE",
        /// There is no consent to be written to.
        NoConsent = 4 "NO_CONSENT",
        /// The person does not subscribe to this kind of mail.
        NoSubscription = 5 "NO_SUBSCRIPTION",
        /// It is no address.
        InvalidAddress = 6 "INVALID_ADDRESS",
        /// The provider refused to send, or could not.
        ProviderRefused = 7 "PROVIDER_REFUSED",
        /// A reminder that is no longer needed: the person responded after it was made.
        Responded = 8 "RESPONDED",
        /// The person has left the company, says the CRM.
        FormerEmployee = 9 "FORMER_EMPLOYEE",
    }
}

impl RecipientStatus {
    /// Whether the mail went out.
    #[must_use]
    pub const fn is_sent(self) -> bool {
        !matches!(self, Self::Ready | Self::Blocked | Self::Canceled)
    }
}

/// The status and, where it is `BLOCKED`, why.
///
/// Precedence: complained, unsubscribed, clicked, read, hard bounce; a delivery against a soft bounce by whichever is later
/// (the delivery where both are at the same time); then refused by the provider, sent, skipped, cancelled, ready. Machine opens
/// and clicks never change it. A skip that was decided before sending gives way to what providers report: the mail was sent.
#[must_use]
pub fn status(facts: &Facts) -> (RecipientStatus, Option<SkipReason>) {
    use RecipientStatus as S;
    let plain = |status| (status, None);
    if facts.complained_at.is_some() {
        return plain(S::Complained);
    }
    if facts.unsubscribed_at.is_some() {
        return plain(S::Unsubscribed);
    }
    if facts.clicks > 0 {
        return plain(S::Clicked);
    }
    if facts.opens > 0 {
        return plain(S::Read);
    }
    if facts.hard_bounced_at.is_some() {
        return plain(S::HardBounced);
    }
    match (facts.last_delivered_at, facts.last_soft_bounced_at) {
        (Some(delivered), Some(bounced)) if bounced > delivered => return plain(S::SoftBounced),
        (None, Some(_)) => return plain(S::SoftBounced),
        (Some(_), _) => return plain(S::Delivered),
        (None, None) => {}
    }
    if facts.refused_at.is_some() {
        return (S::Blocked, Some(SkipReason::ProviderRefused));
    }
    if facts.sent_at.is_some() {
        return plain(S::Sent);
    }
    if let Some(reason) = facts.skip {
        return (S::Blocked, Some(reason));
    }
    plain(if facts.canceled { S::Canceled } else { S::Ready })
}
