//! Looking at jobs.

use domain::Timestamp;
use entity::job::Column;
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Value};

use super::{JobKind, JobProgress, JobState, kind_of};
use crate::access::Reader;
use crate::db::{query_all, query_one};
use crate::error::{Result, ServiceError};
use crate::subject::Subject;

const COLUMNS: &str = "id, kind, state, done, total, skipped, attempt, run_at, started_at, finished_at, error, result, \
    payload, created_by, created_at";

/// A job as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its key in the database.
    pub id: i64,
    /// What it does.
    pub kind: JobKind,
    /// Where it stands.
    pub state: JobState,
    /// How far it is.
    pub progress: JobProgress,
    /// How often it was begun.
    pub attempts: i32,
    /// When it is due.
    pub run_at: Timestamp,
    /// When it was first begun.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// What came of it.
    pub result: Option<serde_json::Value>,
    /// What it needs to know.
    pub payload: serde_json::Value,
    /// Who wanted it.
    pub created_by: String,
    /// When it was wanted.
    pub created_at: Timestamp,
}

/// Which jobs to list; nothing: all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Of this kind.
    pub kind: Option<JobKind>,
    /// In this state.
    pub state: Option<JobState>,
}

impl Reader {
    /// A job.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn job(&self, id: i64) -> Result<Option<Job>> {
        Ok(find(self.services.db.read(), id).await?.map(|job| job.shown_to(&self.subject)))
    }

    /// Up to `limit` jobs, the newest first; those older than the job `before`, where one is given.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn jobs(&self, filter: &JobFilter, before: Option<i64>, limit: u32) -> Result<Vec<Job>> {
        let mut conditions = vec!["id < $1"];
        let mut values: Vec<Value> = vec![before.unwrap_or(i64::MAX).into(), i64::from(limit).into()];
        let wanted = [("kind", filter.kind.map(JobKind::code)), ("state", filter.state.map(JobState::code))];
        let texts: Vec<String> = wanted
            .into_iter()
            .filter_map(|(column, code)| {
                values.push(code?.into());
                Some(format!("{column} = ${}", values.len()))
            })
            .collect();
        conditions.extend(texts.iter().map(String::as_str));
        let sql = format!("SELECT {COLUMNS} FROM job WHERE {} ORDER BY id DESC LIMIT $2", conditions.join(" AND "));
        let rows = query_all(self.services.db.read(), &sql, values).await?;
        rows.iter().map(|row| Ok(read(row)?.shown_to(&self.subject))).collect()
    }
}

impl Job {
    /// As this subject may see it.
    pub(crate) fn shown_to(self, subject: &Subject) -> Self {
        Self { error: subject.visible(Column::Error, self.error), ..self }
    }
}

/// A job that was just made.
///
/// # Errors
/// Those of the database.
pub(crate) async fn get<C: ConnectionTrait>(connection: &C, id: i64) -> Result<Job> {
    find(connection, id).await?.ok_or_else(|| ServiceError::Inconsistent(format!("job {id} is gone")))
}

pub(super) async fn find<C: ConnectionTrait>(connection: &C, id: i64) -> Result<Option<Job>> {
    let row = query_one(connection, &format!("SELECT {COLUMNS} FROM job WHERE id = $1"), [id.into()]).await?;
    row.as_ref().map(read).transpose()
}

fn read(row: &QueryResult) -> Result<Job> {
    let time = |index| -> Result<Option<Timestamp>, DbErr> {
        Ok(row.try_get_by_index::<Option<i64>>(index)?.map(Timestamp::from_micros))
    };
    let state: i16 = row.try_get_by_index(2)?;
    let unknown = || ServiceError::Inconsistent(format!("a job has the unknown state {state}"));
    let result: Option<String> = row.try_get_by_index(11)?;
    Ok(Job {
        id: row.try_get_by_index(0)?,
        kind: kind_of(row.try_get_by_index(1)?)?,
        state: JobState::from_code(state).ok_or_else(unknown)?,
        progress: JobProgress {
            done: row.try_get_by_index(3)?,
            total: row.try_get_by_index(4)?,
            skipped: row.try_get_by_index(5)?,
        },
        attempts: row.try_get_by_index(6)?,
        run_at: time(7)?.unwrap_or_default(),
        started_at: time(8)?,
        finished_at: time(9)?,
        error: row.try_get_by_index(10)?,
        result: result.as_deref().map(serde_json::from_str).transpose()?,
        payload: serde_json::from_str(&row.try_get_by_index::<String>(12)?)?,
        created_by: row.try_get_by_index(13)?,
        created_at: time(14)?.unwrap_or_default(),
    })
}
