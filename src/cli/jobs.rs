//! `nachfass jobs`.

use anyhow::Context;
use domain::Timestamp;
use serde_json::json;
use service::jobs::{Job, JobFilter};

use super::args::{JobsCommand, JobsListOptions, JobsOptions, JobsRunOptions};
use super::output;
use crate::config::Config;
use crate::installation::Installation;

/// Lists, shows and changes jobs.
pub async fn run(config: &Config, command: JobsCommand) -> anyhow::Result<()> {
    let access = Installation::open(config.clone()).await?.access();
    match command {
        JobsCommand::List(JobsListOptions { kind, state, limit, json }) => {
            let jobs = access.reader().jobs(&JobFilter { kind, state }, None, limit).await?;
            if !json && jobs.is_empty() {
                output::note("there are no such jobs");
            }
            jobs.iter().try_for_each(|job| print(job, json))
        }
        JobsCommand::Run(JobsRunOptions { kind, json }) => {
            let job = access.admin()?.run_job(kind).await?;
            if json { print(&job, json) } else { Ok(output::line(job.id)?) }
        }
        JobsCommand::Show(options) => each(options, async |id| access.reader().require_job(id).await).await,
        JobsCommand::Retry(options) => each(options, async |id| access.marketer()?.retry_job(id).await).await,
        JobsCommand::Cancel(options) => each(options, async |id| access.marketer()?.cancel_job(id).await).await,
    }
}

/// Does something with each job and prints it; the first failure ends it.
async fn each(
    JobsOptions { ids, json }: JobsOptions,
    work: impl AsyncFn(i64) -> service::Result<Job>,
) -> anyhow::Result<()> {
    for id in ids {
        print(&work(id).await.with_context(|| format!("while working on job {id}"))?, json)?;
    }
    Ok(())
}

fn print(job: &Job, as_json: bool) -> anyhow::Result<()> {
    let at = |time: Option<Timestamp>| time.map(|time| time.to_string());
    let (kind, state) = (job.kind.as_str(), job.state.as_str());
    if as_json {
        let line = json!({
            "id": job.id, "kind": kind, "state": state, "done": job.progress.done, "total": job.progress.total,
            "skipped": job.progress.skipped, "attempts": job.attempts, "runAt": job.run_at.to_string(),
            "startedAt": at(job.started_at), "finishedAt": at(job.finished_at), "error": job.error, "result": job.result,
            "createdBy": job.created_by, "createdAt": job.created_at.to_string(),
        });
        return Ok(output::line(line)?);
    }
    let progress = match job.progress.total {
        Some(total) => format!("{} of {total}", job.progress.done),
        None => job.progress.done.to_string(),
    };
    let error = job.error.as_deref().map(|error| format!("  {error}")).unwrap_or_default();
    Ok(output::line(format_args!("{:>6}  {}  {kind:<10} {state:<10} {progress}{error}", job.id, job.created_at))?)
}
