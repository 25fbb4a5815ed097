//! Hostile input to sign-in, sessions, tokens and roles.
