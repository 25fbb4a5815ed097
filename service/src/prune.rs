//! Removing what is older than it is kept.
//!
//! Each [`Item`] is removed in chunks, each in a transaction of its own: a run that was ended in the middle is simply done again, and
//! finds less. As a job it also keeps what it has removed so far. Campaigns, recipients, clicks, addresses and figures stay; they go
//! with their campaign or person.
//!
//! Events are known by their keys, and with an event its key goes: sent again, it would count again. So it is noted up to when
//! events were removed ([`events::Limit`]), and applying refuses what is older.

pub(crate) mod events;
mod exports;
mod item;
mod table;
#[cfg(test)]
mod tests;
mod uploads;

use std::collections::BTreeMap;

use sea_orm::DatabaseTransaction;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::access::{Admin, Services};
use crate::audit;
use crate::error::Result;
use crate::jobs::{self, ClaimedJob, JobProgress};
use crate::subject::{Role, Subject};
pub use item::Item;

/// As many rows go in one transaction: enough to spread the cost of a commit, few enough to keep nobody waiting.
const CHUNK: i64 = if cfg!(test) { 4 } else { 5_000 };

/// For how many days things are kept; 0: for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Requests of providers, once they have been applied.
    pub deliveries: u32,
    /// Events that matched no recipient.
    pub unmatched_events: u32,
    /// Events; whole months of them. At least [`Retention::LEAST_EVENTS`].
    pub events: u32,
    /// Uploaded files that no import waits for.
    pub uploads: u32,
    /// The lines of imports that made no recipient.
    pub import_reports: u32,
    /// Jobs that are over.
    pub jobs: u32,
    /// The audit log.
    pub audit: u32,
    /// Ticks of the schedule; the latest of each rule stays.
    pub schedule_ticks: u32,
    /// Alerts that are resolved.
    pub alerts: u32,
}

impl Retention {
    /// Events are kept for at least so many days: younger ones need not be compared with what was removed.
    pub const LEAST_EVENTS: u32 = 31;
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            deliveries: 30,
            unmatched_events: 90,
            events: 400,
            uploads: 7,
            import_reports: 90,
            jobs: 90,
            audit: 730,
            schedule_ticks: 30,
            alerts: 400,
        }
    }
}

/// What became of an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pruned {
    /// What it is.
    pub what: &'static str,
    /// For how many days it is kept; `None`: for ever, or until it is over by itself.
    pub kept_days: Option<u32>,
    /// How many were older when they were counted.
    pub older: u64,
    /// How many were removed.
    pub removed: u64,
}

impl Admin {
    /// Removes what is older than it is kept, or only counts it.
    ///
    /// # Errors
    /// Those of the database and the disk. What was removed by then stays removed.
    pub async fn prune(&self, dry_run: bool) -> Result<Vec<Pruned>> {
        if dry_run {
            return count(&self.services).await;
        }
        let mut run = Run { services: &self.services, job: None, removed: BTreeMap::new() };
        run.all().await?;
        run.end(&self.subject).await
    }
}

/// Removes what is older than it is kept, as a job.
///
/// # Errors
/// As [`Admin::prune`]; [`crate::ServiceError::JobLost`] where the job was given to another worker.
pub async fn run_job(services: &Services, job: &ClaimedJob) -> Result<()> {
    let removed = job.position.clone().map(serde_json::from_value).transpose()?.unwrap_or_default();
    let mut run = Run { services, job: Some(job), removed };
    run.all().await?;
    let subject = Subject { id: job.created_by.clone(), name: job.created_by.clone(), role: Role::Admin };
    run.end(&subject).await?;
    Ok(())
}

async fn count(services: &Services) -> Result<Vec<Pruned>> {
    let mut all = Vec::new();
    for item in Item::ALL.iter().copied() {
        let older = match item.cutoff(&services.retention, services.now()) {
            Some(cutoff) => item.count(services, cutoff).await?,
            None => 0,
        };
        all.push(Pruned { what: item.name(), kept_days: item.kept_days(&services.retention), older, removed: 0 });
    }
    Ok(all)
}

/// A run that removes.
pub(crate) struct Run<'a> {
    services: &'a Services,
    job: Option<&'a ClaimedJob>,
    /// How many were removed of each item, by its name; as a job, also by the attempts before.
    removed: BTreeMap<String, u64>,
}

impl Run<'_> {
    async fn all(&mut self) -> Result<()> {
        for item in Item::ALL.iter().copied() {
            if let Some(cutoff) = item.cutoff(&self.services.retention, self.services.now()) {
                item.remove(self, cutoff).await?;
            }
        }
        Ok(())
    }

    /// Commits a chunk, in which so many of an item were removed.
    async fn commit(&mut self, transaction: DatabaseTransaction, item: Item, removed: u64) -> Result<()> {
        let before = self.removed.get(item.name()).copied();
        *self.removed.entry(item.name().to_owned()).or_default() += removed;
        let committed = async {
            if let Some(job) = self.job {
                jobs::checkpoint(&transaction, self.services, job, self.progress(), &self.removed).await?;
            }
            Ok(transaction.commit().await?)
        };
        let result = committed.await;
        if result.is_err() {
            // It was not.
            self.removed.insert(item.name().to_owned(), before.unwrap_or_default());
        }
        result
    }

    fn progress(&self) -> JobProgress {
        let done = self.removed.values().fold(0_u64, |sum, removed| sum.saturating_add(*removed));
        JobProgress { done: i64::try_from(done).unwrap_or(i64::MAX), total: None, skipped: 0 }
    }

    /// Notes the whole run, once.
    async fn end(self, subject: &Subject) -> Result<Vec<Pruned>> {
        let Self { services, job, removed } = &self;
        let pruned = |item: &Item| {
            let removed = removed.get(item.name()).copied().unwrap_or_default();
            let kept_days = item.kept_days(&services.retention);
            Pruned { what: item.name(), kept_days, older: removed, removed }
        };
        let all: Vec<Pruned> = Item::ALL.iter().map(pruned).collect();
        let transaction = services.db.begin().await?;
        let object = "retention:all".to_owned();
        let detail = json!({ "removed": removed });
        audit::record(&transaction, services.now(), subject, "retention.applied", object, Some(detail)).await?;
        if let Some(job) = job {
            jobs::finish(&transaction, services, job, self.progress(), &json!({ "removed": removed })).await?;
        }
        transaction.commit().await?;
        Ok(all)
    }
}
