//! Telling somebody about an alert.

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::alerts::Alert;

/// A way to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// A request to a URL.
    Webhook,
    /// A mail.
    Mail,
}

impl Channel {
    /// The name in jobs, logs and idempotency keys.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Mail => "mail",
        }
    }
}

/// What there is to tell.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertNotice {
    /// The alert's key in the database: the same, however often it is told.
    pub id: i64,
    /// What is wrong.
    pub alert: Alert,
    /// Since when.
    pub raised_at: Timestamp,
    /// When it ended, where it has by the time at which it is told.
    pub resolved_at: Option<Timestamp>,
    /// The name by which imports and providers mean the campaign.
    pub campaign_key: String,
    /// What people call it.
    pub campaign_name: String,
}

/// Why nobody was told.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// Not this time, but perhaps later.
    #[error("nobody could be told")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Never, unless somebody changes something. For people: why, without addresses and secrets.
    #[error("{0}")]
    Refused(String),
}

/// Tells about alerts. Telling of the same alert again is recognisable as such for whoever is told.
pub trait AlertNotifier: Send + Sync + 'static {
    /// The channels that are configured.
    fn channels(&self) -> &[Channel];

    /// Tells by one of them.
    fn notify<'a>(&'a self, channel: Channel, notice: &'a AlertNotice) -> BoxFuture<'a, Result<(), NotifyError>>;
}

/// Where no channel is configured.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoChannels;

impl AlertNotifier for NoChannels {
    fn channels(&self) -> &[Channel] {
        &[]
    }

    fn notify<'a>(&'a self, channel: Channel, _notice: &'a AlertNotice) -> BoxFuture<'a, Result<(), NotifyError>> {
        let message = format!("no {} is configured for alerts", channel.as_str());
        Box::pin(std::future::ready(Err(NotifyError::Refused(message))))
    }
}
