//! Taking those out of a reminder who no longer need it, or must not get it, before it goes out.

use domain::reminder::withdrawal;
use domain::status::SkipReason;
use sea_orm::ConnectionTrait;

use super::child;
use super::people::{self, Reminder};
use super::rules::ReminderRule;
use crate::access::Services;
use crate::changes::Change;
use crate::db::{execute, query_one};
use crate::error::Result;
use crate::rollup::RollUp;

/// As many recipients are looked at in one transaction.
const CHUNK: i64 = 2_000;

/// Takes those out of the reminder `child` who are still to get it and have responded, complained, unsubscribed or bounced since they
/// were chosen, or whose address may not be written to any more: they become `BLOCKED`, with the reason. Says how many they were;
/// nobody where the campaign is no reminder. To be done immediately before a reminder, or a part of it, is sent.
///
/// # Errors
/// Those of the database; what was committed by then stays, and the rest is done by the next call.
pub async fn take_out(services: &Services, child: i64) -> Result<usize> {
    // What changes from now on is for the next call to see.
    let began = services.now();
    let Some((reminder, rule)) = find(services.db.read(), child).await? else { return Ok(0) };
    let (mut after, mut total) = (0, 0);
    loop {
        let transaction = services.db.begin_keyed().await?;
        let people = people::waiting(&transaction, reminder, after, CHUNK).await?;
        let Some(last) = people.last() else { break };
        after = last.number;
        let is_last = i64::try_from(people.len()).unwrap_or(i64::MAX) < CHUNK;
        let out: Vec<(i64, SkipReason)> = people
            .iter()
            .filter_map(|person| {
                let earlier = person.reminders_before(reminder.round);
                let reason = withdrawal(&person.candidate(&earlier, None), rule.targeting.audience)?;
                Some((person.number, reason))
            })
            .collect();
        if !out.is_empty() {
            let mut rollup = RollUp::default();
            total += child::skip(&transaction, services.db.is_postgres(), reminder, &out, &mut rollup).await?;
            rollup.write(&transaction, services.now()).await?;
            transaction.commit().await?;
            services.changes.publish(Change::Campaign(child));
        }
        if is_last {
            break;
        }
    }
    let sql = "UPDATE reminder SET checked_at = $2 WHERE child_id = $1";
    execute(services.db.write(), sql, [child.into(), began.micros().into()]).await?;
    Ok(total)
}

/// Which reminder a campaign is, and its rule, whether or not that was deleted.
async fn find<C: ConnectionTrait>(connection: &C, child: i64) -> Result<Option<(Reminder, ReminderRule)>> {
    let sql = "SELECT rule_id, campaign_id, round FROM reminder WHERE child_id = $1";
    let Some(row) = query_one(connection, sql, [child.into()]).await? else { return Ok(None) };
    let rule: i64 = row.try_get_by_index(0)?;
    let reminder = Reminder { rule, campaign: row.try_get_by_index(1)?, round: row.try_get_by_index(2)?, child };
    Ok(super::rules::ever(connection, rule).await?.map(|rule| (reminder, rule)))
}
