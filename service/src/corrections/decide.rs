//! Applying corrections, one or many in a transaction: they are checked, written down and audited, and jobs are added for what follows.
//!
//! Locks are taken on the addresses, in the order of their ids. The recipients are changed by a job (see [`super::follow`]).

use std::collections::{HashMap, HashSet};

use domain::Timestamp;
use domain::correction::{CorrectionSource, CorrectionState, PushState};
use domain::email::EmailAddress;
use domain::health::AddressHealth;
use sea_orm::{ConnectionTrait, DbErr, QueryResult};

use super::follow;
use super::row::{self, ADDRESSES, CorrectionRow};
use super::{applied, object};
use crate::addresses::actions::lock;
use crate::addresses::state::{self, State};
use crate::apply::create;
use crate::batch::{Batch, Column};
use crate::db::{is_postgres, query_one};
use crate::error::Result;
use crate::jobs::{self, JobKind, NewJob};
use crate::settings;

/// A correction that somebody wants.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// The address that is wrong, as it was given.
    pub old_email: String,
    /// Its key.
    pub old_key: String,
    /// The address instead.
    pub new: EmailAddress,
    /// Whose it is, where that was said.
    pub person: Option<i64>,
    /// Why, where that was said.
    pub reason: Option<String>,
    /// The suggestion that is accepted by it.
    pub suggestion: Option<i64>,
}

/// On whose behalf.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms<'a> {
    pub source: CorrectionSource,
    pub subject: &'a str,
    /// The job that reads a file.
    pub job: Option<i64>,
    pub now: Timestamp,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is this correction now.
    Applied(i64),
    /// That was done before, and nobody has the old address any more.
    Unchanged,
    /// It cannot be.
    Refused(Why),
}

/// Why a correction cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Both addresses are the same.
    Same,
    /// Nobody knows the old address.
    Unknown,
    /// There is no such person, or the person does not have the old address.
    NotThePersons,
    /// The new address is blocked.
    Blocked,
    /// The same file corrects the address to another one.
    Twice,
    /// Somebody has decided on the suggestion meanwhile.
    Decided,
}

impl Why {
    /// For people, without the addresses.
    pub(super) const fn message(self) -> &'static str {
        match self {
            Self::Same => "the new address is the old one",
            Self::Unknown => "nobody has the old address: neither a recipient nor a person in the CRM",
            Self::NotThePersons => "there is no such person, or this address is not theirs",
            Self::Blocked => "the new address is blocked: clear it first, if it is right all the same",
            Self::Twice => "the file corrects this address to another one as well",
            Self::Decided => "this was decided on meanwhile",
        }
    }
}

/// What is known about a correction that is wanted.
struct Known {
    old: Option<i64>,
    is_persons: bool,
    person: Option<i64>,
    /// What the old address was corrected to last, by which job, and whether the CRM did not take it.
    before: Option<Before>,
    /// Recipients who would follow.
    has_followers: bool,
}

/// The last correction of an address.
struct Before {
    new_key: String,
    job: Option<i64>,
    has_failed: bool,
}

/// Applies corrections, in the caller's transaction, which must be one that looks up by keys; says what came of each, in their order.
///
/// # Errors
/// Those of the database.
pub(super) async fn apply<C: ConnectionTrait>(
    connection: &C,
    wanted: &[Wanted],
    terms: Terms<'_>,
) -> Result<Vec<Verdict>> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let known = look_up(connection, wanted).await?;
    let mut first: HashMap<&str, &str> = HashMap::new();
    let mut verdicts: Vec<Option<Verdict>> = Vec::with_capacity(wanted.len());
    for (wanted, known) in wanted.iter().zip(&known) {
        let verdict = judge(wanted, known, first.get(wanted.old_key.as_str()).copied(), terms.job);
        if verdict.is_none() {
            first.insert(&wanted.old_key, wanted.new.key());
        }
        verdicts.push(verdict);
    }
    let open: Vec<(usize, &Wanted, &Known)> = wanted
        .iter()
        .zip(&known)
        .enumerate()
        .filter(|(place, _)| matches!(verdicts.get(*place), Some(None)))
        .map(|(place, (wanted, known))| (place, wanted, known))
        .collect();
    let addresses = Addresses::lock(connection, &open, terms.now).await?;
    let mut accepted = Vec::with_capacity(open.len());
    for (place, wanted, known) in open {
        let new = addresses.get(wanted.new.key());
        let is_blocked = new.is_some_and(|new| new.judgement().health == AddressHealth::Blocked);
        if is_blocked {
            set(&mut verdicts, place, Verdict::Refused(Why::Blocked));
            continue;
        }
        accepted.push(Accepted { place, wanted, known, new_id: new.map(|new| new.id) });
    }
    let ids = write(connection, &accepted, terms).await?;
    let mut done = Vec::with_capacity(accepted.len());
    for correction in accepted {
        match ids.get(correction.wanted.old_key.as_str()) {
            Some(id) => {
                set(&mut verdicts, correction.place, Verdict::Applied(*id));
                done.push((*id, correction));
            }
            None => set(&mut verdicts, correction.place, Verdict::Refused(Why::Decided)),
        }
    }
    addresses.carry_consent(connection, &done, terms).await?;
    conclude(connection, &done, terms).await?;
    Ok(verdicts.into_iter().map(|verdict| verdict.unwrap_or(Verdict::Unchanged)).collect())
}

