//! A nachfass of our own, with a folder, a database and a port of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::http::{Connection, Request};

/// What a nachfass works with.
#[derive(Clone, Debug)]
pub struct Installation {
    /// The program.
    pub program: PathBuf,
    /// Its folder, with its configuration.
    pub folder: PathBuf,
    /// PostgreSQL; without it SQLite in the folder.
    pub database: Option<String>,
    /// Redis; without it the queue is in memory.
    pub redis: Option<String>,
}

impl Installation {
    /// Writes the configuration.
    pub fn configure(&self, sources: &str) -> anyhow::Result<()> {
        let text = format!("data_dir = \"data\"\nlog = \"warn\"\n{sources}");
        Ok(std::fs::write(self.folder.join("nachfass.toml"), text)?)
    }

    /// The SQLite file.
    pub fn sqlite_file(&self) -> PathBuf {
        self.folder.join("data").join("nachfass.sqlite")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(&self.folder).stdin(Stdio::null());
        command.env("DATABASE_URL", self.database.as_deref().unwrap_or_default());
        command.env("REDIS_URL", self.redis.as_deref().unwrap_or_default());
        command
    }

    /// Runs a command and returns what it prints.
    pub fn output(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.command(arguments).output().context("starting nachfass")?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "nachfass {}: {errors}", arguments.join(" "));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Imports the recipients of a campaign that has gone out; returns how long it took.
    pub fn import(&self, campaign: &str, file: &Path) -> anyhow::Result<Duration> {
        let file = file.to_str().context("the name of the file")?;
        let start = Instant::now();
        self.output(&["import", "--json", "--campaign", campaign, "--state", "sent", file])?;
        Ok(start.elapsed())
    }

    /// Starts the server.
    pub async fn start(&self) -> anyhow::Result<Server> {
        let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let log = std::fs::File::create(self.folder.join("log"))?;
        let start = Instant::now();
        let child = self.command(&["run", "--listen", &address]).stdout(Stdio::null()).stderr(log).spawn()?;
        let mut server = Server { child, address, started_in: Duration::ZERO, log: self.folder.join("log") };
        while start.elapsed() < Duration::from_secs(60) {
            if let Ok(mut connection) = Connection::open(&server.address).await
                && connection.send(&Request::get("/readyz")).await.is_ok_and(|answer| answer.status == 200)
            {
                server.started_in = start.elapsed();
                return Ok(server);
            }
            if server.child.try_wait()?.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        bail!("nachfass does not start: {}", std::fs::read_to_string(&server.log).unwrap_or_default())
    }
}

/// It runs; ends when this is dropped.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: String,
    /// How long it took from the start to ready.
    pub started_in: Duration,
    log: PathBuf,
}

impl Server {
    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that it has ever had resident, and what it has now, in MB. Only where there is /proc.
    pub fn memory(&self) -> anyhow::Result<(f64, f64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = |name: &str| -> anyhow::Result<f64> {
            let text = status.lines().find_map(|line| line.strip_prefix(name)).context("not in /proc")?;
            Ok(text.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
        };
        Ok((line("VmHWM")?, line("VmRSS")?))
    }

    /// Asks GraphQL once.
    pub async fn ask(&self, token: &str, query: &str) -> anyhow::Result<Value> {
        let answer = Connection::open(&self.address).await?.send(&graphql(token, query)).await?;
        let value: Value = serde_json::from_slice(&answer.body)?;
        ensure!(value.get("errors").is_none(), "GraphQL: {value}");
        Ok(value)
    }

    /// What it has logged: warnings and errors, which are objects; how it greets is text.
    pub fn log(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().filter(|line| line.starts_with('{')).collect::<Vec<_>>().join("\n")
    }

    /// Ends it as a service manager does.
    pub fn stop(mut self) -> anyhow::Result<()> {
        Command::new("kill").arg(self.child.id().to_string()).status()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already, except after an error.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A request to GraphQL.
pub fn graphql(token: &str, query: &str) -> Request {
    let body = serde_json::json!({ "query": query }).to_string();
    let bearer = format!("Bearer {token}");
    Request::post("/graphql", &[("content-type", "application/json"), ("authorization", &bearer)], body.as_bytes())
}
