//! Recipients follow the correction of their address.
//!
//! Who is still to be sent to gets the new address, and is skipped or not as that address stands; where the campaign has it already, the
//! recipient is a double. To whom it was sent in vain gets it as well, and is marked as corrected: what became of the mail stays as
//! it is, and belongs to the recipient whatever the address. Everybody else keeps the old address: it worked.
//!
//! Locks are taken as everywhere: campaigns, recipients by key, addresses, roll-ups.

use std::collections::{HashMap, HashSet};

use domain::Timestamp;
use domain::campaign::CampaignState;
use domain::health::BlockReason;
use domain::standing::{Consent, Standing};
use domain::status::{RecipientStatus, SkipReason, status};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, QueryResult};
use serde::{Deserialize, Serialize};

use super::applied;
use crate::access::Services;
use crate::batch::{Batch, Column};
use crate::changes::Change;
use crate::db::is_postgres;
use crate::error::Result;
use crate::facts_row::{self, FACT_COLUMN_COUNT};
use crate::jobs::{self, ClaimedJob, JobKind, JobProgress, NewJob};
use crate::recipients::RecipientKey;
use crate::recipients::new_address::{Before, NewAddresses, RecipientAddress};
use crate::rollup::RollUp;
use crate::skipped::Skipped;

/// As many corrections are followed in one transaction.
const CORRECTIONS: usize = 100;
/// As many recipients are changed in one transaction.
const RECIPIENTS: i64 = 1_000;

/// Which corrections are followed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    corrections: Vec<i64>,
    /// Also from this address, by those who got it by a correction at that time or after it: it was the wrong one.
    #[serde(default)]
    also: Option<Also>,
}

/// Where else recipients come from.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Also {
    /// The address.
    pub address: i64,
    /// When it was given to them, or later.
    pub since: Timestamp,
}

/// Behind which recipients of which corrections to go on.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Position {
    done: usize,
    after: Option<RecipientKey>,
    followed: Followed,
}

/// What became of recipients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Followed {
    /// Those who have the new address.
    pub changed: i64,
    /// Those who were left as they were, and why.
    pub skipped: Vec<Skipped>,
}

/// The condition on recipients `r` of campaigns `c` who follow the correction of their address.
pub(super) fn movable() -> String {
    let (draft, sending) = (CampaignState::Draft.code(), CampaignState::Sending.code());
    let (sent, ready, blocked) =
        (CampaignState::Sent.code(), RecipientStatus::Ready.code(), RecipientStatus::Blocked.code());
    let (soft, hard) = (RecipientStatus::SoftBounced.code(), RecipientStatus::HardBounced.code());
    let skips = [
        SkipReason::BlockedAddress,
        SkipReason::TooManyBounces,
        SkipReason::NoConsent,
        SkipReason::InvalidAddress,
        SkipReason::Duplicate,
        SkipReason::ProviderRefused,
    ];
    let skips = skips.map(|reason| reason.code().to_string()).join(", ");
    format!(
        "(c.state IN ({draft}, {sending}, {sent}) AND \
         (r.status IN ({ready}, {soft}, {hard}) OR r.status = {blocked} AND r.skip_reason IN ({skips})))"
    )
}

/// Has the recipients with the old addresses of corrections follow, by a job.
pub(super) async fn request<C: ConnectionTrait>(
    connection: &C,
    corrections: Vec<i64>,
    also: Option<Also>,
    subject: &str,
    now: Timestamp,
) -> Result<()> {
    if !corrections.is_empty() {
        let payload = serde_json::to_value(Payload { corrections, also })?;
        jobs::enqueue(connection, NewJob::new(JobKind::ApplyCorrection, payload, subject, now), now).await?;
    }
    Ok(())
}

