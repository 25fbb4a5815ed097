//! What the CRM is told by itself: that mails to an address bounce, that somebody no longer consents, that somebody has left.
//!
//! It is written down in the transaction that changes the address, and a job tells it. Consent and leaving may be told twice. A bounce may
//! not, for the CRM counts them: where nobody knows whether it was heard, it is not told again.

use domain::crm::{Bounce, CrmError};
use domain::health::BlockReason;
use domain::smtp::Reply;
use domain::text::cut;
use domain::{Timestamp, coded_enum};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use serde::{Deserialize, Serialize};

use super::outcome::MAX_MESSAGE;
use super::source::REFUSED_BY_CRM;
use crate::access::Services;
use crate::batch::{Batch, Column};
use crate::db::{execute, query_one};
use crate::error::Result;
use crate::jobs::{self, ClaimedJob, JobKind, JobProgress, NewJob};
use crate::skipped::Skipped;

/// As much of what a server said is told, in characters.
const MAX_REASON: usize = 200;

const WANTED: i16 = 1;
const IN_DOUBT: i16 = 2;
const TOLD: i16 = 3;
const REFUSED: i16 = 4;
const NOBODY_KNOWS: i16 = 5;

coded_enum! {
    /// What the CRM is told.
    ReportKind {
        /// Mails to an address bounce.
        Bounce = 1 "BOUNCE",
        /// A person no longer consents to marketing by e-mail.
        ConsentWithdrawn = 2 "CONSENT_WITHDRAWN",
        /// A person has left their company.
        FormerEmployee = 3 "FORMER_EMPLOYEE",
    }
}

/// What came of telling.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reported {
    /// What the CRM has heard.
    pub told: i64,
    /// What it did not take, or perhaps not, and why: `REFUSED_BY_CRM`, also where it has nobody to whom it belongs, or [`UNCERTAIN`]. Examples are ids of addresses.
    #[serde(default)]
    pub skipped_by_reason: Vec<Skipped>,
}

/// Nobody knows whether the CRM has heard something: its answer was lost, and it would count a bounce twice.
pub const UNCERTAIN: &str = "UNCERTAIN";

/// What a block of an address is for the CRM.
pub(crate) const fn of_block(reason: BlockReason) -> Option<ReportKind> {
    match reason {
        BlockReason::HardBounce | BlockReason::SoftBounces => Some(ReportKind::Bounce),
        BlockReason::FormerEmployee => Some(ReportKind::FormerEmployee),
        BlockReason::Manual | BlockReason::Deleted => None,
    }
}

/// Writes down what the CRM is to be told about addresses, where it has persons with them, and has a job tell it.
pub(crate) async fn note<C: ConnectionTrait>(
    connection: &C,
    reports: &[(i64, ReportKind)],
    subject: &str,
    now: Timestamp,
) -> Result<()> {
    if reports.is_empty() {
        return Ok(());
    }
    let mut batch = Batch::new(&[("address_id", Column::Big), ("kind", Column::Small)]);
    reports.iter().for_each(|(address, kind)| batch.push([(*address).into(), kind.code().into()]));
    // A bounce is told once for each address, the rest for each person. The time tells one occasion from the next.
    let bounce = ReportKind::Bounce.code();
    let sql = format!(
        "INSERT INTO crm_report (key, kind, address_id, person_id, state, created_at) \
         SELECT CAST(rows.kind AS TEXT) || '-' || CAST(a.id AS TEXT) || '-' || CAST(min(p.id) AS TEXT) || '-' || CAST({{1}} AS TEXT), \
            rows.kind, a.id, min(p.id), {WANTED}, {{1}} \
         FROM {{rows}} CROSS JOIN address a JOIN person_email e ON e.email_key = a.email_key JOIN person p ON p.id = e.person_id \
         WHERE a.id = rows.address_id AND p.deleted_at IS NULL \
         GROUP BY rows.kind, a.id, CASE WHEN rows.kind = {bounce} THEN 0 ELSE p.id END \
         ON CONFLICT (key) DO NOTHING"
    );
    let noted = batch.execute(connection, &sql, [now.micros().into()]).await?;
    if noted > 0 {
        let job = NewJob::new(JobKind::ReportToCrm, serde_json::json!({}), subject, now);
        jobs::enqueue(connection, job, now).await?;
    }
    Ok(())
}

struct Report {
    id: i64,
    address: i64,
    is_in_doubt: bool,
    kind: ReportKind,
    person: String,
    email: Option<String>,
    reason: Option<String>,
}

