//! Sending a campaign again to those who have not got it.
//!
//! A resend is an *attempt* of the same recipient: what became of the one before is put into the table `attempt` with the address that was
//! written to, and the recipient is `READY` again with nothing known of it. What providers report later about the earlier attempt stays with
//! that ([`crate::apply`]); the figures of the campaign count each recipient once, by its latest attempt. See docs/decisions/0020.
//!
//! Who may be sent to again is decided by [`domain::resend`]; [`again`] does it for recipients that somebody has judged, and [`run`] is
//! the job that walks over a set of them.

pub(crate) mod again;
mod call_off;
mod job;
mod list;
mod look_again;
#[cfg(test)]
mod tests;

pub(crate) use call_off::call_off;
pub use job::{Resent, run};
pub use list::EarlierAttempt;
pub(crate) use look_again::look_again;
