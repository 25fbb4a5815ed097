//! The schema over a seeded database, asked as clients ask it.

mod addresses;
mod corrections;
mod crm;
mod fixture;
mod introspection;
mod privacy;
mod reminders;
mod requests;
mod resend;
mod schema;
mod settings;
mod user_errors;
mod users;
mod watching;
