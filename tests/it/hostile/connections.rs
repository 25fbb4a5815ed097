//! Hostile input to sockets and idle connections.
