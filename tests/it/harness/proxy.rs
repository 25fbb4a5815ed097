//! A wire to a service that can be cut and mended.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use url::Url;

use super::services::address;

/// Passes on what comes to its own port, until it is cut.
pub struct Proxy {
    port: u16,
    wire: Arc<Wire>,
}

#[derive(Default)]
struct Wire {
    is_cut: AtomicBool,
    ends: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// A wire to the service at `url`.
    pub fn to(url: &Url) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let wire = Arc::new(Wire::default());
        let (target, shared) = (address(url), wire.clone());
        thread::spawn(move || listener.incoming().flatten().for_each(|near| shared.pass_on(near, &target)));
        Self { port, wire }
    }

    /// `url`, but through this wire.
    pub fn url(&self, url: &Url) -> Url {
        let mut url = url.clone();
        url.set_host(Some("127.0.0.1")).expect("a host");
        url.set_port(Some(self.port)).expect("a port");
        url
    }

    /// Ends all connections and accepts none.
    pub fn cut(&self) {
        self.wire.is_cut.store(true, Ordering::SeqCst);
        for end in self.wire.ends.lock().expect("unharmed").drain(..) {
            // The other side may have hung up before.
            end.shutdown(Shutdown::Both).ok();
        }
    }

    /// Accepts connections again.
    pub fn mend(&self) {
        self.wire.is_cut.store(false, Ordering::SeqCst);
    }
}

impl Wire {
    fn pass_on(&self, near: TcpStream, target: &(String, u16)) {
        let Ok(far) = TcpStream::connect((target.0.as_str(), target.1)) else { return };
        let mut ends = self.ends.lock().expect("unharmed");
        // Asked under the lock: whoever cuts either sees these ends or is seen here.
        if self.is_cut.load(Ordering::SeqCst) {
            return;
        }
        for (from, to) in [(&near, &far), (&far, &near)] {
            let (mut from, mut to) = (from.try_clone().expect("a handle"), to.try_clone().expect("a handle"));
            thread::spawn(move || {
                io::copy(&mut from, &mut to).ok();
                to.shutdown(Shutdown::Both).ok();
            });
        }
        ends.extend([near, far]);
    }
}