/// Does a job that [`request`] asked for, from where it was left.
///
/// # Errors
/// [`JobLost`](crate::ServiceError::JobLost); those of the database.
pub async fn run(services: &Services, job: &ClaimedJob) -> Result<Followed> {
    let payload: Payload = serde_json::from_value(job.payload.clone())?;
    let mut position: Position = job.position.clone().map(serde_json::from_value).transpose()?.unwrap_or_default();
    loop {
        let now = services.now();
        let transaction = services.db.begin_keyed().await?;
        let part: Vec<i64> = payload.corrections.iter().copied().skip(position.done).take(CORRECTIONS).collect();
        let targets = Targets::of(&transaction, &part, payload.also).await?;
        let keys = targets.recipients(&transaction, position.after).await?;
        let mut rollup = RollUp::default();
        if !keys.is_empty() {
            lock_campaigns(&transaction, &keys).await?;
            change(&transaction, &keys, &targets, &mut position.followed, &mut rollup, now).await?;
        }
        let changed: Vec<i64> = rollup.campaigns().collect();
        rollup.write(&transaction, now).await?;
        let is_through = i64::try_from(keys.len()).unwrap_or(i64::MAX) < RECIPIENTS;
        if is_through {
            (position.done, position.after) = (position.done + part.len(), None);
        } else {
            position.after = keys.last().copied();
        }
        let is_last = position.done >= payload.corrections.len();
        let progress = position.progress();
        if is_last {
            request_further(&transaction, &payload.corrections, &job.created_by, now).await?;
            jobs::finish(&transaction, services, job, progress, &position.followed).await?;
        } else {
            jobs::checkpoint(&transaction, services, job, progress, &position).await?;
        }
        transaction.commit().await?;
        changed.into_iter().for_each(|campaign| services.changes.publish(Change::Campaign(campaign)));
        if is_last {
            services.jobs_were_added();
            return Ok(position.followed);
        }
    }
}

impl Position {
    fn progress(&self) -> JobProgress {
        let skipped = Skipped::total(&self.followed.skipped);
        JobProgress { done: self.followed.changed + skipped, total: None, skipped }
    }
}

/// The new addresses were corrected themselves meanwhile, after these corrections: who got them follows once more.
async fn request_further<C: ConnectionTrait>(
    connection: &C,
    corrections: &[i64],
    subject: &str,
    now: Timestamp,
) -> Result<()> {
    let mut batch = Batch::new(&[("id", Column::Big)]);
    corrections.iter().for_each(|id| batch.push([(*id).into()]));
    let applied = applied();
    let sql = format!(
        "SELECT DISTINCT d.id FROM {{rows}} CROSS JOIN correction k CROSS JOIN correction d \
         WHERE k.id = rows.id AND d.old_key = k.new_key AND d.state IN {applied} AND d.id <> k.id \
            AND (d.decided_at > k.decided_at OR d.decided_at = k.decided_at AND d.id > k.id) ORDER BY d.id"
    );
    let rows = batch.query(connection, &sql, []).await?;
    let further = rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<Vec<i64>, DbErr>>()?;
    request(connection, further, None, subject, now).await
}

/// Where recipients go to, by the addresses that they come from.
#[derive(Debug, Default)]
struct Targets {
    by_address: HashMap<i64, RecipientAddress>,
    also: Option<Also>,
}

impl Targets {
    /// Where the old addresses of corrections lead to by now: to what they were corrected to last.
    async fn of<C: ConnectionTrait>(connection: &C, corrections: &[i64], also: Option<Also>) -> Result<Self> {
        let mut batch = Batch::new(&[("id", Column::Big)]);
        corrections.iter().for_each(|id| batch.push([(*id).into()]));
        if batch.is_empty() {
            return Ok(Self::default());
        }
        let applied = applied();
        let sql = format!(
            "SELECT o.id, n.id, k.new_email, k.new_key FROM {{rows}} CROSS JOIN correction own CROSS JOIN address o \
                CROSS JOIN correction k CROSS JOIN address n \
             WHERE own.id = rows.id AND own.state IN {applied} AND o.email_key = own.old_key AND n.email_key = k.new_key \
                AND k.id = (SELECT l.id FROM correction l WHERE l.old_key = own.old_key AND l.state IN {applied} \
                    ORDER BY l.decided_at DESC, l.id DESC LIMIT 1)"
        );
        let mut by_address = HashMap::new();
        for row in batch.query(connection, &sql, []).await? {
            let target =
                RecipientAddress::new(row.try_get_by_index(1)?, row.try_get_by_index(2)?, row.try_get_by_index(3)?);
            if let Some(also) = also.filter(|also| also.address != target.id) {
                by_address.insert(also.address, target.clone());
            }
            by_address.insert(row.try_get_by_index(0)?, target);
        }
        Ok(Self { by_address, also })
    }

