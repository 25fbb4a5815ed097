//! Writing some rows of an import: one transaction, a few statements, however many rows.
//!
//! Locks are taken in the order that applying events takes them in as well: the campaign, recipients by number, addresses by key,
//! roll-ups. The campaign's lock makes imports into one campaign wait for each other; the position of the import is written with
//! the rows, so that what was not committed is simply read again.

use std::collections::HashSet;

use domain::Timestamp;
use domain::campaign::CampaignState;
use domain::contribution::{Contribution, contribution};
use domain::facts::Facts;
use domain::status::{RecipientStatus, SkipReason, status};
use sea_orm::DatabaseTransaction;

use super::columns::{Row, Said, too_many_attributes};
use super::lookup::{Lookup, numbers};
use super::plan::{Claimed, Decided, Fresh, Known, decide};
use super::report::kept;
use super::{Chunk, Counts, Issue};
use crate::access::Services;
use crate::batch::{Batch, Column};
use crate::campaigns::{self, CampaignRow};
use crate::changes::Change;
use crate::crm::mirror::{self, Imported};
use crate::db::{execute, query_one};
use crate::error::{Refusal, RefusalCode, Result, ServiceError};
use crate::rollup::RollUp;

/// Where an import writes to.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The campaign.
    pub campaign: i64,
    /// The import.
    pub import: i64,
}

/// Writes `chunk`, which begins behind a line, while so many lines were rejected before it; says what became of its rows.
///
/// # Errors
/// A refusal where the campaign was cancelled; those of the database, after deadlocks and the like have been tried again.
pub async fn write(services: &Services, target: Target, before: (i64, i64), chunk: &Chunk) -> Result<Counts> {
    const TRIES: u32 = 5;
    let mut tries = 0;
    loop {
        match write_once(services, target, before, chunk).await {
            Err(error) if error.is_transient() && tries < TRIES => {
                tries += 1;
                tracing::debug!(tries, %error, "a batch of an import is tried again");
                tokio::time::sleep(std::time::Duration::from_millis(10 << tries)).await;
            }
            result => return result,
        }
    }
}

async fn write_once(
    services: &Services,
    target: Target,
    (after, rejected): (i64, i64),
    chunk: &Chunk,
) -> Result<Counts> {
    let transaction = services.db.begin_keyed().await?;
    let campaign = open(&transaction, services, target.campaign).await?;
    let sent_at = campaign.sent_at.filter(|_| campaign.state == CampaignState::Sent);
    let Written { mut counts, rollup, mut issues, .. } =
        write_rows(&transaction, services, target, &chunk.rows, sent_at).await?;
    if services.crm.is_builtin() {
        mirror::learn(&transaction, &persons(&chunk.rows), services.now()).await?;
    }
    issues.extend(chunk.issues.iter().cloned());
    counts.rejected += i64::try_from(issues.len()).unwrap_or(i64::MAX);
    advance(&transaction, target, (after, chunk.last_line), counts).await?;
    report(&transaction, target, kept(issues, rejected)).await?;
    let changes = rollup.campaigns().next().is_some();
    rollup.write(&transaction, services.now()).await?;
    transaction.commit().await?;
    if changes {
        services.changes.publish(Change::Campaign(target.campaign));
    }
    Ok(counts)
}

/// The campaign, locked, if it takes recipients.
pub(super) async fn open(transaction: &DatabaseTransaction, services: &Services, campaign: i64) -> Result<CampaignRow> {
    let campaign = campaigns::lock(transaction, services.db.is_postgres(), campaign).await?;
    if campaign.state == CampaignState::Canceled {
        return Err(Refusal::new(RefusalCode::Conflict, "this campaign was cancelled: it takes no recipients").into());
    }
    Ok(campaign)
}

/// What came of rows that were written.
#[derive(Debug)]
pub(super) struct Written {
    /// Without those that can be no recipient.
    pub counts: Counts,
    /// To be written at the end of the transaction.
    pub rollup: RollUp,
    /// The rows that can be no recipient.
    pub issues: Vec<Issue>,
    /// The new recipients that are not to be sent to, by their numbers.
    pub skipped: Vec<(SkipReason, i64)>,
}

