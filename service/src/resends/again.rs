//! Starting the next attempt of recipients that somebody has judged.

use std::collections::HashMap;

use domain::Timestamp;
use domain::campaign::CampaignState;
use domain::contribution::contribution;
use domain::facts::Facts;
use domain::health::AddressHealth;
use domain::reminder::Address;
use domain::resend::Candidate;
use domain::status::{RecipientStatus, status};
use sea_orm::{ConnectionTrait, QueryResult};

use crate::audit;
use crate::batch::{Batch, Column};
use crate::campaigns::CampaignRow;
use crate::crm::people::REFUSED_BY_CRM;
use crate::db::{execute, is_postgres};
use crate::error::{Result, ServiceError};
use crate::facts_row::{self, CHANGE_COLUMNS, FACT_COLUMNS};
use crate::recipients::RecipientKey;
use crate::reminders::{CONSENT_WITHDRAWN, UNSUBSCRIBED};
use crate::rollup::RollUp;
use crate::subject::Subject;

/// A recipient that is locked, with everything that decides whether it is sent to again.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Which one.
    pub key: RecipientKey,
    /// Which attempt is under way, the how manieth.
    pub attempt: i64,
    /// What is known of it, as of that attempt.
    pub facts: Facts,
    domain: String,
    is_simulator: bool,
    address: Address,
    is_refused_by_crm: bool,
    corrected_at: Option<Timestamp>,
    /// What became of the attempts before.
    pub earlier: Vec<RecipientStatus>,
}

impl Target {
    /// As the domain asks about it.
    pub(crate) fn candidate(&self) -> Candidate<'_> {
        Candidate {
            facts: &self.facts,
            earlier: &self.earlier,
            is_simulator: self.is_simulator,
            address: self.address,
            is_refused_by_crm: self.is_refused_by_crm,
            corrected_at: self.corrected_at,
        }
    }

    /// Whether it is still to be sent to.
    pub(crate) fn is_ready(&self) -> bool {
        status(&self.facts).0 == RecipientStatus::Ready
    }

    /// Whether the attempt under way can be taken back: there is one before it, and nothing has become of it yet.
    pub(crate) fn can_be_undone(&self) -> bool {
        self.attempt > 1 && self.facts == Facts::default()
    }
}

const KEY: &[(&str, Column)] = &[("campaign_id", Column::Big), ("number", Column::Big)];
const ATTEMPT: &[(&str, Column)] = &[("campaign_id", Column::Big), ("number", Column::Big), ("attempt", Column::Big)];

/// Locks these recipients, in the order of their keys, and reads them. The campaign is locked by the caller.
pub(crate) async fn lock<C: ConnectionTrait>(connection: &C, keys: &[RecipientKey]) -> Result<Vec<Target>> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut batch = Batch::new(KEY);
    keys.iter().for_each(|key| batch.push([key.campaign.into(), key.number.into()]));
    let lock = if is_postgres(connection) { "FOR UPDATE OF r" } else { "" };
    let facts = facts_row::columns_of("r");
    let sql = format!(
        "SELECT r.campaign_id, r.number, r.domain, r.is_simulator, r.corrected_at, a.health, a.former_employee_at IS NOT NULL, \
            a.deleted_at IS NOT NULL, {CONSENT_WITHDRAWN}, {UNSUBSCRIBED}, \
            {REFUSED_BY_CRM}, r.attempt, {facts} \
         FROM {{rows}} CROSS JOIN recipient r CROSS JOIN address a \
         WHERE r.campaign_id = rows.campaign_id AND r.number = rows.number AND a.id = r.address_id \
         ORDER BY r.campaign_id, r.number {lock}"
    );
    let rows = batch.query(connection, &sql, []).await?;
    let mut targets = rows.iter().map(read).collect::<Result<Vec<Target>>>()?;
    add_earlier(connection, &mut targets).await?;
    Ok(targets)
}

