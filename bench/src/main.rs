//! `nachfass-bench` measures nachfass and, in the same run, what the database alone can do. `bench/run` starts it, with
//! a PostgreSQL and a Redis of its own; docs/BENCHMARKS.md says what each figure means.

mod export;
mod http;
mod ingest;
mod jobs;
mod load;
mod mix;
mod peer;
mod reading;
mod report;
mod server;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Parser;

use crate::mix::Keys;
use crate::peer::{Postgres, Sqlite};
use crate::report::{Report, Target};
use crate::server::Installation;

/// What is measured, and how much of it.
#[derive(Debug, Parser)]
#[command(about = "Measures nachfass against what the database alone can do")]
pub struct Options {
    /// The program to measure
    #[arg(long, default_value = "target/release/nachfass")]
    program: PathBuf,
    /// A tenth of everything, once: whether it works, not how fast it is
    #[arg(long)]
    quick: bool,
    /// How often everything is measured; the medians are shown
    #[arg(long)]
    runs: Option<u32>,
    /// Only these: ingest, single, reading, export, jobs
    #[arg(long, value_delimiter = ',', default_value = "ingest,single,reading,export,jobs")]
    only: Vec<String>,
    /// Only these databases: postgres, sqlite
    #[arg(long, value_delimiter = ',', default_value = "postgres,sqlite")]
    on: Vec<String>,
    /// Without Redis: the queue of the measured program is in memory
    #[arg(long)]
    no_redis: bool,
    /// Waits after the ingest, so that the database can be looked at
    #[arg(long)]
    pause: bool,
}

impl Options {
    fn runs(&self) -> u32 {
        self.runs.unwrap_or(if self.quick { 1 } else { 3 })
    }

    /// Recipients of the campaign whose events are posted: a quarter of the events.
    pub fn recipients(&self) -> u32 {
        if self.quick { 25_000 } else { 250_000 }
    }

    /// Recipients of the large campaign.
    pub fn large(&self) -> u32 {
        if self.quick { 100_000 } else { 1_000_000 }
    }

    /// Recipients that are exported.
    pub fn exported(&self) -> u32 {
        if self.quick { 50_000 } else { 500_000 }
    }

    /// Whether it is about whether it works.
    pub const fn is_quick(&self) -> bool {
        self.quick
    }

    /// Requests with one event.
    pub fn singles(&self) -> u32 {
        if self.quick { 8_000 } else { 40_000 }
    }

    /// For how long GraphQL is asked the same.
    pub fn seconds(&self) -> u64 {
        if self.quick { 2 } else { 5 }
    }

    fn wants(&self, part: &str) -> bool {
        self.only.iter().any(|wanted| wanted == part)
    }

    /// Whether to wait where the database may be looked at.
    pub const fn pauses(&self) -> bool {
        self.pause
    }
}

/// A database to measure on, and the installation that uses it.
pub struct Stage<'a> {
    /// How it is measured.
    pub options: &'a Options,
    /// The keys of the sources.
    pub keys: &'a Keys,
    /// The program with its database.
    pub installation: Installation,
    /// The same database, for the peers.
    pub database: Database,
}

/// A database.
#[derive(Clone, Debug)]
pub enum Database {
    /// PostgreSQL.
    Postgres(Postgres),
    /// SQLite.
    Sqlite(Sqlite),
}

impl Database {
    /// What it is called.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "PostgreSQL",
            Self::Sqlite(_) => "SQLite",
        }
    }

    /// Waits until every delivery is applied.
    pub async fn wait_applied(&self) -> anyhow::Result<()> {
        match self {
            Self::Postgres(postgres) => postgres.wait_applied(),
            Self::Sqlite(sqlite) => sqlite.wait_applied().await,
        }
    }

    /// Runs statements.
    pub fn run(&self, sql: &str) -> anyhow::Result<()> {
        match self {
            Self::Postgres(postgres) => postgres.sql(sql).map(drop),
            Self::Sqlite(sqlite) => sqlite.sql(sql).map(drop),
        }
    }

    /// What the database does by itself sooner or later, done now: not during one of two measurements.
    pub fn settle(&self) -> anyhow::Result<()> {
        match self {
            Self::Postgres(postgres) => postgres.sql("VACUUM ANALYZE; CHECKPOINT;").map(drop),
            Self::Sqlite(sqlite) => sqlite.sql("PRAGMA wal_checkpoint(TRUNCATE);").map(drop),
        }
    }
}

/// One thread: load and server share the machine, and one is enough for the load.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let keys = Keys::new()?;
    let program = options.program.canonicalize().context("there is no such program: --program")?;
    let mut report = Report::default();
    let size = std::fs::metadata(&program)?.len() / 1024;
    report.figure("size of the program", f64::from(u32::try_from(size)?) / 1024.0, "MB", None);
    for _ in 0..options.runs() {
        for database in &options.on {
            for part in ["ingest", "single", "reading", "export", "jobs"].into_iter().filter(|part| options.wants(part))
            {
                let folder = tempfile::tempdir()?;
                let stage = stage(&options, &keys, &program, folder.path(), database == "postgres")?;
                match part {
                    "ingest" => ingest::batches(&stage, &mut report).await?,
                    "single" => ingest::singles(&stage, &mut report).await?,
                    "reading" => reading::measure(&stage, &mut report).await?,
                    "export" => export::measure(&stage, &mut report).await?,
                    _ => jobs::measure(&stage, &mut report).await?,
                }
            }
        }
    }
    report.print();
    Ok(())
}

fn stage<'a>(
    options: &'a Options,
    keys: &'a Keys,
    program: &Path,
    folder: &Path,
    postgres: bool,
) -> anyhow::Result<Stage<'a>> {
    let mut installation =
        Installation { program: program.to_owned(), folder: folder.to_owned(), database: None, redis: None };
    installation.configure(&keys.sources()?)?;
    let database = if postgres {
        let url = std::env::var("NACHFASS_TEST_POSTGRES").context("NACHFASS_TEST_POSTGRES names no PostgreSQL")?;
        let database = Postgres(url).create("nachfass_bench")?;
        installation.database = Some(database.0.clone());
        installation.redis = std::env::var("NACHFASS_TEST_REDIS").ok().filter(|_| !options.no_redis);
        Database::Postgres(database)
    } else {
        Database::Sqlite(Sqlite(installation.sqlite_file()))
    };
    Ok(Stage { options, keys, installation, database })
}

/// The start of a program whose database is there already, and of one that has to make it.
pub async fn measure_start(stage: &Stage<'_>, report: &mut Report) -> anyhow::Result<()> {
    let name = stage.database.name();
    for (label, limit) in [("start, empty database", 2_000.0), ("start", 1_000.0)] {
        let server = stage.installation.start().await?;
        let label = format!("{name}: {label}, to /readyz");
        report.figure(&label, server.started_in.as_secs_f64() * 1_000.0, "ms", Some(Target::FigureAtMost(limit)));
        server.stop()?;
    }
    Ok(())
}
