//! A PostgreSQL database and a Redis database for one test alone.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use url::Url;

/// As many databases a Redis has unless it is told otherwise.
const REDIS_DATABASES: u32 = 16;

static MADE: AtomicU32 = AtomicU32::new(0);

/// A database of its own, dropped in the end.
pub struct Postgres {
    server: Url,
    name: String,
}

impl Postgres {
    /// Makes one; `None` where there is no PostgreSQL to test with.
    pub fn new() -> Option<Self> {
        let server: Url =
            std::env::var("NACHFASS_TEST_POSTGRES").ok()?.parse().expect("NACHFASS_TEST_POSTGRES is a URL");
        let name = format!("it_{}_{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let database = Self { server, name };
        database.execute(&format!("CREATE DATABASE {}", database.name));
        Some(database)
    }

    /// Where it is.
    pub fn url(&self) -> Url {
        let mut url = self.server.clone();
        url.set_path(&self.name);
        url
    }

    /// What a query answers: a line for each row, with bars between the columns.
    pub fn query(&self, sql: &str) -> String {
        psql(&self.url(), sql)
    }

    fn execute(&self, sql: &str) {
        psql(&self.server, sql);
    }
}

fn psql(url: &Url, sql: &str) -> String {
    let done = Command::new("psql").args(["-XqAtc", sql]).arg(url.as_str()).output().expect("psql runs");
    assert!(done.status.success(), "{sql}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("UTF-8").trim_end().to_owned()
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.execute(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

/// A database of a Redis that no other running test uses, emptied.
pub struct Redis(Url);

impl Redis {
    /// Finds one; `None` where there is no Redis to test with.
    pub fn new() -> Option<Self> {
        let mut url: Url = std::env::var("NACHFASS_TEST_REDIS").ok()?.parse().expect("NACHFASS_TEST_REDIS is a URL");
        // Among the tests that run at the same time nextest numbers the places; within one process we do.
        let slot = std::env::var("NEXTEST_TEST_GLOBAL_SLOT").ok().and_then(|slot| slot.parse().ok());
        let number = slot.unwrap_or_else(|| MADE.fetch_add(1, Ordering::Relaxed)) % REDIS_DATABASES;
        url.set_path(&number.to_string());
        let redis = Self(url);
        redis.flush();
        Some(redis)
    }

    /// Where it is.
    pub const fn url(&self) -> &Url {
        &self.0
    }

    /// Empties it.
    pub fn flush(&self) {
        let number = self.0.path().trim_start_matches('/');
        const DONE: &[u8] = b"+OK\r\n+OK\r\n";
        let mut socket = TcpStream::connect(address(&self.0)).expect("Redis listens");
        write!(socket, "SELECT {number}\r\nFLUSHDB\r\n").expect("Redis takes commands");
        let mut answer = [0; DONE.len()];
        socket.read_exact(&mut answer).expect("Redis answers");
        assert_eq!(answer, DONE);
    }
}

/// Host and port of a URL.
pub fn address(url: &Url) -> (String, u16) {
    (url.host_str().expect("a host").to_owned(), url.port().expect("a port"))
}
