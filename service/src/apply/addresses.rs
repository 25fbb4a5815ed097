//! What events say about addresses, over all campaigns.

use std::collections::BTreeMap;

use domain::health::Outcome;
use domain::{EventKind, Timestamp};
use sea_orm::ConnectionTrait;

use super::create;
use super::pending::{Pending, RecipientKey};
use crate::addresses::state::{self, Cause, State};
use crate::batch::{Batch, Column};
use crate::db::is_postgres;
use crate::error::Result;
use crate::settings;
use crate::subject::SYSTEM;

/// What a transaction's events say about addresses.
#[derive(Default)]
pub struct Reports {
    by_key: BTreeMap<String, Report>,
}

#[derive(Default)]
struct Report {
    outcomes: Vec<(Timestamp, Outcome)>,
    /// The latest failure in the server's words.
    reason: Option<(Timestamp, String)>,
    /// The latest failure's event, and whose it is.
    failure: Option<(Timestamp, i64, Option<RecipientKey>)>,
    complained_at: Option<Timestamp>,
    last_complained_at: Option<Timestamp>,
    unsubscribed_at: Option<Timestamp>,
    subscribed_at: Option<Timestamp>,
}

impl Reports {
    /// Notes what an event says about the address with this key.
    pub fn add(&mut self, email_key: &str, event: &Pending) {
        let (outcome, at) = (Outcome::of(event.kind, event.class), event.occurred_at);
        if outcome.is_none() && !is_wish(event.kind) {
            return;
        }
        if !self.by_key.contains_key(email_key) {
            self.by_key.insert(email_key.to_owned(), Report::default());
        }
        let Some(report) = self.by_key.get_mut(email_key) else { return };
        match event.kind {
            EventKind::Complained => {
                report.complained_at = earliest(report.complained_at, Some(at));
                report.last_complained_at = report.last_complained_at.max(Some(at));
            }
            EventKind::Unsubscribed => report.unsubscribed_at = report.unsubscribed_at.max(Some(at)),
            EventKind::Subscribed => report.subscribed_at = report.subscribed_at.max(Some(at)),
            _ => {}
        }
        if let Some(outcome) = outcome {
            report.outcomes.push((at, outcome));
            if outcome != Outcome::Delivered {
                let reason = event.diagnostic.clone().map(|words| (at, words));
                report.reason = report.reason.take().max(reason);
                report.failure = report.failure.max(Some((at, event.id, event.matched)));
            }
        }
    }

    /// Adds them to the addresses, which it locks in the order of their ids, and judges these by the rules as they are set.
    pub async fn write<C: ConnectionTrait>(self, connection: &C, now: Timestamp) -> Result<()> {
        if self.by_key.is_empty() {
            return Ok(());
        }
        let mut addresses = lock(connection, self.by_key.keys()).await?;
        if addresses.len() < self.by_key.len() {
            // Written to, but no recipient's: an address that was corrected since, or changed on the way.
            let missing = self.by_key.keys().filter(|key| !addresses.contains_key(*key));
            create::addresses(connection, missing, now).await?;
            addresses = lock(connection, self.by_key.keys()).await?;
        }
        // Read behind the lock: whoever changes the rules reviews the addresses after that, and has to wait for these.
        let settings = settings::load(connection).await?;
        let mut states = Vec::with_capacity(addresses.len());
        for (key, report) in self.by_key {
            let Some(mut address) = addresses.remove(&key) else { continue };
            for (at, outcome) in report.outcomes {
                address.outcomes.add(at, outcome);
            }
            address.reason = address.reason.max(report.reason);
            address.complained_at = earliest(address.complained_at, report.complained_at);
            address.consent.complained_at = address.consent.complained_at.max(report.last_complained_at);
            address.unsubscribed_at = address.unsubscribed_at.max(report.unsubscribed_at);
            address.subscribed_at = address.subscribed_at.max(report.subscribed_at);
            let cause = report.failure.map(|(_, event, whose)| Cause { event, recipient: whose.map(Into::into) });
            address.judge(&settings.policy, now, cause);
            states.push(address);
        }
        state::write_reported(connection, &states).await?;
        state::follow_up(connection, &states, &settings, SYSTEM, None, now).await
    }
}

/// Whether an event says what a person wants, and not how an address is doing.
pub const fn is_wish(kind: EventKind) -> bool {
    matches!(kind, EventKind::Complained | EventKind::Unsubscribed | EventKind::Subscribed)
}

async fn lock<C: ConnectionTrait>(
    connection: &C,
    keys: impl Iterator<Item = &String>,
) -> Result<BTreeMap<String, State>> {
    let mut batch = Batch::new(&[("email_key", Column::Text)]);
    keys.for_each(|key| batch.push([key.clone().into()]));
    let lock = if is_postgres(connection) { "FOR UPDATE OF address" } else { "" };
    let sql = format!(
        "SELECT address.email_key, {} FROM {{rows}} JOIN address ON address.email_key = rows.email_key \
         ORDER BY address.id {lock}",
        state::COLUMNS
    );
    let mut addresses = BTreeMap::new();
    for row in batch.query(connection, &sql, []).await? {
        addresses.insert(row.try_get_by_index(0)?, state::read(&row, 1)?);
    }
    Ok(addresses)
}

fn earliest(left: Option<Timestamp>, right: Option<Timestamp>) -> Option<Timestamp> {
    match (left, right) {
        (Some(left), Some(right)) => Some(left.min(right)),
        (left, right) => left.or(right),
    }
}