/// Reads what became of the earlier attempts of those who were sent to again.
async fn add_earlier<C: ConnectionTrait>(connection: &C, targets: &mut [Target]) -> Result<()> {
    let mut batch = Batch::new(KEY);
    for Target { key, .. } in targets.iter().filter(|target| target.attempt > 1) {
        batch.push([key.campaign.into(), key.number.into()]);
    }
    if batch.is_empty() {
        return Ok(());
    }
    let sql = "SELECT e.campaign_id, e.number, e.status FROM {rows} CROSS JOIN attempt e \
               WHERE e.campaign_id = rows.campaign_id AND e.number = rows.number";
    let mut earlier: HashMap<RecipientKey, Vec<RecipientStatus>> = HashMap::new();
    for row in batch.query(connection, sql, []).await? {
        let key = RecipientKey { campaign: row.try_get_by_index(0)?, number: row.try_get_by_index(1)? };
        earlier.entry(key).or_default().extend(RecipientStatus::from_code(row.try_get_by_index(2)?));
    }
    for target in targets {
        target.earlier = earlier.remove(&target.key).unwrap_or_default();
    }
    Ok(())
}

fn read(row: &QueryResult) -> Result<Target> {
    Ok(Target {
        key: RecipientKey { campaign: row.try_get_by_index(0)?, number: row.try_get_by_index(1)? },
        domain: row.try_get_by_index(2)?,
        is_simulator: row.try_get_by_index(3)?,
        corrected_at: row.try_get_by_index::<Option<i64>>(4)?.map(Timestamp::from_micros),
        address: Address {
            // A health that this version does not know is none to write to.
            health: AddressHealth::from_code(row.try_get_by_index(5)?).unwrap_or(AddressHealth::Blocked),
            is_former_employee: row.try_get_by_index(6)?,
            is_deleted: row.try_get_by_index(7)?,
            is_consent_withdrawn: row.try_get_by_index(8)?,
            is_unsubscribed: row.try_get_by_index(9)?,
        },
        is_refused_by_crm: row.try_get_by_index(10)?,
        attempt: row.try_get_by_index::<i32>(11)?.into(),
        facts: facts_row::read(row, 12)?,
        earlier: Vec::new(),
    })
}

/// Starts the next attempt of recipients that were locked in this transaction: what became of them until now becomes an earlier attempt
/// that ends at `now`, and they are `READY`. Whether they may be sent to again has been judged by the caller.
pub(crate) async fn start<C: ConnectionTrait>(
    connection: &C,
    targets: &[&Target],
    rollup: &mut RollUp,
    now: Timestamp,
) -> Result<()> {
    if targets.is_empty() {
        return Ok(());
    }
    let (mut keys, mut ready) = (Batch::new(KEY), Vec::with_capacity(targets.len()));
    for target in targets {
        keys.push([target.key.campaign.into(), target.key.number.into()]);
        // What is said once about the campaign holds for all attempts: nobody who complained is `READY` after this.
        let Facts { complained_at, unsubscribed_at, .. } = target.facts;
        ready.push((*target, Facts { complained_at, unsubscribed_at, ..Facts::default() }));
    }
    let facts = facts_row::columns_of("r");
    let sql = format!(
        "INSERT INTO attempt (campaign_id, number, attempt, address_id, email_key, email, status, skip_reason, {FACT_COLUMNS}, ended_at) \
         SELECT r.campaign_id, r.number, r.attempt, r.address_id, r.email_key, r.email, r.status, r.skip_reason, {facts}, {{1}} \
         FROM {{rows}} CROSS JOIN recipient r WHERE r.campaign_id = rows.campaign_id AND r.number = rows.number"
    );
    let kept = keys.execute(connection, &sql, [now.micros().into()]).await?;
    if usize::try_from(kept).ok() != Some(targets.len()) {
        return Err(ServiceError::Inconsistent("a recipient is gone while it was locked".to_owned()));
    }
    write(connection, &ready, ", attempt = recipient.attempt + 1", rollup).await
}

