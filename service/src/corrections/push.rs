//! The CRM is told of corrections, each with a precondition: the address must be what it was. Where it is another one by now, that is a
//! conflict for people to solve.
//!
//! What is about to be told is marked beforehand. Where an answer was lost, the person is read before anything is told again.

use domain::correction::{CorrectionState, PushState};
use domain::crm::{CrmError, EmailChange};
use domain::email::key_of;
use domain::text::cut;
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Value};
use serde::{Deserialize, Serialize};

use super::object;
use crate::access::Services;
use crate::audit;
use crate::batch::{Batch, Column};
use crate::crm::outcome::MAX_MESSAGE;
use crate::db::{execute, query_all};
use crate::error::{Result, ServiceError};
use crate::jobs::{self, ClaimedJob, JobProgress};
use crate::subject::Subject;

/// As many corrections are marked as being told at once.
const MARKED: usize = 20;

/// What came of telling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pushed {
    /// Addresses that the CRM has now.
    pub pushed: i64,
    /// Addresses that are others there by now.
    pub conflicts: i64,
    /// Addresses that the CRM does not take.
    pub failed: i64,
}

/// What came of the corrections before.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Position {
    pushed: Pushed,
}

/// A correction that is being told.
struct Marked {
    id: i64,
    is_in_doubt: bool,
    person: Option<(i64, String)>,
    old_key: String,
    /// As the CRM writes it, as far as we know; nothing where the new one is to be added.
    old: Option<String>,
    new: String,
    new_key: String,
    /// The other addresses that we know of the person, by their keys.
    others: Vec<String>,
}

/// What the CRM says.
enum Outcome {
    Pushed,
    Conflict(Option<String>),
    Failed(String),
}

/// Does a job: tells what nobody else tells.
///
/// # Errors
/// [`JobLost`](crate::ServiceError::JobLost); [`Later`](crate::ServiceError::Later) where the CRM cannot be reached; a refusal where it does
/// not let us in; those of the database.
pub async fn run(services: &Services, job: &ClaimedJob) -> Result<Pushed> {
    let mut position: Position = job.position.clone().map(serde_json::from_value).transpose()?.unwrap_or_default();
    loop {
        let marked = mark(services, job, &position).await?;
        if marked.is_empty() {
            let transaction = services.db.begin().await?;
            jobs::finish(&transaction, services, job, progress(position.pushed), &position.pushed).await?;
            transaction.commit().await?;
            return Ok(position.pushed);
        }
        for correction in marked {
            let outcome = match tell(services, &correction).await {
                Ok(outcome) => outcome,
                Err(error) => return Err(put_back(services, &correction, error).await?),
            };
            let transaction = services.db.begin().await?;
            note(&transaction, services, &correction, &outcome).await?;
            match outcome {
                Outcome::Pushed => position.pushed.pushed += 1,
                Outcome::Conflict(_) => position.pushed.conflicts += 1,
                Outcome::Failed(_) => position.pushed.failed += 1,
            }
            jobs::checkpoint(&transaction, services, job, progress(position.pushed), &position).await?;
            transaction.commit().await?;
        }
    }
}

const fn progress(pushed: Pushed) -> JobProgress {
    let skipped = pushed.conflicts + pushed.failed;
    JobProgress { done: pushed.pushed + skipped, total: None, skipped }
}