    /// The next recipients who follow, in the order of their keys.
    async fn recipients<C: ConnectionTrait>(
        &self,
        connection: &C,
        after: Option<RecipientKey>,
    ) -> Result<Vec<RecipientKey>> {
        let mut batch = Batch::new(&[("address_id", Column::Big), ("since", Column::Big)]);
        for address in self.by_address.keys() {
            let since = self.also.filter(|also| also.address == *address).map(|also| also.since.micros());
            batch.push([(*address).into(), since.into()]);
        }
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT r.campaign_id, r.number FROM {{rows}} CROSS JOIN recipient r CROSS JOIN campaign c \
             WHERE r.address_id = rows.address_id AND c.id = r.campaign_id AND {} \
                AND (rows.since IS NULL OR r.corrected_at >= rows.since) \
                AND (r.campaign_id > {{1}} OR r.campaign_id = {{1}} AND r.number > {{2}}) \
             ORDER BY r.campaign_id, r.number LIMIT {RECIPIENTS}",
            movable()
        );
        let after = after.unwrap_or(RecipientKey { campaign: 0, number: 0 });
        let rows = batch.query(connection, &sql, [after.campaign.into(), after.number.into()]).await?;
        let read = |row: &QueryResult| -> Result<RecipientKey, DbErr> {
            Ok(RecipientKey { campaign: row.try_get_by_index(0)?, number: row.try_get_by_index(1)? })
        };
        Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
    }

    /// How the new addresses stand, by their ids, held until the end of the transaction.
    async fn standings<C: ConnectionTrait>(&self, connection: &C) -> Result<HashMap<i64, Standing>> {
        let mut ids: Vec<i64> = self.by_address.values().map(|target| target.id).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut batch = Batch::new(&[("id", Column::Big)]);
        ids.into_iter().for_each(|id| batch.push([id.into()]));
        let lock = if is_postgres(connection) { "FOR KEY SHARE OF a" } else { "" };
        let sql = format!(
            "SELECT a.id, a.block_reason, a.last_complained_at, a.consent_given_at FROM {{rows}} CROSS JOIN address a \
             WHERE a.id = rows.id ORDER BY a.id {lock}"
        );
        let rows = batch.query(connection, &sql, []).await?;
        let read = |row: &QueryResult| -> Result<(i64, Standing), DbErr> {
            let time = |index| Ok::<_, DbErr>(row.try_get_by_index::<Option<i64>>(index)?.map(Timestamp::from_micros));
            let standing = Standing {
                blocked: row.try_get_by_index::<Option<i16>>(1)?.and_then(BlockReason::from_code),
                consent: Consent { complained_at: time(2)?, given_at: time(3)? },
            };
            Ok((row.try_get_by_index(0)?, standing))
        };
        Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
    }
}

const KEY: &[(&str, Column)] = &[("campaign_id", Column::Big), ("number", Column::Big)];

/// Under their locks nobody else makes recipients with the new addresses.
async fn lock_campaigns(transaction: &DatabaseTransaction, keys: &[RecipientKey]) -> Result<()> {
    if !is_postgres(transaction) {
        return Ok(());
    }
    let mut campaigns: Vec<i64> = keys.iter().map(|key| key.campaign).collect();
    campaigns.dedup();
    let mut batch = Batch::new(&[("id", Column::Big)]);
    campaigns.into_iter().for_each(|id| batch.push([id.into()]));
    let sql = "SELECT c.id FROM {rows} CROSS JOIN campaign c WHERE c.id = rows.id ORDER BY c.id FOR NO KEY UPDATE OF c";
    batch.query(transaction, sql, []).await?;
    Ok(())
}

/// Locks the recipients, decides on each that still follows, and writes them.
async fn change(
    transaction: &DatabaseTransaction,
    keys: &[RecipientKey],
    targets: &Targets,
    followed: &mut Followed,
    rollup: &mut RollUp,
    now: Timestamp,
) -> Result<()> {
    let rows = lock_recipients(transaction, keys).await?;
    let standings = targets.standings(transaction).await?;
    let mut taken = doubles(transaction, &rows, targets).await?;
    let mut changes = NewAddresses::new();
    for row in rows {
        let Some(target) = targets.by_address.get(&row.address_id) else { continue };
        let standing = standings.get(&target.id).copied().unwrap_or_default();
        let place = (row.key.campaign, target.key.clone());
        let is_double = taken.contains(&place);
        let mut facts = row.facts.clone();
        if row.is_open() {
            facts.skip = skip_at(standing, facts.skip, is_double);
        } else if is_double {
            // The mail goes to that address already; this one stays what became of the other.
            Skipped::add(
                &mut followed.skipped,
                SkipReason::Duplicate.as_str(),
                &format!("{}:{}", row.key.campaign, row.key.number),
            );
            continue;
        }
        if facts.skip != Some(SkipReason::Duplicate) {
            taken.insert(place);
        }
        let before = Before { key: row.key, domain: &row.domain, is_simulator: row.is_simulator, facts: &row.facts };
        changes.push(before, target.clone(), &facts, Some(now), rollup);
        followed.changed += 1;
    }
    changes.write(transaction).await
}

