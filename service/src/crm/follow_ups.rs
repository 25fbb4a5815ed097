//! Tasks for those who are responsible for persons: one for each person, or one for each company.
//!
//! A job notes the tasks down, each with a key of its own, and then has them made in the CRM. A task that is being made when the worker is
//! killed, or whose answer is lost, is looked for by its key before it is made.

pub(crate) mod escalations;

use std::collections::{HashMap, HashSet};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::Timestamp;
use domain::crm::{CrmError, NewTask};
use domain::health::BlockReason;
use domain::status::RecipientStatus;
use domain::text::cut;
use entity::follow_up::Column as Task;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, QueryResult};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use self::escalations::Escalation;
use super::outcome::MAX_MESSAGE;
use super::source::{self, After, NOT_IN_CRM, REFUSED_BY_CRM, Somebody, Source};
use crate::access::{Marketer, Reader, Services};
use crate::audit;
use crate::batch::{Batch, Column};
use crate::db::{execute, query_all};
use crate::error::{Refusal, RefusalCode, Result};
use crate::jobs::{self, ClaimedJob, Job, JobKind, JobProgress, NewJob, Queue};
use crate::recipients::paging::{Count, List, Order, Page, PageArgs};
use crate::recipients::row::time;
use crate::recipients::sql::{Cells, Sql};
use crate::recipients::{RecipientKey, RecipientSet};
use crate::skipped::Skipped;
use crate::subject::Role;

/// As many recipients are looked at in one transaction.
const CHUNK: i64 = 500;
/// As many tasks are marked as being made at once.
const MARKED: i64 = 20;
/// The longest title, in characters: that of a task in SuperOffice.
const MAX_TITLE: usize = 200;
/// The longest description, in characters.
const MAX_DESCRIPTION: usize = 4_000;
/// Why somebody is left out for whom nobody is responsible, or nobody who still works with the CRM.
const NO_OWNER: &str = "NO_OWNER";

const WANTED: i16 = 1;
const IN_DOUBT: i16 = 2;
const MADE: i16 = 3;
const REFUSED: i16 = 4;

/// For whom there is one task each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Scope {
    /// For each person.
    #[default]
    Person,
    /// For each company; for persons without one, each.
    Company,
}

/// What tasks shall be like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wish {
    /// What is to be done.
    pub title: String,
    /// More about it.
    pub description: Option<String>,
    /// The day on which they are due, at midnight UTC.
    pub due: Option<Timestamp>,
    /// For whom there is one each.
    pub per: Scope,
    /// Where whoever does it can look.
    pub link: Option<String>,
}

/// A task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowUp {
    /// Which one.
    pub id: i64,
    /// About which recipient it was made, where a campaign is behind it.
    pub recipient: Option<RecipientKey>,
    /// About whom.
    pub person: i64,
    /// In whose diary; hidden from viewers.
    pub owner: Option<String>,
    /// What is to be done.
    pub title: String,
    /// More about it; hidden from viewers.
    pub description: Option<String>,
    /// The recipient's status when it was made, or why the address was blocked that it is about; by its name.
    pub reason: String,
    /// The day on which it is due.
    pub due_at: Option<Timestamp>,
    /// The CRM's id; none until it has been made there.
    pub crm_id: Option<String>,
    /// Why the CRM did not take it.
    pub error: Option<String>,
    /// When it was ordered.
    pub created_at: Timestamp,
    /// When somebody said that it is done.
    pub done_at: Option<Timestamp>,
}

/// Which tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FollowUpFilter {
    /// Of this campaign.
    pub campaign: Option<i64>,
    /// In the diary of this user of the CRM, by their name. Not for viewers.
    pub owner: Option<String>,
    /// Whether they are done.
    pub done: Option<bool>,
}

/// What tasks a job makes, as it stands there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Payload {
    /// Those that somebody wishes.
    Wished {
        /// For those who are responsible for these.
        recipients: RecipientSet,
        /// What they are like.
        wish: Wish,
    },
    /// Those for addresses that were blocked.
    Escalated {
        /// Each once, in the order of their ids.
        escalations: Vec<Escalation>,
    },
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Position {
    collected: bool,
    after: Option<After>,
    wanted: i64,
    made: Made,
}