/// Decides what becomes of rows, and writes that. The campaign is locked by the caller; with `sent_at`, its recipients have been sent to.
pub(super) async fn write_rows(
    transaction: &DatabaseTransaction,
    services: &Services,
    target: Target,
    rows: &[Row],
    sent_at: Option<Timestamp>,
) -> Result<Written> {
    let lookup = Lookup { transaction, postgres: services.db.is_postgres(), target };
    let known = lookup.known(rows).await?;
    let mut batch = Writing {
        lookup,
        transaction,
        target,
        now: services.now(),
        sent_at,
        counts: Counts::default(),
        rollup: RollUp::default(),
        messages: Batch::new(MESSAGE),
        skipped: Vec::new(),
        issues: Vec::new(),
    };
    let Decided { fresh, claimed, issues } = decide(rows, known);
    batch.issues = issues;
    batch.insert(&fresh).await?;
    batch.update(claimed).await?;
    Ok(Written { counts: batch.counts, rollup: batch.rollup, issues: batch.issues, skipped: batch.skipped })
}

/// Whom a file calls persons of the CRM.
fn persons(rows: &[Row]) -> Vec<Imported> {
    let said = |said: &Said| said.clone().flatten();
    let person = |row: &Row| {
        Some(Imported {
            crm_id: said(&row.crm_id)?,
            name: said(&row.name),
            company: said(&row.company),
            owner: said(&row.owner),
            email: row.is_valid.then(|| row.email.clone()),
        })
    };
    rows.iter().filter_map(person).collect()
}

const MESSAGE: &[(&str, Column)] =
    &[("message_id", Column::Text), ("recipient", Column::Big), ("attempt", Column::Int)];
const RECIPIENT: &[(&str, Column)] = &[
    ("number", Column::Big),
    ("address_id", Column::Big),
    ("email_key", Column::Text),
    ("email", Column::Text),
    ("domain", Column::Text),
    ("ref", Column::Text),
    ("name", Column::Text),
    ("company", Column::Text),
    ("owner", Column::Text),
    ("crm_id", Column::Text),
    ("attributes", Column::Text),
    ("is_simulator", Column::Bool),
    ("status", Column::Small),
    ("skip", Column::Small),
    ("sent_at", Column::Big),
];
/// Recipients whose texts have so many bytes together are changed at once.
const TEXTS_AT_ONCE: i64 = 8 << 20;
// A constant campaign instead would make SQLite look at all of its recipients for each row, and PostgreSQL too while it has no
// statistics of a table that is being filled.
const SAME: &[(&str, Column)] = &[("campaign_id", Column::Big), ("number", Column::Big)];
const CHANGE: &[(&str, Column)] = &[
    ("campaign_id", Column::Big),
    ("number", Column::Big),
    ("ref", Column::Text),
    ("name", Column::Text),
    ("company", Column::Text),
    ("owner", Column::Text),
    ("crm_id", Column::Text),
    ("attributes", Column::Text),
    ("status", Column::Small),
    ("sent_at", Column::Big),
    ("is_marked", Column::Bool),
];

/// A transaction that is being put together.
struct Writing<'a> {
    lookup: Lookup<'a>,
    transaction: &'a DatabaseTransaction,
    target: Target,
    now: Timestamp,
    /// When the recipients were sent to, if they were.
    sent_at: Option<Timestamp>,
    counts: Counts,
    rollup: RollUp,
    messages: Batch,
    skipped: Vec<(SkipReason, i64)>,
    /// The rows that can be no recipient.
    issues: Vec<Issue>,
}

