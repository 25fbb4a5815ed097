//! Reading the recipients of a campaign from the CRM again: who joined its lists, who left them, and whose address is another now.
//!
//! First a walk over the recipients who are persons of the CRM, then one over the members of the lists. Of those who were sent to, only an
//! address that failed is changed: what was sent stays. An address that was corrected here and that the CRM does not know yet is kept.

use std::collections::{HashMap, HashSet};

use domain::Timestamp;
use domain::campaign::CampaignState;
use domain::correction::{CorrectionState, PushState};
use domain::email::EmailAddress;
use domain::facts::Facts;
use domain::status::{RecipientStatus, SkipReason, status};
use sea_orm::{ConnectionTrait, DatabaseTransaction, QueryResult};
use serde::{Deserialize, Serialize};

use super::sources::{self, COLUMN_COUNT, COLUMNS, Member, Sources};
use super::{join, note_lists};
use crate::access::{Marketer, Services};
use crate::audit;
use crate::batch::{Batch, Column};
use crate::campaigns::{self, CampaignRow};
use crate::changes::Change;
use crate::db::query_all;
use crate::error::{Refusal, RefusalCode, Result, ServiceError};
use crate::facts_row;
use crate::import::lookup::{Address, Lookup};
use crate::import::write::{Target, open};
use crate::import::{ImportResult, end, position};
use crate::jobs::{self, ClaimedJob, Job, JobKind, JobProgress, NewJob};
use crate::recipients::RecipientKey;
use crate::recipients::new_address::{Before, NewAddresses, RecipientAddress};
use crate::rollup::RollUp;
use crate::skipped::Skipped;

/// As many recipients are dealt with in one transaction.
pub(super) const CHUNK: i64 = 1_000;
/// Those who are on none of the campaign's lists any more.
const LEFT: &str = "LEFT";

/// What a job needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Payload {
    campaign_id: i64,
    /// The import that takes in those who joined.
    import_id: i64,
}

/// How far a job is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Position {
    /// Behind this recipient.
    after: i64,
    /// All recipients are done: behind this person.
    joining: Option<i64>,
    done: i64,
    reloaded: Reloaded,
}

/// What a reload did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reloaded {
    /// The campaign.
    pub campaign_id: i64,
    /// New recipients that are to be sent to.
    pub added: i64,
    /// Recipients that were changed: they have another address, or are to be sent to again after they were left out.
    pub updated: i64,
    /// Of these, how many have another address.
    pub corrected: i64,
    /// Recipients and members about whom nothing changed.
    pub unchanged: i64,
    /// Recipients, new or there already, that are now not to be sent to: by the name of the [`SkipReason`], or `LEFT` for those who are on
    /// none of the lists any more. Examples are `campaign:number`.
    pub skipped_by_reason: Vec<Skipped>,
}

pub(super) fn refuse_canceled(campaign: &CampaignRow) -> Result<(), Refusal> {
    if campaign.state != CampaignState::Canceled {
        return Ok(());
    }
    let message = "this campaign was cancelled: it takes no recipients";
    Err(Refusal::field(RefusalCode::Conflict, &["campaignId"], message))
}

impl Marketer {
    /// Has the recipients of a campaign read again from the selections and projects that they came from, by a job: those who joined become
    /// recipients, those who left before they were sent to become `CANCELED`, and addresses that are others now are taken over where
    /// nothing was sent, or what was sent failed. What was sent stays.
    ///
    /// # Errors
    /// A refusal where there is no such campaign, or it was cancelled; those of the database.
    pub async fn reload_recipients(&self, campaign: i64) -> Result<Job> {
        let now = self.services.now();
        let transaction = self.services.db.begin().await?;
        let row = campaigns::lock(&transaction, self.services.db.is_postgres(), campaign).await?;
        refuse_canceled(&row)?;
        let import_id = note_lists(&transaction, campaign, &self.subject.id, now).await?;
        let payload = serde_json::to_value(Payload { campaign_id: campaign, import_id })?;
        let job = NewJob::new(JobKind::ReloadRecipients, payload, &self.subject.id, now);
        let job = jobs::enqueue(&transaction, job, now).await?;
        let detail = serde_json::json!({ "job": job, "import": import_id });
        let object = format!("campaign:{campaign}");
        audit::record(&transaction, now, &self.subject, "recipients.reload", object, Some(detail)).await?;
        let job = jobs::get(&transaction, job).await?;
        transaction.commit().await?;
        self.services.jobs_were_added();
        Ok(job)
    }
}

