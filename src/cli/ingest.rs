//! `nachfass ingest`.

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use api::graphql::ids;
use connectors::http::HttpsFetch;
use connectors::providers::{Request, webhook};
use connectors::sources::{Sources, basic_auth_fits, default_campaign_keys, default_recipient_keys};
use domain::{Clock, SystemClock};
use serde_json::json;
use service::apply::Applier;
use service::changes::Changes;
use service::ingest::{FailedDelivery, Replay, ReplayFilter, Replayed};

use super::args::{IngestCommand, ParseOptions, ReplayOptions};
use super::output;
use crate::config::Config;
use crate::installation::Installation;

/// The signature or the credentials are wrong.
const NOT_AUTHENTIC: u8 = 3;
/// The body is not this provider's.
const NOT_THIS_PROVIDER: u8 = 4;

/// Runs a command that works on the installation.
pub async fn run(config: &Config, command: IngestCommand) -> anyhow::Result<()> {
    match command {
        IngestCommand::Replay(options) => apply_again(config, options).await,
        // Needs no installation, and is answered before one is looked for.
        IngestCommand::Parse(_) => Ok(()),
    }
}

/// Prints the events in a request.
pub fn parse(options: &ParseOptions) -> ExitCode {
    let body = match read(options.file.as_deref()) {
        Ok(body) => body,
        Err(error) => return output::fail(&error),
    };
    let mut headers = options.headers.clone();
    if let Some(content_type) = &options.content_type {
        headers.retain(|(name, _)| name != "content-type");
        headers.push(("content-type".to_owned(), content_type.clone()));
    }
    let (urls, campaign_keys, recipient_keys) =
        (options.url.iter().cloned().collect::<Vec<_>>(), default_campaign_keys(), default_recipient_keys());
    let now = options.at.unwrap_or_else(|| SystemClock.now());
    let request = Request {
        headers: &headers,
        body: &body,
        urls: &urls,
        received_at: now,
        campaign_keys: &campaign_keys,
        recipient_keys: &recipient_keys,
        certificate: None,
    };
    let adapter = webhook(options.provider);
    if !options.basic_auth.is_empty() && !basic_auth_fits(&request, &options.basic_auth) {
        output::note("error: user and password are missing or wrong");
        return ExitCode::from(NOT_AUTHENTIC);
    }
    if !options.secrets.is_empty()
        && let Err(rejection) = adapter.verify(&request, &options.secrets, now)
    {
        output::note(format_args!("error: {rejection}"));
        let unreadable = matches!(rejection, connectors::providers::Rejection::Unreadable(_));
        return ExitCode::from(if unreadable { NOT_THIS_PROVIDER } else { NOT_AUTHENTIC });
    }
    let reading = match adapter.handshake(&request) {
        Ok(Some(handshake)) => {
            output::note(format_args!("this is no event but part of the setting up: {handshake:?}"));
            return ExitCode::SUCCESS;
        }
        Ok(None) => adapter.read(&request),
        Err(error) => Err(error),
    };
    match reading {
        Ok(reading) => output::finish(print(&reading)),
        Err(error) => {
            output::note(format_args!("error: {error}"));
            ExitCode::from(NOT_THIS_PROVIDER)
        }
    }
}

fn print(reading: &domain::reading::Reading) -> anyhow::Result<()> {
    for event in &reading.events {
        output::line(serde_json::to_string(event)?)?;
    }
    for failure in &reading.failures {
        output::note(format_args!("element {} cannot be understood: {}", failure.index, failure.reason));
    }
    Ok(())
}

fn read(file: Option<&Path>) -> anyhow::Result<Vec<u8>> {
    match file.filter(|path| path.as_os_str() != "-") {
        Some(path) => std::fs::read(path).with_context(|| format!("while reading {}", path.display())),
        None => {
            let mut body = Vec::new();
            std::io::stdin().lock().read_to_end(&mut body).context("while reading the standard input")?;
            Ok(body)
        }
    }
}

async fn apply_again(config: &Config, options: ReplayOptions) -> anyhow::Result<()> {
    rustls::crypto::ring::default_provider().install_default().ok();
    let installation = Installation::open(config.clone()).await?;
    let Installation { db, clock, .. } = &installation;
    let filter = ReplayFilter { source: options.source, since: options.since, failed: options.failed };
    let replay = Replay::start(db, &filter).await?;
    let sources =
        Sources::new(config.sources.clone(), &config.public_url, Arc::new(HttpsFetch::try_new()?), clock.clone());
    let applier = Applier::new(db.clone(), clock.clone(), Arc::new(sources), Changes::default());
    let replayed = loop {
        applier.apply_all().await?;
        // A running worker may have taken some of them: then they are waited for.
        match replay.result(db).await? {
            Some(replayed) => break replayed,
            None => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
        }
    };
    let failing = replay.failing(db).await?;
    let Replayed { deliveries, events, new } = replayed;
    if options.json {
        let failing: Vec<_> = failing.iter().map(as_json).collect();
        return Ok(output::line(
            json!({ "deliveries": deliveries, "events": events, "new": new, "stillFailing": failing }),
        )?);
    }
    let count = failing.len();
    output::line(format_args!(
        "{deliveries} deliveries applied again: {events} events, {new} of them new; {count} deliveries still fail"
    ))?;
    for FailedDelivery { id, source, state, failures, error, .. } in &failing {
        let error = error.as_deref().unwrap_or("no reason is known");
        let state = state.as_str();
        output::line(format_args!("  delivery {id} of {source}: {state}, {failures} elements failed: {error}"))?;
    }
    Ok(())
}

fn as_json(failed: &FailedDelivery) -> serde_json::Value {
    json!({
        "id": ids::delivery(failed.id), "number": failed.id, "source": failed.source, "state": failed.state.as_str(),
        "receivedAt": failed.received_at.to_string(), "failures": failed.failures, "error": failed.error,
    })
}
