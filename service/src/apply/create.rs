//! Campaigns and recipients that a source may make from their first event.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::Timestamp;
use domain::contribution::{Contribution, contribution};
use domain::email::{self, EmailAddress};
use domain::facts::Facts;
use domain::reading::Create;
use domain::status::RecipientStatus;
use sea_orm::ConnectionTrait;

use super::matching;
use super::pending::{Pending, RecipientKey};
use crate::audit;
use crate::batch::{Batch, Column};
use crate::db::{execute, query_one};
use crate::error::{Result, ServiceError};
use crate::rollup::RollUp;
use crate::subject::{Role, Subject};

/// Makes what is missing for the events whose source may, and matches them.
pub async fn missing<C: ConnectionTrait>(
    connection: &C,
    events: &mut [Pending],
    rollup: &mut RollUp,
    now: Timestamp,
) -> Result<()> {
    if events.iter().all(|event| event.matched.is_some() || event.create == Create::Nothing) {
        return Ok(());
    }
    campaigns(connection, events, now).await?;
    let wanted: BTreeSet<i64> =
        events.iter().filter(|event| may_make_recipient(event)).filter_map(|event| event.campaign).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    // The campaign's row is the lock under which its recipients are numbered. Somebody else may have made them while we waited.
    for campaign in &wanted {
        lock_campaign(connection, *campaign).await?;
    }
    matching::by_address(connection, events).await?;
    let mut by_campaign: BTreeMap<i64, Vec<&Pending>> = BTreeMap::new();
    for event in events.iter().filter(|event| may_make_recipient(event)) {
        if let Some(campaign) = event.campaign {
            by_campaign.entry(campaign).or_default().push(event);
        }
    }
    for (campaign, events) in by_campaign {
        recipients(connection, &events, campaign, rollup, now).await?;
    }
    matching::by_address(connection, events).await?;
    Ok(())
}

fn may_make_recipient(event: &Pending) -> bool {
    event.matched.is_none() && event.create >= Create::Recipients && event.campaign.is_some() && event.email.is_some()
}

