//! An installation of the program, in a folder of its own.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::Value;
use tempfile::TempDir;
use url::Url;

use super::services::{Postgres, Redis};
use super::{Api, Process, Source, answer, eventually, note};

/// How the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `run`, with SQLite and the queue in memory.
    Sqlite,
    /// `run`, with PostgreSQL and Redis.
    Postgres,
    /// `api` and two times `worker`, with PostgreSQL and Redis.
    Split,
    /// Two times `api` and three times `worker`, with PostgreSQL and Redis.
    Many,
}

/// An installation: configured, not running yet.
pub struct Site {
    mode: Mode,
    port: u16,
    /// That of the second API, where there is one.
    second_port: u16,
    sources: Vec<Source>,
    more: String,
    postgres: Option<(Postgres, Url)>,
    redis: Option<(Redis, Url)>,
    // Dropped last: the others write to it.
    folder: TempDir,
}

impl Site {
    /// A site of this mode; `None`, said aloud, where the services that it needs are missing.
    pub fn new(mode: Mode) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let mut site = Self {
            mode,
            port: free_port(),
            second_port: free_port(),
            sources: Vec::new(),
            more: String::new(),
            postgres: None,
            redis: None,
            folder,
        };
        if mode != Mode::Sqlite {
            let (Some(postgres), Some(redis)) = (Postgres::new(), Redis::new()) else {
                note("skipped: NACHFASS_TEST_POSTGRES and NACHFASS_TEST_REDIS are not set; make test sets them");
                return None;
            };
            let urls = (postgres.url(), redis.url().clone());
            site.postgres = Some((postgres, urls.0));
            site.redis = Some((redis, urls.1));
        }
        site.configure();
        Some(site)
    }

    /// The same with these sources.
    pub fn with(mut self, sources: &[&Source]) -> Self {
        self.sources = sources.iter().copied().cloned().collect();
        self.configure();
        self
    }

    /// The same with more at the end of its configuration.
    pub fn with_more(mut self, toml: &str) -> Self {
        self.more = toml.to_owned();
        self.configure();
        self
    }

    /// The same, reaching PostgreSQL by another URL.
    pub fn with_postgres_at(mut self, through: impl FnOnce(&Url) -> Url) -> Self {
        let (_, url) = self.postgres.as_mut().expect("a mode with PostgreSQL");
        *url = through(url);
        self.configure();
        self
    }

    /// The same, reaching Redis by another URL.
    pub fn with_redis_at(mut self, through: impl FnOnce(&Url) -> Url) -> Self {
        let (_, url) = self.redis.as_mut().expect("a mode with Redis");
        *url = through(url);
        self.configure();
        self
    }

    fn configure(&self) {
        let port = self.port;
        let mut toml = format!(
            "listen = \"127.0.0.1:{port}\"\npublic_url = \"http://127.0.0.1:{port}\"\ndata_dir = \"data\"\nlog_format = \"text\"\n"
        );
        if let (Some((_, postgres)), Some((_, redis))) = (&self.postgres, &self.redis) {
            toml += &format!("database_url = \"{postgres}\"\nredis_url = \"{redis}\"\ndatabase_max_connections = 6\n");
        }
        toml.extend(self.sources.iter().map(Source::toml));
        self.write("nachfass.toml", toml + &self.more);
    }

    /// Whether its data is in an SQLite file.
    pub fn is_sqlite(&self) -> bool {
        self.mode == Mode::Sqlite
    }

    /// Its folder, in which the program works.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file into its folder.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.folder().join(name), content).expect("written");
    }

    /// A command of the program, to be run in its folder.
    pub fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = program(self.folder());
        command.args(arguments);
        command
    }

    /// Runs a command that should succeed; its standard output.
    pub fn run<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> String {
        answer(&mut self.command(arguments))
    }

    /// Runs a command that should succeed and print one JSON object.
    pub fn run_json<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Value {
        let text = self.run(arguments);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A client with a new token of this role.
    pub fn client(&self, role: &str) -> Api {
        let token = self.run(["token", "create", "--name", role, "--role", role]);
        Api::new(self.url(), Some(token.trim().to_owned()))
    }

    /// A client of each API, with a new token of this role.
    pub fn clients(&self, role: &str) -> Vec<Api> {
        let first = self.client(role);
        let second = Api::new(format!("http://127.0.0.1:{}", self.second_port), Some(first.token().to_owned()));
        if self.mode == Mode::Many { vec![first, second] } else { vec![first] }
    }

    /// What PostgreSQL answers, a line for each row.
    pub fn sql(&self, sql: &str) -> String {
        self.postgres.as_ref().expect("a mode with PostgreSQL").0.query(sql)
    }

    /// Has Redis forget everything.
    pub fn flush_redis(&self) {
        self.redis.as_ref().expect("a mode with Redis").0.flush();
    }

    /// A client that shows nothing.
    pub fn stranger(&self) -> Api {
        Api::new(self.url(), None)
    }

    /// Starts it, and waits until it is ready.
    pub async fn start(&self) -> Running<'_> {
        let processes = match self.mode {
            Mode::Sqlite | Mode::Postgres => vec![("run", "run")],
            Mode::Split => vec![("api", "api"), ("worker", "worker-1"), ("worker", "worker-2")],
            Mode::Many => {
                let workers = ["worker-1", "worker-2", "worker-3"].map(|name| ("worker", name));
                [("api", "api"), ("api", SECOND_API)].into_iter().chain(workers).collect()
            }
        };
        if processes.len() > 1 {
            // Whoever comes first makes the secret key; here nobody races for it.
            self.run(["migrate"]);
        }
        let started = processes.into_iter().map(|(part, name)| Part { part, name, process: self.spawn(part, name) });
        let mut running = Running { site: self, parts: started.collect() };
        running.ready().await;
        running
    }

    /// Starts a part of it, with a log of this name.
    fn spawn(&self, part: &str, name: &str) -> Process {
        let mut command = self.command([part]);
        if name == SECOND_API {
            command.args(["--listen", &format!("127.0.0.1:{}", self.second_port)]);
        }
        Process::start(command.stdout(Stdio::null()), self.folder().join(name).with_extension("log"))
    }

    /// Fails where `recount` finds a difference.
    pub fn assert_counted_right(&self) {
        let found = self.run_json(["recount", "--json"]);
        assert_eq!(found["different"], 0, "{found}");
        assert!(found["compared"].as_i64() > Some(0), "{found}");
    }
}

