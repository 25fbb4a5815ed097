//! Commands of a few lines: `schema`, `completions`, `migrate`, `healthcheck`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::CommandFactory;
use serde_json::json;

use super::args::{Arguments, MigrateCommand};
use super::output;
use crate::config::Config;
use crate::installation::Installation;

/// Prints the GraphQL schema.
pub fn schema() -> anyhow::Result<()> {
    Ok(output::line(api::graphql::sdl().trim_end())?)
}

/// Prints completions.
pub fn completions(shell: clap_complete::Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "nachfass", &mut script);
    Ok(output::line(String::from_utf8_lossy(&script).trim_end())?)
}

/// Brings the database up to date, or says what is missing.
pub async fn migrate(config: &Config, command: Option<MigrateCommand>, as_json: bool) -> anyhow::Result<()> {
    let installation = Installation::connect(config.clone()).await?;
    let connection = installation.db.write();
    let names = migration::missing(connection).await.context("while looking at the database")?;
    if command.is_none() {
        migration::bring_up_to_date(connection).await.context("while bringing the database up to date")?;
    }
    if as_json {
        let key = if command.is_some() { "pending" } else { "applied" };
        return Ok(output::line(json!({ key: names }))?);
    }
    match (command, names.is_empty()) {
        (_, true) => output::line("the database is up to date")?,
        (Some(MigrateCommand::Status), false) => {
            names.iter().try_for_each(|name| output::line(format_args!("missing: {name}")))?
        }
        (None, false) => names.iter().try_for_each(|name| output::line(format_args!("applied: {name}")))?,
    }
    Ok(())
}

/// Asks a running nachfass whether it is ready.
pub async fn healthcheck(config: &Config, as_json: bool) -> ExitCode {
    let answer = match ask(config).await {
        Ok(answer) => answer,
        Err(error) => return output::fail(&error),
    };
    let status = serde_json::from_str::<serde_json::Value>(&answer)
        .ok()
        .and_then(|answer| Some(answer.get("status")?.as_str()?.to_owned()));
    let printed = if as_json { output::line(&answer) } else { output::line(status.as_ref().unwrap_or(&answer)) };
    output::finish(printed.map_err(Into::into))
}

async fn ask(config: &Config) -> anyhow::Result<String> {
    rustls::crypto::ring::default_provider().install_default().ok();
    // Whoever listens on all addresses is reached on this one.
    let address = config.listen.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]");
    let client =
        reqwest::Client::builder().timeout(Duration::from_secs(5)).build().context("while preparing to ask")?;
    let response = client.get(format!("http://{address}/readyz")).send().await;
    let response = response.with_context(|| format!("nothing answers at {address}"))?;
    let status = response.status();
    let answer = response.text().await.context("while reading the answer")?;
    anyhow::ensure!(status.is_success(), "not ready: {answer}");
    Ok(answer)
}
