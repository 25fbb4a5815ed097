//! `nachfass crm`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use api::graphql::ids;
use domain::crm::{Account, ListKind, Right};
use indicatif::ProgressBar;
use service::ServiceError;
use service::crm::sync::{self, SELECTION_NOT_READ, Synced};
use service::jobs::{self, ClaimedJob, Job, JobState, Which};
use service::skipped::Skipped;

use super::args::{CrmCommand, CrmSyncOptions};
use super::output;
use crate::config::Config;
use crate::installation::Installation;

/// So often it is looked how far a job is.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Checks the CRM, or reads it.
pub async fn run(config: &Config, command: CrmCommand) -> ExitCode {
    match command {
        CrmCommand::Check { json } => match check(config, json).await {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => output::fail(&error),
        },
        CrmCommand::Sync(options) => output::finish(sync_now(config, options).await),
    }
}

/// Whether nothing is known that may not be done.
async fn check(config: &Config, json: bool) -> anyhow::Result<bool> {
    let installation = Installation::open(config.clone()).await?;
    let crm = installation.services.crm();
    let account = crm.check().await.with_context(|| format!("while asking {}", crm.name()))?;
    let Account { crm, user, rights } = &account;
    let is_none_refused = rights.iter().all(|right| right.allowed != Some(false));
    if json {
        output::line(serde_json::to_string(&account)?)?;
        return Ok(is_none_refused);
    }
    output::line(format_args!("{crm}, as {user}"))?;
    for Right { what, allowed, reason } in rights {
        let reason = reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let answer = match allowed {
            Some(true) => "yes",
            Some(false) => "no",
            None => "cannot be told",
        };
        output::line(format_args!("  {answer:<14}  {what}{reason}"))?;
    }
    if rights.iter().any(|right| right.allowed.is_none()) {
        output::note(
            "nothing was changed to find this out: what cannot be told shows when it is done for the first time",
        );
    }
    Ok(is_none_refused)
}

async fn sync_now(config: &Config, options: CrmSyncOptions) -> anyhow::Result<()> {
    let installation = Installation::open(config.clone()).await?;
    if installation.services.crm().is_builtin() {
        output::note("no CRM is connected: there is nothing to read (crm.kind in the configuration)");
    }
    let marketer = installation.access().marketer()?;
    let job = if options.accept_missing {
        marketer.sync_crm_accepting_missing().await?
    } else {
        marketer.sync_crm(options.complete).await?
    };
    if options.no_wait {
        return if options.json {
            Ok(output::line(serde_json::json!({ "job": ids::job(job.id) }))?)
        } else {
            Ok(output::line(job.id)?)
        };
    }
    let progress = ProgressBar::new_spinner();
    let synced = wait(&installation, job.id, &progress).await;
    progress.finish_and_clear();
    let synced = synced?;
    if options.json {
        return Ok(output::line(serde_json::to_string(&synced)?)?);
    }
    let Synced { persons, changed, gone, lists, failed, not_read } = synced;
    output::line(format_args!(
        "{persons} persons read, {changed} new or changed, {gone} gone; the members of {lists} selections and projects read, of {failed} not"
    ))?;
    for left_out in not_read {
        let kind = if left_out.reason == SELECTION_NOT_READ { ListKind::Selection } else { ListKind::Project };
        not_read_lines(&installation, kind, &left_out).await?;
    }
    Ok(())
}

/// Names the lists whose members could not be read, and says why.
async fn not_read_lines(installation: &Installation, kind: ListKind, left_out: &Skipped) -> anyhow::Result<()> {
    let what = if kind == ListKind::Selection { "selection" } else { "project" };
    let ids: Vec<i64> =
        left_out.examples.iter().filter_map(|example| example.split_once(':')?.1.parse().ok()).collect();
    let known = installation.access().reader().person_lists_by_id(kind, &ids).await?;
    for list in ids.iter().filter_map(|id| known.get(id)) {
        let why = list.sync_error.as_deref().unwrap_or("it is not known why");
        output::line(format_args!("  not read: {what} \"{}\": {why}", list.name))?;
    }
    let more = left_out.count - i64::try_from(known.len()).unwrap_or_default();
    if more > 0 {
        output::line(format_args!("  not read: {more} more of this kind ({what}s)"))?;
    }
    Ok(())
}

/// Waits until the job is done, and does it where no running process has it in hand.
async fn wait(installation: &Installation, id: i64, progress: &ProgressBar) -> anyhow::Result<Synced> {
    let services = &installation.services;
    let worker = format!("command-{}", std::process::id());
    loop {
        let job = look(installation, id, progress).await?;
        match job.state {
            JobState::Succeeded => {
                let result = job.result.context("the job has no result")?;
                return Ok(serde_json::from_value(result)?);
            }
            JobState::Failed | JobState::Canceled => {
                bail!("{}", job.error.unwrap_or_else(|| "the job was called off".to_owned()));
            }
            JobState::Queued | JobState::Running => {}
        }
        let claimed = jobs::claim(services, Which::Id(id), &worker, services.now(), services.lease_until()).await?;
        match claimed {
            Some(claimed) => work(installation, &claimed, progress).await?,
            None => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

async fn work(installation: &Installation, job: &ClaimedJob, progress: &ProgressBar) -> anyhow::Result<()> {
    let services = &installation.services;
    let mut looks = tokio::time::interval(LOOK_EVERY);
    let mut running = Box::pin(sync::run(services, job));
    let result = loop {
        tokio::select! {
            result = &mut running => break result,
            _ = looks.tick() => {
                look(installation, job.id, progress).await?;
            }
        }
    };
    match result {
        Ok(_) => Ok(()),
        Err(ServiceError::Later { why, seconds, .. }) => {
            progress.set_message(format!("{why}; tried again in {seconds} s"));
            jobs::postpone(services, job, why, services.now().plus_seconds(seconds)).await?;
            Ok(())
        }
        Err(error) => {
            jobs::fail(services, job, &error.to_string(), None, services.now()).await?;
            Err(error.into())
        }
    }
}

async fn look(installation: &Installation, id: i64, progress: &ProgressBar) -> anyhow::Result<Job> {
    let job = installation.access().reader().require_job(id).await?;
    progress.set_message(format!("{} persons and lists read", job.progress.done));
    progress.tick();
    Ok(job)
}
