//! How many connections there are: idle ones of an address, and all together.
//!
//! A connection that waits for its next request holds a file descriptor for as long as it is kept alive. Where an address has many of
//! those, a further one serves a single request and is closed behind it: nobody is refused, and nobody can hold more. Only beyond a
//! share of all descriptors are connections closed at once.

use std::any::Any;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::body::MessageBody;
use actix_web::dev::{Extensions, ServiceRequest, ServiceResponse};
use actix_web::http::ConnectionType;
use actix_web::middleware::Next;
use actix_web::rt::net::TcpStream;
use socket2::SockRef;

use crate::ApiOptions;

/// A reverse proxy has the connections of many: so many times as many may be idle.
const PROXY_FACTOR: usize = 10;

/// The connections of this process.
pub struct Connections {
    idle: usize,
    most: usize,
    proxies: Vec<IpAddr>,
    by_address: Mutex<HashMap<IpAddr, Arc<Counts>>>,
    all: Arc<Counts>,
}

/// Connections, and those of them that have a request under way.
#[derive(Default)]
struct Counts {
    open: AtomicUsize,
    active: AtomicUsize,
}

impl Counts {
    fn idle(&self) -> usize {
        self.open.load(Ordering::Relaxed).saturating_sub(self.active.load(Ordering::Relaxed))
    }
}

impl Connections {
    /// With the limits of these options.
    #[must_use]
    pub fn new(options: &ApiOptions) -> Self {
        Self {
            idle: options.max_idle_connections,
            most: options.max_connections,
            proxies: options.trusted_proxies.clone(),
            by_address: Mutex::default(),
            all: Arc::default(),
        }
    }

    /// Counts a connection that was accepted; to be given to the server's `on_connect`.
    pub fn accept(self: &Arc<Self>, stream: &dyn Any, data: &mut Extensions) {
        let Some(stream) = stream.downcast_ref::<TcpStream>() else { return };
        let Ok(peer) = stream.peer_addr() else { return };
        let connection = self.open(peer.ip().to_canonical());
        if connection.is_refused {
            // The server notices that by itself.
            SockRef::from(stream).shutdown(std::net::Shutdown::Both).ok();
        }
        data.insert(connection);
    }

    fn open(self: &Arc<Self>, address: IpAddr) -> Connection {
        let is_proxy = self.proxies.contains(&address);
        let idle = if is_proxy { self.idle.saturating_mul(PROXY_FACTOR) } else { self.idle };
        // Where there are few descriptors, some are left for those that serve one request.
        let idle = idle.min(self.most / 4).max(1);
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = by_address.entry(address).or_default().clone();
        let is_surplus = counts.idle() >= idle;
        // Nobody gets all of them.
        let is_refused = self.all.open.load(Ordering::Relaxed) >= self.most
            || counts.open.load(Ordering::Relaxed) >= (self.most / 2).max(1);
        counts.open.fetch_add(1, Ordering::Relaxed);
        self.all.open.fetch_add(1, Ordering::Relaxed);
        drop(by_address);
        Connection { connections: self.clone(), address, counts, is_surplus, is_refused }
    }

    fn close(&self, address: IpAddr, counts: &Counts) {
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        self.all.open.fetch_sub(1, Ordering::Relaxed);
        if counts.open.fetch_sub(1, Ordering::Relaxed) == 1 {
            by_address.remove(&address);
        }
    }
}

/// A connection, for as long as it is open.
pub struct Connection {
    connections: Arc<Connections>,
    address: IpAddr,
    counts: Arc<Counts>,
    /// Whether it is not to be kept alive.
    is_surplus: bool,
    is_refused: bool,
}

impl Connection {
    /// It has a request under way until this is dropped.
    #[must_use]
    pub fn active(&self) -> Active {
        self.counts.active.fetch_add(1, Ordering::Relaxed);
        Active(self.counts.clone())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.close(self.address, &self.counts);
    }
}

/// A request that is under way.
pub struct Active(Arc<Counts>);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Middleware: knows which connections are idle, and closes those that may not be kept alive.
///
/// # Errors
/// None of its own.
pub async fn count(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let connection = request.request().conn_data::<Connection>();
    let (active, is_surplus) = connection.map(|connection| (connection.active(), connection.is_surplus)).unzip();
    let mut response = next.call(request).await?;
    if is_surplus == Some(true) {
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    drop(active);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(idle: usize, most: usize) -> Arc<Connections> {
        let mut options = ApiOptions::new("http://localhost");
        (options.max_idle_connections, options.max_connections) = (idle, most);
        Arc::new(Connections::new(&options))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn idle_connections_of_an_address_are_limited() {
        let connections = connections(2, 1_000);
        let first = connections.open(address("198.51.100.7"));
        let second = connections.open(address("198.51.100.7"));
        assert!(connections.open(address("198.51.100.7")).is_surplus);
        assert!(!connections.open(address("198.51.100.8")).is_surplus);
        let active = second.active();
        assert!(!connections.open(address("198.51.100.7")).is_surplus, "one of them works");
        drop(active);
        assert!(connections.open(address("198.51.100.7")).is_surplus);
        drop(first);
        assert!(!connections.open(address("198.51.100.7")).is_surplus);
        drop(second);
        assert!(connections.by_address.lock().expect("unpoisoned").is_empty());
    }

    #[test]
    fn a_proxy_may_have_more_and_nobody_everything() {
        let connections = connections(2, 40);
        let proxied: Vec<_> = (0..20).map(|_| connections.open(address("127.0.0.1"))).collect();
        assert_eq!(proxied.iter().filter(|connection| !connection.is_surplus).count(), 10);
        assert!(proxied.iter().all(|connection| !connection.is_refused));
        assert!(connections.open(address("127.0.0.1")).is_refused);
        let others: Vec<_> = (0..20).map(|last| connections.open(address(&format!("198.51.100.{last}")))).collect();
        assert!(others.iter().all(|connection| !connection.is_refused));
        assert!(connections.open(address("198.51.100.99")).is_refused);
    }
}