const SECOND_API: &str = "api-2";

/// The file of the program: the build of the tests, or the one that `NACHFASS_TEST_PROGRAM` names (`make attack`: the release build).
pub fn program_file() -> PathBuf {
    other_program().unwrap_or_else(|| env!("CARGO_BIN_EXE_nachfass").into())
}

/// What `NACHFASS_TEST_PROGRAM` names.
pub fn other_program() -> Option<PathBuf> {
    std::env::var_os("NACHFASS_TEST_PROGRAM").map(PathBuf::from)
}

/// The program, with nothing of the environment of the tests that could change what it does.
pub fn program(folder: &Path) -> Command {
    let mut command = Command::new(program_file());
    let ours = |name: &str| name.starts_with("NACHFASS_") || ["DATABASE_URL", "REDIS_URL", "RUST_LOG"].contains(&name);
    for (name, _) in std::env::vars().filter(|(name, _)| ours(name)) {
        command.env_remove(name);
    }
    command.current_dir(folder).stdin(Stdio::null());
    command
}

/// A port that nobody listens on, below those that outgoing connections take.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 9_000).expect("it is small");
    loop {
        let port = 10_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A site that runs, until this is dropped.
pub struct Running<'a> {
    site: &'a Site,
    parts: Vec<Part>,
}

struct Part {
    part: &'static str,
    name: &'static str,
    process: Process,
}

impl Running<'_> {
    /// Waits until it is ready.
    pub async fn ready(&mut self) {
        let mut apis = vec![self.site.url()];
        if self.site.mode == Mode::Many {
            apis.push(format!("http://127.0.0.1:{}", self.site.second_port));
        }
        for url in apis {
            let api = Api::new(url, None);
            eventually("it is ready", async || {
                self.parts.iter_mut().for_each(|part| part.process.check());
                (api.readiness().await? == "ready").then_some(())
            })
            .await;
        }
    }

    /// How many processes there are.
    pub fn count(&self) -> usize {
        self.parts.len()
    }

    /// Kills a process and starts it again, without waiting until it is ready.
    pub fn kill_and_restart(&mut self, number: usize) {
        let part = &mut self.parts[number];
        part.process.kill();
        part.process = self.site.spawn(part.part, part.name);
    }

    /// The processes, each with its name.
    pub fn processes(&mut self) -> impl Iterator<Item = (&'static str, &mut Process)> {
        self.parts.iter_mut().map(|part| (part.name, &mut part.process))
    }
}
