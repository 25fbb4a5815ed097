//! Writing the events, each once, and learning which message belongs to whom.

use std::collections::{BTreeSet, HashSet};

use domain::event::BounceClass;
use sea_orm::ConnectionTrait;

use super::pending::{Pending, verdict_code};
use crate::batch::{Batch, Column};
use crate::error::Result;
use crate::rollup::smtp_code;

const COLUMNS: &[(&str, Column)] = &[
    ("provider", Column::Small),
    ("event_id", Column::Text),
    ("occurred_at", Column::Big),
    ("id", Column::Big),
    ("kind", Column::Small),
    ("campaign_id", Column::Big),
    ("recipient", Column::Big),
    ("bounce_class", Column::Small),
    ("smtp_code", Column::Small),
    ("enhanced_code", Column::Text),
    ("diagnostic", Column::Text),
    ("url", Column::Text),
    ("verdict", Column::Small),
    ("message_id", Column::Text),
    ("email", Column::Text),
    ("recipient_ref", Column::Text),
    ("campaign_keys", Column::Text),
    ("source", Column::Text),
];

/// Inserts the events and returns those that were not known before.
pub async fn insert<C: ConnectionTrait>(connection: &C, mut events: Vec<Pending>) -> Result<Vec<Pending>> {
    // In the order of the key, so that two transactions with the same events wait for each other, not in a circle.
    events.sort_unstable_by(|left, right| {
        let provider = left.provider.code().cmp(&right.provider.code());
        provider.then_with(|| left.event_id.cmp(&right.event_id)).then_with(|| left.occurred_at.cmp(&right.occurred_at))
    });
    let mut batch = Batch::new(COLUMNS);
    for event in &events {
        batch.push_row(row(event));
    }
    let names = COLUMNS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "INSERT INTO event ({names}) SELECT {names} FROM {{rows}} WHERE true \
         ON CONFLICT (provider, event_id, occurred_at) DO NOTHING RETURNING id"
    );
    let rows = batch.query(connection, &sql, []).await?;
    if rows.len() == events.len() {
        return Ok(events);
    }
    let new: HashSet<i64> = rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?;
    events.retain(|event| new.contains(&event.id));
    Ok(events)
}

fn row(event: &Pending) -> [sea_orm::Value; 18] {
    let matched = event.matched;
    // What is only needed to match it later, or to show it while it is not.
    let open = |text: &Option<String>| text.clone().filter(|_| matched.is_none());
    let keys = (!event.campaign_keys.is_empty() && matched.is_none()).then(|| campaign_keys(event));
    [
        event.provider.code().into(),
        event.event_id.clone().into(),
        event.occurred_at.micros().into(),
        event.id.into(),
        event.kind.code().into(),
        matched.map(|key| key.campaign).into(),
        matched.map(|key| key.number).into(),
        event.class.map(BounceClass::code).into(),
        smtp_code(event.reply.code).into(),
        event.reply.enhanced.map(|code| code.to_string()).into(),
        event.diagnostic.clone().into(),
        event.url.clone().into(),
        verdict_code(event.verdict).into(),
        open(&event.message_id).into(),
        open(&event.email).into(),
        open(&event.recipient_ref).into(),
        keys.into(),
        matched.is_none().then(|| event.source.to_string()).into(),
    ]
}

/// The keys as they are stored: one a line; a leading empty line where the metadata named none, and all are tags.
fn campaign_keys(event: &Pending) -> String {
    let prefix = if event.names_campaign { "" } else { "\n" };
    format!("{prefix}{}", event.campaign_keys.join("\n"))
}

/// Keeps which recipient the message ids of these events belong to, and during which attempt they were first heard of; returns the ids that were not known before.
pub async fn learn_message_ids<C: ConnectionTrait>(connection: &C, events: &[Pending]) -> Result<BTreeSet<String>> {
    let mut pairs = BTreeSet::new();
    for event in events.iter().filter(|event| !event.known_message) {
        if let (Some(key), Some(id)) = (event.matched, event.message_id.as_deref()) {
            // Should it have been sent again since it was matched, then the id was known by then.
            pairs.insert((id, key, event.attempt));
        }
    }
    if pairs.is_empty() {
        return Ok(BTreeSet::new());
    }
    let mut batch = Batch::new(&[
        ("message_id", Column::Text),
        ("campaign_id", Column::Big),
        ("recipient", Column::Big),
        ("attempt", Column::Int),
    ]);
    for (id, key, attempt) in pairs {
        batch.push([id.into(), key.campaign.into(), key.number.into(), attempt.into()]);
    }
    let sql = "INSERT INTO message (message_id, campaign_id, recipient, attempt) \
               SELECT message_id, campaign_id, recipient, attempt FROM {rows} WHERE true \
               ON CONFLICT (message_id, campaign_id, recipient) DO NOTHING RETURNING message_id";
    let rows = batch.query(connection, sql, []).await?;
    Ok(rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?)
}
