//! The outside world, each part behind a small trait.
//!
//! [`providers`] reads the webhooks of e-mail service providers; [`sources`] ties them to the configured sources and checks
//! who is posting; [`http`] fetches what other machines publish; [`notify`] tells people about
//! alerts; [`mx`] asks whether domains take mail; [`tables`] writes files, and [`storage`] keeps them; [`crm`] speaks to customer
//! relations managements.

pub mod crm;
pub mod http;
pub mod mx;
pub mod notify;
pub mod providers;
pub mod sources;
pub mod storage;
pub mod tables;
