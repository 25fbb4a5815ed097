//! The use cases of nachfass over its database. Services own their transactions, audit what they change and enqueue jobs.
//!
//! Callers hand in who is asking ([`Subject`]); what comes from outside (the time, the reading of deliveries) is a trait of `domain`.

pub mod access;
pub mod accounts;
pub mod addresses;
pub mod alerts;
pub mod apply;
pub mod audit;
pub mod batch;
pub mod by_status;
pub mod campaigns;
pub mod changes;
pub mod corrections;
pub mod crm;
pub mod cursor;
pub mod db;
pub mod email;
#[cfg(test)]
mod entities_tests;
pub mod error;
pub mod events;
pub mod exports;
pub mod facts_row;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod import;
pub mod ingest;
pub mod jobs;
pub(crate) mod keys;
#[cfg(test)]
mod migration_tests;
mod privacy;
pub mod prune;
pub mod recipients;
pub mod recount;
pub mod reminders;
pub mod resends;
pub mod rollup;
pub mod schedule;
pub mod settings;
pub mod skipped;
pub mod sources;
pub mod statistics;
pub mod subject;
#[cfg(test)]
mod testing;
pub(crate) mod together;
pub mod uploads;

pub use access::{Access, Admin, Marketer, Reader, Services};
pub use db::{Db, DbOptions};
pub use error::{Refusal, RefusalCode, Result, ServiceError};
pub use subject::{Role, Subject};
