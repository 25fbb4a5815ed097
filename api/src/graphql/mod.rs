//! GraphQL: the types by subject, thin. A resolver takes what the subject may do, calls one service and converts.
#![expect(clippy::unused_async, reason = "the macros of async-graphql want every resolver to be async")]

mod address;
mod alert;
mod audit;
mod batch;
mod campaign;
mod complaint;
mod connection;
mod correction;
mod cost;
mod crm;
mod crm_state;
mod delivery;
mod documents;
mod errors;
mod event;
mod export;
mod filter;
mod follow_up;
mod import;
mod job;
mod job_result;
pub mod limits;
mod loaders;
mod mutation;
mod node;
mod person;
mod person_list;
mod query;
mod recipient;
mod reminder;
mod resend;
mod scalars;
mod schema;
mod set;
mod settings;
mod skipped;
mod statistics;
mod subscription;
#[cfg(test)]
mod tests;
mod token;
mod user;
mod viewer;
mod words;

#[cfg(feature = "fuzzing")]
pub(crate) use filter::RecipientFilterInput;
pub use limits::json_nesting;
#[cfg(feature = "fuzzing")]
pub(crate) use node::Key;
pub use schema::{SUBSCRIPTIONS_ONLY, Schema, build_schema, sdl};

/// The id under which the API knows a campaign, for commands that name one.
#[must_use]
pub fn campaign_id(key: i64) -> String {
    node::Key::Campaign(key).id().to_string()
}