fn set(verdicts: &mut [Option<Verdict>], place: usize, verdict: Verdict) {
    if let Some(slot) = verdicts.get_mut(place) {
        *slot = Some(verdict);
    }
}

/// What can be said without looking at the new address; `None`: nothing speaks against it so far.
fn judge(wanted: &Wanted, known: &Known, same_file: Option<&str>, job: Option<i64>) -> Option<Verdict> {
    let new = wanted.new.key();
    if wanted.old_key == new {
        return Some(Verdict::Refused(Why::Same));
    }
    // The same line again, or another one about the same address; in an earlier part of the file as well.
    let by_this_file =
        known.before.as_ref().filter(|before| job.is_some() && before.job == job).map(|before| before.new_key.as_str());
    match same_file.or(by_this_file) {
        Some(other) if other == new => return Some(Verdict::Unchanged),
        Some(_) => return Some(Verdict::Refused(Why::Twice)),
        None => {}
    }
    if wanted.person.is_some() && known.person.is_none() {
        return Some(Verdict::Refused(Why::NotThePersons));
    }
    if known.old.is_none() && !known.is_persons {
        return Some(Verdict::Refused(Why::Unknown));
    }
    let was_done = known.before.as_ref().is_some_and(|before| before.new_key == new);
    // The CRM is asked once more where it did not take it, or where somebody says whose address it is.
    let is_for_crm =
        known.is_persons && (wanted.person.is_some() || known.before.as_ref().is_some_and(|before| before.has_failed));
    (was_done && !known.has_followers && !is_for_crm).then_some(Verdict::Unchanged)
}

const PAIR: &[(&str, Column)] = &[("place", Column::Big), ("old_key", Column::Text), ("person_id", Column::Big)];

async fn look_up<C: ConnectionTrait>(connection: &C, wanted: &[Wanted]) -> Result<Vec<Known>> {
    let mut batch = Batch::new(PAIR);
    for (place, wanted) in (0_i64..).zip(wanted) {
        batch.push([place.into(), wanted.old_key.clone().into(), wanted.person.into()]);
    }
    let (applied, movable) = (applied(), follow::movable());
    let last = |column: &str| {
        format!(
            "(SELECT l.{column} FROM correction l WHERE l.old_key = rows.old_key AND l.state IN {applied} \
             ORDER BY l.decided_at DESC, l.id DESC LIMIT 1)"
        )
    };
    let sql = format!(
        "SELECT o.id, \
            EXISTS (SELECT 1 FROM person_email e JOIN person p ON p.id = e.person_id \
                WHERE e.email_key = rows.old_key AND p.deleted_at IS NULL), \
            CASE WHEN rows.person_id IS NULL \
                THEN (SELECT p.id FROM person_email e JOIN person p ON p.id = e.person_id \
                    WHERE e.email_key = rows.old_key AND p.deleted_at IS NULL ORDER BY p.is_former_employee, p.id LIMIT 1) \
                ELSE (SELECT p.id FROM person_email e JOIN person p ON p.id = e.person_id \
                    WHERE e.person_id = rows.person_id AND e.email_key = rows.old_key AND p.deleted_at IS NULL) END, \
            {}, {}, {}, \
            EXISTS (SELECT 1 FROM recipient r JOIN campaign c ON c.id = r.campaign_id WHERE r.address_id = o.id AND {movable}) \
         FROM {{rows}} LEFT JOIN address o ON o.email_key = rows.old_key ORDER BY rows.place",
        last("new_key"),
        last("job_id"),
        last("push"),
    );
    let rows = batch.query(connection, &sql, []).await?;
    let read = |row: &QueryResult| -> Result<Known, DbErr> {
        let (job, push): (Option<i64>, Option<i16>) = (row.try_get_by_index(4)?, row.try_get_by_index(5)?);
        let has_failed = push == Some(PushState::Failed.code());
        let before = row.try_get_by_index::<Option<String>>(3)?;
        Ok(Known {
            old: row.try_get_by_index(0)?,
            is_persons: row.try_get_by_index(1)?,
            person: row.try_get_by_index(2)?,
            before: before.map(|new_key| Before { new_key, job, has_failed }),
            has_followers: row.try_get_by_index(6)?,
        })
    };
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

/// A correction against which nothing speaks.
#[derive(Clone, Copy)]
struct Accepted<'a> {
    place: usize,
    wanted: &'a Wanted,
    known: &'a Known,
    new_id: Option<i64>,
}