/// Does a job that [`Marketer::reload_recipients`] asked for, from where it was left.
///
/// # Errors
/// A refusal where the campaign was cancelled meanwhile; [`JobLost`](ServiceError::JobLost); those of the database.
pub async fn reload(services: &Services, job: &ClaimedJob) -> Result<Reloaded> {
    let payload: Payload = serde_json::from_value(job.payload.clone())?;
    let mut at: Position = job.position.clone().map(serde_json::from_value).transpose()?.unwrap_or_default();
    at.reloaded.campaign_id = payload.campaign_id;
    if job.position.is_none() {
        let db = services.db.read();
        let sources = sources::of_campaign(db, payload.campaign_id).await?;
        // Whoever came from a list that is gone in the CRM stays, and the others are read again all the same.
        super::read_before(services, job, &sources.that_are_there(db).await?).await?;
    }
    while !step(services, job, &payload, &mut at).await? {}
    Ok(at.reloaded)
}

/// Does the next part, in one transaction. Says whether it was the last.
pub(super) async fn step(services: &Services, job: &ClaimedJob, payload: &Payload, at: &mut Position) -> Result<bool> {
    let target = Target { campaign: payload.campaign_id, import: payload.import_id };
    let transaction = services.db.begin_keyed().await?;
    open(&transaction, services, target.campaign).await?;
    let sources = sources::of_campaign(&transaction, target.campaign).await?;
    let (rollup, is_last) = match at.joining {
        None => (walk(&transaction, services, target, &sources, at).await?, false),
        Some(after) => join_next(&transaction, services, target, &sources, after, at).await?,
    };
    rollup.write(&transaction, services.now()).await?;
    let skipped = Skipped::total(&at.reloaded.skipped_by_reason);
    let progress = JobProgress { done: at.done, total: None, skipped };
    if is_last {
        let counts = position(services, target.import).await?.counts;
        let (campaign_id, import_id) = (target.campaign, target.import);
        let result = ImportResult { campaign_id, import_id, read: counts.read(), counts };
        end(&transaction, &result, &job.created_by, services.now()).await?;
        jobs::finish(&transaction, services, job, progress, &at.reloaded).await?;
    } else {
        jobs::checkpoint(&transaction, services, job, progress, at).await?;
    }
    transaction.commit().await?;
    services.changes.publish(Change::Campaign(target.campaign));
    Ok(is_last)
}

/// Takes in the next members who are no recipients yet. They are to be sent to, also where the campaign was sent.
async fn join_next(
    transaction: &DatabaseTransaction,
    services: &Services,
    target: Target,
    sources: &Sources,
    after: i64,
    at: &mut Position,
) -> Result<(RollUp, bool)> {
    let joined = join(transaction, services, target, sources, after, None).await?;
    at.reloaded.added += joined.counts.imported;
    at.done += joined.counts.imported + joined.counts.skipped;
    for (reason, number) in joined.skipped {
        at.skip(target.campaign, number, reason.as_str());
    }
    at.joining = joined.last.or(at.joining);
    Ok((joined.rollup, joined.last.is_none()))
}

impl Position {
    fn skip(&mut self, campaign: i64, number: i64, reason: &str) {
        Skipped::add(&mut self.reloaded.skipped_by_reason, reason, &format!("{campaign}:{number}"));
    }
}

/// A recipient who is a person of the CRM, locked.
struct Known {
    number: i64,
    email: String,
    email_key: String,
    domain: String,
    address_id: i64,
    is_simulator: bool,
    /// It came from the lists.
    from_lists: bool,
    facts: Facts,
    /// As the CRM knows the person now, if it does.
    person: Option<Member>,
    /// The person's address was corrected here to what the recipient has, and the CRM does not know that yet.
    is_ahead: bool,
}

/// What has become of one.
struct Changed {
    known: Known,
    address: Option<EmailAddress>,
    after: Facts,
    corrected_at: Option<Timestamp>,
}

fn read(row: &QueryResult) -> Result<Known> {
    const FACTS: usize = 9 + COLUMN_COUNT;
    let person: Option<i64> = row.try_get_by_index(9)?;
    Ok(Known {
        number: row.try_get_by_index(0)?,
        email: row.try_get_by_index(1)?,
        email_key: row.try_get_by_index(2)?,
        domain: row.try_get_by_index(3)?,
        address_id: row.try_get_by_index(4)?,
        is_simulator: row.try_get_by_index(5)?,
        from_lists: row.try_get_by_index(6)?,
        is_ahead: row.try_get_by_index(7)?,
        person: person.map(|_| Member::read(row, 9)).transpose()?,
        facts: facts_row::read(row, FACTS)?,
    })
}

