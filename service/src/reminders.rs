//! Reminders: campaigns for those who did not respond to another.
//!
//! A rule ([`ReminderRule`]) says of which campaigns to remind, whom, and when. Every minute the schedule looks which campaigns may have
//! somebody who is due ([`check`]) and adds a job for each ([`run`]). The job walks over the recipients, asks the domain about each
//! ([`domain::reminder::check`]) and adds those who are due to the reminder of their round ([`adding`]). What that is, the rule's action
//! says: a child campaign, one for each rule, campaign and round ([`child`]), which is reported as a selection of the CRM as well
//! ([`selections`]); such a selection alone; or the next attempt of the campaign itself ([`attempts`]). Those who respond before their
//! reminder goes out are taken out again ([`take_out`]). See docs/decisions/0022.
//!
//! Nobody gets the same reminder twice: whom a rule targeted stands in `reminder_target`, by a unique key that is written under the
//! lock on the reminder, in the transaction that makes the recipient or the attempt.

mod adding;
mod attempts;
mod check;
mod child;
mod mails;
mod people;
mod preview;
mod rules;
mod run;
mod selections;
mod take_out;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use attempts::note_called_off;
pub use check::{Checked, check};
pub(crate) use people::{CONSENT_WITHDRAWN, UNSUBSCRIBED};
pub use preview::{NotEligible, Preview};
pub use rules::{ReminderRule, ReminderTerms, Scope};
pub use run::{Reminded, run};
pub use take_out::take_out;