/// What a job did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Made {
    /// Tasks that are new.
    pub added: i64,
    /// Persons, or companies, for whom there was the same task of this campaign already.
    pub unchanged: i64,
    /// Who was left out, and why. Examples are `campaign:number`.
    pub skipped_by_reason: Vec<Skipped>,
}

const COLUMNS: &[&str] = &[
    "f.campaign_id",
    "f.recipient",
    "f.person_id",
    "f.owner",
    "f.title",
    "f.description",
    "f.reason",
    "f.due_at",
    "f.crm_id",
    "f.error",
    "f.created_at",
    "f.done_at",
];

impl Marketer {
    /// Has tasks made for those who are responsible for recipients, by a job. Ordering the same again for a campaign changes nothing.
    ///
    /// # Errors
    /// A refusal for a title or description that is empty or too long; those of the database.
    pub async fn create_follow_ups(&self, recipients: RecipientSet, wish: Wish) -> Result<Job> {
        let title = source::text(&["title"], &wish.title, MAX_TITLE)?;
        let description = wish.description.as_deref().map(str::trim).filter(|text| !text.is_empty());
        let description = description.map(|text| source::text(&["description"], text, MAX_DESCRIPTION)).transpose()?;
        let now = self.services.now();
        let kind = JobKind::CreateFollowUps;
        let queue = if matches!(recipients, RecipientSet::Ids(_)) { Queue::Interactive } else { kind.queue() };
        let campaign = recipients.campaign();
        let wish = Wish { title, description, ..wish };
        let payload = serde_json::to_value(Payload::Wished { recipients, wish })?;
        let transaction = self.services.db.begin().await?;
        let job = NewJob { queue, ..NewJob::new(kind, payload, &self.subject.id, now) };
        let job = jobs::enqueue(&transaction, job, now).await?;
        let detail = campaign.map(|campaign| serde_json::json!({ "campaign": campaign }));
        audit::record(&transaction, now, &self.subject, "follow_ups.create", format!("job:{job}"), detail).await?;
        let job = jobs::get(&transaction, job).await?;
        transaction.commit().await?;
        self.services.jobs_were_added();
        Ok(job)
    }

    /// Says that a task is done, or is not.
    ///
    /// # Errors
    /// A refusal where there is no such task; those of the database.
    pub async fn set_follow_up_done(&self, id: i64, done: bool) -> Result<FollowUp> {
        let now = self.services.now();
        let transaction = self.services.db.begin().await?;
        let sql = "UPDATE follow_up SET done_at = CASE WHEN $2 THEN COALESCE(done_at, $3) END WHERE id = $1";
        let changed = execute(&transaction, sql, [id.into(), done.into(), now.micros().into()]).await?;
        if changed.rows_affected() == 0 {
            return Err(Refusal::field(RefusalCode::NotFound, &["id"], "there is no such follow-up").into());
        }
        let action = if done { "follow_up.done" } else { "follow_up.reopened" };
        audit::record(&transaction, now, &self.subject, action, format!("follow_up:{id}"), None).await?;
        transaction.commit().await?;
        let found = self.services.access((*self.subject).clone()).reader().follow_up(id).await?;
        found.ok_or_else(|| Refusal::field(RefusalCode::NotFound, &["id"], "there is no such follow-up").into())
    }
}

