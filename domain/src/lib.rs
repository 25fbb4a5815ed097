//! The rules of nachfass, without any input or output.
//!
//! Everything here is a pure function or a plain value: what an event of a provider means ([`event`], [`smtp`]), whose
//! mail it belongs to ([`email`]), what all events known about a recipient add up to ([`facts`], [`status`],
//! [`clicks`]), how an address is doing ([`health`]) and whether it may be written to ([`standing`]), what a campaign's figures are ([`contribution`]) and when somebody should look
//! at it ([`alerts`]), who is reminded of it ([`reminder`]), what stands in an exported file ([`table`]), which texts can be stored ([`text`]) and what they give away ([`privacy`]), when it is time
//! for what is done again and again ([`schedule`]), why a provider's request is rejected ([`source`]), what a CRM is asked for ([`crm`]), and which address may be meant instead of one that
//! mail does not reach ([`correction`], [`mx`]).
//! The crates around this one bring the facts and store the results.

pub mod alerts;
pub mod backoff;
pub mod campaign;
pub mod clicks;
pub mod clock;
pub mod contribution;
pub mod correction;
pub mod crm;
pub mod email;
pub mod event;
pub mod facts;
pub mod health;
pub mod machine;
pub mod mx;
pub mod notify;
pub mod privacy;
pub mod provider;
pub mod reading;
pub mod reminder;
pub mod resend;
pub mod schedule;
pub mod smtp;
pub mod source;
pub mod standing;
pub mod status;
pub mod storage;
pub mod table;
pub mod text;
pub mod time;

pub use clock::{Clock, SystemClock};
pub use event::{BounceClass, Event, EventKind};
pub use provider::Provider;
pub use time::Timestamp;
