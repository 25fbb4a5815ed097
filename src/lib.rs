//! The program: what `main` calls.

pub mod cli;
pub mod config;
pub mod demo;
mod demonstration;
pub mod installation;
pub mod logging;
mod private;
pub mod serving;
