//! The program as its users meet it: the real binary in a folder of its own, configured by a file, and spoken to over HTTP, WebSocket
//! and the command line.
//!
//! Most tests run in three modes: everything in one process on SQLite, the same on PostgreSQL and Redis, and as several processes.
//! PostgreSQL and Redis are those of `NACHFASS_TEST_POSTGRES` and `NACHFASS_TEST_REDIS`, which `make test` sets; without them these
//! modes are skipped, which each test then says.

#[cfg(test)]
#[macro_use]
mod harness;

#[cfg(test)]
mod alerts;
#[cfg(test)]
mod auth;
#[cfg(test)]
mod chain;
#[cfg(test)]
mod chaos;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod create;
#[cfg(test)]
mod crm;
#[cfg(test)]
mod degraded;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod export;
#[cfg(test)]
mod graphiql;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod ingest;
#[cfg(test)]
mod reminder_actions;
#[cfg(test)]
mod reminders;
#[cfg(test)]
mod sources;
#[cfg(test)]
mod story;
#[cfg(test)]
mod subscription;
#[cfg(test)]
mod upkeep;
