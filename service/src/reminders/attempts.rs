//! Reminders by sending the campaign itself again.

use domain::campaign::CampaignState;
use sea_orm::ConnectionTrait;

use super::people::Reminder;
use super::rules::Original;
use super::run::CHUNK;
use crate::access::Services;
use crate::batch::{Batch, Column};
use crate::campaigns;
use crate::db::query_all;
use crate::error::Result;
use crate::resends::again::Target;

/// Locks a campaign and its recipients behind number `after`, as many as are looked at together, so that nothing becomes of them between
/// the decision that they are due and their next attempt. Says whether the campaign still is one to be reminded of.
pub(super) async fn lock<C: ConnectionTrait>(
    connection: &C,
    services: &Services,
    campaign: &Original,
    after: i64,
) -> Result<bool> {
    let is_postgres = services.db.is_postgres();
    let locked = campaigns::lock(connection, is_postgres, campaign.id).await?;
    if locked.state != CampaignState::Sent && !locked.is_sent_again() {
        return Ok(false);
    }
    if is_postgres {
        let sql = "SELECT 1 FROM recipient WHERE campaign_id = $1 AND number > $2 ORDER BY number LIMIT $3 FOR UPDATE";
        query_all(connection, sql, [campaign.id, after, CHUNK].map(Into::into)).await?;
    }
    Ok(true)
}

/// Writes down that attempts are taken back that are this reminder for their recipients.
pub(super) async fn note_taken_back<C: ConnectionTrait>(
    connection: &C,
    reminder: Reminder,
    targets: &[&Target],
) -> Result<()> {
    if targets.is_empty() {
        return Ok(());
    }
    let Reminder { rule, campaign, round } = reminder;
    let mut batch = Batch::new(&[
        ("rule_id", Column::Big),
        ("campaign_id", Column::Big),
        ("recipient", Column::Big),
        ("round", Column::Big),
        ("attempt", Column::Big),
    ]);
    for target in targets {
        batch.push([rule, campaign, target.key.number, round, target.attempt].map(Into::into));
    }
    let sql = "UPDATE reminder_target SET attempt = NULL, is_taken_back = TRUE FROM {rows} \
               WHERE reminder_target.rule_id = rows.rule_id AND reminder_target.campaign_id = rows.campaign_id \
               AND reminder_target.recipient = rows.recipient AND reminder_target.round = rows.round \
               AND reminder_target.attempt = rows.attempt";
    batch.execute(connection, sql, []).await?;
    Ok(())
}

/// The same for all reminders that are attempts of a campaign: whichever of them these are.
pub(crate) async fn note_called_off<C: ConnectionTrait>(
    connection: &C,
    campaign: i64,
    targets: &[&Target],
) -> Result<()> {
    let sql = "SELECT rule_id, round FROM reminder WHERE campaign_id = $1 AND has_attempts ORDER BY rule_id, round";
    for row in query_all(connection, sql, [campaign.into()]).await? {
        let reminder = Reminder { rule: row.try_get_by_index(0)?, campaign, round: row.try_get_by_index(1)? };
        note_taken_back(connection, reminder, targets).await?;
    }
    Ok(())
}
