//! Working off what was ordered, from wherever it was left.

use std::collections::HashSet;

use domain::crm::{CrmError, MAX_MEMBERS, Member, NewList};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};
use serde::{Deserialize, Serialize};

use super::{Changed, Payload};
use crate::access::Services;
use crate::batch::{Batch, Column};
use crate::crm::lists::{self, member_table, state, table};
use crate::crm::read_members;
use crate::crm::source::{After, NOT_IN_CRM, REFUSED_BY_CRM, Somebody, UNKNOWN_ADDRESS};
use crate::db::{execute, query_all, query_one};
use crate::error::{Refusal, RefusalCode, Result, ServiceError};
use crate::jobs::{self, ClaimedJob, JobKind, JobProgress};
use crate::skipped::Skipped;

/// As many persons are collected in one transaction.
const CHUNK: i64 = 1_000;
/// Another job for the same list is waited for so long before this one looks again, in seconds.
const WAIT: i64 = 3;
/// So many single refusals in a row are not about persons: the job gives up rather than ask for each of the others.
const MAX_REFUSED: usize = 20;

/// The condition of the index of what is still to be done, as the index has it: SQLite takes it for no other words.
const IS_OPEN: &str = "state <> 3";

/// How many members `$2`, a job, still has in these states on the list `$1`.
pub(in crate::crm) fn sql_of_count(members: &str, states: &[i16]) -> String {
    let states = states.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    format!("SELECT count(*) FROM {members} WHERE list_id = $1 AND job_id = $2 AND state IN ({states}) AND {IS_OPEN}")
}