/// Takes the attempts back that are under way of recipients that were locked in this transaction, as if they had never been asked for: what
/// became of the attempt before is what is known of them again. For those that [can be](Target::can_be_undone).
pub(crate) async fn undo<C: ConnectionTrait>(connection: &C, targets: &[&Target], rollup: &mut RollUp) -> Result<()> {
    if targets.is_empty() {
        return Ok(());
    }
    let mut ended = Batch::new(ATTEMPT);
    let mut by_key = HashMap::with_capacity(targets.len());
    for target in targets {
        let RecipientKey { campaign, number } = target.key;
        ended.push([campaign.into(), number.into(), (target.attempt - 1).into()]);
        by_key.insert(target.key, *target);
    }
    let facts = facts_row::columns_of("e");
    let sql = format!(
        "SELECT e.campaign_id, e.number, {facts} FROM {{rows}} CROSS JOIN attempt e \
         WHERE e.campaign_id = rows.campaign_id AND e.number = rows.number AND e.attempt = rows.attempt"
    );
    let mut before = Vec::with_capacity(targets.len());
    for row in ended.clone().query(connection, &sql, []).await? {
        let key = RecipientKey { campaign: row.try_get_by_index(0)?, number: row.try_get_by_index(1)? };
        if let Some(target) = by_key.get(&key) {
            before.push((*target, facts_row::read(&row, 2)?));
        }
    }
    if before.len() != targets.len() {
        return Err(ServiceError::Inconsistent("an earlier attempt is gone while it was locked".to_owned()));
    }
    write(connection, &before, ", attempt = recipient.attempt - 1", rollup).await?;
    let sql =
        "DELETE FROM attempt WHERE (campaign_id, number, attempt) IN (SELECT campaign_id, number, attempt FROM {rows})";
    ended.execute(connection, sql, []).await?;
    Ok(())
}

/// Takes recipients back who were left out before anything was sent to them: they are to be sent to, still for the first time.
pub(crate) async fn take_back<C: ConnectionTrait>(
    connection: &C,
    targets: &[&Target],
    rollup: &mut RollUp,
) -> Result<()> {
    let back = |target: &&Target| Facts { skip: None, ..target.facts.clone() };
    let back: Vec<_> = targets.iter().map(|target| (*target, back(target))).collect();
    set(connection, &back, rollup).await
}

/// Writes what is known from now on of recipients that were locked in this transaction, of the attempt that is under way.
pub(crate) async fn set<C: ConnectionTrait>(
    connection: &C,
    changes: &[(&Target, Facts)],
    rollup: &mut RollUp,
) -> Result<()> {
    write(connection, changes, "", rollup).await
}

/// The same, with further assignments, and counts the difference.
async fn write<C: ConnectionTrait>(
    connection: &C,
    changes: &[(&Target, Facts)],
    also: &str,
    rollup: &mut RollUp,
) -> Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let mut batch = Batch::new(CHANGE_COLUMNS);
    for (target, after) in changes {
        let RecipientKey { campaign, number } = target.key;
        batch.push_row(facts_row::batch_row(campaign, number, after));
        let [was, is] = [&target.facts, after].map(|facts| contribution(facts, target.is_simulator));
        rollup.change(campaign, &target.domain, &was, &is);
        rollup.by_status.change(campaign, number, Some(status(&target.facts).0), status(after).0);
    }
    Ok(facts_row::write_recipients(connection, batch, also).await?)
}

/// Has a campaign that was sent be one that is being sent, because there is somebody in it to be sent to. In that state those who are
/// `READY` are sent to, follow their addresses until then, and can be cancelled. A draft stays one; when the campaign was first sent
/// stays known.
pub(crate) async fn reopen<C: ConnectionTrait>(
    connection: &C,
    campaign: &CampaignRow,
    subject: &Subject,
    now: Timestamp,
) -> Result<()> {
    if campaign.state != CampaignState::Sent {
        return Ok(());
    }
    let sql = "UPDATE campaign SET state = $2, reopened_at = $3 WHERE id = $1";
    let values = [campaign.id.into(), CampaignState::Sending.code().into(), now.micros().into()];
    execute(connection, sql, values).await?;
    audit::record(connection, now, subject, "campaign.reopened", format!("campaign:{}", campaign.id), None).await?;
    Ok(())
}