/// Locks and reads the next recipients who are persons of the CRM, behind the one with the number `after`.
async fn next(transaction: &DatabaseTransaction, postgres: bool, campaign: i64, after: i64) -> Result<Vec<Known>> {
    let facts = facts_row::columns_of("r");
    let lock = if postgres { "FOR UPDATE OF r" } else { "" };
    // What was corrected here is ahead of the CRM: while that still has the old address, has not been told yet, or has another one and nobody
    // has decided which of them holds.
    let (applied, conflict) = (CorrectionState::Applied.code(), CorrectionState::Conflict.code());
    let (pending, pushing) = (PushState::Pending.code(), PushState::Pushing.code());
    let sql = format!(
        "SELECT r.number, r.email, r.email_key, r.domain, r.address_id, r.is_simulator, \
            EXISTS (SELECT 1 FROM import i WHERE i.id = r.import_id AND i.from_lists), \
            EXISTS (SELECT 1 FROM correction c WHERE c.new_key = r.email_key AND (c.state = {applied} AND EXISTS (\
                    SELECT 1 FROM person_email e WHERE e.person_id = p.id AND e.email_key = c.old_key) \
                OR c.person_id = p.id AND (c.state = {conflict} OR c.push IN ({pending}, {pushing})))), \
            r.crm_id, {COLUMNS}, {facts} \
         FROM recipient r LEFT JOIN person p ON p.crm_id = r.crm_id AND p.deleted_at IS NULL \
         WHERE r.campaign_id = $1 AND r.number > $2 AND r.crm_id IS NOT NULL ORDER BY r.number LIMIT $3 {lock}"
    );
    let rows = query_all(transaction, &sql, [campaign.into(), after.into(), CHUNK.into()]).await?;
    rows.iter().map(read).collect()
}

/// Compares the next recipients with what the CRM says, and writes those who change.
async fn walk(
    transaction: &DatabaseTransaction,
    services: &Services,
    target: Target,
    sources: &Sources,
    at: &mut Position,
) -> Result<RollUp> {
    let postgres = services.db.is_postgres();
    let mut known = next(transaction, postgres, target.campaign, at.after).await?;
    let is_last = i64::try_from(known.len()).unwrap_or(i64::MAX) < CHUNK;
    at.after = known.last().map_or(at.after, |last| last.number);
    at.done += i64::try_from(known.len()).unwrap_or(i64::MAX);
    if is_last {
        at.joining = Some(0);
    }
    let ids: Vec<i64> = known.iter().filter_map(|known| Some(known.person.as_ref()?.id)).collect();
    let mut wanted = sources.of_lists(transaction, &ids).await?;
    for person in known.iter_mut().filter_map(|known| known.person.as_mut()) {
        person.wanted = wanted.remove(&person.id).unwrap_or_default();
    }
    let lookup = Lookup { transaction, postgres, target };
    let addresses = addresses(&lookup, &known, services.now()).await?;
    let mut taken = taken(transaction, target.campaign, &known).await?;
    let mut changes = Vec::new();
    for known in known {
        match compare(known, &addresses, &mut taken, services.now()) {
            Some(changed) => changes.push(changed),
            None => at.reloaded.unchanged += 1,
        }
    }
    write(transaction, target.campaign, changes, &addresses, at).await
}

/// How the addresses are doing that these recipients have, or are to have.
async fn addresses(lookup: &Lookup<'_>, known: &[Known], now: Timestamp) -> Result<HashMap<String, Address>> {
    let new: Vec<EmailAddress> = known.iter().filter_map(|known| known.person.as_ref()?.address()).collect();
    let keys = known.iter().map(|known| known.email_key.as_str()).chain(new.iter().map(EmailAddress::key)).collect();
    lookup.addresses_of(keys, now).await
}

/// Of the addresses that recipients are to have instead of theirs, those that stand in the campaign already.
async fn taken<C: ConnectionTrait>(connection: &C, campaign: i64, known: &[Known]) -> Result<HashSet<String>> {
    let mut batch = Batch::new(&[("campaign_id", Column::Big), ("email_key", Column::Text)]);
    for known in known {
        if let Some(address) = known.person.as_ref().and_then(Member::address)
            && address.key() != known.email_key
        {
            batch.push([campaign.into(), address.key().to_owned().into()]);
        }
    }
    if batch.is_empty() {
        return Ok(HashSet::new());
    }
    let sql = "SELECT r.email_key FROM {rows} CROSS JOIN recipient r \
               WHERE r.campaign_id = rows.campaign_id AND r.email_key = rows.email_key";
    let rows = batch.query(connection, sql, []).await?;
    Ok(rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?)
}

