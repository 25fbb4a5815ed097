//! What works in the background: applying deliveries, and jobs.
//!
//! The database says what is due; the queue only carries pointers that wake somebody ([`queue`]). Whatever a pointer says is looked
//! up and claimed before anything is done, so a lost or doubled pointer does no harm: [`relay`] looks for what was forgotten.

pub mod board;
pub mod changes;
mod consumer;
mod error;
mod jobs;
pub mod queue;
mod relay;
pub mod schedule;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use domain::mx::{MailExchanges, NoLookups};
use domain::notify::{AlertNotifier, NoChannels};
use service::Services;
use service::apply::Applier;

pub use consumer::{WorkerOptions, handler, run};
pub use error::WorkerError;
pub use relay::{Relay, Wake};

/// What the background work needs.
#[derive(Clone)]
pub struct Deps {
    /// The use cases.
    pub services: Services,
    /// Applies deliveries.
    pub applier: Applier,
    /// Tells about alerts.
    pub notifier: Arc<dyn AlertNotifier>,
    /// Says whether domains take mail.
    pub exchanges: Arc<dyn MailExchanges>,
    /// What this process is called where it has a job: never used before.
    pub name: Arc<str>,
}

impl Deps {
    /// For a process that begins now.
    #[must_use]
    pub fn new(services: Services, applier: Applier) -> Self {
        let name = format!("{}-{}", std::process::id(), ulid::Ulid::generate()).into();
        Self { services, applier, notifier: Arc::new(NoChannels), exchanges: Arc::new(NoLookups), name }
    }

    /// The same, which tells about alerts.
    #[must_use]
    pub fn with_notifier(self, notifier: Arc<dyn AlertNotifier>) -> Self {
        Self { notifier, ..self }
    }

    /// The same, which asks whether domains take mail.
    #[must_use]
    pub fn with_exchanges(self, exchanges: Arc<dyn MailExchanges>) -> Self {
        Self { exchanges, ..self }
    }
}
