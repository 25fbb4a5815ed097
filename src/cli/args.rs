//! The arguments, with the help that goes with them.

mod accounts;
mod values;

use std::path::PathBuf;

use api::graphql::ids;
use clap::{Args, Parser, Subcommand, ValueEnum};
use domain::{Provider, Timestamp};
use service::jobs::{JobKind, JobState, Queue};

pub use accounts::{LockoutOptions, TokenCommand, TotpCommand, TotpOptions, UserCommand};

/// Follow-up for e-mail campaigns: what became of every recipient, and what to do about it.
#[derive(Debug, Parser)]
#[command(
    name = "nachfass",
    version,
    max_term_width = 110,
    after_help = "Examples:
  nachfass demo                         look at it with sample data
  nachfass run                          everything in one process: SQLite, queue in memory
  nachfass config default > nachfass.toml
                                        a commented configuration to start from"
)]
pub struct Arguments {
    /// The configuration file; without it nachfass.toml in the working folder, where there is one
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run API, worker and page in one process
    #[command(after_help = "Examples:
  nachfass run
  nachfass run --listen 0.0.0.0:8080
  DATABASE_URL=postgres://nachfass@db/nachfass REDIS_URL=redis://redis nachfass run

It makes its data folder, brings the database up to date, prints the address and, the first time, how to sign in.
Without DATABASE_URL the data is in an SQLite file, without REDIS_URL the queue is in memory. SIGTERM ends it.")]
    Run(ServeOptions),
    /// Run with three campaigns of sample data, posted to its own /ingest while you watch
    #[command(after_help = "Examples:
  nachfass demo
  nachfass demo --seed 7 --fast")]
    Demo(DemoOptions),
    /// Run the API alone, beside workers (needs PostgreSQL and Redis)
    #[command(after_help = "Example:
  DATABASE_URL=postgres://nachfass@db/nachfass REDIS_URL=redis://redis nachfass api --listen 0.0.0.0:8080")]
    Api(ServeOptions),
    /// Run a worker alone, beside the API (needs PostgreSQL and Redis)
    #[command(after_help = "Examples:
  nachfass worker
  nachfass worker --queues events --concurrency 2")]
    Worker(WorkerOptions),
    /// Bring the database up to date
    #[command(after_help = "Examples:
  nachfass migrate            apply what is missing
  nachfass migrate status     only say what that is")]
    Migrate {
        /// Only look
        #[command(subcommand)]
        command: Option<MigrateCommand>,
        /// Print JSON
        #[arg(long, global = true)]
        json: bool,
    },
    /// Print the GraphQL schema
    #[command(after_help = "Example:
  nachfass schema > schema.graphql")]
    Schema,
    /// Import the recipients of a campaign from CSV or JSON Lines
    #[command(after_help = "Examples:
  nachfass import --campaign spring-2026 --name 'Spring 2026' recipients.csv
  nachfass import --campaign spring-2026 --state sent --sent-at 2026-03-01T08:00:00Z recipients.csv.gz
  export-recipients | nachfass import --campaign spring-2026 -

Columns are found by name, in English or German: email, name, first name, last name, company, owner, CRM id, recipient id,
message id. Others are kept. Comma, semicolon or tab; UTF-8 or Windows-1252; gzip. Importing the same file twice changes
nothing; lines that make no recipient are listed in a report.")]
    Import(ImportOptions),
    /// Look at what providers post
    #[command(after_help = "Examples:
  nachfass ingest parse --provider sendgrid events.json
  nachfass ingest replay --failed")]
    Ingest {
        /// What to do
        #[command(subcommand)]
        command: IngestCommand,
    },
    /// List, inspect, retry and cancel jobs
    #[command(after_help = "Examples:
  nachfass jobs list --state failed
  nachfass jobs show 17
  nachfass jobs retry 17 18
  nachfass jobs cancel 19")]
    Jobs {
        /// What to do
        #[command(subcommand)]
        command: JobsCommand,
    },
    /// Look at the CRM that is connected, and read it
    #[command(after_help = "Examples:
  nachfass crm check
  nachfass crm sync
  nachfass crm sync --complete --no-wait")]
    Crm {
        /// What to do
        #[command(subcommand)]
        command: CrmCommand,
    },
    /// Compare the figures with the rows that they count
    #[command(after_help = "Examples:
  nachfass recount                         exit status 1 where something differs
  nachfass recount --campaign spring-2026 --repair")]
    Recount(RecountOptions),
    /// Remove what is older than it is kept; running processes do that every night
    #[command(after_help = "Examples:
  nachfass prune --dry-run        only count
  nachfass prune --json")]
    Prune(PruneOptions),
    /// Manage API tokens
    #[command(after_help = "Examples:
  nachfass token create --name dashboard --role viewer
  nachfass token list
  nachfass token revoke 3")]
    Token {
        /// What to do
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// Manage users: who may sign in, and as what
    #[command(after_help = "Examples:
  nachfass user add erika@example.com --role marketer
  nachfass user list
  nachfass user disable erika@example.com")]
    User {
        /// What to do
        #[command(subcommand)]
        command: UserCommand,
    },
    /// Look at the configuration
    #[command(after_help = "Examples:
  nachfass config default > nachfass.toml
  nachfass config check")]
    Config {
        /// What to do
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Ask a running nachfass whether it is ready; exit status 1 where it is not
    #[command(after_help = "Example:
  nachfass healthcheck || systemctl restart nachfass")]
    Healthcheck {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the completions for a shell
    #[command(after_help = "Example:
  nachfass completions bash > /etc/bash_completion.d/nachfass")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// How to serve.
#[derive(Args, Clone, Debug, Default)]
pub struct ServeOptions {
    /// The address to listen on, instead of the configured one
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
}

/// How to show the demo.
#[derive(Args, Clone, Debug)]
pub struct DemoOptions {
    /// How to serve
    #[command(flatten)]
    pub serve: ServeOptions,
    /// Another seed makes another story
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Post as fast as possible instead of in about three minutes
    #[arg(long)]
    pub fast: bool,
}

/// What a worker does.
#[derive(Args, Clone, Debug)]
pub struct WorkerOptions {
    /// The queues to work on
    #[arg(long, value_delimiter = ',', value_parser = values::queue(), default_value = "events,interactive,bulk")]
    pub queues: Vec<Queue>,
    /// Jobs of each queue at the same time, instead of the configured number
    #[arg(long, value_name = "N")]
    pub concurrency: Option<std::num::NonZeroU16>,
}

/// How to migrate.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum MigrateCommand {
    /// Say which migrations are missing; exit status 0 also where some are
    #[command(after_help = "Example:
  nachfass migrate status --json")]
    Status,
}

/// What to import.
#[derive(Args, Clone, Debug)]
pub struct ImportOptions {
    /// The campaign's key; it is made where there is none
    #[arg(long, value_name = "KEY")]
    pub campaign: String,
    /// The campaign's name, where it is made; its key otherwise
    #[arg(long)]
    pub name: Option<String>,
    /// The subject line of its mails, where it is made
    #[arg(long)]
    pub subject: Option<String>,
    /// When it went out (RFC 3339); now, where --state sent says nothing else
    #[arg(long, value_name = "TIME")]
    pub sent_at: Option<Timestamp>,
    /// Whether it has gone out: its recipients are SENT then, READY otherwise
    #[arg(long, value_enum, default_value_t = ImportState::Draft)]
    pub state: ImportState,
    /// Where to write the lines that made no recipient; FILE.report.csv unless said
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// The file; - for the standard input
    pub file: PathBuf,
}

/// Whether an imported campaign has gone out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ImportState {
    /// Being prepared
    Draft,
    /// Going out
    Sending,
    /// Gone out
    Sent,
}

/// What to do with deliveries.
#[derive(Debug, Subcommand)]
pub enum IngestCommand {
    /// Print the events in a provider's request, one JSON object a line; nothing is stored
    #[command(after_help = "Examples:
  nachfass ingest parse --provider sendgrid events.json
  nachfass ingest parse --provider mailgun --secret KEY --at 2026-01-01T00:00:00Z body.json
  nachfass ingest parse --provider resend --secret whsec_… --header 'svix-id: msg_1' --header 'svix-timestamp: …' \\
      --header 'svix-signature: …' body.json

Exit status: 3 where the signature or the credentials are wrong, 4 where the body is not this provider's.")]
    Parse(ParseOptions),
    /// Apply stored deliveries again, and report which still fail; what is known already changes nothing
    #[command(after_help = "Examples:
  nachfass ingest replay --failed
  nachfass ingest replay --source newsletter --since 2026-03-01T00:00:00Z")]
    Replay(ReplayOptions),
}

/// A request to be read.
#[derive(Args, Clone, Debug)]
pub struct ParseOptions {
    /// Whose request it is
    #[arg(long, value_parser = values::provider())]
    pub provider: Provider,
    /// A header of the request, 'Name: value'
    #[arg(long = "header", value_name = "HEADER", value_parser = header)]
    pub headers: Vec<(String, String)>,
    /// Its content type
    #[arg(long, value_name = "TYPE")]
    pub content_type: Option<String>,
    /// A verification key: then the signature is checked
    #[arg(long = "secret", value_name = "SECRET")]
    pub secrets: Vec<String>,
    /// A pair user:password: then the credentials are checked
    #[arg(long = "basic-auth", value_name = "USER:PASSWORD")]
    pub basic_auth: Vec<String>,
    /// The URL that was configured at the provider, where it signs that
    #[arg(long)]
    pub url: Option<String>,
    /// The time at which the request came, for replay windows; now unless said
    #[arg(long, value_name = "TIME")]
    pub at: Option<Timestamp>,
    /// Print JSON, one object a line, which it does anyway
    #[arg(long)]
    pub json: bool,
    /// The body; - or nothing for the standard input
    pub file: Option<PathBuf>,
}

/// Which deliveries to apply again.
#[derive(Args, Clone, Debug)]
pub struct ReplayOptions {
    /// Only those of this source
    #[arg(long)]
    pub source: Option<String>,
    /// Only those that came then or later (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub since: Option<Timestamp>,
    /// Only those that could not be read, wholly or in part
    #[arg(long)]
    pub failed: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What to do with jobs.
#[derive(Debug, Subcommand)]
pub enum JobsCommand {
    /// List jobs, the latest first
    #[command(after_help = "Example:
  nachfass jobs list --kind import --state running --json")]
    List(JobsListOptions),
    /// Run a scheduled task now, and print the number of its job
    #[command(after_help = "Example:
  nachfass jobs run check-alerts")]
    Run(JobsRunOptions),
    /// Show everything about jobs
    #[command(after_help = "Example:
  nachfass jobs show 17 --json")]
    Show(JobsOptions),
    /// Retry failed or canceled jobs: they go on where they were left
    #[command(after_help = "Example:
  nachfass jobs retry 17 18")]
    Retry(JobsOptions),
    /// Cancel jobs; one that is running stops at its next step
    #[command(after_help = "Example:
  nachfass jobs cancel 19")]
    Cancel(JobsOptions),
}

/// Which jobs to list.
#[derive(Args, Clone, Debug)]
pub struct JobsListOptions {
    /// Only those that do this, for example import
    #[arg(long, value_parser = values::job_kind())]
    pub kind: Option<JobKind>,
    /// Only those in this state
    #[arg(long, value_parser = values::job_state())]
    pub state: Option<JobState>,
    /// As many at most
    #[arg(long, default_value_t = 50)]
    pub limit: u32,
    /// Print JSON, one object a line
    #[arg(long)]
    pub json: bool,
}

/// What to have done.
#[derive(Args, Clone, Debug)]
pub struct JobsRunOptions {
    /// The task, by its name in the schedule
    #[arg(value_name = "TASK", value_enum)]
    pub task: ScheduledTask,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Which jobs.
#[derive(Args, Clone, Debug)]
pub struct JobsOptions {
    /// Their numbers, as `jobs list` shows them, or their ids in the API
    #[arg(required = true, value_name = "ID", value_parser = ids::read_job)]
    pub ids: Vec<i64>,
    /// Print JSON, one object a line
    #[arg(long)]
    pub json: bool,
}

/// What the schedule does, by its names there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ScheduledTask {
    /// See whether something is wrong with a campaign
    CheckAlerts,
    /// See which reminders are due
    CheckReminders,
    /// Judge addresses whose bounces have expired
    ReviewAddresses,
    /// Look for addresses that may be mistyped
    SuggestCorrections,
    /// Delete data past its retention period
    Prune,
    /// Read from the CRM what changed
    SyncCrm,
    /// Read all persons from the CRM
    SyncCrmComplete,
}

/// What to recount.
#[derive(Args, Clone, Debug)]
pub struct RecountOptions {
    /// Only this campaign
    #[arg(long, value_name = "KEY")]
    pub campaign: Option<String>,
    /// Put right what differs
    #[arg(long)]
    pub repair: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What to remove.
#[derive(Args, Clone, Copy, Debug)]
pub struct PruneOptions {
    /// Only count what would be removed
    #[arg(long)]
    pub dry_run: bool,
    /// Print JSON, one object a line
    #[arg(long)]
    pub json: bool,
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say what is wrong with the configuration, and where; exit status 2 where something is
    #[command(after_help = "Examples:
  nachfass config check
  nachfass config check --config /etc/nachfass.toml --json")]
    Check {
        /// Print JSON, one finding a line
        #[arg(long)]
        json: bool,
    },
    /// Print the defaults, commented
    #[command(after_help = "Example:
  nachfass config default > nachfass.toml")]
    Default,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("a header is written 'Name: value'")?;
    Ok((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_does() {
        fn check(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{} says nothing", command.get_name());
            for argument in command.get_arguments().filter(|argument| argument.get_id() != "help") {
                assert!(argument.get_help().is_some(), "{} of {}", argument.get_id(), command.get_name());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Arguments::command());
    }
}

/// What to do about the CRM.
#[derive(Clone, Debug, Subcommand)]
pub enum CrmCommand {
    /// Say whether the CRM can be reached, as whom, and what may be done there; exit status 1 where something may not
    #[command(after_help = "Examples:
  nachfass crm check
  nachfass crm check --json")]
    Check {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Read from the CRM what changed since the last time, and wait until that is done
    ///
    /// A running nachfass does it; without one the command does it itself. Running processes do it again and again by themselves
    /// (crm.sync_every), and once a night completely.
    #[command(after_help = "Examples:
  nachfass crm sync
  nachfass crm sync --complete --no-wait
  nachfass crm sync --complete --accept-missing")]
    Sync(CrmSyncOptions),
}

/// What to read from the CRM.
#[derive(Args, Clone, Copy, Debug)]
pub struct CrmSyncOptions {
    /// Read all persons, not only those that changed: whoever is not found is gone
    #[arg(long)]
    pub complete: bool,
    /// Believe the CRM this time, even where it shows less than half of the persons that were known: the others are gone
    #[arg(long, requires = "complete")]
    pub accept_missing: bool,
    /// Do not wait: print the number of the job
    #[arg(long)]
    pub no_wait: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