impl Writing<'_> {
    /// Makes the new recipients.
    async fn insert(&mut self, fresh: &[Fresh<'_>]) -> Result<()> {
        if fresh.is_empty() {
            return Ok(());
        }
        let addresses = self.lookup.addresses(fresh, self.now).await?;
        let mut number = self.take_numbers(fresh.len()).await?;
        let mut batch = Batch::new(RECIPIENT);
        for new in fresh {
            let row = new.row;
            let address = addresses.get(&row.email_key);
            let address = address.ok_or_else(|| ServiceError::Inconsistent("an address was not stored".to_owned()))?;
            let unsubscribed = (row.person.is_some() && address.is_unsubscribed).then_some(SkipReason::NoSubscription);
            let facts = new.facts(address.skip.or(unsubscribed), self.sent_at);
            let (status, _) = status(&facts);
            match facts.skip {
                Some(reason) => {
                    self.counts.skipped += 1;
                    self.skipped.push((reason, number));
                }
                None => self.counts.imported += 1,
            }
            let now = contribution(&facts, new.is_simulator());
            self.rollup.change(self.target.campaign, row.domain(), &Contribution::default(), &now);
            self.rollup.by_status.change(self.target.campaign, number, None, status);
            if let Some(id) = &row.message_id {
                self.messages.push([id.clone().into(), number.into(), 1_i32.into()]);
            }
            batch.push([
                number.into(),
                address.id.into(),
                row.email_key.clone().into(),
                row.email.clone().into(),
                row.domain().to_owned().into(),
                new.recipient_id.map(str::to_owned).into(),
                row.name.clone().flatten().into(),
                row.company.clone().flatten().into(),
                row.owner.clone().flatten().into(),
                row.crm_id.clone().flatten().into(),
                new.attributes().into(),
                new.is_simulator().into(),
                status.code().into(),
                facts.skip.map(SkipReason::code).into(),
                facts.sent_at.map(Timestamp::micros).into(),
            ]);
            number += 1;
        }
        let sql = "INSERT INTO recipient (campaign_id, number, address_id, email_key, email, domain, ref, name, company, owner, \
                crm_id, attributes, is_simulator, status, skip, skip_reason, sent_at, import_id, created_at) \
            SELECT {1}, number, address_id, email_key, email, domain, ref, name, company, owner, \
                crm_id, attributes, is_simulator, status, skip, skip, sent_at, {2}, {3} FROM {rows}";
        let more = [self.target.campaign.into(), self.target.import.into(), self.now.micros().into()];
        batch.execute(self.transaction, sql, more).await?;
        Ok(())
    }

    /// The first of `count` numbers that are the new recipients'.
    async fn take_numbers(&self, count: usize) -> Result<i64> {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let sql = "UPDATE campaign SET last_recipient = last_recipient + $2 WHERE id = $1 RETURNING last_recipient";
        let row = query_one(self.transaction, sql, [self.target.campaign.into(), count.into()]).await?;
        let last: i64 =
            row.ok_or_else(|| ServiceError::Inconsistent("a campaign is gone".to_owned()))?.try_get_by_index(0)?;
        Ok(last - count + 1)
    }

    /// Marks the recipients that rows stand for, and changes those about which the rows say something new. Writes the message ids
    /// of the new ones as well.
    async fn update(&mut self, claimed: Vec<Claimed<'_>>) -> Result<()> {
        for Claimed { known, row, .. } in &claimed {
            if let Some(id) = &row.message_id {
                self.messages.push([id.clone().into(), known.number.into(), known.attempt.into()]);
            }
        }
        let new_message = self.add_messages().await?;
        let mut claimed = claimed.into_iter().peekable();
        while claimed.peek().is_some() {
            let mut size = 0;
            let part = std::iter::from_fn(|| {
                claimed.next_if(|claimed| {
                    let has_room = size < TEXTS_AT_ONCE;
                    size += claimed.known.texts_size;
                    has_room
                })
            });
            let part = part.collect();
            self.update_part(part, &new_message).await?;
        }
        Ok(())
    }

    /// The same for some of them: those whose texts may be in memory together.
    async fn update_part(&mut self, claimed: Vec<Claimed<'_>>, new_message: &HashSet<i64>) -> Result<()> {
        let mut texts = self.lookup.texts(claimed.iter().map(|claimed| &claimed.known)).await?;
        let (mut same, mut changed) = (Batch::new(SAME), Batch::new(CHANGE));
        for Claimed { mut known, row, gains_id } in claimed {
            let mut texts = texts.remove(&known.number).unwrap_or_default();
            // Who was there before its person was found on a list stays when the person leaves that list.
            let is_marked = row.person.is_none();
            if !texts.have_room_for(row) {
                self.issues.push(Issue::new(row.line, &row.text, &too_many_attributes()));
                if is_marked {
                    same.push([self.target.campaign.into(), known.number.into()]);
                }
                continue;
            }
            let is_sent_now = known.status == RecipientStatus::Ready && self.sent_at.is_some();
            let says_new = known.take_over(&mut texts, row);
            let is_changed = says_new || gains_id || is_sent_now;
            if is_changed || new_message.contains(&known.number) {
                self.counts.updated += 1;
            } else if known.is_skipped {
                self.counts.skipped += 1;
            } else {
                self.counts.unchanged += 1;
            }
            if !is_changed {
                if !is_marked {
                    continue;
                }
                same.push([self.target.campaign.into(), known.number.into()]);
                continue;
            }
            let sent_at = self.sent_at.filter(|_| is_sent_now);
            if is_sent_now {
                known.status = self.sent(&known);
            }
            changed.push([
                self.target.campaign.into(),
                known.number.into(),
                known.recipient_id.into(),
                texts.name.into(),
                texts.company.into(),
                texts.owner.into(),
                known.crm_id.into(),
                texts.attributes.into(),
                known.status.code().into(),
                sent_at.map(Timestamp::micros).into(),
                is_marked.into(),
            ]);
        }
        if !same.is_empty() {
            let sql = "UPDATE recipient SET import_id = {1} FROM {rows} \
                WHERE recipient.campaign_id = rows.campaign_id AND recipient.number = rows.number";
            same.execute(self.transaction, sql, [self.target.import.into()]).await?;
        }
        if !changed.is_empty() {
            let sql = "UPDATE recipient SET import_id = CASE WHEN rows.is_marked THEN {1} ELSE recipient.import_id END, ref = rows.ref, name = rows.name, company = rows.company, \
                    owner = rows.owner, crm_id = rows.crm_id, attributes = rows.attributes, status = rows.status, \
                    sent_at = COALESCE(recipient.sent_at, rows.sent_at) \
                FROM {rows} WHERE recipient.campaign_id = rows.campaign_id AND recipient.number = rows.number";
            changed.execute(self.transaction, sql, [self.target.import.into()]).await?;
        }
        Ok(())
    }

    /// Counts a recipient as sent that was ready; returns its status. Nothing else is known of one that is ready: whatever a
    /// provider reports proves that the mail was sent, or makes it another status.
    fn sent(&mut self, known: &Known) -> RecipientStatus {
        let (before, after) = (Facts::default(), Facts { sent_at: self.sent_at, ..Facts::default() });
        let contributions = [&before, &after].map(|facts| contribution(facts, known.is_simulator));
        let [before, now] = &contributions;
        self.rollup.change(self.target.campaign, &known.domain, before, now);
        let after = status(&after).0;
        self.rollup.by_status.change(self.target.campaign, known.number, Some(known.status), after);
        after
    }

    /// Writes the message ids; returns the recipients for whom one was new.
    async fn add_messages(&mut self) -> Result<HashSet<i64>> {
        let messages = std::mem::replace(&mut self.messages, Batch::new(MESSAGE));
        if messages.is_empty() {
            return Ok(HashSet::new());
        }
        let sql = "INSERT INTO message (message_id, campaign_id, recipient, attempt) \
            SELECT message_id, {1}, recipient, attempt FROM {rows} WHERE true ON CONFLICT DO NOTHING RETURNING recipient";
        let new = messages.query(self.transaction, sql, [self.target.campaign.into()]).await?;
        Ok(numbers(&new)?.into_iter().collect())
    }
}

