//! Hostile input to /ingest.