/// Marks the next as being told, and takes what was left in doubt, by this job before it was killed or by one that will not go on.
async fn mark(services: &Services, job: &ClaimedJob, position: &Position) -> Result<Vec<Marked>> {
    let transaction = services.db.begin_keyed().await?;
    let lock = if services.db.is_postgres() { "FOR UPDATE OF k SKIP LOCKED" } else { "" };
    let (pending, pushing) = (PushState::Pending.code(), PushState::Pushing.code());
    let sql = format!(
        "SELECT k.id, k.push FROM correction k WHERE k.push IN ({pending}, {pushing}) AND (k.push = {pending} OR k.push_job IS NULL \
            OR k.push_job = $1 OR NOT {}) ORDER BY k.id LIMIT {MARKED} {lock}",
        jobs::is_active("k.push_job"),
    );
    let rows = query_all(&transaction, &sql, [job.id.into()]).await?;
    let mut batch = Batch::new(&[("id", Column::Big), ("is_in_doubt", Column::Bool)]);
    for row in &rows {
        let push: i16 = row.try_get_by_index(1)?;
        batch.push([row.try_get_by_index::<i64>(0)?.into(), (push == pushing).into()]);
    }
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let sql = "SELECT k.id, rows.is_in_doubt, k.person_id, p.crm_id, k.old_key, CASE WHEN k.is_added THEN NULL ELSE COALESCE(k.crm_email, \
            (SELECT e.email FROM person_email e WHERE e.person_id = k.person_id AND e.email_key = k.old_key), k.old_email) END, \
            k.new_email, k.new_key \
         FROM {rows} CROSS JOIN correction k LEFT JOIN person p ON p.id = k.person_id AND p.deleted_at IS NULL \
         WHERE k.id = rows.id ORDER BY k.id";
    let found = batch.clone().query(&transaction, sql, []).await?;
    let mut marked = found.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let sql = "SELECT k.id, e.email_key FROM {rows} CROSS JOIN correction k CROSS JOIN person_email e \
               WHERE k.id = rows.id AND e.person_id = k.person_id AND e.email_key <> k.old_key";
    for row in batch.clone().query(&transaction, sql, []).await? {
        let (id, key): (i64, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        if let Ok(place) = marked.binary_search_by_key(&id, |marked| marked.id)
            && let Some(marked) = marked.get_mut(place)
        {
            marked.others.push(key);
        }
    }
    let sql =
        format!("UPDATE correction SET push = {pushing}, push_job = {{1}} FROM {{rows}} WHERE correction.id = rows.id");
    batch.execute(&transaction, &sql, [job.id.into()]).await?;
    jobs::checkpoint(&transaction, services, job, progress(position.pushed), position).await?;
    transaction.commit().await?;
    Ok(marked)
}

fn read(row: &QueryResult) -> Result<Marked, DbErr> {
    let person: Option<i64> = row.try_get_by_index(2)?;
    Ok(Marked {
        id: row.try_get_by_index(0)?,
        is_in_doubt: row.try_get_by_index(1)?,
        person: person.zip(row.try_get_by_index::<Option<String>>(3)?),
        old_key: row.try_get_by_index(4)?,
        old: row.try_get_by_index(5)?,
        new: row.try_get_by_index(6)?,
        new_key: row.try_get_by_index(7)?,
        others: Vec::new(),
    })
}

/// Tells the CRM, where it does not know it already.
async fn tell(services: &Services, correction: &Marked) -> Result<Outcome, CrmError> {
    let Some((_, person)) = &correction.person else {
        return Ok(Outcome::Failed("the CRM does not know the person (any more)".to_owned()));
    };
    if correction.is_in_doubt && has(&emails(services, person).await?, &correction.new_key).is_some() {
        return Ok(Outcome::Pushed);
    }
    let mut change = EmailChange { person: person.clone(), old: correction.old.clone(), new: correction.new.clone() };
    let mut answer = services.crm.change_email(&change).await;
    if matches!(answer, Err(CrmError::Conflict)) {
        let emails = emails(services, person).await?;
        if has(&emails, &correction.new_key).is_some() {
            return Ok(Outcome::Pushed);
        }
        let known = change.old.as_deref().and_then(|old| has(&emails, &key_of(old)));
        match known.filter(|written| Some(*written) != change.old.as_ref()) {
            // The same address, written in another way.
            Some(written) => {
                change.old = Some(written.clone());
                answer = services.crm.change_email(&change).await;
            }
            None => return Ok(Outcome::Conflict(instead(emails, correction))),
        }
    }
    match answer {
        Ok(()) => Ok(Outcome::Pushed),
        Err(CrmError::Conflict) => Ok(Outcome::Conflict(instead(emails(services, person).await?, correction))),
        Err(CrmError::NotFound) => Ok(Outcome::Failed("the CRM does not know the person (any more)".to_owned())),
        Err(CrmError::Refused(reason)) => Ok(Outcome::Failed(reason)),
        Err(error) => Err(error),
    }
}

/// The address that the CRM has in the place of the old one: one that we did not know. The others of the person are none of this
/// correction's business.
fn instead(emails: Vec<String>, correction: &Marked) -> Option<String> {
    emails.into_iter().find(|email| !correction.others.contains(&key_of(email)))
}

/// The addresses of a person, as they stand in the CRM.
async fn emails(services: &Services, person: &str) -> Result<Vec<String>, CrmError> {
    Ok(services.crm.person(person).await?.map(|person| person.emails).unwrap_or_default())
}

fn has<'a>(emails: &'a [String], key: &str) -> Option<&'a String> {
    emails.iter().find(|email| key_of(email) == key)
}