/// Writes down the lines that made no recipient.
async fn report(transaction: &DatabaseTransaction, target: Target, issues: impl Iterator<Item = Issue>) -> Result<()> {
    let mut batch = Batch::new(&[("line", Column::Big), ("content", Column::Text), ("reason", Column::Text)]);
    for issue in issues {
        batch.push([issue.line.into(), issue.content.into(), issue.reason.into()]);
    }
    if batch.is_empty() {
        return Ok(());
    }
    let sql =
        "INSERT INTO import_issue (import_id, line, content, reason) SELECT {1}, line, content, reason FROM {rows}";
    batch.execute(transaction, sql, [target.import.into()]).await?;
    Ok(())
}

/// Moves the import on from one line to another. It fails where the import is not at the first: somebody else works on it.
pub(super) async fn advance(
    transaction: &DatabaseTransaction,
    target: Target,
    lines: (i64, i64),
    counts: Counts,
) -> Result<()> {
    let changed = execute(
        transaction,
        "UPDATE import SET lines_done = $3, read_count = read_count + $4, imported = imported + $5, updated = updated + $6, \
            unchanged = unchanged + $7, skipped = skipped + $8, rejected = rejected + $9 \
         WHERE id = $1 AND lines_done = $2 AND finished_at IS NULL",
        [
            target.import.into(),
            lines.0.into(),
            lines.1.into(),
            counts.read().into(),
            counts.imported.into(),
            counts.updated.into(),
            counts.unchanged.into(),
            counts.skipped.into(),
            counts.rejected.into(),
        ],
    )
    .await?;
    if changed.rows_affected() == 1 {
        return Ok(());
    }
    Err(ServiceError::Inconsistent(format!(
        "import {} is not where it was left: somebody else goes on with it",
        target.import
    )))
}