/// What the CRM says now makes of a recipient; `None` where nothing changes.
fn compare(
    known: Known,
    addresses: &HashMap<String, Address>,
    taken: &mut HashSet<String>,
    now: Timestamp,
) -> Option<Changed> {
    let is_open = !status(&known.facts).0.is_sent() && known.facts.refused_at.is_none();
    let failed = matches!(
        status(&known.facts).0,
        RecipientStatus::SoftBounced | RecipientStatus::HardBounced | RecipientStatus::Blocked
    ) && !is_open;
    let mut address = known
        .person
        .as_ref()
        .and_then(Member::address)
        .filter(|address| address.key() != known.email_key && !known.is_ahead && (is_open || failed));
    let mut after = known.facts.clone();
    let is_taken = address.as_ref().is_some_and(|address| !taken.insert(address.key().to_owned()));
    if is_taken {
        // Somebody else is written to there: this one does not get it twice.
        address = None;
    }
    if is_open {
        let key = address.as_ref().map_or(known.email_key.as_str(), EmailAddress::key);
        settle(&known, &mut after, addresses.get(key), is_taken);
    }
    if address.is_none() && after == known.facts {
        return None;
    }
    let corrected_at = address.as_ref().filter(|_| failed).map(|_| now);
    Some(Changed { known, address, after, corrected_at })
}

/// Decides anew whether somebody is to be sent to who has not been.
fn settle(known: &Known, facts: &mut Facts, address: Option<&Address>, is_taken: bool) {
    let is_member = known.person.as_ref().is_some_and(|person| !person.wanted.is_empty());
    if known.from_lists && !is_member {
        facts.canceled = facts.canceled || facts.skip.is_none();
        return;
    }
    // Who left before, and is back.
    facts.canceled = facts.canceled && !known.from_lists;
    let Some(person) = &known.person else { return };
    match facts.skip {
        // Reasons of others: they stay, and so does one that came with the import of a file.
        Some(SkipReason::Duplicate | SkipReason::ProviderRefused | SkipReason::Responded) => return,
        Some(SkipReason::NoSubscription) if !known.from_lists => return,
        _ => {}
    }
    let is_address = person.address().is_some() || EmailAddress::parse(&known.email).is_ok();
    facts.skip = if is_taken {
        Some(SkipReason::Duplicate)
    } else if !is_address {
        Some(SkipReason::InvalidAddress)
    } else {
        let unsubscribed = address.is_some_and(|address| address.is_unsubscribed) && known.from_lists;
        let objection = person.standing.skip_reason(if known.from_lists { &person.wanted } else { &[] });
        objection
            .or_else(|| address.and_then(|address| address.skip))
            .or(unsubscribed.then_some(SkipReason::NoSubscription))
    };
}

/// Writes recipients who change, and counts them.
async fn write(
    transaction: &DatabaseTransaction,
    campaign: i64,
    changes: Vec<Changed>,
    addresses: &HashMap<String, Address>,
    at: &mut Position,
) -> Result<RollUp> {
    let mut rollup = RollUp::default();
    let mut rows = NewAddresses::new();
    for Changed { known, address, after, corrected_at } in changes {
        let (was, is) = (status(&known.facts).0, status(&after).0);
        if is != was && is == RecipientStatus::Canceled {
            at.skip(campaign, known.number, LEFT);
        } else if let Some(reason) = after.skip.filter(|_| after.skip != known.facts.skip) {
            at.skip(campaign, known.number, reason.as_str());
        } else {
            at.reloaded.updated += 1;
        }
        at.reloaded.corrected += i64::from(address.is_some());
        let (domain, is_simulator) = (known.domain.clone(), known.is_simulator);
        let address = match address {
            Some(address) => {
                let found = addresses.get(address.key()).map(|address| address.id);
                let found = found.ok_or_else(|| ServiceError::Inconsistent("an address was not stored".to_owned()))?;
                RecipientAddress::new(found, address.as_str().to_owned(), address.key().to_owned())
            }
            None => RecipientAddress {
                id: known.address_id,
                email: known.email,
                key: known.email_key,
                domain: known.domain,
                is_simulator,
            },
        };
        let key = RecipientKey { campaign, number: known.number };
        let before = Before { key, domain: &domain, is_simulator, facts: &known.facts };
        rows.push(before, address, &after, corrected_at, &mut rollup);
    }
    rows.write(transaction).await?;
    Ok(rollup)
}
