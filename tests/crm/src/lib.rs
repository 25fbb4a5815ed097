//! What tests of CRMs share, and nothing that is shipped.
//!
//! [`contract`] is the test that every implementation of [`domain::crm::Crm`] passes; [`superoffice`] is a stand-in of SuperOffice's REST
//! API as an HTTP server on this machine, which can be told to misbehave; [`clock`] is a clock that tests move, and
//! [`tokens`] keeps tokens in memory.

pub mod clock;
pub mod contract;
pub mod superoffice;
pub mod tokens;
