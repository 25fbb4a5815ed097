//! The program: what `main` calls.

pub mod config;
pub mod logging;
