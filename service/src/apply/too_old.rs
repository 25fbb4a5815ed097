//! Events from a time whose events were removed: nobody can tell whether they have been counted, so they are refused.

use std::collections::BTreeMap;

use domain::Timestamp;
use sea_orm::ConnectionTrait;

use super::claim::Claim;
use super::pending::Pending;
use crate::error::Result;
use crate::prune::Retention;
use crate::prune::events::Limit;

/// Takes those out that are too old, and notes that with their deliveries. Asks the database only where one may be.
pub async fn refuse<C: ConnectionTrait>(
    connection: &C,
    claim: &mut Claim,
    pending: &mut Vec<Pending>,
    now: Timestamp,
) -> Result<()> {
    let never_removed = now.plus_seconds(-24 * 60 * 60 * i64::from(Retention::LEAST_EVENTS));
    if pending.iter().all(|event| event.occurred_at >= never_removed) {
        return Ok(());
    }
    let Some(before) = Limit::read(connection).await?.map(Limit::before) else { return Ok(()) };
    let mut refused: BTreeMap<i64, usize> = BTreeMap::new();
    pending.retain(|event| {
        let keep = event.occurred_at >= before;
        if !keep {
            *refused.entry(event.delivery()).or_default() += 1;
        }
        keep
    });
    for (delivery, events) in refused {
        let reason = format!(
            "{events} events occurred before {before}: those of that time were removed, so nobody can tell whether they are new"
        );
        claim.refuse(delivery, events, &reason);
    }
    Ok(())
}
