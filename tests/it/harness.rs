//! What all tests share: installations, their processes and clients, and the providers that post to them.

mod api;
mod browser;
mod process;
mod proxy;
mod services;
mod site;
mod source;

use std::fmt::Display;
use std::io::Write;
use std::time::{Duration, Instant};

pub use api::Api;
pub use browser::Browser;
pub use process::{Process, answer};
pub use proxy::Proxy;
pub use site::{Mode, Running, Site, other_program, program_file};
pub use source::{Posting, Source};

/// As long a state may take to come about; much longer than it does, because machines are sometimes busy.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks until there is what the test waits for.
pub async fn eventually<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    within(PATIENCE, what, look).await
}

/// The same with a limit of the test's own.
pub async fn within<T>(limit: Duration, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Says something about the run itself, such as what was skipped.
pub fn note(text: impl Display) {
    writeln!(std::io::stderr(), "{text}").expect("somebody listens");
}

/// A file that the tests bring along.
pub fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Runs tests, each an async function of a [`Site`], in one mode.
macro_rules! in_mode {
    ($module:ident, $mode:ident: $($test:ident),+ $(,)?) => {
        mod $module {
            use crate::harness::{Mode, Site};

            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    if let Some(site) = Site::new(Mode::$mode) {
                        super::$test(site).await;
                    }
                }
            )+
        }
    };
}

/// Runs tests, each an async function of a [`Site`], in every mode.
macro_rules! in_every_mode {
    ($($test:ident),+ $(,)?) => {
        in_mode!(on_sqlite, Sqlite: $($test),+);
        in_mode!(on_postgres, Postgres: $($test),+);
        in_mode!(in_processes, Split: $($test),+);
    };
}