impl Reader {
    /// A task.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn follow_up(&self, id: i64) -> Result<Option<FollowUp>> {
        let mut sql = Sql::new(format!("SELECT f.id, {} FROM follow_up f WHERE f.id = ", COLUMNS.join(", ")));
        sql.bind(id);
        let found =
            self.read_all(sql, |row| Ok(self.decode_task(row.try_get_by_index(0)?, Cells::from(row, 1))?)).await?;
        Ok(found.into_iter().next())
    }

    /// A page of tasks, the latest first.
    ///
    /// # Errors
    /// Refusals for what cannot be asked for, or not by this subject; those of the database.
    pub async fn follow_ups(&self, filter: &FollowUpFilter, args: &PageArgs) -> Result<Page<FollowUp>> {
        self.task_list(filter)?.page(&self.services, args, |id, cells| self.decode_task(id, cells)).await
    }

    /// How many there are.
    ///
    /// # Errors
    /// As [`Reader::follow_ups`].
    pub async fn count_follow_ups(&self, filter: &FollowUpFilter, max: i64) -> Result<Count> {
        self.task_list(filter)?.count(&self.services, max).await
    }

    fn task_list(&self, filter: &FollowUpFilter) -> Result<List> {
        let mut condition = Sql::new("TRUE");
        if let Some(campaign) = filter.campaign {
            condition.push(" AND f.campaign_id = ").bind(campaign);
        }
        if let Some(owner) = &filter.owner {
            self.subject.require(Role::Marketer)?;
            condition.push(" AND f.owner = ").bind(owner.clone());
        }
        if let Some(done) = filter.done {
            condition.push(if done { " AND f.done_at IS NOT NULL" } else { " AND f.done_at IS NULL" });
        }
        Ok(List {
            columns: COLUMNS,
            from: "follow_up f",
            condition,
            order: Order { sort: None, id: "f.id", descending: true },
            scope: serde_json::to_string(&("follow_ups", filter))?,
        })
    }

    fn decode_task(&self, id: i64, mut cells: Cells<'_>) -> Result<FollowUp, DbErr> {
        let recipient = cells.take::<Option<i64>>()?.zip(cells.take()?);
        let recipient = recipient.map(|(campaign, number)| RecipientKey { campaign, number });
        let subject = &self.subject;
        Ok(FollowUp {
            id,
            recipient,
            person: cells.take()?,
            owner: subject.visible(Task::Owner, cells.take()?),
            title: subject.masked(Task::Title, cells.take()?),
            description: subject.visible(Task::Description, cells.take()?),
            reason: cells.take()?,
            due_at: time(&mut cells)?,
            crm_id: subject.visible(Task::CrmId, cells.take()?),
            error: cells.take::<Option<String>>()?.map(|error| subject.masked(Task::Error, error)),
            created_at: Timestamp::from_micros(cells.take()?),
            done_at: time(&mut cells)?,
        })
    }
}

/// Does a job, from where it was left.
///
/// # Errors
/// [`JobLost`](crate::ServiceError::JobLost); [`Later`](crate::ServiceError::Later) where the CRM cannot be reached; those of the database.
pub async fn run(services: &Services, job: &ClaimedJob) -> Result<Made> {
    let payload: Payload = serde_json::from_value(job.payload.clone())?;
    let position = job.position.clone().map(serde_json::from_value).transpose()?.unwrap_or_default();
    let mut work = Work { services, job, payload, position };
    while !work.position.collected {
        work.collect().await?;
    }
    loop {
        if let Some(made) = work.make().await? {
            return Ok(made);
        }
    }
}

struct Work<'a> {
    services: &'a Services,
    job: &'a ClaimedJob,
    payload: Payload,
    position: Position,
}

/// Tasks to be noted down at once.
struct Chunk {
    title: String,
    /// Of those that have none of their own.
    description: Option<String>,
    due: Option<Timestamp>,
    /// As [`TASK`].
    tasks: Batch,
    /// How many persons or addresses they are for.
    known: i64,
    /// Where to go on; nowhere where these are the last ones.
    next: Option<After>,
}

/// Who is responsible for a person, and of which company that is.
struct Responsible {
    company: Option<String>,
    owner: Option<(String, Option<String>)>,
    status: RecipientStatus,
}

const TASK: &[(&str, Column)] = &[
    ("key", Column::Text),
    ("campaign_id", Column::Big),
    ("recipient", Column::Big),
    ("person_id", Column::Big),
    ("owner_id", Column::Text),
    ("owner", Column::Text),
    ("reason", Column::Text),
    ("description", Column::Text),
];

