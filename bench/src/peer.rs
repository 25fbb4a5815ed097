//! What nachfass is compared with: the database's own tools, doing as much of the same work as they can.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

fn run(command: &mut Command, input: &str) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.as_mut().map_err(|error| anyhow::anyhow!("starting {name}: {error}"))?;
    let mut stdin = child.stdin.take().context("its input")?;
    let input = input.to_owned();
    // Beside reading its output: either could fill a pipe.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let mut output = String::new();
    let mut errors = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        std::io::Read::read_to_string(&mut stdout, &mut output)?;
    }
    if let Some(mut stderr) = child.stderr.take() {
        std::io::Read::read_to_string(&mut stderr, &mut errors)?;
    }
    let status = child.wait()?;
    writer.join().ok();
    ensure!(status.success(), "{name}: {errors}");
    Ok(output)
}

/// A PostgreSQL database.
#[derive(Clone, Debug)]
pub struct Postgres(pub String);

impl Postgres {
    /// Makes a database beside this one.
    pub fn create(&self, name: &str) -> anyhow::Result<Self> {
        self.sql(&format!("DROP DATABASE IF EXISTS {name}"))?;
        self.sql(&format!("CREATE DATABASE {name}"))?;
        let (server, _) = self.0.rsplit_once('/').context("the URL of PostgreSQL names no database")?;
        Ok(Self(format!("{server}/{name}")))
    }

    /// Runs statements and returns the values of the last one, a row a line.
    pub fn sql(&self, sql: &str) -> anyhow::Result<String> {
        let mut psql = Command::new("psql");
        psql.args([&self.0, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-"]);
        psql.env("PGOPTIONS", "-c client_min_messages=warning");
        Ok(run(&mut psql, sql)?.trim().to_owned())
    }

    /// Runs one psql command and returns how long it took.
    pub fn timed(&self, sql: &str) -> anyhow::Result<Duration> {
        let start = Instant::now();
        self.sql(sql)?;
        Ok(start.elapsed())
    }

    /// pgbench with this script; returns its transactions a second.
    pub fn pgbench(&self, script: &str, clients: u32, length: Length) -> anyhow::Result<f64> {
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(script.as_bytes())?;
        let mut pgbench = Command::new("pgbench");
        pgbench.args(["-n", "-M", "prepared", "-j", "2", "-c", &clients.to_string()]);
        match length {
            Length::Seconds(seconds) => pgbench.args(["-T", &seconds.to_string()]),
            Length::Each(transactions) => pgbench.args(["-t", &transactions.to_string()]),
        };
        let output = run(pgbench.arg("-f").arg(file.path()).arg(&self.0), "")?;
        let line =
            output.lines().find_map(|line| line.strip_prefix("tps = ")).context("pgbench says something else")?;
        Ok(line.split_whitespace().next().context("no number")?.parse()?)
    }

    /// Waits until every delivery is applied. One session asks all the time: starting many would cost time.
    pub fn wait_applied(&self) -> anyhow::Result<()> {
        self.sql(
            "DO $$ BEGIN WHILE EXISTS (SELECT FROM delivery WHERE state = 1) LOOP \
             COMMIT; PERFORM pg_sleep(0.02); COMMIT; END LOOP; END $$",
        )?;
        Ok(())
    }
}

/// How long pgbench runs.
#[derive(Clone, Copy, Debug)]
pub enum Length {
    /// So many seconds.
    Seconds(u64),
    /// So many transactions in each client.
    Each(u32),
}

/// A SQLite database.
#[derive(Clone, Debug)]
pub struct Sqlite(pub PathBuf);

/// As nachfass opens it.
const PRAGMAS: &str = "PRAGMA journal_mode = wal;\nPRAGMA synchronous = full;\nPRAGMA cache_size = -32768;\n";

impl Sqlite {
    /// Whether sqlite3 is there.
    pub fn is_there() -> bool {
        Command::new("sqlite3").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success())
    }

    /// Runs statements and returns what they print.
    pub fn sql(&self, sql: &str) -> anyhow::Result<String> {
        let mut sqlite = Command::new("sqlite3");
        let input = format!(".timeout 60000\n{sql}");
        Ok(run(sqlite.arg("-batch").arg("-bail").arg(&self.0), &input)?.trim().to_owned())
    }

    /// Runs statements in so many processes at once, as nachfass opens the file; returns how long it took.
    pub fn timed(&self, sql: &str, processes: u32) -> anyhow::Result<Duration> {
        let start = Instant::now();
        let input = format!("{PRAGMAS}{sql}");
        let threads: Vec<_> = (0..processes)
            .map(|_| {
                let (this, input) = (self.clone(), input.clone());
                std::thread::spawn(move || this.sql(&input))
            })
            .collect();
        for thread in threads {
            thread.join().map_err(|_| anyhow::anyhow!("sqlite3 could not be run"))??;
        }
        Ok(start.elapsed())
    }

    /// An empty copy of one table in a file of its own.
    pub fn empty_copy(&self, table: &str, file: &Path) -> anyhow::Result<Self> {
        let schema =
            self.sql(&format!("SELECT sql || ';' FROM sqlite_schema WHERE tbl_name = '{table}' AND sql IS NOT NULL"))?;
        let copy = Self(file.to_owned());
        copy.sql(&schema)?;
        Ok(copy)
    }

    /// Waits until every delivery is applied.
    pub async fn wait_applied(&self) -> anyhow::Result<()> {
        while self.sql("SELECT EXISTS (SELECT 1 FROM delivery WHERE state = 1)")? != "0" {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }
}
