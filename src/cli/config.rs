//! `nachfass config`.

use std::path::Path;
use std::process::ExitCode;

use super::args::ConfigCommand;
use super::{WRONG_USAGE, output};
use crate::config::{self, Config, Severity};

/// Runs a command.
pub fn run(command: &ConfigCommand, path: Option<&Path>) -> ExitCode {
    match command {
        ConfigCommand::Default => output::finish(output::line(config::DEFAULT.trim_end()).map_err(Into::into)),
        ConfigCommand::Check { json } => match Config::load(path) {
            Ok(config) => check(&config, *json),
            Err(error) => {
                output::complain(&anyhow::Error::new(error));
                ExitCode::from(WRONG_USAGE)
            }
        },
    }
}

fn check(config: &Config, json: bool) -> ExitCode {
    let findings = config.check();
    for finding in &findings {
        let line = if json { serde_json::to_string(finding).unwrap_or_default() } else { finding.to_string() };
        if let Err(error) = output::line(line) {
            return output::finish(Err(error.into()));
        }
    }
    if findings.iter().any(|finding| finding.severity == Severity::Error) {
        return ExitCode::from(WRONG_USAGE);
    }
    if findings.is_empty() {
        output::note("the configuration is fine");
    }
    ExitCode::SUCCESS
}

/// Refuses a configuration with errors; what is only suspicious is logged.
///
/// # Errors
/// All errors in one text.
pub fn refuse_errors(config: &Config) -> anyhow::Result<()> {
    let (errors, warnings): (Vec<_>, Vec<_>) =
        config.check().into_iter().partition(|finding| finding.severity == Severity::Error);
    for warning in warnings {
        tracing::warn!(
            key = warning.key,
            problem = warning.problem,
            advice = warning.advice,
            "the configuration is odd"
        );
    }
    if errors.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = errors.iter().map(|finding| format!("\n  {finding}")).collect();
    anyhow::bail!("the configuration cannot be used:{}", list.concat())
}
