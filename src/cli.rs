//! The command line: each command is a file below, this one tells them apart.
//!
//! What a command answers goes to the standard output, everything else to the standard error. Exit status: 0 done, 1 failed,
//! 2 wrong usage or configuration; others as the command says.

mod accounts;
mod args;
mod config;
mod crm;
mod first_admin;
mod import;
mod ingest;
mod jobs;
mod output;
mod prune;
mod recount;
mod serve;
mod small;

use std::process::ExitCode;

use clap::Parser;

use crate::config::Config;
use crate::private;
use args::{Arguments, Command};
pub use output::note;

/// Wrong usage or configuration.
const WRONG_USAGE: u8 = 2;

/// Runs the program with the arguments of this process.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Before there are threads that could make files.
    private::keep();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return output::fail(&anyhow::Error::new(error).context("while starting threads")),
    };
    let code = runtime.block_on(dispatch(arguments));
    // Threads that read files or hash passwords end with the process.
    runtime.shutdown_background();
    code
}

async fn dispatch(arguments: Arguments) -> ExitCode {
    // What needs no configuration works without a valid one.
    let result = match arguments.command {
        Command::Schema => small::schema(),
        Command::Completions { shell } => small::completions(shell),
        Command::Config { command } => return config::run(&command, arguments.config.as_deref()),
        Command::Ingest { command: args::IngestCommand::Parse(options) } => return ingest::parse(&options),
        command => match load(arguments.config.as_deref()) {
            Ok(config) => return Box::pin(with_config(command, config)).await,
            Err(error) => {
                output::complain(&error);
                return ExitCode::from(WRONG_USAGE);
            }
        },
    };
    output::finish(result)
}

/// The configuration, if it can be used; its log is set up.
fn load(path: Option<&std::path::Path>) -> Result<Config, anyhow::Error> {
    let (config, warnings) = config::load(path)?;
    crate::logging::init(&config.log, config.log_format)?;
    config::warn(&warnings);
    Ok(config)
}

async fn with_config(command: Command, config: Config) -> ExitCode {
    let result = match command {
        Command::Run(options) => Box::pin(serve::run(config, options)).await,
        Command::Demo(options) => Box::pin(serve::demo(config, options)).await,
        Command::Api(options) => Box::pin(serve::api(config, options)).await,
        Command::Worker(options) => serve::worker(config, options).await,
        Command::Migrate { command, json } => small::migrate(&config, command, json).await,
        Command::Healthcheck { json } => return small::healthcheck(&config, json).await,
        Command::Import(options) => import::run(&config, options).await,
        Command::Ingest { command } => ingest::run(&config, command).await,
        Command::Recount(options) => return recount::run(&config, options).await,
        Command::Prune(options) => prune::run(&config, options).await,
        Command::Crm { command } => return crm::run(&config, command).await,
        Command::Jobs { command } => jobs::run(&config, command).await,
        Command::Token { command } => accounts::token(&config, command).await,
        Command::User { command } => accounts::user(&config, command).await,
        Command::Schema | Command::Completions { .. } | Command::Config { .. } => Ok(()),
    };
    output::finish(result)
}
