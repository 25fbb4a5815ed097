//! Jobs: work that is done behind the request.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use serde::de::DeserializeOwned;
use service::Access;
use service::import::ImportResult;
use service::jobs;
use service::recipients::paging::{Count, PageArgs};
use service::reminders::Reminded;

use super::campaign::Campaign;
use super::connection::{Connection, List};
use super::errors::{Result, UserError, outcome};
use super::node::Key;
use super::scalars::{DateTime, at, int};
use super::schema::{access, reader};
use super::skipped::SkippedCount;
use super::words::{JobKind, JobState};

/// Work that is done behind the request.
pub struct Job {
    row: jobs::Job,
    sees_personal_data: bool,
}

impl Job {
    /// A job as `access` may see it.
    pub(super) fn new(row: jobs::Job, access: Result<&Access>) -> Result<Self> {
        Ok(Self { row, sees_personal_data: access?.subject().sees_personal_data() })
    }
}

/// Work that is done behind the request.
#[Object]
impl Job {
    /// The global id.
    pub async fn id(&self) -> ID {
        Key::Job(self.row.id).id()
    }

    /// What it does.
    async fn kind(&self) -> JobKind {
        self.row.kind.into()
    }

    /// Where it stands.
    async fn state(&self) -> JobState {
        self.row.state.into()
    }

    /// How many things it has dealt with.
    async fn done(&self) -> i32 {
        int(self.row.progress.done)
    }

    /// How many there are; null where nobody knows before the end.
    async fn total(&self) -> Option<i32> {
        self.row.progress.total.map(int)
    }

    /// How many of them it left out.
    async fn skipped(&self) -> i32 {
        int(self.row.progress.skipped)
    }

    /// How many times it was begun.
    async fn attempts(&self) -> i32 {
        self.row.attempts
    }

    /// When it is due.
    async fn run_at(&self) -> DateTime {
        self.row.run_at.into()
    }

    /// When it was first begun.
    async fn started_at(&self) -> Option<DateTime> {
        at(self.row.started_at)
    }

    /// When it ended.
    async fn finished_at(&self) -> Option<DateTime> {
        at(self.row.finished_at)
    }

    /// Why the last attempt failed. Null for those who may not see personal data.
    async fn error(&self) -> Option<&str> {
        self.row.error.as_deref().filter(|_| self.sees_personal_data)
    }

    /// What came of it; null until it has succeeded.
    async fn result(&self) -> Option<JobResult> {
        JobResult::of(&self.row)
    }

    /// Who wanted it, as in the audit log: `user:1`, `token:2`.
    async fn created_by(&self) -> &str {
        &self.row.created_by
    }
}

/// What came of a job.
#[derive(Default, SimpleObject)]
pub struct JobResult {
    /// The campaign that was worked on. Of reminders, the one that recipients were added to, or the first of these.
    pub(super) campaign: Option<Campaign>,
    /// Recipients that are new.
    pub(super) added: Option<i32>,
    /// Recipients that were there, and about whom something new was said.
    pub(super) updated: Option<i32>,
    /// Recipients that were there just so.
    pub(super) unchanged: Option<i32>,
    /// What was left out. Of an import, recipients that are not to be sent to: doubles, invalid and blocked addresses.
    pub(super) skipped: Option<i32>,
    /// Lines of a file that made no recipient.
    pub(super) rejected: Option<i32>,
    /// What was left out, by reason. Of reminders, the reasons are those of `reminderPreview`.
    #[graphql(complexity = "15 * child_complexity + 1")]
    pub(super) skipped_by_reason: Vec<SkippedCount>,
}

impl JobResult {
    /// What came of a job that has succeeded; `None` for kinds that have nothing to show.
    fn of(job: &jobs::Job) -> Option<Self> {
        let result = job.result.clone()?;
        match job.kind {
            jobs::JobKind::Import => read::<ImportResult>(result),
            jobs::JobKind::Remind => read::<Reminded>(result),
            _ => None,
        }
    }
}

/// A result as its kind of job writes it down.
fn read<T: DeserializeOwned + Into<JobResult>>(result: serde_json::Value) -> Option<JobResult> {
    serde_json::from_value::<T>(result).ok().map(Into::into)
}

impl From<ImportResult> for JobResult {
    fn from(result: ImportResult) -> Self {
        Self {
            campaign: Some(Campaign::unread(result.campaign_id)),
            added: Some(int(result.counts.imported)),
            updated: Some(int(result.counts.updated)),
            unchanged: Some(int(result.counts.unchanged)),
            skipped: Some(int(result.counts.skipped)),
            rejected: Some(int(result.counts.rejected)),
            ..Self::default()
        }
    }
}

/// A job that a mutation has begun or changed.
#[derive(SimpleObject)]
pub struct JobPayload {
    /// The job; null where it was refused.
    job: Option<Job>,
    /// Why it was refused; empty where it was not.
    user_errors: Vec<UserError>,
}

impl JobPayload {
    /// The job, or why there is none.
    pub(super) fn of(result: service::Result<jobs::Job>, access: &Access) -> Result<Self> {
        let (job, user_errors) = outcome(result)?;
        Ok(Self { job: job.map(|row| Job::new(row, Ok(access))).transpose()?, user_errors })
    }
}

/// Which jobs. The fields are joined by AND.
#[derive(Default, InputObject)]
pub struct JobFilter {
    /// Those that do this.
    kind: Option<JobKind>,
    /// Those in this state.
    state: Option<JobState>,
}

impl From<JobFilter> for jobs::JobFilter {
    fn from(filter: JobFilter) -> Self {
        Self { kind: filter.kind.map(Into::into), state: filter.state.map(Into::into) }
    }
}

/// The jobs that a filter finds.
pub struct Jobs(jobs::JobFilter);

impl List for Jobs {
    type Node = Job;
    const CONNECTION: &'static str = "JobConnection";
    const EDGE: &'static str = "JobEdge";

    async fn count(&self, ctx: &Context<'_>, max: i64) -> Result<Count> {
        Ok(reader(ctx)?.count_jobs(&self.0, max).await?)
    }
}

/// A page of jobs, the latest first.
pub(super) async fn page(ctx: &Context<'_>, filter: Option<JobFilter>, args: &PageArgs) -> Result<Connection<Jobs>> {
    let filter = filter.unwrap_or_default().into();
    let page = reader(ctx)?.job_page(&filter, args).await?;
    let page = page.try_map(|row| Job::new(row, access(ctx)))?;
    Ok(Connection::new(Jobs(filter), page))
}
