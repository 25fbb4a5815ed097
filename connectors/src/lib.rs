//! The outside world, each part behind a small trait.
//!
//! [`providers`] reads the webhooks of e-mail service providers; [`sources`] ties them to the configured sources and checks
//! who is posting; [`http`] is the one way out to other machines; [`tables`] writes files, and [`storage`] keeps them.

pub mod http;
pub mod providers;
pub mod sources;
pub mod storage;
pub mod tables;
