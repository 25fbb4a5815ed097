//! The configured sources: which provider posts to `/ingest/{name}`, and how it proves who it is.

mod settings;

pub use settings::SourceSettings;
