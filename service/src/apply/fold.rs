//! Folding new events into the rows of their recipients.

use std::collections::{BTreeMap, BTreeSet};

use domain::contribution::contribution;
use domain::facts::Facts;
use domain::resend::went_to_known_address;
use domain::status::{RecipientStatus, status};
use domain::{EventKind, Timestamp};
use sea_orm::{ConnectionTrait, DbErr};

use super::addresses::is_wish;
use super::attempts::Attempts;
use super::pending::{Pending, RecipientKey};
use super::{addresses, clicks, create};
use crate::batch::{Batch, Column};
use crate::db::is_postgres;
use crate::error::Result;
use crate::facts_row::{self, CHANGE_COLUMNS};
use crate::rollup::RollUp;

/// A recipient under lock.
struct Recipient {
    email_key: String,
    domain: String,
    is_simulator: bool,
    has_ref: bool,
    address_id: i64,
    corrected_at: Option<Timestamp>,
    /// Which attempt is under way: the how manieth time that the campaign is sent to it.
    attempt: i32,
    /// Of that attempt.
    facts: Facts,
    /// Before the new events.
    status: RecipientStatus,
    complained_at: Option<Timestamp>,
}

/// Folds matched events that are new into their recipients, addresses and clicks, and adds the differences to `rollup`.
pub async fn fold<C: ConnectionTrait>(
    connection: &C,
    events: &mut [Pending],
    rollup: &mut RollUp,
    now: Timestamp,
) -> Result<()> {
    let keys: BTreeSet<RecipientKey> = events.iter().filter_map(|event| event.matched).collect();
    if keys.is_empty() {
        return Ok(());
    }
    let mut recipients = lock(connection, &keys).await?;
    let before: Vec<_> =
        recipients.values().map(|recipient| contribution(&recipient.facts, recipient.is_simulator)).collect();
    let mut attempts = assign_attempts(connection, events, &recipients).await?;
    let mut outcomes = addresses::Reports::default();
    let mut refs = BTreeMap::new();
    for event in &*events {
        let Some((key, recipient)) = event.matched.and_then(|key| Some((key, recipients.get_mut(&key)?))) else {
            continue;
        };
        let (known, sent_at, ended_at) = match attempts.add(key, event) {
            Some(earlier) => {
                withdraw(&mut recipient.facts, event);
                (&earlier.email_key, earlier.facts.sent_at, Some(earlier.ended_at))
            }
            None => {
                recipient.facts.add(&event.report());
                (&recipient.email_key, recipient.facts.sent_at, None)
            }
        };
        // A bounce is about the address that was written to, also where the recipient has got another one since. Where the event does not
        // say which that was, and it is no longer known, no address is blamed; what people want is theirs at each of their addresses.
        let is_blamed = || went_to_known_address(sent_at, recipient.corrected_at, ended_at);
        let about = event.email_key.as_deref().or_else(|| (is_wish(event.kind) || is_blamed()).then_some(known));
        if let Some(address) = about {
            outcomes.add(address, event);
        }
        if let Some(id) = event.recipient_ref.as_ref().filter(|_| !recipient.has_ref) {
            let known = refs.entry(key).or_insert_with(|| id.clone());
            if id < known {
                known.clone_from(id);
            }
        }
    }
    let clicked = events.iter().filter(|event| event.kind == EventKind::Clicked).collect::<Vec<_>>();
    if !clicked.is_empty() {
        for ((key, attempt), summary) in clicks::record(connection, &clicked, rollup).await? {
            if attempts.set_clicks(key, attempt, summary) {
                continue;
            }
            if let Some(recipient) = recipients.get_mut(&key) {
                recipient.facts.set_clicks(summary);
            }
        }
    }
    for ((key, recipient), before) in recipients.iter().zip(&before) {
        let after = contribution(&recipient.facts, recipient.is_simulator);
        rollup.change(key.campaign, &recipient.domain, before, &after);
        rollup.by_status.change(key.campaign, key.number, Some(recipient.status), status(&recipient.facts).0);
    }
    if !refs.is_empty() {
        create::learn_refs(connection, refs).await?;
    }
    write(connection, &recipients).await?;
    attempts.write(connection).await?;
    write_complaints(connection, &recipients, &attempts).await?;
    outcomes.write(connection, now).await
}

