//! The API from outside, through its real routes.

mod account;
mod cors;
mod exports;
mod graphiql;
mod graphql;
mod ingest;
mod pages;
mod session;
mod socket;
mod uploads;
