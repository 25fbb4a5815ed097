//! `nachfass config`.

use std::path::Path;
use std::process::ExitCode;

use super::args::ConfigCommand;
use super::{WRONG_USAGE, output};
use crate::config::{self, Config, Examined, Finding, Severity};

/// Runs a command.
pub fn run(command: &ConfigCommand, path: Option<&Path>) -> ExitCode {
    match command {
        ConfigCommand::Default => output::finish(output::line(config::DEFAULT.trim_end()).map_err(Into::into)),
        ConfigCommand::Check { json } => check(&Config::examine(path), *json),
    }
}

fn check(examined: &Examined, json: bool) -> ExitCode {
    for finding in &examined.findings {
        let line = if json { serde_json::to_string(finding).unwrap_or_default() } else { finding.to_string() };
        if let Err(error) = output::line(line) {
            return output::finish(Err(error.into()));
        }
    }
    if examined.is_refused() {
        return ExitCode::from(WRONG_USAGE);
    }
    if examined.findings.is_empty() {
        output::note("the configuration is fine");
    }
    ExitCode::SUCCESS
}

/// The configuration, if it can be used. What is only suspicious is returned with it.
///
/// # Errors
/// All errors in one text.
pub fn load(path: Option<&Path>) -> anyhow::Result<(Config, Vec<Finding>)> {
    let Examined { config, findings } = Config::examine(path);
    let (errors, warnings): (Vec<_>, Vec<_>) =
        findings.into_iter().partition(|finding| finding.severity == Severity::Error);
    match config {
        Some(config) if errors.is_empty() => Ok((config, warnings)),
        _ => {
            let list: Vec<String> = errors.iter().map(|finding| format!("\n  {finding}")).collect();
            anyhow::bail!("the configuration cannot be used:{}", list.concat())
        }
    }
}

/// Writes to the log what is suspicious.
pub fn warn(warnings: &[Finding]) {
    for Finding { key, line, problem, advice, .. } in warnings {
        tracing::warn!(key, line, problem, advice, "configuration warning");
    }
}