/// Gives each event the attempt that it is about, and reads the earlier ones of those who were sent to again.
async fn assign_attempts<C: ConnectionTrait>(
    connection: &C,
    events: &mut [Pending],
    recipients: &BTreeMap<RecipientKey, Recipient>,
) -> Result<Attempts> {
    let mut sent_again = Vec::new();
    for (key, recipient) in recipients {
        if recipient.attempt > 1 {
            sent_again.push(*key);
        }
    }
    for event in events.iter_mut() {
        event.attempt = event.matched.and_then(|key| recipients.get(&key)).map_or(1, |recipient| recipient.attempt);
    }
    let attempts = Attempts::of(connection, &sent_again).await?;
    attempts.assign(connection, events).await?;
    Ok(attempts)
}

/// Whoever complains about an earlier attempt, or unsubscribes by it, is not to get another one.
fn withdraw(facts: &mut Facts, event: &Pending) {
    let slot = match event.kind {
        EventKind::Complained => &mut facts.complained_at,
        EventKind::Unsubscribed => &mut facts.unsubscribed_at,
        _ => return,
    };
    *slot = Some(slot.map_or(event.occurred_at, |known| known.min(event.occurred_at)));
}

/// Notes the complaints that are new, or earlier than was known.
async fn write_complaints<C: ConnectionTrait>(
    connection: &C,
    recipients: &BTreeMap<RecipientKey, Recipient>,
    attempts: &Attempts,
) -> Result<(), DbErr> {
    let mut batch = Batch::new(&[
        ("campaign_id", Column::Big),
        ("recipient", Column::Big),
        ("address_id", Column::Big),
        ("complained_at", Column::Big),
    ]);
    for (key, recipient) in recipients {
        let changed = recipient.facts.complained_at.filter(|at| recipient.complained_at != Some(*at));
        if let Some(at) = changed.filter(|_| !recipient.is_simulator) {
            let address = attempts.complained_from(*key, at).unwrap_or(recipient.address_id);
            batch.push([key.campaign, key.number, address, at.micros()].map(Into::into));
        }
    }
    if batch.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO complaint (campaign_id, recipient, address_id, complained_at) \
               SELECT campaign_id, recipient, address_id, complained_at FROM {rows} WHERE true \
               ON CONFLICT (campaign_id, recipient) DO UPDATE SET complained_at = excluded.complained_at, \
               address_id = excluded.address_id";
    batch.execute(connection, sql, []).await.map(|_| ())
}

/// Locks and reads the recipients, in the order of their keys.
async fn lock<C: ConnectionTrait>(
    connection: &C,
    keys: &BTreeSet<RecipientKey>,
) -> Result<BTreeMap<RecipientKey, Recipient>, DbErr> {
    let mut batch = Batch::new(&[("campaign_id", Column::Big), ("number", Column::Big)]);
    keys.iter().for_each(|key| batch.push([key.campaign.into(), key.number.into()]));
    let lock = if is_postgres(connection) { "FOR UPDATE OF recipient" } else { "" };
    let facts = facts_row::columns_of("recipient");
    let sql = format!(
        "SELECT recipient.campaign_id, recipient.number, email_key, domain, is_simulator, ref IS NOT NULL, address_id, attempt, \
            corrected_at, {facts} \
         FROM {{rows}} JOIN recipient ON recipient.campaign_id = rows.campaign_id AND recipient.number = rows.number \
         ORDER BY recipient.campaign_id, recipient.number {lock}"
    );
    let mut recipients = BTreeMap::new();
    for row in batch.query(connection, &sql, []).await? {
        let key = RecipientKey { campaign: row.try_get_by_index(0)?, number: row.try_get_by_index(1)? };
        let facts = facts_row::read(&row, 9)?;
        let recipient = Recipient {
            email_key: row.try_get_by_index(2)?,
            domain: row.try_get_by_index(3)?,
            is_simulator: row.try_get_by_index(4)?,
            has_ref: row.try_get_by_index(5)?,
            address_id: row.try_get_by_index(6)?,
            attempt: row.try_get_by_index(7)?,
            corrected_at: row.try_get_by_index::<Option<i64>>(8)?.map(Timestamp::from_micros),
            status: status(&facts).0,
            complained_at: facts.complained_at,
            facts,
        };
        recipients.insert(key, recipient);
    }
    Ok(recipients)
}

async fn write<C: ConnectionTrait>(
    connection: &C,
    recipients: &BTreeMap<RecipientKey, Recipient>,
) -> Result<(), DbErr> {
    let mut batch = Batch::new(CHANGE_COLUMNS);
    for (key, recipient) in recipients {
        batch.push_row(facts_row::batch_row(key.campaign, key.number, &recipient.facts));
    }
    facts_row::write_recipients(connection, batch, "").await
}