impl Work<'_> {
    fn progress(&self) -> JobProgress {
        let made = &self.position.made;
        let skipped = Skipped::total(&made.skipped_by_reason);
        let done = made.added + made.unchanged + skipped;
        let total = self.position.collected.then_some((self.position.wanted + made.unchanged + skipped).max(done));
        JobProgress { done, total, skipped }
    }

    async fn save(&self, transaction: DatabaseTransaction) -> Result<()> {
        jobs::checkpoint(&transaction, self.services, self.job, self.progress(), &self.position).await?;
        Ok(transaction.commit().await?)
    }

    /// Notes the next tasks.
    async fn collect(&mut self) -> Result<()> {
        let transaction = self.services.db.begin_keyed().await?;
        let (after, skipped) = (self.position.after, &mut self.position.made.skipped_by_reason);
        let chunk = match &self.payload {
            Payload::Wished { recipients, wish } => wished(&transaction, recipients, wish, after, skipped).await?,
            Payload::Escalated { escalations } => {
                let public_url = self.services.public_url();
                let link = |campaign| public_url.map(|url| campaign_link(url, campaign));
                escalations::chunk(&transaction, escalations, link, after, skipped).await?
            }
        };
        let (known, next) = (chunk.known, chunk.next);
        let wanted = self.note(&transaction, chunk).await?;
        self.position.wanted += wanted;
        self.position.made.unchanged += known - wanted;
        (self.position.after, self.position.collected) = (next, next.is_none());
        self.save(transaction).await
    }

    /// Notes tasks down. One that the CRM did not take, or whose job will not go on, is ours now: looked for first, where it may be there.
    async fn note<C: ConnectionTrait>(&self, connection: &C, chunk: Chunk) -> Result<i64> {
        if chunk.tasks.is_empty() {
            return Ok(0);
        }
        let sql = format!(
            "INSERT INTO follow_up (key, campaign_id, recipient, person_id, owner_id, owner, reason, title, description, due_at, state, \
                job_id, created_by, created_at) \
             SELECT key, campaign_id, recipient, person_id, owner_id, owner, reason, {{1}}, COALESCE(description, {{2}}), {{3}}, {WANTED}, \
                {{4}}, {{5}}, {{6}} \
             FROM {{rows}} WHERE true ON CONFLICT (key) DO UPDATE SET job_id = excluded.job_id, person_id = excluded.person_id, \
                owner_id = excluded.owner_id, owner = excluded.owner, error = NULL, \
                state = CASE follow_up.state WHEN {IN_DOUBT} THEN {IN_DOUBT} ELSE {WANTED} END \
             WHERE follow_up.job_id <> excluded.job_id AND (follow_up.state = {REFUSED} OR follow_up.state < {MADE} AND NOT {})",
            jobs::is_active("follow_up.job_id"),
        );
        let more = [
            chunk.title.into(),
            chunk.description.into(),
            chunk.due.map(Timestamp::micros).into(),
            self.job.id.into(),
            self.job.created_by.clone().into(),
            self.services.now().micros().into(),
        ];
        Ok(i64::try_from(chunk.tasks.execute(connection, &sql, more).await?).unwrap_or(i64::MAX))
    }

    /// Has the next tasks made; what the job did where there are none left.
    async fn make(&mut self) -> Result<Option<Made>> {
        let sql = format!(
            "SELECT f.id, f.state, f.key, f.owner_id, p.crm_id, p.company_id, f.title, f.description, f.reason, f.due_at \
             FROM follow_up f JOIN person p ON p.id = f.person_id \
             WHERE f.job_id = $1 AND f.state < {MADE} ORDER BY f.id LIMIT {MARKED}"
        );
        let transaction = self.services.db.begin_keyed().await?;
        let rows = query_all(&transaction, &sql, [self.job.id.into()]).await?;
        let tasks = rows.iter().map(read_task).collect::<Result<Vec<_>, _>>()?;
        let Some((last, ..)) = tasks.last() else {
            let made = self.position.made.clone();
            jobs::finish(&transaction, self.services, self.job, self.progress(), &made).await?;
            transaction.commit().await?;
            return Ok(Some(made));
        };
        let sql =
            format!("UPDATE follow_up SET state = {IN_DOUBT} WHERE job_id = $1 AND state = {WANTED} AND id <= $2");
        execute(&transaction, &sql, [self.job.id.into(), (*last).into()]).await?;
        self.save(transaction).await?;
        let mut tasks = tasks.into_iter();
        while let Some((id, is_in_doubt, task)) = tasks.next() {
            match self.services.crm.create_task(&task, is_in_doubt).await {
                Ok(crm_id) => self.confirm(id, MADE, Some(crm_id), None).await?,
                Err(CrmError::Refused(reason)) => self.confirm(id, REFUSED, None, Some(reason)).await?,
                Err(CrmError::NotFound) => {
                    self.confirm(id, REFUSED, None, Some("the CRM does not know the person (any more)".to_owned()))
                        .await?;
                }
                Err(error) => {
                    let may_be_there = is_in_doubt || error.may_have_happened();
                    let untried = tasks.filter(|(_, is_in_doubt, _)| !is_in_doubt).map(|(id, ..)| id);
                    self.unmark(untried.chain((!may_be_there).then_some(id)).collect()).await?;
                    return Err(error.into());
                }
            }
        }
        Ok(None)
    }

    /// These have certainly not been made: nobody needs to look for them.
    async fn unmark(&self, ids: Vec<i64>) -> Result<()> {
        let mut batch = Batch::new(&[("id", Column::Big)]);
        ids.into_iter().for_each(|id| batch.push([id.into()]));
        if batch.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "UPDATE follow_up SET state = {WANTED} FROM {{rows}} WHERE follow_up.id = rows.id AND follow_up.state = {IN_DOUBT} \
             AND follow_up.job_id = {{1}}"
        );
        let transaction = self.services.db.begin_keyed().await?;
        batch.execute(&transaction, &sql, [self.job.id.into()]).await?;
        self.save(transaction).await
    }

    async fn confirm(&mut self, id: i64, state: i16, crm_id: Option<String>, error: Option<String>) -> Result<()> {
        let transaction = self.services.db.begin().await?;
        let sql = "UPDATE follow_up SET state = $2, crm_id = $3, error = $4 WHERE id = $1";
        execute(
            &transaction,
            sql,
            [id.into(), state.into(), crm_id.into(), error.map(|error| cut(&error, MAX_MESSAGE)).into()],
        )
        .await?;
        if state == MADE {
            self.position.made.added += 1;
        } else {
            self.position.wanted -= 1;
            Skipped::add(&mut self.position.made.skipped_by_reason, REFUSED_BY_CRM, "");
        }
        self.save(transaction).await
    }
}

