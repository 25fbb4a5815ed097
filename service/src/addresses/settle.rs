//! Recipients that are still to be sent to follow their addresses: skipped where an address is blocked or its user's consent withdrawn,
//! and taken back where it is well again.
//!
//! Only campaigns that have not gone out are looked at. Locks are taken as everywhere: recipients by key, then roll-ups.

use domain::contribution::contribution;
use domain::health::BlockReason;
use domain::standing::{Consent, Standing};
use domain::status::{SkipReason, status};
use domain::{Timestamp, campaign::CampaignState, status::RecipientStatus};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, QueryResult};
use serde::{Deserialize, Serialize};

use crate::access::Services;
use crate::batch::{Batch, Column};
use crate::changes::Change;
use crate::crm::people::REFUSED_BY_CRM;
use crate::db::query_all;
use crate::error::Result;
use crate::facts_row::{self, FACT_COLUMN_COUNT};
use crate::jobs::{self, ClaimedJob, JobKind, JobProgress, NewJob};
use crate::rollup::RollUp;

/// As many addresses are looked at in one transaction.
const ADDRESSES: usize = 500;
/// As many recipients of a campaign are looked at in one transaction.
const RECIPIENTS: i64 = 2_000;

/// Whose recipients are to be settled.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Payload {
    /// Those with these addresses, in any campaign.
    AddressIds(Vec<i64>),
    /// Those of this campaign: they were imported while addresses changed.
    CampaignId(i64),
}

/// Behind which address, or which recipient, to go on.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Position {
    after: i64,
    skipped: i64,
    taken_back: i64,
}

/// What a settling did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settled {
    /// Recipients that are skipped now.
    pub skipped: i64,
    /// Recipients that are to be sent to again.
    pub taken_back: i64,
}

/// A recipient is still to be sent to, or is not because of its address, and the campaign has not gone out. Consent that the CRM denies
/// has nothing to do with the address.
fn open() -> String {
    let (draft, sending) = (CampaignState::Draft.code(), CampaignState::Sending.code());
    let (ready, blocked) = (RecipientStatus::Ready.code(), RecipientStatus::Blocked.code());
    let no_consent = SkipReason::NoConsent.code();
    let from_address = [SkipReason::BlockedAddress, SkipReason::TooManyBounces, SkipReason::NoConsent]
        .map(|reason| reason.code().to_string())
        .join(", ");
    format!(
        "c.state IN ({draft}, {sending}) AND (r.status = {ready} OR r.status = {blocked} AND r.skip IN ({from_address})) \
         AND NOT (r.skip IS NOT NULL AND r.skip = {no_consent} AND {REFUSED_BY_CRM})"
    )
}

/// Has the recipients with these addresses settled by a job, where there are any to settle.
pub(crate) async fn request<C: ConnectionTrait>(
    connection: &C,
    ids: Vec<i64>,
    subject: &str,
    now: Timestamp,
) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let mut batch = Batch::new(&[("id", Column::Big)]);
    ids.into_iter().for_each(|id| batch.push([id.into()]));
    let sql = format!(
        "SELECT DISTINCT rows.id FROM {{rows}} CROSS JOIN recipient r CROSS JOIN campaign c \
         WHERE r.address_id = rows.id AND c.id = r.campaign_id AND {} ORDER BY rows.id",
        open()
    );
    let rows = batch.query(connection, &sql, []).await?;
    let open = rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<Vec<i64>, DbErr>>()?;
    if !open.is_empty() {
        enqueue(connection, &Payload::AddressIds(open), subject, now).await?;
    }
    Ok(())
}

/// Has the recipients of a campaign settled: addresses may have changed while they were imported.
pub(crate) async fn request_for_campaign<C: ConnectionTrait>(
    connection: &C,
    campaign: i64,
    subject: &str,
    now: Timestamp,
) -> Result<()> {
    enqueue(connection, &Payload::CampaignId(campaign), subject, now).await
}

async fn enqueue<C: ConnectionTrait>(connection: &C, payload: &Payload, subject: &str, now: Timestamp) -> Result<()> {
    let job = NewJob::new(JobKind::SettleRecipients, serde_json::to_value(payload)?, subject, now);
    jobs::enqueue(connection, job, now).await?;
    Ok(())
}

/// Does a job that [`request`] asked for, from where it was left.
///
/// # Errors
/// [`JobLost`](crate::ServiceError::JobLost); those of the database.
pub async fn run(services: &Services, job: &ClaimedJob) -> Result<Settled> {
    let payload: Payload = serde_json::from_value(job.payload.clone())?;
    let mut position: Position = job.position.clone().map(serde_json::from_value).transpose()?.unwrap_or_default();
    loop {
        let transaction = services.db.begin_keyed().await?;
        let (rows, last) = match &payload {
            Payload::AddressIds(ids) => of_addresses(&transaction, ids, position.after).await?,
            Payload::CampaignId(campaign) => of_campaign(&transaction, *campaign, position.after).await?,
        };
        let rollup = settle(&transaction, &rows, &mut position).await?;
        let changed: Vec<i64> = rollup.campaigns().collect();
        rollup.write(&transaction, services.now()).await?;
        let progress =
            JobProgress { done: position.skipped + position.taken_back, total: None, skipped: position.skipped };
        let settled = Settled { skipped: position.skipped, taken_back: position.taken_back };
        match last {
            Some(last) => {
                position.after = last;
                jobs::checkpoint(&transaction, services, job, progress, &position).await?;
            }
            None => jobs::finish(&transaction, services, job, progress, &settled).await?,
        }
        transaction.commit().await?;
        changed.into_iter().for_each(|campaign| services.changes.publish(Change::Campaign(campaign)));
        if last.is_none() {
            return Ok(settled);
        }
    }
}

