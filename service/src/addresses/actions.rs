//! What people do about sets of addresses: each is a job that walks over the set, and each address is audited.

use domain::Timestamp;
use domain::health::{AddressHealth, BlockReason};
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};

use super::set::{AddressSet, StoredSet};
use super::state::{self, State};
use crate::access::{Marketer, Services};
use crate::apply::create;
use crate::audit;
use crate::batch::{Batch, Column};
use crate::db::is_postgres;
use crate::error::{Refusal, Result};
use crate::jobs::{self, ClaimedJob, Job, JobKind, JobProgress, NewJob, Queue};
use crate::settings;
use crate::skipped::Skipped;

/// As many addresses are dealt with in one transaction.
const CHUNK: usize = 1_000;
/// The longest reason for blocking, in characters.
const MAX_NOTE: usize = 500;

/// What an action's job needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    set: StoredSet,
    /// Why somebody blocks them.
    note: Option<String>,
    /// Addresses that were named and that nobody knows.
    unknown: i64,
}

/// How far an action is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Position {
    after: i64,
    total: i64,
    changed: i64,
    unchanged: i64,
    skipped: Vec<Skipped>,
}

/// What an action did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Acted {
    /// Addresses that were changed.
    pub changed: i64,
    /// Addresses that were so already.
    pub unchanged: i64,
    /// Addresses that were left out, and why.
    pub skipped: Vec<Skipped>,
}

impl Marketer {
    /// Has the bounces of addresses forgotten and their blocks lifted. Former employees and addresses that were taken out of use are
    /// only cleared where they are named, or the filter asks for that reason.
    ///
    /// # Errors
    /// A refusal for what is no set; those of the database.
    pub async fn clear_bounces(&self, set: AddressSet) -> Result<Job> {
        self.act(JobKind::ClearBounces, set, None).await
    }

    /// Has addresses blocked until somebody clears them. Addresses that are named and not known yet are blocked beforehand.
    ///
    /// # Errors
    /// As [`Marketer::clear_bounces`]; a refusal for a reason that is too long.
    pub async fn block_addresses(&self, set: AddressSet, note: Option<String>) -> Result<Job> {
        let note = note.map(|note| note.trim().to_owned()).filter(|note| !note.is_empty());
        let length = note.as_ref().map_or(0, |note| note.chars().count());
        if length > MAX_NOTE {
            let size = (length, MAX_NOTE, "characters");
            return Err(Refusal::exceeds(&["reason"], "the reason", size, "shorten it").into());
        }
        self.act(JobKind::BlockAddresses, set, note).await
    }

    /// Has addresses taken out of use: never written to again, and no longer among the blocked ones unless asked for. What became of
    /// mails to them stays, and clearing brings them back.
    ///
    /// # Errors
    /// As [`Marketer::clear_bounces`].
    pub async fn delete_addresses(&self, set: AddressSet) -> Result<Job> {
        self.act(JobKind::DeleteAddresses, set, None).await
    }

    /// Has addresses marked as those of people who have left their company.
    ///
    /// # Errors
    /// As [`Marketer::clear_bounces`].
    pub async fn mark_former_employees(&self, set: AddressSet) -> Result<Job> {
        self.act(JobKind::MarkFormerEmployees, set, None).await
    }

    /// Notes that the users of addresses have consented anew after a complaint.
    ///
    /// # Errors
    /// As [`Marketer::clear_bounces`].
    pub async fn restore_consent(&self, set: AddressSet) -> Result<Job> {
        self.act(JobKind::RestoreConsent, set, None).await
    }

    async fn act(&self, kind: JobKind, set: AddressSet, note: Option<String>) -> Result<Job> {
        set.check(&self.subject)?;
        let now = self.services.now();
        let transaction = self.services.db.begin_keyed().await?;
        if let (JobKind::BlockAddresses, AddressSet::Emails(emails)) = (kind, &set) {
            let keys: Vec<String> = emails.iter().map(|email| email.key().to_owned()).collect();
            create::addresses(&transaction, &keys, now).await?;
        }
        let (set, unknown) = StoredSet::find(&transaction, set).await?;
        // What was named is short, and somebody waits for it.
        let queue = if set.is_named() { Queue::Interactive } else { kind.queue() };
        let payload = serde_json::to_value(Payload { set, note, unknown })?;
        let job = NewJob { queue, ..NewJob::new(kind, payload, &self.subject.id, now) };
        let job = jobs::enqueue(&transaction, job, now).await?;
        let action = format!("addresses.{}", kind.as_str().to_lowercase());
        audit::record(&transaction, now, &self.subject, &action, format!("job:{job}"), None).await?;
        let job = jobs::get(&transaction, job).await?;
        transaction.commit().await?;
        self.services.jobs_were_added();
        Ok(job)
    }
}