/// What certainly did not happen is to be told anew; what may have happened stays in doubt.
async fn put_back(services: &Services, correction: &Marked, error: CrmError) -> Result<ServiceError> {
    if !error.may_have_happened() && !correction.is_in_doubt {
        let sql = "UPDATE correction SET push = $2 WHERE id = $1";
        execute(services.db.write(), sql, [correction.id.into(), PushState::Pending.code().into()]).await?;
    }
    Ok(error.into())
}

/// Writes down what the CRM said.
async fn note<C: ConnectionTrait>(
    connection: &C,
    services: &Services,
    correction: &Marked,
    outcome: &Outcome,
) -> Result<()> {
    let (state, push, error, crm_email) = match outcome {
        Outcome::Pushed => (CorrectionState::Applied, PushState::Pushed, None, None),
        Outcome::Conflict(email) => (CorrectionState::Conflict, PushState::Conflict, None, email.clone()),
        Outcome::Failed(reason) => (CorrectionState::Applied, PushState::Failed, Some(cut(reason, MAX_MESSAGE)), None),
    };
    let sql = "UPDATE correction SET state = $2, push = $3, push_error = $4, crm_email = $5 WHERE id = $1 AND push IN ($6, $7)";
    let values: [Value; 7] = [
        correction.id.into(),
        state.code().into(),
        push.code().into(),
        error.into(),
        crm_email.into(),
        PushState::Pending.code().into(),
        PushState::Pushing.code().into(),
    ];
    if execute(connection, sql, values).await?.rows_affected() == 0 {
        return Ok(());
    }
    if state == CorrectionState::Conflict {
        audit::record(
            connection,
            services.now(),
            &Subject::system(),
            "correction.conflict",
            object(correction.id),
            None,
        )
        .await?;
    }
    if let (Outcome::Pushed, Some((person, _))) = (outcome, &correction.person) {
        mirror(connection, *person, correction).await?;
    }
    Ok(())
}

/// Our tables say the same as the CRM now, before it is read the next time.
async fn mirror<C: ConnectionTrait>(connection: &C, person: i64, correction: &Marked) -> Result<()> {
    let Some(old) = correction.old.as_deref().map(key_of) else {
        let sql = "INSERT INTO person_email (person_id, email_key, email, rank) \
                   SELECT $1, $2, $3, COALESCE(max(rank) + 1, 0) FROM person_email WHERE person_id = $1 \
                   ON CONFLICT (person_id, email_key) DO NOTHING";
        let values = [person.into(), correction.new_key.clone().into(), correction.new.clone().into()];
        execute(connection, sql, values).await?;
        // The CRM has told by now that it is gone.
        let sql = "DELETE FROM person_email WHERE person_id = $1 AND email_key = $2";
        execute(connection, sql, [person.into(), correction.old_key.clone().into()]).await?;
        return Ok(());
    };
    let sql = "DELETE FROM person_email WHERE person_id = $1 AND email_key IN ($2, $4) \
               AND EXISTS (SELECT 1 FROM person_email e WHERE e.person_id = $1 AND e.email_key = $3)";
    let values =
        [person.into(), old.clone().into(), correction.new_key.clone().into(), correction.old_key.clone().into()];
    execute(connection, sql, values).await?;
    let sql = "UPDATE person_email SET email_key = $3, email = $4 WHERE person_id = $1 AND email_key = $2";
    let values = [person.into(), old.into(), correction.new_key.clone().into(), correction.new.clone().into()];
    execute(connection, sql, values).await?;
    Ok(())
}
