//! GraphQL: the types by subject, thin. A resolver takes what the subject may do, calls one service and converts.
#![expect(clippy::unused_async, reason = "the macros of async-graphql want every resolver to be async")]

mod account;
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
mod source;
mod statistics;
mod subscription;
#[cfg(test)]
mod tests;
mod token;
mod user;
mod viewer;
mod words;

pub use account::NewSession;
#[cfg(feature = "fuzzing")]
pub(crate) use filter::RecipientFilterInput;
pub use limits::json_nesting;
#[cfg(feature = "fuzzing")]
pub(crate) use node::Key;
pub use schema::{SUBSCRIPTIONS_ONLY, Schema, build_schema, sdl};

/// Ids as the API gives them out, for the command line.
pub mod ids {
    use async_graphql::ID;

    use super::node::{self, Key};

    /// The id of a campaign.
    #[must_use]
    pub fn campaign(key: i64) -> String {
        Key::Campaign(key).id().0
    }

    /// The id of a job.
    #[must_use]
    pub fn job(key: i64) -> String {
        Key::Job(key).id().0
    }

    /// The id of an API token.
    #[must_use]
    pub fn token(key: i64) -> String {
        Key::Token(key).id().0
    }

    /// The id of a user.
    #[must_use]
    pub fn user(key: i64) -> String {
        Key::User(key).id().0
    }

    /// The id of a delivery.
    #[must_use]
    pub fn delivery(key: i64) -> String {
        Key::Delivery(key).id().0
    }

    /// The job that an id stands for, or its number.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read_job(text: &str) -> Result<i64, String> {
        text.parse().or_else(|_| node::job(&ID::from(text)).map_err(|refusal| refusal.message))
    }

    /// The API token that an id stands for, or its number.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read_token(text: &str) -> Result<i64, String> {
        text.parse().or_else(|_| node::token(&ID::from(text)).map_err(|refusal| refusal.message))
    }
}