impl Accepted<'_> {
    const fn push(&self) -> PushState {
        if self.known.person.is_some() { PushState::Pending } else { PushState::None }
    }
}

/// The addresses, old and new, under lock.
struct Addresses {
    by_key: HashMap<String, State>,
    by_id: HashMap<i64, String>,
}

impl Addresses {
    /// Makes the new ones that there are not yet: nothing is known about them, so they begin anew.
    async fn lock<C: ConnectionTrait>(
        connection: &C,
        open: &[(usize, &Wanted, &Known)],
        now: Timestamp,
    ) -> Result<Self> {
        if open.is_empty() {
            return Ok(Self { by_key: HashMap::new(), by_id: HashMap::new() });
        }
        let new: HashSet<String> = open.iter().map(|(_, wanted, _)| wanted.new.key().to_owned()).collect();
        let ids = create::addresses(connection, &new, now).await?;
        let mut by_id: HashMap<i64, String> = ids.into_iter().map(|(key, id)| (id, key)).collect();
        by_id.extend(open.iter().filter_map(|(_, wanted, known)| Some((known.old?, wanted.old_key.clone()))));
        let mut wanted: Vec<i64> = by_id.keys().copied().collect();
        wanted.sort_unstable();
        let states = lock(connection, wanted).await?;
        let keyed = states.into_iter().filter_map(|state| Some((by_id.get(&state.id)?.clone(), state)));
        Ok(Self { by_key: keyed.collect(), by_id })
    }

    fn get(&self, key: &str) -> Option<&State> {
        self.by_key.get(key)
    }