/// The next members of the list `$1` in this state that are up to the job `$2`, behind the person `$3`.
pub(in crate::crm) fn sql_of_next(members: &str, state: i16, size: usize) -> String {
    format!(
        "SELECT m.person_id, p.crm_id, p.company_id FROM {members} m JOIN person p ON p.id = m.person_id \
         WHERE m.list_id = $1 AND m.job_id = $2 AND m.state = {state} AND m.{IS_OPEN} AND m.person_id > $3 \
         ORDER BY m.person_id LIMIT {size}"
    )
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Step {
    /// It takes the list in hand, and has it made.
    #[default]
    Begin,
    /// It reads who is on the list.
    Read,
    /// It collects who is meant.
    Collect,
    /// It has members added or removed.
    Ask,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Position {
    step: Step,
    after: Option<After>,
    /// All who are meant are noted.
    collected: bool,
    /// Persons for whom there was something to do.
    wanted: i64,
    /// Of these, those for whom it was done.
    done: i64,
    unchanged: i64,
    skipped: Vec<Skipped>,
    /// The list may have been made in the CRM by an earlier try.
    tried: bool,
    reading: Option<read_members::Reading>,
    /// Members that were in doubt when the reading began.
    in_doubt: i64,
    /// As many at most are asked for at once: fewer while the CRM refuses some of them.
    size: Option<usize>,
    /// Persons whom the CRM refused since it last took somebody.
    #[serde(default)]
    refused: Vec<i64>,
    /// Those behind this person are asked for first: up to it the CRM refused all when the job last gave up.
    #[serde(default)]
    behind: i64,
}

/// Does a job, from where it was left.
///
/// # Errors
/// [`ServiceError::JobLost`]; [`ServiceError::Later`] where the CRM cannot be reached, or another job has the list in hand; a refusal of
/// the CRM; those of the database.
pub async fn run(services: &Services, job: &ClaimedJob) -> Result<Changed> {
    let payload: Payload = serde_json::from_value(job.payload.clone())?;
    let position = match &job.position {
        Some(position) => serde_json::from_value(position.clone())?,
        None => {
            let mut position = Position::default();
            (0..payload.persons.unknown()).for_each(|_| Skipped::add(&mut position.skipped, UNKNOWN_ADDRESS, ""));
            position
        }
    };
    let mut work = Work { services, job, payload, position };
    if work.position.step != Step::Begin && !work.has_list_in_hand().await? {
        // It had ended, and another one had the list meanwhile: what was read of it may not be so any more.
        (work.position.step, work.position.reading) = (Step::Begin, None);
    }
    loop {
        match work.position.step {
            Step::Collect => work.collect().await?,
            Step::Begin => work.begin().await?,
            Step::Read => work.read().await?,
            Step::Ask => {
                if let Some(changed) = work.ask().await? {
                    return Ok(changed);
                }
            }
        }
    }
}

struct Work<'a> {
    services: &'a Services,
    job: &'a ClaimedJob,
    payload: Payload,
    position: Position,
}

impl Work<'_> {
    fn removes(&self) -> bool {
        self.job.kind == JobKind::RemoveFromSelection
    }

    fn members(&self) -> &'static str {
        member_table(self.payload.list)
    }

    fn progress(&self) -> JobProgress {
        let skipped = Skipped::total(&self.position.skipped);
        let skipped = skipped + i64::try_from(self.position.refused.len()).unwrap_or(i64::MAX);
        let done = self.position.done + self.position.unchanged + skipped;
        let total = self.position.wanted + self.position.unchanged + skipped;
        JobProgress { done, total: self.position.collected.then_some(total.max(done)), skipped }
    }

    async fn save(&self, transaction: DatabaseTransaction) -> Result<()> {
        jobs::checkpoint(&transaction, self.services, self.job, self.progress(), &self.position).await?;
        Ok(transaction.commit().await?)
    }

    const fn behind_reading(&self) -> Step {
        if self.position.collected { Step::Ask } else { Step::Collect }
    }

    /// Notes the next of those who are meant.
    async fn collect(&mut self) -> Result<()> {
        let transaction = self.services.db.begin_keyed().await?;
        let (somebody, next) = self.payload.persons.next(&transaction, self.position.after, CHUNK).await?;
        let mut persons = Vec::with_capacity(somebody.len());
        for Somebody { person, example, .. } in somebody {
            match person {
                Some(person) => persons.push(person),
                None => Skipped::add(&mut self.position.skipped, NOT_IN_CRM, &example),
            }
        }
        persons.sort_unstable();
        persons.dedup();
        let noted = self.noted(&transaction, &persons).await?;
        persons.retain(|person| !noted.contains(person));
        let count = i64::try_from(persons.len()).unwrap_or(i64::MAX);
        let wanted = self.want(&transaction, persons).await?;
        self.position.wanted += wanted;
        self.position.unchanged += count - wanted;
        (self.position.after, self.position.collected) = (next, next.is_none());
        self.position.step = self.behind_reading();
        self.save(transaction).await
    }

    /// Those of the persons whom this job has noted already: somebody may be several recipients.
    async fn noted<C: ConnectionTrait>(&self, connection: &C, persons: &[i64]) -> Result<HashSet<i64>> {
        if persons.is_empty() {
            return Ok(HashSet::new());
        }
        let noted = if self.removes() { state::UNWANTED } else { state::WANTED };
        let sql = format!(
            "SELECT m.person_id FROM {{rows}} CROSS JOIN {} m WHERE m.list_id = rows.list_id AND m.person_id = rows.person_id \
             AND m.job_id = {{1}} AND m.state = {noted}",
            self.members(),
        );
        let rows = self.keys(persons.iter().copied()).query(connection, &sql, [self.job.id.into()]).await?;
        Ok(rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, DbErr>>()?)
    }

    /// Notes that persons are to be added or removed; says for how many that is something to do.
    async fn want<C: ConnectionTrait>(&self, connection: &C, persons: Vec<i64>) -> Result<i64> {
        if persons.is_empty() {
            return Ok(0);
        }
        let batch = self.keys(persons.into_iter());
        let members = self.members();
        let (wanted, in_doubt, member, unwanted) = (state::WANTED, state::IN_DOUBT, state::MEMBER, state::UNWANTED);
        let more = [self.job.id.into(), self.services.now().micros().into()];
        let changed = if self.removes() {
            let sql = format!(
                "UPDATE {members} SET state = {unwanted}, job_id = {{1}} FROM {{rows}} WHERE {members}.list_id = rows.list_id \
                 AND {members}.person_id = rows.person_id AND {members}.state IN ({wanted}, {member}) AND {{2}} > 0"
            );
            batch.execute(connection, &sql, more).await?
        } else {
            // Somebody whom another job is just adding is left to it; somebody whom another one noted and has not got to is ours now.
            let sql = format!(
                "INSERT INTO {members} (list_id, person_id, state, job_id, added_at) \
                 SELECT list_id, person_id, {wanted}, {{1}}, {{2}} FROM {{rows}} WHERE true \
                 ON CONFLICT (list_id, person_id) DO UPDATE SET state = {wanted}, job_id = excluded.job_id \
                 WHERE {members}.state IN ({wanted}, {unwanted}) OR {members}.state = {in_doubt} AND NOT {}",
                jobs::is_active(&format!("{members}.job_id")),
            );
            batch.execute(connection, &sql, more).await?
        };
        Ok(i64::try_from(changed).unwrap_or(i64::MAX))
    }

    fn keys(&self, persons: impl Iterator<Item = i64>) -> Batch {
        let mut batch = Batch::new(&[("list_id", Column::Big), ("person_id", Column::Big)]);
        persons.for_each(|person| batch.push([self.payload.list_id.into(), person.into()]));
        batch
    }

    async fn has_list_in_hand(&self) -> Result<bool> {
        let sql = format!("SELECT 1 FROM {} WHERE id = $1 AND pusher = $2", table(self.payload.list));
        let values = [self.payload.list_id.into(), self.job.id.into()];
        Ok(query_one(self.services.db.read(), &sql, values).await?.is_some())
    }

    /// Takes the list in hand, and has it made in the CRM where it is new.
    async fn begin(&mut self) -> Result<()> {
        let (table, id) = (table(self.payload.list), self.payload.list_id);
        let transaction = self.services.db.begin().await?;
        let sql = format!(
            "UPDATE {table} SET pusher = $2 WHERE id = $1 AND (pusher IS NULL OR pusher = $2 OR NOT {})",
            jobs::is_active(&format!("{table}.pusher")),
        );
        if execute(&transaction, &sql, [id.into(), self.job.id.into()]).await?.rows_affected() == 0 {
            let why = "another job has the same list in hand";
            return Err(ServiceError::Later { why, seconds: WAIT, source: None });
        }
        let sql = format!("SELECT key, name, description, crm_id, job_id FROM {table} WHERE id = $1");
        let row = query_one(&transaction, &sql, [id.into()]).await?;
        let row = row.ok_or_else(|| Refusal::new(RefusalCode::NotFound, format!("the {table} is gone")))?;
        if row.try_get_by_index::<Option<String>>(3)?.is_some() {
            if self.services.crm.is_builtin() {
                // There is no reading that would tell.
                self.give_back(&transaction).await?;
                self.position.step = self.behind_reading();
            } else {
                self.position.step = Step::Read;
            }
            return self.save(transaction).await;
        }
        let new = NewList {
            key: row.try_get_by_index(0)?,
            kind: self.payload.list,
            name: row.try_get_by_index(1)?,
            description: row.try_get_by_index(2)?,
        };
        let again = self.position.tried || row.try_get_by_index::<Option<i64>>(4)? != Some(self.job.id);
        self.position.tried = true;
        self.save(transaction).await?;
        let crm_id = self.services.crm.create_list(&new, again).await?;
        let now = self.services.now().micros();
        let transaction = self.services.db.begin().await?;
        // A reading of the CRM may have met it there before we knew that it is ours.
        let sql = format!("UPDATE {table} SET crm_id = NULL, deleted_at = $3 WHERE crm_id = $2 AND id <> $1");
        execute(&transaction, &sql, [id.into(), crm_id.clone().into(), now.into()]).await?;
        let sql = format!("UPDATE {table} SET crm_id = $2, synced_at = $3 WHERE id = $1");
        execute(&transaction, &sql, [id.into(), crm_id.into(), now.into()]).await?;
        // One that was just made is empty, unless somebody was faster in the CRM.
        self.position.step = if again && !self.services.crm.is_builtin() { Step::Read } else { self.behind_reading() };
        self.save(transaction).await
    }

    /// Reads who is on the list in the CRM. Who was in doubt is a member now, or is asked for again.
    async fn read(&mut self) -> Result<()> {
        let (list, id) = (self.payload.list, self.payload.list_id);
        let reading = match self.position.reading.take() {
            Some(reading) => reading,
            None => {
                self.position.in_doubt = self.in_doubt().await?;
                read_members::Reading::begin(self.services)
            }
        };
        let (transaction, next) = read_members::page(self.services, list, id, &reading).await?;
        if let Some(next) = next {
            self.position.reading = Some(next);
            return self.save(transaction).await;
        }
        let (members, wanted, in_doubt) = (self.members(), state::WANTED, state::IN_DOUBT);
        let sql = format!(
            "UPDATE {members} SET state = {wanted} WHERE list_id = $1 AND job_id = $2 AND state = {in_doubt} AND {IS_OPEN}"
        );
        let left = execute(&transaction, &sql, [id.into(), self.job.id.into()]).await?.rows_affected();
        let left = i64::try_from(left).unwrap_or(i64::MAX);
        self.position.done += self.position.in_doubt - left;
        self.position.in_doubt = 0;
        // Who is a member already, without our doing.
        let open = self.open(&transaction).await?;
        let found = self.position.wanted - self.position.done - open;
        if !self.removes() && found > 0 {
            self.position.wanted -= found;
            self.position.unchanged += found;
        }
        self.position.step = self.behind_reading();
        self.save(transaction).await
    }

    async fn in_doubt(&self) -> Result<i64> {
        self.count(self.services.db.read(), &[state::IN_DOUBT]).await
    }

    /// For how many there is still something to do.
    async fn open<C: ConnectionTrait>(&self, connection: &C) -> Result<i64> {
        let states = if self.removes() { &[state::UNWANTED][..] } else { &[state::WANTED, state::IN_DOUBT] };
        self.count(connection, states).await
    }

    async fn count<C: ConnectionTrait>(&self, connection: &C, states: &[i16]) -> Result<i64> {
        let row = query_one(
            connection,
            &sql_of_count(self.members(), states),
            [self.payload.list_id.into(), self.job.id.into()],
        )
        .await?;
        Ok(row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or_default())
    }

    /// Has the next members added or removed; what the job did where there are none left.
    async fn ask(&mut self) -> Result<Option<Changed>> {
        if !self.removes() && self.in_doubt().await? > 0 {
            self.position.step = Step::Read;
            return Ok(None);
        }
        let transaction = self.services.db.begin_keyed().await?;
        let size = self.position.size.unwrap_or(MAX_MEMBERS);
        let asked = self.mark(&transaction, size).await?;
        if asked.is_empty() && self.position.behind > 0 {
            self.position.behind = 0;
            return Ok(None);
        }
        if asked.is_empty() {
            if self.removes() && self.position.wanted > self.position.done && self.take_back(&transaction).await? {
                self.save(transaction).await?;
                return Ok(None);
            }
            return self.end(transaction).await.map(Some);
        }
        let sql = format!("SELECT crm_id FROM {} WHERE id = $1", table(self.payload.list));
        let row = query_one(&transaction, &sql, [self.payload.list_id.into()]).await?;
        let list: Option<String> = row.map(|row| row.try_get_by_index(0)).transpose()?.flatten();
        let list = list.ok_or_else(|| Refusal::new(RefusalCode::NotFound, "the list is gone"))?;
        self.save(transaction).await?;
        let members: Vec<Member> = asked.iter().map(|(_, member)| member.clone()).collect();
        let (crm, kind) = (&self.services.crm, self.payload.list);
        let answer = if self.removes() {
            crm.remove_members(kind, &list, &members).await
        } else {
            crm.add_members(kind, &list, &members).await
        };
        match answer {
            Ok(()) => {
                self.leave_out_refused();
                self.confirm(&asked).await?;
                // Where some were refused, more are dared again.
                self.position.size = Some((size * 2).min(MAX_MEMBERS)).filter(|size| *size < MAX_MEMBERS);
                Ok(None)
            }
            Err(CrmError::Refused(_)) if asked.len() > 1 => {
                self.position.size = Some(asked.len() / 2);
                self.unmark(&asked, false).await.map(|()| None)
            }
            Err(CrmError::Refused(reason)) => {
                tracing::warn!(job = self.job.id, reason, "the CRM does not take a member");
                self.position.refused.extend(asked.iter().map(|(person, _)| *person));
                self.position.wanted -= 1;
                self.unmark(&asked, true).await?;
                if self.position.refused.len() < MAX_REFUSED {
                    return Ok(None);
                }
                self.give_up().await?;
                Err(CrmError::Refused(reason).into())
            }
            Err(error) => {
                if !error.may_have_happened() {
                    self.unmark(&asked, false).await?;
                }
                Err(error.into())
            }
        }
    }

    /// Those whom the CRM refused are left out: it does take others.
    fn leave_out_refused(&mut self) {
        for person in self.position.refused.drain(..) {
            Skipped::add(&mut self.position.skipped, REFUSED_BY_CRM, &format!("person:{person}"));
        }
    }

    /// Whom the CRM refused in a row is asked for again when the job is tried again, but behind the others.
    async fn give_up(&mut self) -> Result<()> {
        let transaction = self.services.db.begin_keyed().await?;
        let refused = std::mem::take(&mut self.position.refused);
        self.position.behind = refused.iter().copied().max().unwrap_or_default();
        self.position.wanted += self.want(&transaction, refused).await?;
        self.position.size = None;
        self.save(transaction).await
    }

    /// Marks the next members as in doubt; those to be removed need no mark.
    async fn mark<C: ConnectionTrait>(&self, connection: &C, size: usize) -> Result<Vec<(i64, Member)>> {
        let from = if self.removes() { state::UNWANTED } else { state::WANTED };
        let values = [self.payload.list_id, self.job.id, self.position.behind].map(Into::into);
        let rows = query_all(connection, &sql_of_next(self.members(), from, size), values).await?;
        let mut asked = Vec::with_capacity(rows.len());
        for row in &rows {
            let member = Member { person: row.try_get_by_index(1)?, company: row.try_get_by_index(2)? };
            asked.push((row.try_get_by_index(0)?, member));
        }
        if !self.removes() {
            self.set_state(connection, &asked, state::IN_DOUBT).await?;
        }
        Ok(asked)
    }

    async fn set_state<C: ConnectionTrait>(&self, connection: &C, of: &[(i64, Member)], state: i16) -> Result<()> {
        let members = self.members();
        let sql = format!(
            "UPDATE {members} SET state = {state}, seen_in = {{2}} FROM {{rows}} WHERE {members}.list_id = rows.list_id \
             AND {members}.person_id = rows.person_id AND {members}.job_id = {{1}}"
        );
        let more = [self.job.id.into(), self.services.now().micros().into()];
        self.keys(of.iter().map(|(person, _)| *person)).execute(connection, &sql, more).await?;
        Ok(())
    }

    async fn remove<C: ConnectionTrait>(&self, connection: &C, of: &[(i64, Member)]) -> Result<()> {
        let members = self.members();
        let sql = format!(
            "DELETE FROM {members} WHERE list_id = {{1}} AND job_id = {{2}} AND person_id IN (SELECT person_id FROM {{rows}})"
        );
        let more = [self.payload.list_id.into(), self.job.id.into()];
        self.keys(of.iter().map(|(person, _)| *person)).execute(connection, &sql, more).await?;
        Ok(())
    }

    /// Those who cannot be removed stay members, and are of no concern to this job any more.
    async fn keep<C: ConnectionTrait>(&self, connection: &C, of: &[(i64, Member)]) -> Result<()> {
        let (members, member) = (self.members(), state::MEMBER);
        let sql = format!(
            "UPDATE {members} SET state = {member}, job_id = NULL FROM {{rows}} WHERE {members}.list_id = rows.list_id \
             AND {members}.person_id = rows.person_id AND {members}.job_id = {{1}}"
        );
        self.keys(of.iter().map(|(person, _)| *person)).execute(connection, &sql, [self.job.id.into()]).await?;
        Ok(())
    }

    /// Whoever was to be removed by a job that has ended without doing it is a member again.
    async fn give_back<C: ConnectionTrait>(&self, connection: &C) -> Result<()> {
        let (members, member, unwanted) = (self.members(), state::MEMBER, state::UNWANTED);
        let sql = format!(
            "UPDATE {members} SET state = {member} WHERE list_id = $1 AND state = {unwanted} AND {IS_OPEN} AND NOT {}",
            jobs::is_active(&format!("{members}.job_id")),
        );
        execute(connection, &sql, [self.payload.list_id.into()]).await?;
        Ok(())
    }

    /// Those whom this job is to remove, and who were members again while it had failed; whether there are any.
    async fn take_back<C: ConnectionTrait>(&self, connection: &C) -> Result<bool> {
        let (members, member, unwanted) = (self.members(), state::MEMBER, state::UNWANTED);
        let sql =
            format!("UPDATE {members} SET state = {unwanted} WHERE list_id = $1 AND job_id = $2 AND state = {member}");
        let taken = execute(connection, &sql, [self.payload.list_id.into(), self.job.id.into()]).await?;
        Ok(taken.rows_affected() > 0)
    }

    /// The CRM has done what it was asked for.
    async fn confirm(&mut self, asked: &[(i64, Member)]) -> Result<()> {
        let transaction = self.services.db.begin_keyed().await?;
        if self.removes() {
            self.remove(&transaction, asked).await?;
        } else {
            self.set_state(&transaction, asked, state::MEMBER).await?;
        }
        self.position.done += i64::try_from(asked.len()).unwrap_or(i64::MAX);
        self.save(transaction).await
    }

    /// The CRM has certainly not done what it was asked for: they are asked for again, or never (`gives_up`).
    async fn unmark(&mut self, asked: &[(i64, Member)], gives_up: bool) -> Result<()> {
        let transaction = self.services.db.begin_keyed().await?;
        match (self.removes(), gives_up) {
            (false, true) => self.remove(&transaction, asked).await?,
            (false, false) => self.set_state(&transaction, asked, state::WANTED).await?,
            (true, true) => self.keep(&transaction, asked).await?,
            (true, false) => {}
        }
        self.save(transaction).await
    }

    async fn end(&mut self, transaction: DatabaseTransaction) -> Result<Changed> {
        let Payload { list, list_id, .. } = self.payload;
        self.leave_out_refused();
        // Another job, or somebody in the CRM, has done the rest while this one had ended.
        let left = (self.position.wanted - self.position.done).max(0);
        self.position.wanted -= left;
        self.position.unchanged += left;
        lists::count_members(&transaction, list, list_id).await?;
        let sql = format!("UPDATE {} SET pusher = NULL WHERE id = $1 AND pusher = $2", table(list));
        execute(&transaction, &sql, [list_id.into(), self.job.id.into()]).await?;
        let changed = Changed {
            list: Some(list),
            list_id,
            added: self.position.done,
            unchanged: self.position.unchanged,
            skipped_by_reason: self.position.skipped.clone(),
        };
        jobs::finish(&transaction, self.services, self.job, self.progress(), &changed).await?;
        transaction.commit().await?;
        Ok(changed)
    }
}