/// Does an action's job, from where it was left.
///
/// # Errors
/// [`JobLost`](crate::ServiceError::JobLost); those of the database.
pub async fn run(services: &Services, job: &ClaimedJob) -> Result<Acted> {
    let payload: Payload = serde_json::from_value(job.payload.clone())?;
    let mut position = match &job.position {
        Some(position) => serde_json::from_value(position.clone())?,
        None => begin(services, &payload).await?,
    };
    loop {
        let now = services.now();
        let transaction = services.db.begin_keyed().await?;
        let ids = payload.set.next(&transaction, position.after, CHUNK).await?;
        let last = ids.last().copied();
        let states = lock(&transaction, ids).await?;
        let settings = settings::load(&transaction).await?;
        let mut changed = Vec::with_capacity(states.len());
        for mut state in states {
            match act(job.kind, &payload, &mut state, now) {
                Decision::Change => {
                    state.judge(&settings.policy, now, None);
                    changed.push(state);
                }
                Decision::Leave => position.unchanged += 1,
                Decision::Skip(reason) => Skipped::add(&mut position.skipped, reason, &state.id.to_string()),
            }
        }
        state::write_marks(&transaction, &changed).await?;
        state::follow_up(&transaction, &changed, &settings, &job.created_by, Some(job.id), now).await?;
        position.changed += i64::try_from(changed.len()).unwrap_or_default();
        let progress = position.progress();
        match last {
            Some(last) => {
                position.after = last;
                jobs::checkpoint(&transaction, services, job, progress, &position).await?;
                transaction.commit().await?;
            }
            None => {
                let acted =
                    Acted { changed: position.changed, unchanged: position.unchanged, skipped: position.skipped };
                jobs::finish(&transaction, services, job, progress, &acted).await?;
                transaction.commit().await?;
                services.jobs_were_added();
                return Ok(acted);
            }
        }
    }
}

async fn begin(services: &Services, payload: &Payload) -> Result<Position> {
    let total = payload.set.count(services.db.read()).await? + payload.unknown;
    let mut position = Position { total, ..Position::default() };
    for _ in 0..payload.unknown {
        Skipped::add(&mut position.skipped, "UNKNOWN_ADDRESS", "");
    }
    Ok(position)
}

impl Position {
    fn progress(&self) -> JobProgress {
        let skipped = Skipped::total(&self.skipped);
        let done = self.changed + self.unchanged + skipped;
        JobProgress { done, total: Some(self.total.max(done)), skipped }
    }
}

/// What becomes of an address of the set.
enum Decision {
    Change,
    Leave,
    Skip(&'static str),
}

/// Marks an address, where that changes anything.
fn act(kind: JobKind, payload: &Payload, state: &mut State, now: Timestamp) -> Decision {
    match kind {
        JobKind::ClearBounces => return clear(&payload.set, state, now),
        JobKind::BlockAddresses if state.marks.blocked_at.is_none() => {
            state.marks.blocked_at = Some(now);
            state.note.clone_from(&payload.note);
        }
        JobKind::DeleteAddresses if state.marks.deleted_at.is_none() => state.marks.deleted_at = Some(now),
        JobKind::MarkFormerEmployees if state.marks.former_employee_at.is_none() => {
            state.marks.former_employee_at = Some(now);
        }
        JobKind::RestoreConsent if state.consent.is_withdrawn() => state.consent.given_at = Some(now),
        _ => return Decision::Leave,
    }
    Decision::Change
}

fn clear(set: &StoredSet, state: &mut State, now: Timestamp) -> Decision {
    if let StoredSet::Where(filter) = set {
        let is_kept = |mark: Option<Timestamp>, reason| mark.is_some() && !filter.reasons.contains(&reason);
        if is_kept(state.marks.former_employee_at, BlockReason::FormerEmployee) {
            return Decision::Skip(BlockReason::FormerEmployee.as_str());
        }
        if is_kept(state.marks.deleted_at, BlockReason::Deleted) {
            return Decision::Skip(BlockReason::Deleted.as_str());
        }
    }
    if state.judgement().health == AddressHealth::Ok {
        return Decision::Leave;
    }
    state.marks.cleared_at = Some(now);
    (state.marks.blocked_at, state.marks.former_employee_at, state.marks.deleted_at) = (None, None, None);
    state.note = None;
    Decision::Change
}

/// Locks addresses in the order of their ids.
pub(crate) async fn lock<C: ConnectionTrait>(connection: &C, ids: Vec<i64>) -> Result<Vec<State>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut batch = Batch::new(&[("id", Column::Big)]);
    ids.into_iter().for_each(|id| batch.push([id.into()]));
    let lock = if is_postgres(connection) { "FOR UPDATE OF address" } else { "" };
    let sql = format!(
        "SELECT {} FROM {{rows}} CROSS JOIN address WHERE address.id = rows.id ORDER BY address.id {lock}",
        state::COLUMNS
    );
    let rows = batch.query(connection, &sql, []).await?;
    Ok(rows.iter().map(|row| state::read(row, 0)).collect::<Result<_, _>>()?)
}

#[cfg(test)]
#[path = "actions_tests.rs"]
mod tests;
