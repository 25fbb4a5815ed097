//! What users do with jobs: try again what failed, call off what is not wanted.

use sea_orm::Value;

use super::{Job, JobKind, JobState, NewJob};
use crate::access::{Admin, Marketer, Reader};
use crate::audit;
use crate::changes::Change;
use crate::db::execute;
use crate::error::{Refusal, RefusalCode, Result};

impl Marketer {
    /// Has a job tried again that failed or was called off: from where it was left, with all its attempts.
    ///
    /// # Errors
    /// A refusal where there is no such job, or it is in another state; those of the database.
    pub async fn retry_job(&self, id: i64) -> Result<Job> {
        let set = "state = 1, run_at = $2, forgiven = attempt, error = NULL, result = NULL, finished_at = NULL, worker = NULL";
        self.change_job(id, set, &[JobState::Failed, JobState::Canceled], "job.retried", "tried again").await
    }

    /// Calls a job off. One that is running stops at its next step; what it has done by then stays done.
    ///
    /// # Errors
    /// As [`Marketer::retry_job`].
    pub async fn cancel_job(&self, id: i64) -> Result<Job> {
        let set = "state = 5, finished_at = $2, lease_until = NULL";
        self.change_job(id, set, &[JobState::Queued, JobState::Running], "job.canceled", "called off").await
    }

    async fn change_job(&self, id: i64, set: &str, from: &[JobState], action: &str, participle: &str) -> Result<Job> {
        let now = self.services.now();
        let states = from.iter().map(|state| state.code().to_string()).collect::<Vec<_>>().join(", ");
        let transaction = self.services.db.begin().await?;
        let sql = format!("UPDATE job SET {set} WHERE id = $1 AND state IN ({states})");
        let values: [Value; 2] = [id.into(), now.micros().into()];
        let changed = execute(&transaction, &sql, values).await?.rows_affected();
        let job = super::list::find(&transaction, id).await?;
        let job = job.ok_or_else(|| Refusal::field(RefusalCode::NotFound, &["id"], "there is no such job"))?;
        if changed == 0 {
            let message = format!("this job is {}: it cannot be {participle}", job.state.as_str());
            return Err(Refusal::field(RefusalCode::Conflict, &["id"], message).into());
        }
        audit::record(&transaction, now, &self.subject, action, format!("job:{id}"), None).await?;
        transaction.commit().await?;
        self.services.changes.publish(Change::Job(id));
        self.services.jobs_were_added();
        Ok(job)
    }
}

impl Admin {
    /// Adds a job that is otherwise done by the schedule, to be done now.
    ///
    /// # Errors
    /// A refusal where the schedule knows no such job; those of the database.
    pub async fn run_job(&self, kind: JobKind) -> Result<Job> {
        if !JobKind::SCHEDULED.contains(&kind) {
            let names = JobKind::SCHEDULED.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ");
            let message = format!("{kind} needs to be told more than its name; there are {names}");
            return Err(Refusal::field(RefusalCode::Invalid, &["kind"], message).into());
        }
        let now = self.services.now();
        let transaction = self.services.db.begin().await?;
        let job = NewJob::new(kind, serde_json::json!({}), &self.subject.id, now);
        let id = super::enqueue(&transaction, job, now).await?;
        let detail = Some(serde_json::json!({ "kind": kind }));
        audit::record(&transaction, now, &self.subject, "job.added", format!("job:{id}"), detail).await?;
        let job = super::get(&transaction, id).await?;
        transaction.commit().await?;
        self.services.jobs_were_added();
        Ok(job)
    }
}

impl Reader {
    /// A job that must be there.
    ///
    /// # Errors
    /// A refusal where it is not; those of the database.
    pub async fn require_job(&self, id: i64) -> Result<Job> {
        let job = self.job(id).await?;
        Ok(job.ok_or_else(|| Refusal::field(RefusalCode::NotFound, &["id"], "there is no such job"))?)
    }
}

/// The names of kinds that stand in answers, for the command line.
impl JobKind {
    /// The kinds that the schedule brings about, and that need to know nothing else.
    pub const SCHEDULED: &'static [Self] =
        &[Self::CheckAlerts, Self::CheckReminders, Self::ReviewAddresses, Self::Prune];

    /// The kind with this name, whatever its case; `check-alerts` is as good as `CHECK_ALERTS`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.replace('-', "_");
        Self::ALL.iter().copied().find(|kind| kind.as_str().eq_ignore_ascii_case(&name))
    }
}

impl JobState {
    /// The state with this name, whatever its case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.as_str().eq_ignore_ascii_case(name))
    }

    /// Whether nothing happens to it any more unless somebody wants it.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Canceled)
    }
}
