//! What is accepted of a dependency because it cannot be reached (scripts/advisories.txt): here it is tried.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::harness::Site;

in_mode!(on_sqlite, Sqlite: nobody_speaks_http_2);

/// What an HTTP/2 client that knows its server begins with: the preface, and an empty SETTINGS frame.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// An empty DATA frame of stream 1.
const EMPTY_DATA: &[u8] = b"\0\0\0\0\0\0\0\0\x01";
/// A request that would like to go on in HTTP/2.
const UPGRADE: &[u8] =
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\n\
    HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";

/// RUSTSEC-2026-0258 is about the `h2` that comes with actix-http and has no patched version.
async fn nobody_speaks_http_2(site: Site) {
    let running = site.start().await;
    let address = site.url().trim_start_matches("http://").to_owned();
    let said = said_to(&address, &[PREFACE, &EMPTY_DATA.repeat(10_000)].concat());
    assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&said));
    let said = String::from_utf8_lossy(&said_to(&address, UPGRADE)).into_owned();
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    assert_eq!(site.stranger().readiness().await.as_deref(), Some("ready"));
    drop(running);
}

/// What is answered until the connection ends, or nothing comes any more.
fn said_to(address: &str, bytes: &[u8]) -> Vec<u8> {
    let mut connection = TcpStream::connect(address).expect("a connection");
    connection.set_read_timeout(Some(Duration::from_secs(10))).expect("a limit");
    // The server may hang up before it has read everything.
    connection.write_all(bytes).ok();
    let mut said = Vec::new();
    connection.read_to_end(&mut said).ok();
    said
}