/// The tasks for the next recipients.
async fn wished<C: ConnectionTrait>(
    connection: &C,
    recipients: &RecipientSet,
    wish: &Wish,
    after: Option<After>,
    skipped: &mut Vec<Skipped>,
) -> Result<Chunk> {
    let source = Source::Recipients(recipients.clone());
    let (somebody, next) = source.next(connection, after, CHUNK).await?;
    let mut tasks = Batch::new(TASK);
    let mut keys = HashSet::new();
    let mut known = 0;
    let mut responsible = responsible(connection, &somebody).await?;
    for Somebody { person, recipient, example } in somebody {
        let Some((person, recipient)) = person.zip(recipient) else {
            Skipped::add(skipped, NOT_IN_CRM, &example);
            continue;
        };
        let found = responsible.remove(&recipient);
        let Some(Responsible { company, owner: Some((owner_id, owner)), status }) = found else {
            Skipped::add(skipped, NO_OWNER, &example);
            continue;
        };
        let whose = match company.filter(|_| wish.per == Scope::Company) {
            Some(company) => format!("company:{company}"),
            None => format!("person:{person}"),
        };
        known += 1;
        // There is one task for a campaign, a person or company, and a title.
        let key = key(&format!("{}\n{whose}\n{}", recipient.campaign, wish.title));
        if keys.insert(key.clone()) {
            tasks.push([
                key.into(),
                recipient.campaign.into(),
                recipient.number.into(),
                person.into(),
                owner_id.into(),
                owner.into(),
                status.as_str().into(),
                None::<String>.into(),
            ]);
        }
    }
    let description: Vec<&str> = [wish.description.as_deref(), wish.link.as_deref()].into_iter().flatten().collect();
    let description = Some(description.join("\n")).filter(|text| !text.is_empty());
    Ok(Chunk { title: wish.title.clone(), description, due: wish.due, tasks, known, next })
}

