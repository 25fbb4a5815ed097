//! Alerts: what is wrong with a campaign.

use async_graphql::Object;
use service::alerts;

use super::scalars::{DateTime, at};
use super::words::AlertKind;

/// Something that is wrong with a campaign, or was.
pub struct Alert(pub(super) alerts::Alert);

/// Something that is wrong with a campaign, or was.
#[Object]
impl Alert {
    /// What it is.
    async fn kind(&self) -> AlertKind {
        self.0.finding.kind.into()
    }

    /// The worst rate that was seen, as a part of one; of silence, its hours.
    async fn value(&self) -> f64 {
        self.0.finding.value
    }

    /// The limit that it passed, in the same unit.
    async fn limit(&self) -> f64 {
        self.0.finding.limit
    }

    /// When it was raised.
    async fn raised_at(&self) -> DateTime {
        self.0.raised_at.into()
    }

    /// When it held no longer; null while it does.
    async fn resolved_at(&self) -> Option<DateTime> {
        at(self.0.resolved_at)
    }

    /// What is wrong and what to do about it, in a sentence.
    async fn message(&self) -> String {
        self.0.finding.message()
    }
}
