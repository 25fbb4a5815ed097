//! Tasks that nachfass orders by itself: an address was blocked because mails to it come back, and somebody should correct it.
//!
//! What was blocked stands in a job that is written in the transaction that blocks it, one for all addresses of that transaction. The key of a
//! task is made of the address and of the bounce since which it is blocked: the same block is one task, whoever judges the address how often,
//! and a new one there is only after bounces that came in when it had been unblocked.

use domain::Timestamp;
use domain::email::is_simulator;
use domain::event::BounceClass;
use domain::health::BlockReason;
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use serde::{Deserialize, Serialize};

use super::{After, CHUNK, Chunk, NO_OWNER, Payload, TASK, key};
use crate::audit;
use crate::batch::{Batch, Column};
use crate::crm::people::HOLDER;
use crate::crm::source::NOT_IN_CRM;
use crate::error::Result;
use crate::jobs::{self, JobKind, NewJob};
use crate::recipients::RecipientKey;
use crate::skipped::Skipped;
use crate::subject::{SYSTEM, Subject};

/// What is to be done about it.
const TITLE: &str = "E-mail address bounces: please correct it";
/// Why an address is left out behind which there is nobody.
const SIMULATOR: &str = "SIMULATOR";

/// An address that was blocked for its bounces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Escalation {
    /// Which one.
    pub address: i64,
    /// Since which bounce it is blocked.
    pub blocked_at: Timestamp,
    /// Why.
    pub reason: BlockReason,
    /// The bounce that came in, where one did.
    pub event: Option<i64>,
    /// Whose it was.
    pub recipient: Option<RecipientKey>,
}

/// Has a job see to these addresses, in the transaction that blocks them.
pub(crate) async fn order<C: ConnectionTrait>(
    connection: &C,
    mut escalations: Vec<Escalation>,
    now: Timestamp,
) -> Result<()> {
    if escalations.is_empty() {
        return Ok(());
    }
    escalations.sort_unstable_by_key(|escalation| escalation.address);
    let detail = serde_json::json!({ "addresses": escalations.len() });
    let payload = serde_json::to_value(Payload::Escalated { escalations })?;
    let job = NewJob::new(JobKind::CreateFollowUps, payload, SYSTEM, now);
    let job = jobs::enqueue(connection, job, now).await?;
    Ok(audit::record(connection, now, &Subject::system(), "follow_ups.create", format!("job:{job}"), Some(detail))
        .await?)
}

/// Who has an address, who is responsible for them, and what the bounce was.
struct Found {
    address: i64,
    email_key: String,
    person: Option<(i64, String)>,
    owner: Option<(String, Option<String>)>,
    /// Class and codes.
    bounce: Vec<String>,
}

/// The tasks for the next addresses. `link` is where one can look at a campaign.
pub(super) async fn chunk<C: ConnectionTrait>(
    connection: &C,
    escalations: &[Escalation],
    link: impl Fn(i64) -> Option<String>,
    after: Option<After>,
    skipped: &mut Vec<Skipped>,
) -> Result<Chunk> {
    let limit = usize::try_from(CHUNK).unwrap_or(usize::MAX);
    let behind = after.map_or(0, |after| after.number);
    let next: Vec<&Escalation> =
        escalations.iter().filter(|escalation| escalation.address > behind).take(limit).collect();
    let last = next.last().filter(|_| next.len() == limit).map(|last| After { campaign: 0, number: last.address });
    let mut chunk =
        Chunk { title: TITLE.to_owned(), description: None, due: None, tasks: Batch::new(TASK), known: 0, next: last };
    // Both are in the order of the addresses, each of which is there once.
    let mut found = look_up(connection, &next).await?.into_iter().peekable();
    for escalation in next {
        let example = escalation.address.to_string();
        let Some(found) = found.next_if(|found| found.address == escalation.address) else { continue };
        if is_simulator(&found.email_key) {
            Skipped::add(skipped, SIMULATOR, &example);
            continue;
        }
        let Some((person, email)) = found.person else {
            Skipped::add(skipped, NOT_IN_CRM, &example);
            continue;
        };
        let Some((owner_id, owner)) = found.owner else {
            Skipped::add(skipped, NO_OWNER, &example);
            continue;
        };
        let link = escalation.recipient.and_then(|recipient| link(recipient.campaign));
        chunk.known += 1;
        chunk.tasks.push([
            key(&format!("address {}\nblocked {}", escalation.address, escalation.blocked_at.micros())).into(),
            escalation.recipient.map(|recipient| recipient.campaign).into(),
            escalation.recipient.map(|recipient| recipient.number).into(),
            person.into(),
            owner_id.into(),
            owner.into(),
            escalation.reason.as_str().into(),
            describe(&email, &found.bounce, link).into(),
        ]);
    }
    Ok(chunk)
}

/// In the words of a person who knows nothing of this program.
fn describe(email: &str, bounce: &[String], link: Option<String>) -> String {
    let mut lines = vec![format!("Mails to {email} come back. It is not written to any more.")];
    if !bounce.is_empty() {
        lines.push(format!("Bounce: {}", bounce.join(", ")));
    }
    lines.extend(link);
    lines.join("\n")
}

async fn look_up<C: ConnectionTrait>(connection: &C, escalations: &[&Escalation]) -> Result<Vec<Found>> {
    if escalations.is_empty() {
        return Ok(Vec::new());
    }
    let mut batch = Batch::new(&[
        ("address_id", Column::Big),
        ("event_id", Column::Big),
        ("campaign_id", Column::Big),
        ("number", Column::Big),
    ]);
    for Escalation { address, event, recipient, .. } in escalations {
        let (campaign, number) = recipient.map(|recipient| (recipient.campaign, recipient.number)).unzip();
        batch.push([(*address).into(), (*event).into(), campaign.into(), number.into()]);
    }
    // An event of long ago may be gone; the block is not.
    let sql = format!(
        "SELECT a.id, a.email_key, p.id, e.email, p.owner_id, p.owner, p.owner_is_active, v.bounce_class, v.smtp_code, v.enhanced_code \
         FROM {{rows}} CROSS JOIN address a LEFT JOIN person p ON p.id = {HOLDER} \
         LEFT JOIN person_email e ON e.person_id = p.id AND e.email_key = a.email_key \
         LEFT JOIN event v ON v.campaign_id = rows.campaign_id AND v.recipient = rows.number AND v.recipient IS NOT NULL \
            AND v.id = rows.event_id \
         WHERE a.id = rows.address_id ORDER BY a.id"
    );
    let rows = batch.query(connection, &sql, []).await?;
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

fn read(row: &QueryResult) -> Result<Found, DbErr> {
    let (person, email): (Option<i64>, Option<String>) = (row.try_get_by_index(2)?, row.try_get_by_index(3)?);
    let owner = row.try_get_by_index::<Option<String>>(4)?.map(|id| Ok::<_, DbErr>((id, row.try_get_by_index(5)?)));
    let is_active = row.try_get_by_index::<Option<bool>>(6)?.unwrap_or_default();
    let class = row.try_get_by_index::<Option<i16>>(7)?.and_then(BounceClass::from_code);
    let code = row.try_get_by_index::<Option<i16>>(8)?.map(|code| code.to_string());
    let bounce = [class.map(|class| class.as_str().to_owned()), code, row.try_get_by_index(9)?];
    Ok(Found {
        address: row.try_get_by_index(0)?,
        email_key: row.try_get_by_index(1)?,
        person: person.zip(email),
        owner: owner.transpose()?.filter(|_| is_active),
        bounce: bounce.into_iter().flatten().collect(),
    })
}
