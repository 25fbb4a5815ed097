//! GraphQL: the types by subject, thin. A resolver takes what the subject may do, calls one service and converts.

mod address;
mod campaign;
mod connection;
mod delivery;
mod errors;
mod event;
mod filter;
mod import;
mod job;
mod limits;
mod loaders;
mod mutation;
mod node;
mod query;
mod recipient;
mod scalars;
mod schema;
mod statistics;
mod subscription;
#[cfg(test)]
mod tests;
mod token;
mod viewer;
mod words;

pub use schema::{Schema, build_schema, sdl};