/// The key of the one task that this describes.
fn key(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let short: String = digest.iter().take(10).map(|byte| format!("{byte:02x}")).collect();
    format!("nachfass-{short}")
}

/// Where whoever does a task can look at a campaign: by its global id, under the public URL.
#[must_use]
pub fn campaign_link(public_url: &str, campaign: i64) -> String {
    format!("{public_url}/campaigns/{}", URL_SAFE_NO_PAD.encode(format!("Campaign:{campaign}")))
}

fn read_task(row: &QueryResult) -> Result<(i64, bool, NewTask), DbErr> {
    let (description, reason): (Option<String>, String) = (row.try_get_by_index(7)?, row.try_get_by_index(8)?);
    let is_block = BlockReason::ALL.iter().any(|known| known.as_str() == reason);
    let lines = [description, Some(format!("{}: {reason}", if is_block { "Reason" } else { "Status" }))];
    let task = NewTask {
        key: row.try_get_by_index(2)?,
        owner: row.try_get_by_index(3)?,
        person: row.try_get_by_index(4)?,
        company: row.try_get_by_index(5)?,
        title: row.try_get_by_index(6)?,
        description: Some(lines.into_iter().flatten().collect::<Vec<_>>().join("\n")),
        due: row.try_get_by_index::<Option<i64>>(9)?.map(Timestamp::from_micros),
    };
    Ok((row.try_get_by_index(0)?, row.try_get_by_index::<i16>(1)? == IN_DOUBT, task))
}

/// Who is responsible for the persons that recipients are.
async fn responsible<C: ConnectionTrait>(
    connection: &C,
    somebody: &[Somebody],
) -> Result<HashMap<RecipientKey, Responsible>> {
    let mut batch = Batch::new(&[("campaign_id", Column::Big), ("number", Column::Big), ("person_id", Column::Big)]);
    for (person, key) in somebody.iter().filter_map(|somebody| somebody.person.zip(somebody.recipient)) {
        batch.push([key.campaign, key.number, person].map(Into::into));
    }
    let mut found = HashMap::with_capacity(batch.len());
    if batch.is_empty() {
        return Ok(found);
    }
    let sql = "SELECT r.campaign_id, r.number, p.company_id, p.owner_id, p.owner, p.owner_is_active, r.status \
               FROM {rows} CROSS JOIN recipient r CROSS JOIN person p \
               WHERE r.campaign_id = rows.campaign_id AND r.number = rows.number AND p.id = rows.person_id";
    for row in batch.query(connection, sql, []).await? {
        let key = RecipientKey { campaign: row.try_get_by_index(0)?, number: row.try_get_by_index(1)? };
        let (id, name, is_active): (Option<String>, _, bool) =
            (row.try_get_by_index(3)?, row.try_get_by_index(4)?, row.try_get_by_index(5)?);
        let owner = id.filter(|_| is_active).map(|id| (id, name));
        let status = RecipientStatus::from_code(row.try_get_by_index(6)?).unwrap_or(RecipientStatus::Ready);
        found.insert(key, Responsible { company: row.try_get_by_index(2)?, owner, status });
    }
    Ok(found)
}
