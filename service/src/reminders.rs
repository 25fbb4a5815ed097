//! Reminders: campaigns for those who did not respond to another.
//!
//! A rule ([`ReminderRule`]) says of which campaigns to remind, whom, and when. Every minute the schedule looks which campaigns may have
//! somebody who is due ([`check`]) and adds a job for each ([`run`]). The job walks over the recipients, asks the domain about each
//! ([`domain::reminder::check`]) and puts those who are due into a child campaign, one for each rule, campaign and round. Those who
//! respond before their reminder goes out are taken out again ([`take_out`]).
//!
//! Nobody gets the same reminder twice: whom a rule targeted stands in `reminder_target`, by a unique key that is written under the
//! child campaign's lock in the transaction that makes the recipient.

mod check;
mod child;
mod people;
mod preview;
mod rules;
mod run;
mod take_out;
#[cfg(test)]
pub(crate) mod tests;

pub use check::{Checked, check};
pub(crate) use people::{CONSENT_WITHDRAWN, UNSUBSCRIBED};
pub use preview::{NotEligible, Preview};
pub use rules::{ReminderRule, ReminderTerms, Scope};
pub use run::{Reminded, run};
pub use take_out::take_out;
