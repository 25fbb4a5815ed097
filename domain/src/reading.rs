//! What the service needs from the outside to understand a stored delivery.

use crate::{Event, Timestamp};

/// A request of a provider as it was stored.
#[derive(Clone, Debug)]
pub struct StoredDelivery {
    /// The name of the configured source that it came to.
    pub source: String,
    /// When it was received: the time of events that carry none.
    pub received_at: Timestamp,
    /// The headers that the provider's format needs, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, decompressed.
    pub body: Vec<u8>,
}

/// An element of a delivery that could not be understood: it is reported, the others are not held up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadElement {
    /// Its place in the delivery, from 0.
    pub index: usize,
    /// What is wrong with it, without personal data.
    pub reason: String,
}

/// What a delivery held.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// The events that were understood.
    pub events: Vec<Event>,
    /// The elements that were not.
    pub failures: Vec<BadElement>,
}

/// A delivery as a whole that is not what its source should send.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No source of that name is configured (any more).
    #[error("no source named {0:?} is configured")]
    UnknownSource(String),
    /// The body is not in the provider's format.
    #[error("not what {provider} sends: {reason}")]
    NotThisProvider {
        /// The provider that was expected.
        provider: crate::Provider,
        /// What is wrong, without personal data.
        reason: String,
    },
    /// An inbound mail was posted to the webhook for events: the provider's route is configured wrongly.
    #[error("this is an inbound mail of {0}, not an event: its inbound route points at the webhook for events")]
    InboundMail(crate::Provider),
    /// The body exceeds a limit; the text names it.
    #[error("the body exceeds the limits of a delivery: {0}")]
    TooMuch(String),
}

/// Reads stored deliveries; implemented over the configured sources.
pub trait DeliveryReader: Send + Sync + 'static {
    /// The events of a delivery.
    ///
    /// # Errors
    /// [`ReadError`] where the delivery as a whole cannot be understood.
    fn read(&self, delivery: &StoredDelivery) -> Result<Reading, ReadError>;

    /// What a source may create from its events.
    fn may_create(&self, source: &str) -> Create;
}

/// What a source's events may create where nothing matches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Create {
    /// Nothing: what matches nothing is kept as unmatched.
    #[default]
    Nothing,
    /// Recipients of campaigns that are known.
    Recipients,
    /// Campaigns and their recipients.
    Campaigns,
}
