//! Pages of jobs, the latest first. They are read forward only.

use super::{Count, List, Order, Page, PageArgs, Place};
use crate::access::Reader;
use crate::error::{Refusal, RefusalCode, Result};
use crate::jobs::{Job, JobFilter, JobKind, JobState};
use crate::recipients::sql::Sql;

impl Reader {
    /// A page of jobs.
    ///
    /// # Errors
    /// Refusals for what cannot be asked for; those of the database.
    pub async fn job_page(&self, filter: &JobFilter, args: &PageArgs) -> Result<Page<Job>> {
        let scope = serde_json::to_string(&("jobs", filter.kind.map(JobKind::code), filter.state.map(JobState::code)))?;
        let window = args.window(&self.services.cursor_key, &scope)?;
        if window.backward || window.far.is_some() {
            return Err(Refusal::new(RefusalCode::Invalid, "jobs are read forward only: give first and after").into());
        }
        let before = window.near.as_ref().map(|place| place.1);
        let limit = u32::try_from(window.size + 1).unwrap_or(u32::MAX);
        let mut rows = self.jobs(filter, before, limit).await?;
        let has_next = rows.len() > window.size;
        rows.truncate(window.size);
        Ok(Page {
            has_next,
            has_previous: before.is_some(),
            places: rows.iter().map(|job| Place(None, job.id)).collect(),
            rows,
            scope,
            key: self.services.cursor_key.clone(),
        })
    }

    /// How many jobs a filter finds.
    ///
    /// # Errors
    /// As [`Reader::job_page`].
    pub async fn count_jobs(&self, filter: &JobFilter, max: i64) -> Result<Count> {
        let mut condition = Sql::new("TRUE");
        for (column, code) in [("kind", filter.kind.map(JobKind::code)), ("state", filter.state.map(JobState::code))] {
            if let Some(code) = code {
                condition.push(" AND ").push(column).push(" = ").bind(code);
            }
        }
        let order = Order { sort: None, id: "id", descending: true };
        List { columns: &[], from: "job", condition, order, scope: String::new() }.count(&self.services, max).await
    }
}
