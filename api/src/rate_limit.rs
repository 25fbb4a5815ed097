//! How often somebody may try to sign in.
//!
//! Attempts are counted by network, and by account and network together: whoever tries passwords uses up attempts of their own, and
//! keeps nobody else out. A browser that its user was signed in with before has attempts of its own, which nobody else can use up. An
//! account also has a limit over all networks, far above what one of them can reach, and all strangers together share what the machine
//! can do.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;

use actix_web::HttpRequest;
use service::accounts::{Device, Limiter};

use crate::errors::ApiError;

/// Attempts a minute from one network: an IPv4 address, or 64 bits of IPv6.
const BY_NETWORK: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);
/// Attempts a minute from what one customer of a provider may have in all: 24 bits of IPv4, or 48 of IPv6.
const BY_BLOCK: NonZeroU32 = NonZeroU32::MIN.saturating_add(59);
/// Attempts an hour on one account from one network.
const BY_ACCOUNT_AND_NETWORK: NonZeroU32 = NonZeroU32::MIN.saturating_add(29);
/// Attempts an hour on one account from all networks together.
const BY_ACCOUNT: NonZeroU32 = NonZeroU32::MIN.saturating_add(999);
/// Attempts an hour from one browser that was signed in before.
const BY_DEVICE: NonZeroU32 = NonZeroU32::MIN.saturating_add(29);
/// Attempts a second of all strangers, and at once: each costs a password hash.
const OF_STRANGERS: NonZeroU32 = NonZeroU32::MIN.saturating_add(29);
const OF_STRANGERS_AT_ONCE: NonZeroU32 = NonZeroU32::MIN.saturating_add(299);

/// Counts attempts, in this process.
pub struct SignInLimits {
    networks: Limiter,
    blocks: Limiter,
    pairs: Limiter,
    accounts: Limiter,
    devices: Limiter,
    strangers: Limiter,
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
            networks: Limiter::per_minute(BY_NETWORK),
            blocks: Limiter::per_minute(BY_BLOCK),
            pairs: Limiter::per_hour(BY_ACCOUNT_AND_NETWORK),
            accounts: Limiter::per_hour(BY_ACCOUNT),
            devices: Limiter::per_hour(BY_DEVICE),
            strangers: Limiter::per_second(OF_STRANGERS, OF_STRANGERS_AT_ONCE),
        }
    }

    /// Counts an attempt, by a browser that is known or else by a stranger.
    ///
    /// # Errors
    /// Where there were too many.
    pub fn check(&self, address: IpAddr, account: &str, device: Option<Device>) -> Result<(), ApiError> {
        let checked = match device {
            Some(device) => self.devices.check(&device),
            None => self.check_stranger(address, &domain::email::key_of(account)),
        };
        checked.map_err(|retry_after| ApiError::TooManyRequests { retry_after })
    }

    fn check_stranger(&self, address: IpAddr, account: &str) -> Result<(), u64> {
        let network = network(address, 32, 64);
        self.networks.check(&network)?;
        self.blocks.check(&self::network(address, 24, 48))?;
        self.pairs.check(&(account, network))?;
        self.accounts.check(&account)?;
        self.strangers.check(&())
    }
}

/// The first bits of an address.
fn network(address: IpAddr, of_v4: u32, of_v6: u32) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(of_v4)).unwrap_or_default();
            Ipv4Addr::from_bits(address.to_bits() & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(of_v6)).unwrap_or_default();
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
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
    fn a_customers_addresses_are_one() {
        let of = |text: &str| network(text.parse().expect("an address"), 32, 64).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:203.0.113.1"), "203.0.113.1");
        let block = |text: &str| network(text.parse().expect("an address"), 24, 48).to_string();
        assert_eq!((block("203.0.113.1").as_str(), block("2001:db8:1:2::1").as_str()), ("203.0.113.0", "2001:db8:1::"));
    }

    #[test]
    fn one_network_cannot_use_up_an_account() {
        let limits = SignInLimits::new();
        let check =
            |third: u8, fourth: u8| limits.check(Ipv4Addr::new(203, 0, third, fourth).into(), "a@x.example", None);
        for _ in 0..10 {
            check(113, 1).expect("not too many yet");
        }
        assert!(check(113, 1).is_err());
        check(114, 1).expect("another network has attempts of its own");
    }

    #[test]
    fn a_block_of_networks_does_not_multiply_attempts() {
        let limits = SignInLimits::new();
        let from = |fourth: u8| limits.check(Ipv4Addr::new(203, 0, 113, fourth).into(), "a@x.example", None);
        let passed = (0..=255).filter(|fourth| from(*fourth).is_ok()).count();
        assert_eq!(passed, 60);
    }

    #[test]
    fn all_strangers_together_have_a_limit() {
        let limits = SignInLimits::new();
        let from = |number: u32| {
            let address = Ipv6Addr::from_bits(u128::from(number) << 80);
            limits.check(address.into(), &format!("{number}@x.example"), None)
        };
        let passed = (0..2_000).filter(|number| from(*number).is_ok()).count();
        assert!((300..400).contains(&passed), "{passed}");
    }
}
