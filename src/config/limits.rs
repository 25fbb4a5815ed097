//! The `[limits]` table: what one client may take of an installation.

use std::num::{NonZeroU16, NonZeroU32};

use api::ApiOptions;
use serde::Deserialize;

/// The `[limits]` table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsConfig {
    /// The largest GraphQL answer, in megabytes before compression.
    pub response_megabytes: NonZeroU16,
    /// Idle connections of one network address that are kept alive.
    pub idle_connections: NonZeroU32,
    /// WebSockets of one user or token.
    pub sockets: NonZeroU16,
    /// Subscriptions of one user or token, over all its sockets.
    pub subscriptions: NonZeroU16,
}

impl LimitsConfig {
    /// The options of the API with these limits.
    #[must_use]
    pub fn apply(&self, mut options: ApiOptions) -> ApiOptions {
        options.max_response_bytes = usize::from(self.response_megabytes.get()).saturating_mul(1_000_000);
        options.max_idle_connections = usize::try_from(self.idle_connections.get()).unwrap_or(usize::MAX);
        options.max_sockets = self.sockets.get().into();
        options.max_subscriptions = self.subscriptions.get().into();
        options
    }
}
