//! What the API is told about the installation.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Settings of the API.
#[derive(Clone, Debug)]
pub struct ApiOptions {
    /// How browsers reach us, without a slash at its end.
    pub public_url: String,
    /// Other origins whose pages may call the API with a token, as browsers name them: `https://app.example.com`.
    pub allow_origins: Vec<String>,
    /// Reverse proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// As long a GraphQL request may take.
    pub graphql_time_limit: Duration,
    /// The largest GraphQL answer, in bytes before compression.
    pub max_response_bytes: usize,
    /// Idle connections of one network address that are kept alive.
    pub max_idle_connections: usize,
    /// Connections of all addresses; half of them at most are of one.
    pub max_connections: usize,
    /// The WebSockets that one user or token may have open.
    pub max_sockets: usize,
    /// The subscriptions that one user or token may have open, over all sockets.
    pub max_subscriptions: usize,
}

impl ApiOptions {
    /// The defaults: proxies on the same machine are believed; 30 seconds and 20 MB for a GraphQL request;
    /// 1,000 connections, 100 idle ones
    /// for each address; 20 sockets and 100 subscriptions for each user or token.
    #[must_use]
    pub fn new(public_url: impl Into<String>) -> Self {
        Self {
            public_url: public_url.into(),
            allow_origins: Vec::new(),
            trusted_proxies: vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            graphql_time_limit: Duration::from_secs(30),
            max_response_bytes: 20_000_000,
            max_idle_connections: 100,
            max_connections: 1_000,
            max_sockets: 20,
            max_subscriptions: 100,
        }
    }

    /// Whether browsers come by https: then the cookie goes no other way.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.public_url.starts_with("https://")
    }

    /// Whether an `Origin` header names us: the public URL has no path.
    #[must_use]
    pub fn is_own_origin(&self, origin: &str) -> bool {
        !origin.is_empty() && self.public_url == origin
    }

    /// Whether an `Origin` header names another origin whose pages may call the API.
    #[must_use]
    pub fn is_listed_origin(&self, origin: &str) -> bool {
        self.allow_origins.iter().any(|listed| listed == origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_origin_is_ours() {
        let mut options = ApiOptions::new("https://nachfass.example.com");
        options.allow_origins = vec!["https://app.example.com".to_owned()];
        assert!(options.is_own_origin("https://nachfass.example.com"));
        assert!(options.is_listed_origin("https://app.example.com"));
        for foreign in ["", "null", "https://nachfass.example", "http://nachfass.example.com", "https://evil.example"] {
            assert!(!options.is_own_origin(foreign) && !options.is_listed_origin(foreign), "{foreign}");
        }
    }
}
