//! How often somebody may try to sign in: by network address, and by account, so that many addresses do not help either.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;

use actix_web::HttpRequest;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};

use crate::errors::ApiError;

/// Attempts a minute from one network address.
const BY_ADDRESS: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);
/// Attempts an hour on one account.
const BY_ACCOUNT: NonZeroU32 = NonZeroU32::MIN.saturating_add(29);
/// With more keys than these, those that are as good as new are dropped.
const MANY_KEYS: usize = 10_000;

/// Counts attempts, in this process.
pub struct SignInLimits {
    addresses: DefaultKeyedRateLimiter<IpAddr>,
    accounts: DefaultKeyedRateLimiter<String>,
}

impl Default for SignInLimits {
    fn default() -> Self {
        Self::new()
    }
}

impl SignInLimits {
    /// Nothing tried yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            addresses: DefaultKeyedRateLimiter::keyed(Quota::per_minute(BY_ADDRESS)),
            accounts: DefaultKeyedRateLimiter::keyed(Quota::per_hour(BY_ACCOUNT)),
        }
    }

    /// Counts an attempt.
    ///
    /// # Errors
    /// Where there were too many.
    pub fn check(&self, address: IpAddr, account: &str) -> Result<(), ApiError> {
        count(&self.addresses, &network(address))?;
        count(&self.accounts, &domain::email::key_of(account))
    }
}

fn count<K: Hash + Eq + Clone>(limiter: &DefaultKeyedRateLimiter<K>, key: &K) -> Result<(), ApiError> {
    if limiter.len() > MANY_KEYS {
        limiter.retain_recent();
    }
    limiter.check_key(key).map_err(|until| {
        let wait = until.wait_time_from(DefaultClock::default().now());
        ApiError::TooManyRequests { retry_after: wait.as_secs().saturating_add(1) }
    })
}

/// One customer's addresses are one: of IPv6 the first 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// Where a request comes from: the peer; behind proxies that are trusted, the last address that none of them vouches for itself.
#[must_use]
pub fn client_address(request: &HttpRequest, trusted: &[IpAddr]) -> IpAddr {
    let Some(peer) = request.peer_addr().map(|peer| peer.ip().to_canonical()) else {
        return Ipv6Addr::UNSPECIFIED.into();
    };
    if !trusted.contains(&peer) {
        return peer;
    }
    let forwarded = request.headers().get_all("x-forwarded-for").filter_map(|value| value.to_str().ok());
    let mut hops: Vec<&str> = forwarded.flat_map(|value| value.split(',')).map(str::trim).collect();
    hops.reverse();
    hops.into_iter()
        .map_while(|hop| hop.parse::<IpAddr>().ok())
        .map(|hop| hop.to_canonical())
        .find(|hop| !trusted.contains(hop))
        .unwrap_or(peer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn address(peer: &str, forwarded: &str) -> String {
        let trusted = ["127.0.0.1".parse().expect("an address"), "10.0.0.1".parse().expect("an address")];
        let peer = format!("{peer}:1").parse().expect("an address");
        let request = TestRequest::default().peer_addr(peer).insert_header(("x-forwarded-for", forwarded));
        client_address(&request.to_http_request(), &trusted).to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_eq!(address("198.51.100.7", "203.0.113.1"), "198.51.100.7");
        assert_eq!(address("127.0.0.1", "203.0.113.1"), "203.0.113.1");
        assert_eq!(address("127.0.0.1", "192.0.2.66, 203.0.113.1, 10.0.0.1"), "203.0.113.1");
        assert_eq!(address("127.0.0.1", "203.0.113.1, nonsense"), "127.0.0.1");
        assert_eq!(address("127.0.0.1", ""), "127.0.0.1");
    }

    #[test]
    fn a_customers_ipv6_addresses_are_one() {
        let of = |text: &str| network(text.parse().expect("an address")).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:203.0.113.1"), "203.0.113.1");
    }
}
