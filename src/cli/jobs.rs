//! `nachfass jobs`.

use anyhow::Context;
use api::graphql::ids;
use domain::Timestamp;
use serde_json::{Value, json};
use service::Access;
use service::jobs::{Job, JobFilter, JobKind};

use super::args::{JobsCommand, JobsListOptions, JobsOptions, JobsRunOptions, ScheduledTask};
use super::output;
use crate::config::Config;
use crate::installation::Installation;

/// Lists, shows and changes jobs.
pub async fn run(config: &Config, command: JobsCommand) -> anyhow::Result<()> {
    let installation = Installation::open(config.clone()).await?;
    let access = installation.access();
    match command {
        JobsCommand::List(JobsListOptions { kind, state, limit, json }) => {
            let jobs = access.reader().jobs(&JobFilter { kind, state }, None, limit).await?;
            if json {
                return jobs.iter().try_for_each(|job| Ok(output::line(as_json(job))?));
            }
            if jobs.is_empty() {
                output::note("there are no such jobs");
                return Ok(());
            }
            output::line(HEADING)?;
            jobs.iter().try_for_each(|job| Ok(output::line(row(job))?))
        }
        JobsCommand::Run(JobsRunOptions { task, json }) => {
            let is_of_crm = matches!(task, ScheduledTask::SyncCrm | ScheduledTask::SyncCrmComplete);
            anyhow::ensure!(
                !is_of_crm || !installation.services.crm().is_builtin(),
                "no CRM is connected: there is nothing to read (crm.kind in the configuration)"
            );
            let job = begin(&access, task).await?;
            Ok(if json { output::line(as_json(&job)) } else { output::line(job.id) }?)
        }
        JobsCommand::Show(options) => each(options, async |id| access.reader().require_job(id).await).await,
        JobsCommand::Retry(options) => each(options, async |id| access.marketer()?.retry_job(id).await).await,
        JobsCommand::Cancel(options) => each(options, async |id| access.marketer()?.cancel_job(id).await).await,
    }
}

/// Adds the job of a scheduled task; where one waits already, it is that one.
async fn begin(access: &Access, task: ScheduledTask) -> service::Result<Job> {
    match task {
        ScheduledTask::CheckAlerts => access.admin()?.run_job(JobKind::CheckAlerts).await,
        ScheduledTask::CheckReminders => access.admin()?.run_job(JobKind::CheckReminders).await,
        ScheduledTask::ReviewAddresses => access.admin()?.run_job(JobKind::ReviewAddresses).await,
        ScheduledTask::SuggestCorrections => access.marketer()?.suggest_corrections().await,
        ScheduledTask::Prune => access.admin()?.run_job(JobKind::Prune).await,
        ScheduledTask::SyncCrm => access.marketer()?.sync_crm(false).await,
        ScheduledTask::SyncCrmComplete => access.marketer()?.sync_crm(true).await,
    }
}

/// Does something with each job and prints it; the first failure ends it.
async fn each(
    JobsOptions { ids, json }: JobsOptions,
    work: impl AsyncFn(i64) -> service::Result<Job>,
) -> anyhow::Result<()> {
    for (place, id) in ids.into_iter().enumerate() {
        let job = work(id).await.with_context(|| format!("while working on job {id}"))?;
        if json {
            output::line(as_json(&job))?;
            continue;
        }
        if place > 0 {
            output::line("")?;
        }
        for (name, value) in fields(&job) {
            output::line(format_args!("{name:<12} {value}"))?;
        }
    }
    Ok(())
}

const HEADING: &str = "    ID  CREATED                      KIND                   STATE      PROGRESS  ERROR";

fn row(job: &Job) -> String {
    let (kind, state) = (job.kind.as_str(), job.state.as_str());
    let error = job.error.as_deref().unwrap_or_default();
    let line = format!("{:>6}  {}  {kind:<21}  {state:<9}  {:<8}  {error}", job.id, job.created_at, progress(job));
    line.trim_end().to_owned()
}

fn progress(job: &Job) -> String {
    match job.progress.total {
        Some(total) => format!("{} of {total}", job.progress.done),
        None => job.progress.done.to_string(),
    }
}

fn at(time: Option<Timestamp>) -> Option<String> {
    time.map(|time| time.to_string())
}

/// Everything about a job, for people.
fn fields(job: &Job) -> Vec<(&'static str, String)> {
    let result = job.result.clone().map(|result| in_ids(result).to_string());
    let fields = [
        ("number", Some(job.id.to_string())),
        ("id", Some(ids::job(job.id))),
        ("kind", Some(job.kind.as_str().to_owned())),
        ("state", Some(job.state.as_str().to_owned())),
        ("progress", Some(progress(job))),
        ("skipped", Some(job.progress.skipped.to_string())),
        ("attempts", Some(job.attempts.to_string())),
        ("created", Some(format!("{} by {}", job.created_at, job.created_by))),
        ("run at", Some(job.run_at.to_string())),
        ("started", at(job.started_at)),
        ("finished", at(job.finished_at)),
        ("error", job.error.clone()),
        ("result", result),
        ("payload", Some(in_ids(job.payload.clone()).to_string())),
    ];
    fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn as_json(job: &Job) -> Value {
    json!({
        "id": ids::job(job.id), "number": job.id, "kind": job.kind.as_str(), "state": job.state.as_str(),
        "done": job.progress.done, "total": job.progress.total, "skipped": job.progress.skipped, "attempts": job.attempts,
        "runAt": job.run_at.to_string(), "startedAt": at(job.started_at), "finishedAt": at(job.finished_at),
        "error": job.error, "result": job.result.clone().map(in_ids), "payload": in_ids(job.payload.clone()), "createdBy": job.created_by,
        "createdAt": job.created_at.to_string(),
    })
}

/// A stored object with the ids of campaigns as the API gives them out.
fn in_ids(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let shown = |(name, value): (String, Value)| match (name.as_str(), value.as_i64()) {
                ("campaignId", Some(id)) => (name, ids::campaign(id).into()),
                _ => (name, in_ids(value)),
            };
            Value::Object(fields.into_iter().map(shown).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(in_ids).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;
    use service::schedule;

    use super::*;

    #[test]
    fn every_task_of_the_schedule_can_be_run_by_its_name() {
        let zone = schedule::zone("UTC").expect("a zone");
        let mut rules = schedule::rules(zone).expect("rules");
        rules.extend(schedule::crm_rules(zone, 15).expect("rules"));
        let names: Vec<&str> = rules.iter().map(|rule| rule.name).collect();
        for name in &names {
            assert!(ScheduledTask::from_str(name, false).is_ok(), "{name}");
        }
        assert_eq!(ScheduledTask::value_variants().len(), names.len());
    }
}
