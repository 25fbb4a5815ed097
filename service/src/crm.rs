//! Persons and the lists, tasks and consents of theirs: the mirror of the CRM that is connected, or the built-in one.
//!
//! Everything is read from our own tables. What users decide is written down there first, as something that is still to be done, and a
//! job then does it in the CRM ([`domain::crm::Crm`]): marks what it is about to ask for, asks, and confirms. After a crash, or an
//! answer that was lost, the marks say what is in doubt; that is looked up in the CRM before it is asked for again. The built-in CRM
//! ([`builtin`]) is one of its implementations, over the same tables.

pub mod builtin;
pub mod follow_ups;
pub mod lists;
pub mod members;
pub(crate) mod mirror;
pub(crate) mod outcome;
pub(crate) mod people;
pub mod persons;
mod read_members;
pub mod reports;
pub(crate) mod source;
pub mod sync;
#[cfg(test)]
mod tests;
pub mod tokens;

pub use lists::{ListQuery, PersonList};
pub use persons::Person;
pub use source::Persons;
pub use sync::{CrmState, LastReading};