async fn campaigns<C: ConnectionTrait>(connection: &C, events: &mut [Pending], now: Timestamp) -> Result<()> {
    let unknown =
        |event: &&Pending| event.campaign.is_none() && event.matched.is_none() && event.create == Create::Campaigns;
    let mut wanted: BTreeMap<String, &Pending> = BTreeMap::new();
    for event in events.iter().filter(unknown) {
        if let Some(key) = event.campaign_keys.first() {
            wanted.entry(key.clone()).or_insert(event);
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    for (key, event) in wanted {
        let subject =
            Subject { id: format!("source:{}", event.source), name: event.source.to_string(), role: Role::Marketer };
        // State 2 is SENDING: mails of it are under way, and nobody has said that it is complete.
        let sql = "INSERT INTO campaign (key, name, state, sent_at, created_by, created_at) VALUES ($1, $1, 2, $2, $3, $4) \
                   ON CONFLICT (key) DO NOTHING RETURNING id";
        let values = [key.into(), event.occurred_at.micros().into(), subject.id.clone().into(), now.micros().into()];
        let Some(row) = query_one(connection, sql, values).await? else { continue };
        let id: i64 = row.try_get_by_index(0)?;
        let sql = "INSERT INTO campaign_statistics (campaign_id, updated_at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        execute(connection, sql, [id.into(), now.micros().into()]).await?;
        audit::record(connection, now, &subject, "campaign.created", format!("campaign:{id}"), None).await?;
    }
    matching::find_campaigns(connection, events).await?;
    Ok(())
}

async fn lock_campaign<C: ConnectionTrait>(connection: &C, campaign: i64) -> Result<()> {
    execute(connection, "UPDATE campaign SET last_recipient = last_recipient WHERE id = $1", [campaign.into()]).await?;
    Ok(())
}

/// What a new recipient is made of.
struct New {
    email: String,
    recipient_ref: Option<String>,
}

async fn recipients<C: ConnectionTrait>(
    connection: &C,
    events: &[&Pending],
    campaign: i64,
    rollup: &mut RollUp,
    now: Timestamp,
) -> Result<()> {
    let mut new: BTreeMap<String, New> = BTreeMap::new();
    for event in events {
        let (Some(key), Some(written)) = (&event.email_key, &event.email) else { continue };
        // A text that is no address makes no recipient; its event stays, unmatched.
        let Ok(address) = EmailAddress::parse(written) else { continue };
        let known = new
            .entry(key.clone())
            .or_insert_with(|| New { email: address.as_str().to_owned(), recipient_ref: event.recipient_ref.clone() });
        // Of several ids the least, whatever the order in which the events came.
        known.recipient_ref = match (known.recipient_ref.take(), event.recipient_ref.clone()) {
            (Some(known), Some(reported)) => Some(known.min(reported)),
            (known, reported) => known.or(reported),
        };
    }
    if new.is_empty() {
        return Ok(());
    }
    let addresses = addresses(connection, new.keys(), now).await?;
    let count = i64::try_from(new.len()).unwrap_or(i64::MAX);
    let sql = "UPDATE campaign SET last_recipient = last_recipient + $2 WHERE id = $1 RETURNING last_recipient";
    let row = query_one(connection, sql, [campaign.into(), count.into()]).await?;
    let last: i64 = row
        .ok_or_else(|| ServiceError::Inconsistent(format!("campaign {campaign} vanished while it was locked")))?
        .try_get_by_index(0)?;
    let facts = Facts::default();
    let mut batch = Batch::new(COLUMNS);
    for (number, (key, recipient)) in (last - count + 1..).zip(new) {
        let address = addresses.get(&key).copied();
        let address = address.ok_or_else(|| ServiceError::Inconsistent("an address vanished".to_owned()))?;
        let (domain, simulator) = (email::domain_of_key(&key).to_owned(), email::is_simulator(&key));
        rollup.change(campaign, &domain, &Contribution::default(), &contribution(&facts, simulator));
        rollup.by_status.change(campaign, number, None, RecipientStatus::Ready);
        batch.push([
            number.into(),
            address.into(),
            key.into(),
            recipient.email.into(),
            domain.into(),
            recipient.recipient_ref.into(),
            simulator.into(),
        ]);
    }
    let sql = "INSERT INTO recipient (campaign_id, number, address_id, email_key, email, domain, ref, is_simulator, status, created_at) \
               SELECT {1}, number, address_id, email_key, email, domain, ref, is_simulator, 1, {2} FROM {rows}";
    batch.execute(connection, sql, [campaign.into(), now.micros().into()]).await?;
    Ok(())
}

const COLUMNS: &[(&str, Column)] = &[
    ("number", Column::Big),
    ("address_id", Column::Big),
    ("email_key", Column::Text),
    ("email", Column::Text),
    ("domain", Column::Text),
    ("ref", Column::Text),
    ("is_simulator", Column::Bool),
];

/// The rows of these addresses (in the order of their keys), made where they are missing.
pub async fn addresses<C: ConnectionTrait>(
    connection: &C,
    keys: impl IntoIterator<Item = &String>,
    now: Timestamp,
) -> Result<HashMap<String, i64>> {
    let mut batch = Batch::new(&[("email_key", Column::Text)]);
    keys.into_iter().for_each(|key| batch.push([key.clone().into()]));
    let sql = "INSERT INTO address (email_key, created_at) SELECT email_key, {1} FROM {rows} WHERE true \
               ORDER BY email_key ON CONFLICT (email_key) DO NOTHING";
    batch.clone().execute(connection, sql, [now.micros().into()]).await?;
    let sql = "SELECT address.email_key, address.id FROM {rows} JOIN address ON address.email_key = rows.email_key";
    let mut ids = HashMap::new();
    for row in batch.query(connection, sql, []).await? {
        ids.insert(row.try_get_by_index(0)?, row.try_get_by_index(1)?);
    }
    Ok(ids)
}

/// The recipient ids that events teach about recipients which have none.
pub async fn learn_refs<C: ConnectionTrait>(connection: &C, refs: BTreeMap<RecipientKey, String>) -> Result<()> {
    let mut batch = Batch::new(&[("campaign_id", Column::Big), ("number", Column::Big), ("ref", Column::Text)]);
    refs.into_iter().for_each(|(key, id)| batch.push([key.campaign.into(), key.number.into(), id.into()]));
    let sql = "UPDATE recipient SET ref = rows.ref FROM {rows} \
               WHERE recipient.campaign_id = rows.campaign_id AND recipient.number = rows.number AND recipient.ref IS NULL \
               AND NOT EXISTS (SELECT 1 FROM recipient AS other WHERE other.ref = rows.ref AND other.campaign_id = rows.campaign_id)";
    batch.execute(connection, sql, []).await?;
    Ok(())
}