    /// Who complained goes on being left alone, also at another address: health begins anew, consent does not.
    async fn carry_consent<C: ConnectionTrait>(
        mut self,
        connection: &C,
        done: &[(i64, Accepted<'_>)],
        terms: Terms<'_>,
    ) -> Result<()> {
        let mut changed: Vec<State> = Vec::new();
        for (_, correction) in done {
            let Some(old) =
                correction.known.old.and_then(|id| self.by_id.get(&id)).and_then(|key| self.by_key.get(key))
            else {
                continue;
            };
            let complained = old.consent.complained_at.filter(|_| old.consent.is_withdrawn());
            let Some(mut new) = complained.and_then(|_| self.by_key.remove(correction.wanted.new.key())) else {
                continue;
            };
            new.consent.complained_at = new.consent.complained_at.max(complained);
            new.complained_at = new.complained_at.or(complained);
            changed.push(new);
        }
        if changed.is_empty() {
            return Ok(());
        }
        changed.sort_by_key(|state| state.id);
        state::write_reported(connection, &changed).await?;
        let settings = settings::load(connection).await?;
        state::follow_up(connection, &changed, &settings, terms.subject, terms.job, terms.now).await
    }
}

/// Writes them down; the ids by the keys of the old addresses. What is missing was decided on by somebody else.
async fn write<C: ConnectionTrait>(
    connection: &C,
    accepted: &[Accepted<'_>],
    terms: Terms<'_>,
) -> Result<HashMap<String, i64>> {
    let (mut batch, mut suggested) = (row::batch(), row::batch());
    for correction in accepted {
        let wanted = correction.wanted;
        let row = CorrectionRow {
            id: wanted.suggestion,
            old_email: &wanted.old_email,
            old_key: &wanted.old_key,
            new: &wanted.new,
            person: correction.known.person,
            reason: wanted.reason.as_deref(),
            push: correction.push(),
            suggestion: None,
        };
        row.push_to(if wanted.suggestion.is_some() { &mut suggested } else { &mut batch });
    }
    let mut rows = Vec::new();
    let (state, now) = (CorrectionState::Applied.code(), terms.now.micros());
    if !batch.is_empty() {
        let sql = format!(
            "INSERT INTO correction ({ADDRESSES}, person_id, reason, push, state, source, job_id, created_by, created_at, \
                decided_by, decided_at) \
             SELECT {ADDRESSES}, person_id, reason, push, {{1}}, {{2}}, {{3}}, {{4}}, {{5}}, {{4}}, {{5}} FROM {{rows}} \
             WHERE true RETURNING old_key, id"
        );
        let more = [state.into(), terms.source.code().into(), terms.job.into(), terms.subject.into(), now.into()];
        rows = batch.query(connection, &sql, more).await?;
    }
    if !suggested.is_empty() {
        let sql = format!(
            "UPDATE correction SET state = {{1}}, person_id = rows.person_id, reason = rows.reason, push = rows.push, \
                decided_by = {{2}}, decided_at = {{3}} FROM {{rows}} \
             WHERE correction.id = rows.id AND correction.state = {} RETURNING correction.old_key, correction.id",
            CorrectionState::Suggested.code()
        );
        rows.extend(suggested.query(connection, &sql, [state.into(), terms.subject.into(), now.into()]).await?);
    }
    Ok(rows.iter().map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?))).collect::<Result<_, DbErr>>()?)
}

/// What belongs to corrections that were applied: other suggestions are over, the audit log, the jobs.
async fn conclude<C: ConnectionTrait>(connection: &C, done: &[(i64, Accepted<'_>)], terms: Terms<'_>) -> Result<()> {
    if done.is_empty() {
        return Ok(());
    }
    let mut keys = Batch::new(&[("old_key", Column::Text)]);
    let mut entries = Batch::new(&[("object", Column::Text), ("detail", Column::Text)]);
    for (id, correction) in done {
        keys.push([correction.wanted.old_key.clone().into()]);
        let detail = serde_json::json!({
            "source": terms.source.as_str(), "job": terms.job, "was": correction.known.old, "is": correction.new_id,
        });
        entries.push([object(*id).into(), detail.to_string().into()]);
    }
    // The plus: by the address, not by the state, which all suggestions have in common.
    let sql = format!(
        "UPDATE correction SET state = {}, decided_by = {{1}}, decided_at = {{2}} FROM {{rows}} \
         WHERE correction.old_key = rows.old_key AND +correction.state = {}",
        CorrectionState::Superseded.code(),
        CorrectionState::Suggested.code()
    );
    keys.execute(connection, &sql, [terms.subject.into(), terms.now.micros().into()]).await?;
    let sql = "INSERT INTO audit_entry (at, subject, action, object, detail) \
               SELECT {1}, {2}, 'address.corrected', object, detail FROM {rows}";
    entries.execute(connection, sql, [terms.now.micros().into(), terms.subject.into()]).await?;
    let followed: Vec<i64> = done.iter().filter(|(_, it)| it.known.old.is_some()).map(|(id, _)| *id).collect();
    follow::request(connection, followed, None, terms.subject, terms.now).await?;
    if done.iter().any(|(_, it)| it.push() == PushState::Pending) {
        request_push(connection, terms.subject, terms.now).await?;
    }
    Ok(())
}

/// Has the CRM told, unless a job for that waits already.
pub(super) async fn request_push<C: ConnectionTrait>(connection: &C, subject: &str, now: Timestamp) -> Result<()> {
    // The lock keeps that job from being begun before this transaction is over: it would not see what is told of here.
    let lock = if is_postgres(connection) { "FOR SHARE" } else { "" };
    let sql = format!("SELECT 1 FROM job WHERE kind = $1 AND state = 1 AND position IS NULL LIMIT 1 {lock}");
    let kind = JobKind::PushCorrections;
    if query_one(connection, &sql, [kind.code().into()]).await?.is_none() {
        jobs::enqueue(connection, NewJob::new(kind, serde_json::json!({}), subject, now), now).await?;
    }
    Ok(())
}