const STANDING: &str = "a.block_reason, a.last_complained_at, a.consent_given_at";

fn columns() -> String {
    let facts = facts_row::columns_of("r");
    format!("r.campaign_id, r.number, r.domain, r.is_simulator, {facts}, {STANDING}")
}

fn lock(transaction: &DatabaseTransaction) -> &'static str {
    match transaction.get_database_backend() {
        sea_orm::DatabaseBackend::Postgres => "FOR UPDATE OF r",
        _ => "",
    }
}

/// The open recipients of the next few addresses, and the last of these; `None` where none are left.
async fn of_addresses(
    transaction: &DatabaseTransaction,
    ids: &[i64],
    after: i64,
) -> Result<(Vec<QueryResult>, Option<i64>)> {
    let next = ids.iter().copied().filter(|id| *id > after).take(ADDRESSES);
    let mut batch = Batch::new(&[("id", Column::Big)]);
    let last = next.inspect(|id| batch.push([(*id).into()])).last();
    let sql = format!(
        "SELECT {} FROM {{rows}} CROSS JOIN recipient r CROSS JOIN campaign c CROSS JOIN address a \
         WHERE r.address_id = rows.id AND c.id = r.campaign_id AND a.id = rows.id AND {} \
         ORDER BY r.campaign_id, r.number {}",
        columns(),
        open(),
        lock(transaction),
    );
    let rows = if batch.is_empty() { Vec::new() } else { batch.query(transaction, &sql, []).await? };
    Ok((rows, last))
}

/// The open ones among the next few recipients of a campaign, and the last of these; `None` where none are left.
async fn of_campaign(
    transaction: &DatabaseTransaction,
    campaign: i64,
    after: i64,
) -> Result<(Vec<QueryResult>, Option<i64>)> {
    let sql = format!(
        "SELECT {} FROM recipient r CROSS JOIN campaign c CROSS JOIN address a \
         WHERE r.campaign_id = $1 AND r.number > $2 AND c.id = r.campaign_id AND a.id = r.address_id AND {} \
         ORDER BY r.campaign_id, r.number LIMIT {RECIPIENTS} {}",
        columns(),
        open(),
        lock(transaction),
    );
    let rows = query_all(transaction, &sql, [campaign.into(), after.into()]).await?;
    let last = rows.last().map(|row| row.try_get_by_index(1)).transpose()?;
    Ok((rows, last))
}

/// Decides for each of the locked recipients, and writes those that change.
async fn settle(transaction: &DatabaseTransaction, rows: &[QueryResult], position: &mut Position) -> Result<RollUp> {
    const FACTS: usize = 4;
    const BEHIND: usize = FACTS + FACT_COLUMN_COUNT;
    let mut rollup = RollUp::default();
    let mut batch = Batch::new(SKIP);
    for row in rows {
        let time = |index: usize| -> Result<Option<Timestamp>, DbErr> {
            Ok(row.try_get_by_index::<Option<i64>>(index)?.map(Timestamp::from_micros))
        };
        let standing = Standing {
            blocked: row.try_get_by_index::<Option<i16>>(BEHIND)?.and_then(BlockReason::from_code),
            consent: Consent { complained_at: time(BEHIND + 1)?, given_at: time(BEHIND + 2)? },
        };
        let mut facts = facts_row::read(row, FACTS)?;
        let skip = standing.revise(facts.skip);
        if skip == facts.skip {
            continue;
        }
        let (campaign, number): (i64, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        let (domain, is_simulator): (String, bool) = (row.try_get_by_index(2)?, row.try_get_by_index(3)?);
        let (before, was) = (contribution(&facts, is_simulator), status(&facts).0);
        match (facts.skip, skip) {
            (None, Some(_)) => position.skipped += 1,
            (Some(_), None) => position.taken_back += 1,
            _ => {}
        }
        facts.skip = skip;
        let (now, reason) = status(&facts);
        rollup.change(campaign, &domain, &before, &contribution(&facts, is_simulator));
        rollup.by_status.change(campaign, number, Some(was), now);
        batch.push([
            campaign.into(),
            number.into(),
            now.code().into(),
            reason.map(SkipReason::code).into(),
            skip.map(SkipReason::code).into(),
        ]);
    }
    if !batch.is_empty() {
        let sql = "UPDATE recipient SET status = rows.status, skip_reason = rows.skip_reason, skip = rows.skip FROM {rows} \
                   WHERE recipient.campaign_id = rows.campaign_id AND recipient.number = rows.number";
        batch.execute(transaction, sql, []).await?;
    }
    Ok(rollup)
}

const SKIP: &[(&str, Column)] = &[
    ("campaign_id", Column::Big),
    ("number", Column::Big),
    ("status", Column::Small),
    ("skip_reason", Column::Small),
    ("skip", Column::Small),
];
