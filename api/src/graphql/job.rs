//! Jobs: work that is done behind the request.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use serde_json::Value;
use service::Access;
use service::import::ImportResult;
use service::jobs;
use service::recipients::paging::{Count, PageArgs};

use super::campaign::Campaign;
use super::connection::{Connection, List};
use super::errors::{Result, UserError, outcome};
use super::export::ExportFile;
use super::node::Key;
use super::scalars::{DateTime, at, int};
use super::schema::{access, reader};
use super::words::{JobKind, JobState};

/// Work that is done behind the request.
pub struct Job {
    row: jobs::Job,
    result: Option<Box<JobResult>>,
    sees_personal_data: bool,
}

impl Job {
    /// A job as `access` may see it.
    pub(super) fn new(row: jobs::Job, access: Result<&Access>) -> Result<Self> {
        let access = access?;
        let result = row.result.clone().and_then(|result| JobResult::read(row.kind, result, access)).map(Box::new);
        Ok(Self { row, result, sees_personal_data: access.subject().sees_personal_data() })
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
    async fn result(&self) -> Option<&JobResult> {
        self.result.as_deref()
    }

    /// Who wanted it, as in the audit log: `user:1`, `token:2`.
    async fn created_by(&self) -> &str {
        &self.row.created_by
    }
}

/// What came of a job.
#[derive(Default, SimpleObject)]
pub struct JobResult {
    /// The file that an export made. Null for those who may not see personal data.
    file: Option<ExportFile>,
    /// The campaign that was worked on.
    campaign: Option<Campaign>,
    /// Recipients that are new.
    added: Option<i32>,
    /// Recipients that were there, and about whom something new was said.
    updated: Option<i32>,
    /// Recipients that were there just so.
    unchanged: Option<i32>,
    /// Recipients that are not to be sent to: doubles, invalid and blocked addresses.
    skipped: Option<i32>,
    /// Lines of a file that made no recipient.
    rejected: Option<i32>,
}

impl JobResult {
    /// What a job of this kind has left, as `access` may see it. A kind that leaves something has a line here.
    fn read(kind: jobs::JobKind, result: Value, access: &Access) -> Option<Self> {
        match kind {
            jobs::JobKind::Import => serde_json::from_value::<ImportResult>(result).ok().map(Self::from),
            jobs::JobKind::Export => {
                let file = serde_json::from_value(result).ok();
                Some(Self { file: file.and_then(|file| ExportFile::new(file, access)), ..Self::default() })
            }
            _ => None,
        }
    }
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
