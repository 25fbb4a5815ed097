//! What a provider reported, in one form for all of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::machine::Verdict;
use crate::smtp::EnhancedCode;
use crate::{Provider, Timestamp};

/// Writes an enum whose variants have a stable text (API, database dumps, logs) and a stable number (database).
#[macro_export]
macro_rules! coded_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $code:literal $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// Every value, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in answers and files.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The number that stands for it in the database; never reused.
            #[must_use]
            pub const fn code(self) -> i16 {
                match self { $(Self::$variant => $code,)+ }
            }

            /// What the database's number stands for.
            #[must_use]
            pub const fn from_code(code: i16) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
coded_enum! {
    /// What happened to a message.
    EventKind {
        /// The provider took the message over and has not tried to deliver it yet.
        Queued = 1 "QUEUED",
        /// The provider sent it off.
        Sent = 2 "SENT",
        /// The recipient's server accepted it.
        Delivered = 3 "DELIVERED",
        /// The recipient's server asked to come back later; the provider goes on trying.
        Deferred = 4 "DEFERRED",
        /// Not delivered, for a reason that may pass (mailbox full, server down).
        SoftBounce = 5 "SOFT_BOUNCE",
        /// Not delivered, for a reason of the recipient's that will not pass (no such mailbox).
        HardBounce = 6 "HARD_BOUNCE",
        /// Refused for the sender's reputation, policy or content: not the recipient's fault.
        Blocked = 7 "BLOCKED",
        /// The provider did not send it: suppressed, invalid.
        Rejected = 8 "REJECTED",
        /// The provider could not send it: a template that does not render, an internal error.
        Failed = 9 "FAILED",
        /// The tracking pixel was fetched.
        Opened = 10 "OPENED",
        /// A tracked link was followed.
        Clicked = 11 "CLICKED",
        /// The recipient reported it as spam.
        Complained = 12 "COMPLAINED",
        /// The recipient unsubscribed.
        Unsubscribed = 13 "UNSUBSCRIBED",
        /// The recipient subscribed again.
        Subscribed = 14 "SUBSCRIBED",
        /// An out-of-office note, a change-of-address note, a challenge: delivered, not a bounce.
        AutoReply = 15 "AUTO_REPLY",
        /// Anything that nachfass has no word for; kept and shown.
        Other = 16 "OTHER",
    }
}

coded_enum! {
    /// Why a message was not delivered.
    BounceClass {
        /// No such mailbox or domain.
        Hard = 1 "HARD",
        /// Something that may pass.
        Soft = 2 "SOFT",
        /// The sender's reputation or a policy of the recipient's server.
        Block = 3 "BLOCK",
        /// The mailbox is over its quota.
        MailboxFull = 4 "MAILBOX_FULL",
        /// The domain's servers could not be found or reached.
        Dns = 5 "DNS",
        /// The message itself: its size, its content, an attachment.
        Content = 6 "CONTENT",
        /// An automatic answer that was reported as a bounce.
        AutoReply = 7 "AUTO_REPLY",
        /// The provider does not say.
        Unknown = 8 "UNKNOWN",
    }
}

impl BounceClass {
    /// Whether the refusal says something about the recipient, not about the sender or the message.
    #[must_use]
    pub const fn is_recipients_own(self) -> bool {
        !matches!(self, Self::Block | Self::Content | Self::AutoReply)
    }

    /// Whether the refusal is about the sender or the message. An automatic answer is neither this nor the recipient's own.
    #[must_use]
    pub const fn is_senders_own(self) -> bool {
        matches!(self, Self::Block | Self::Content)
    }
}

impl EventKind {
    /// Whether the event says that the message did not arrive (for now or for good).
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(
            self,
            Self::Deferred | Self::SoftBounce | Self::HardBounce | Self::Blocked | Self::Rejected | Self::Failed
        )
    }
}

/// One thing that a provider reported about one message to one recipient.
///
/// Serialised, it is a line of `nachfass ingest parse`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// Who reported it.
    pub provider: Provider,
    /// Unique together with `provider` and `occurred_at`: the provider's own id, or a hash of what identifies the event.
    pub event_id: String,
    /// What happened, checked against the SMTP status where there is one.
    pub kind: EventKind,
    /// The provider's id of the message, without angle brackets.
    pub message_id: Option<String>,
    /// The recipient's address as the provider wrote it.
    pub recipient: Option<String>,
    /// When it happened, by the provider's clock.
    pub occurred_at: Timestamp,
    /// Why it was not delivered; `None` where it was.
    pub bounce_class: Option<BounceClass>,
    /// The SMTP reply code (RFC 5321), such as 550.
    pub smtp_code: Option<u16>,
    /// The enhanced status code (RFC 3463), such as 5.1.1.
    pub enhanced_code: Option<EnhancedCode>,
    /// The recipient's server's, else the provider's, own words.
    pub diagnostic: Option<String>,
    /// The link that was followed.
    pub url: Option<String>,
    /// Whether a person or a machine opened or clicked, as far as this event alone can tell.
    #[serde(rename = "machine", serialize_with = "Verdict::serialize_as_machine")]
    pub verdict: Option<Verdict>,
    /// The campaign's key, from the metadata or the provider's own field for it.
    pub campaign: Option<String>,
    /// The sender's own id of the recipient, from the metadata.
    #[serde(skip)]
    pub recipient_ref: Option<String>,
    /// The tags that the message was sent with, shared by the events of one notification.
    #[serde(serialize_with = "shared")]
    pub tags: Arc<[String]>,
    /// The metadata that the message was sent with; values that are no text are written as JSON. Shared like the tags.
    #[serde(serialize_with = "shared")]
    pub metadata: Arc<BTreeMap<String, String>>,
}

impl Event {
    /// Estimated memory of the event in bytes. Metadata shared with the event `before` is not counted again.
    #[must_use]
    pub fn size(&self, before: Option<&Self>) -> usize {
        /// Overhead of a string.
        const STRING: usize = 40;
        let text = |text: &Option<String>| text.as_ref().map_or(0, |text| text.len());
        let texts =
            [&self.message_id, &self.recipient, &self.diagnostic, &self.url, &self.campaign, &self.recipient_ref];
        let own = size_of::<Self>() + self.event_id.len() + texts.into_iter().map(text).sum::<usize>();
        // Tags are counted every time, because each unmatched event is stored with them.
        let tags = self.tags.iter().map(|tag| tag.len() + STRING).sum::<usize>();
        if before.is_some_and(|before| Arc::ptr_eq(&before.metadata, &self.metadata)) {
            return own + tags;
        }
        own + tags + self.metadata.iter().map(|(name, value)| name.len() + value.len() + 3 * STRING).sum::<usize>()
    }
}

fn shared<T: Serialize + ?Sized, S: Serializer>(value: &Arc<T>, serializer: S) -> Result<S::Ok, S::Error> {
    value.as_ref().serialize(serializer)
}
