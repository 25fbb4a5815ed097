//! Events that matched no recipient when they came, tried again.
//!
//! They are tried when a message id of theirs is learned (in that transaction), when an import has brought recipients (a job), and
//! by a sweep over what came in lately: two transactions at the same moment, one that brings the recipient and one that brings the
//! event, do not see each other.

use std::collections::BTreeSet;
use std::sync::Arc;

use domain::event::BounceClass;
use domain::reading::{Create, DeliveryReader};
use domain::smtp::Reply;
use domain::{EventKind, Provider, Timestamp, email};
use sea_orm::{ConnectionTrait, QueryResult};

use super::pending::{PLACE_BITS, Pending, RecipientKey, verdict_from_code};
use super::{Applier, create, matching, settle};
use crate::batch::{Batch, Column};
use crate::changes::Change;
use crate::db::query_all;
use crate::error::Result;
use crate::rollup::RollUp;

const COLUMNS: &str = "event.id, event.source, event.provider, event.event_id, event.occurred_at, event.kind, event.bounce_class, \
    event.smtp_code, event.enhanced_code, event.diagnostic, event.url, event.verdict, event.message_id, event.email, \
    event.recipient_ref, event.campaign_keys";

/// How many unmatched events are tried in one transaction.
const PAGE: i64 = 2_000;

impl Applier {
    /// Tries the unmatched events again that came behind the delivery `after` (0: all); says how many were matched.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn rematch(&self, after: i64) -> Result<u64> {
        let mut matched = 0;
        let mut last = after << PLACE_BITS;
        loop {
            let (next, found) = self.rematch_page(last).await?;
            matched += found;
            match next {
                Some(next) => last = next,
                None => return Ok(matched),
            }
        }
    }

    /// Tries the events behind the id `last`; returns the last one tried, `None` at the end, and how many were matched.
    async fn rematch_page(&self, last: i64) -> Result<(Option<i64>, u64)> {
        let now = self.clock.now();
        let transaction = self.db.begin_keyed().await?;
        let sql = format!("SELECT {COLUMNS} FROM event WHERE recipient IS NULL AND id > $1 ORDER BY id LIMIT $2");
        let rows = query_all(&transaction, &sql, [last.into(), PAGE.into()]).await?;
        let mut events = rows.iter().map(|row| pending(row, Some(self.reader.as_ref()))).collect::<Result<Vec<_>>>()?;
        let Some(last) = events.last().map(|event| event.id) else { return Ok((None, 0)) };
        matching::match_all(&transaction, &mut events).await?;
        let mut rollup = RollUp::default();
        create::missing(&transaction, &mut events, &mut rollup, now).await?;
        events.retain(|event| event.matched.is_some());
        let events = assign(&transaction, events).await?;
        let matched = settle(&transaction, events, &mut rollup, now).await?;
        let matched = u64::try_from(matched).unwrap_or(u64::MAX);
        let changed: Vec<i64> = rollup.campaigns().collect();
        rollup.write(&transaction, now).await?;
        transaction.commit().await?;
        changed.into_iter().for_each(|campaign| self.changes.publish(Change::Campaign(campaign)));
        Ok((Some(last), matched))
    }
}

/// The unmatched events that carry one of these message ids, now given to the recipients of the messages.
pub async fn by_message_ids<C: ConnectionTrait>(connection: &C, ids: BTreeSet<String>) -> Result<Vec<Pending>> {
    let mut batch = Batch::new(&[("message_id", Column::Text)]);
    ids.into_iter().for_each(|id| batch.push([id.into()]));
    let sql = format!(
        "SELECT {COLUMNS} FROM {{rows}} JOIN event ON event.message_id = rows.message_id AND event.recipient IS NULL"
    );
    let rows = batch.query(connection, &sql, []).await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let mut events = rows.iter().map(|row| pending(row, None)).collect::<Result<Vec<_>>>()?;
    matching::match_all(connection, &mut events).await?;
    events.retain(|event| event.matched.is_some());
    assign(connection, events).await
}

/// Gives the events to their recipients; returns those that nobody else gave away meanwhile.
async fn assign<C: ConnectionTrait>(connection: &C, mut events: Vec<Pending>) -> Result<Vec<Pending>> {
    if events.is_empty() {
        return Ok(events);
    }
    events.sort_unstable_by_key(|event| event.id);
    let mut batch = Batch::new(&[
        ("provider", Column::Small),
        ("event_id", Column::Text),
        ("occurred_at", Column::Big),
        ("campaign_id", Column::Big),
        ("recipient", Column::Big),
    ]);
    for event in &events {
        let Some(RecipientKey { campaign, number }) = event.matched else { continue };
        batch.push([
            event.provider.code().into(),
            event.event_id.clone().into(),
            event.occurred_at.micros().into(),
            campaign.into(),
            number.into(),
        ]);
    }
    let sql = "UPDATE event SET campaign_id = rows.campaign_id, recipient = rows.recipient, message_id = NULL, email = NULL, \
               recipient_ref = NULL, campaign_keys = NULL, source = NULL FROM {rows} \
               WHERE event.provider = rows.provider AND event.event_id = rows.event_id \
               AND event.occurred_at = rows.occurred_at AND event.recipient IS NULL RETURNING event.id";
    let rows = batch.query(connection, sql, []).await?;
    let given: BTreeSet<i64> = rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?;
    events.retain(|event| given.contains(&event.id));
    Ok(events)
}

/// An unmatched event as it is stored. Without a reader it creates nothing.
fn pending(row: &QueryResult, reader: Option<&dyn DeliveryReader>) -> Result<Pending> {
    let source: String = row.try_get_by_index::<Option<String>>(1)?.unwrap_or_default();
    let create = reader.map_or(Create::Nothing, |reader| reader.may_create(&source));
    let email: Option<String> = row.try_get_by_index(13)?;
    let keys: String = row.try_get_by_index::<Option<String>>(15)?.unwrap_or_default();
    let small = |index: usize| row.try_get_by_index::<Option<i16>>(index);
    let enhanced: Option<String> = row.try_get_by_index(8)?;
    Ok(Pending {
        id: row.try_get_by_index(0)?,
        source: Arc::from(source),
        provider: Provider::from_code(row.try_get_by_index(2)?).unwrap_or(Provider::Generic),
        event_id: row.try_get_by_index(3)?,
        occurred_at: Timestamp::from_micros(row.try_get_by_index(4)?),
        kind: EventKind::from_code(row.try_get_by_index(5)?).unwrap_or(EventKind::Other),
        class: small(6)?.and_then(BounceClass::from_code),
        reply: Reply {
            code: small(7)?.and_then(|code| u16::try_from(code).ok()),
            enhanced: enhanced.and_then(|code| code.parse().ok()),
        },
        diagnostic: row.try_get_by_index(9)?,
        url: row.try_get_by_index(10)?,
        verdict: verdict_from_code(small(11)?),
        message_id: row.try_get_by_index(12)?,
        email_key: email.as_deref().map(email::key_of),
        email,
        recipient_ref: row.try_get_by_index(14)?,
        names_campaign: !keys.is_empty() && !keys.starts_with('\n'),
        campaign_keys: keys.lines().filter(|key| !key.is_empty()).map(str::to_owned).collect(),
        create,
        campaign: None,
        matched: None,
        attempt: 1,
        known_message: false,
    })
}