/// Why somebody is not to be sent to at an address; reasons that have nothing to do with the address stay.
fn skip_at(standing: Standing, skip: Option<SkipReason>, is_double: bool) -> Option<SkipReason> {
    use SkipReason::{BlockedAddress, Duplicate, InvalidAddress, NoConsent, TooManyBounces};
    match skip {
        None | Some(BlockedAddress | TooManyBounces | NoConsent | InvalidAddress) if is_double => Some(Duplicate),
        None | Some(BlockedAddress | TooManyBounces | NoConsent | InvalidAddress) => standing.skip_reason(),
        other => other,
    }
}

/// A recipient under lock.
struct Row {
    key: RecipientKey,
    address_id: i64,
    domain: String,
    is_simulator: bool,
    facts: domain::facts::Facts,
    campaign: CampaignState,
}

impl Row {
    /// Whether it is still to be sent to, but for what speaks against its address.
    fn is_open(&self) -> bool {
        let is_going_out = matches!(self.campaign, CampaignState::Draft | CampaignState::Sending);
        match status(&self.facts) {
            (RecipientStatus::Ready, _) => true,
            (RecipientStatus::Blocked, reason) => is_going_out && reason != Some(SkipReason::ProviderRefused),
            _ => false,
        }
    }
}

async fn lock_recipients(transaction: &DatabaseTransaction, keys: &[RecipientKey]) -> Result<Vec<Row>> {
    let mut batch = Batch::new(KEY);
    keys.iter().for_each(|key| batch.push([key.campaign.into(), key.number.into()]));
    let facts = facts_row::columns_of("r");
    let lock = if is_postgres(transaction) { "FOR UPDATE OF r" } else { "" };
    let sql = format!(
        "SELECT r.campaign_id, r.number, r.address_id, r.domain, r.is_simulator, {facts}, c.state \
         FROM {{rows}} CROSS JOIN recipient r CROSS JOIN campaign c \
         WHERE r.campaign_id = rows.campaign_id AND r.number = rows.number AND c.id = r.campaign_id AND {} \
         ORDER BY r.campaign_id, r.number {lock}",
        movable()
    );
    let rows = batch.query(transaction, &sql, []).await?;
    let read = |row: &QueryResult| -> Result<Row, DbErr> {
        let state: i16 = row.try_get_by_index(5 + FACT_COLUMN_COUNT)?;
        Ok(Row {
            key: RecipientKey { campaign: row.try_get_by_index(0)?, number: row.try_get_by_index(1)? },
            address_id: row.try_get_by_index(2)?,
            domain: row.try_get_by_index(3)?,
            is_simulator: row.try_get_by_index(4)?,
            facts: facts_row::read(row, 5)?,
            campaign: CampaignState::from_code(state).unwrap_or(CampaignState::Sent),
        })
    };
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

/// The new addresses that campaigns have already, other than as doubles of somebody who has left them.
async fn doubles(transaction: &DatabaseTransaction, rows: &[Row], targets: &Targets) -> Result<HashSet<(i64, String)>> {
    let place = |row: &Row| Some((row.key.campaign, targets.by_address.get(&row.address_id)?.key.clone()));
    let places: HashSet<(i64, String)> = rows.iter().filter_map(place).collect();
    let mut batch = Batch::new(&[("campaign_id", Column::Big), ("email_key", Column::Text)]);
    places.into_iter().for_each(|(campaign, key)| batch.push([campaign.into(), key.into()]));
    if batch.is_empty() {
        return Ok(HashSet::new());
    }
    let sql = "SELECT DISTINCT r.campaign_id, r.email_key FROM {rows} CROSS JOIN recipient r \
               WHERE r.campaign_id = rows.campaign_id AND r.email_key = rows.email_key AND COALESCE(r.skip, 0) <> {1}";
    let found = batch.query(transaction, sql, [SkipReason::Duplicate.code().into()]).await?;
    Ok(found
        .iter()
        .map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?)))
        .collect::<Result<_, DbErr>>()?)
}