/// Does a job: tells what nobody else tells.
///
/// # Errors
/// [`JobLost`](crate::ServiceError::JobLost); [`Later`](crate::ServiceError::Later) where the CRM cannot be reached; those of the database.
pub async fn run(services: &Services, job: &ClaimedJob) -> Result<Reported> {
    let mut reported: Reported = job.position.clone().map(serde_json::from_value).transpose()?.unwrap_or_default();
    while let Some(report) = mark(services, job, &reported).await? {
        let (state, error) = tell(services, &report).await?;
        let transaction = services.db.begin().await?;
        let sql = "UPDATE crm_report SET state = $2, error = $3, done_at = $4 WHERE id = $1";
        let error = error.map(|error| cut(&error, MAX_MESSAGE));
        let values = [report.id.into(), state.into(), error.into(), services.now().micros().into()];
        execute(&transaction, sql, values).await?;
        if state == TOLD {
            reported.told += 1;
        } else {
            let reason = if state == NOBODY_KNOWS { UNCERTAIN } else { REFUSED_BY_CRM };
            Skipped::add(&mut reported.skipped_by_reason, reason, &report.address.to_string());
        }
        jobs::checkpoint(&transaction, services, job, progress(&reported), &reported).await?;
        transaction.commit().await?;
    }
    let transaction = services.db.begin().await?;
    jobs::finish(&transaction, services, job, progress(&reported), &reported).await?;
    transaction.commit().await?;
    Ok(reported)
}

fn progress(reported: &Reported) -> JobProgress {
    let skipped = Skipped::total(&reported.skipped_by_reason);
    JobProgress { done: reported.told + skipped, total: None, skipped }
}

/// Takes what this job, or one that has ended, left in doubt, or the next that nobody has taken; marks it as in doubt. One at a time: what
/// has not been tried is in no doubt.
async fn mark(services: &Services, job: &ClaimedJob, reported: &Reported) -> Result<Option<Report>> {
    let transaction = services.db.begin().await?;
    let lock = if services.db.is_postgres() { "FOR UPDATE OF c SKIP LOCKED" } else { "" };
    let sql = format!(
        "SELECT c.id, c.state, c.kind, p.crm_id, a.id, a.last_reason, \
            (SELECT e.email FROM person_email e WHERE e.person_id = p.id AND e.email_key = a.email_key) \
         FROM crm_report c JOIN person p ON p.id = c.person_id JOIN address a ON a.id = c.address_id \
         WHERE c.state < {TOLD} AND (c.state = {WANTED} OR c.job_id = $1 OR NOT {}) ORDER BY c.id LIMIT 1 {lock}",
        jobs::is_active("c.job_id"),
    );
    let Some(row) = query_one(&transaction, &sql, [job.id.into()]).await? else { return Ok(None) };
    let report = read(&row)?;
    let sql = format!("UPDATE crm_report SET state = {IN_DOUBT}, job_id = $2 WHERE id = $1");
    execute(&transaction, &sql, [report.id.into(), job.id.into()]).await?;
    jobs::checkpoint(&transaction, services, job, progress(reported), reported).await?;
    transaction.commit().await?;
    Ok(Some(report))
}

fn read(row: &QueryResult) -> Result<Report, DbErr> {
    Ok(Report {
        id: row.try_get_by_index(0)?,
        is_in_doubt: row.try_get_by_index::<i16>(1)? == IN_DOUBT,
        kind: ReportKind::from_code(row.try_get_by_index(2)?).unwrap_or(ReportKind::Bounce),
        person: row.try_get_by_index(3)?,
        address: row.try_get_by_index(4)?,
        reason: row.try_get_by_index(5)?,
        email: row.try_get_by_index(6)?,
    })
}

/// Tells the CRM; says what became of it, and why.
async fn tell(services: &Services, report: &Report) -> Result<(i16, Option<String>)> {
    let crm = &services.crm;
    let answer = match (report.kind, &report.email) {
        (ReportKind::Bounce, _) if report.is_in_doubt => {
            return Ok((NOBODY_KNOWS, Some("nobody knows whether the CRM has heard it".to_owned())));
        }
        (ReportKind::Bounce, None) => return Ok((REFUSED, Some("the person has another address by now".to_owned()))),
        (ReportKind::Bounce, Some(email)) => {
            let words = report.reason.as_deref().unwrap_or_default();
            let reason = words.chars().take(MAX_REASON).collect();
            crm.add_bounce(&Bounce { email: email.clone(), smtp_code: Reply::find(words).code, reason }).await
        }
        (ReportKind::ConsentWithdrawn, _) => crm.withdraw_consent(&report.person).await,
        (ReportKind::FormerEmployee, _) => crm.mark_former_employee(&report.person).await,
    };
    match answer {
        Ok(()) => Ok((TOLD, None)),
        Err(CrmError::NotFound) => Ok((REFUSED, Some("the CRM does not know it (any more)".to_owned()))),
        Err(CrmError::Refused(reason)) => Ok((REFUSED, Some(reason))),
        Err(error) if !error.may_have_happened() => {
            let sql = format!("UPDATE crm_report SET state = {WANTED} WHERE id = $1");
            execute(services.db.write(), &sql, [report.id.into()]).await?;
            Err(error.into())
        }
        Err(error) => Err(error.into()),
    }
}
