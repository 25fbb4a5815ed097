//! Looking again at those who are to be sent to once more, immediately before they are.

use domain::resend::has_it_already;
use domain::status::RecipientStatus;
use sea_orm::QueryResult;

use super::again::{self, Target};
use crate::access::Services;
use crate::campaigns;
use crate::changes::Change;
use crate::db::query_all;
use crate::error::Result;
use crate::recipients::RecipientKey;
use crate::rollup::RollUp;

/// As many recipients are looked at in one transaction.
const CHUNK: i64 = 1_000;

/// Takes attempts back that have not been sent yet, where an earlier one has reached the recipient after all: they are what they were before.
/// Says how many they were. Attempts that are reminders are for [`take_out`](crate::reminders::take_out), which also calls this one.
///
/// # Errors
/// Those of the database; what was committed by then stays, and the rest is done by the next call.
pub(crate) async fn look_again(services: &Services, campaign: i64) -> Result<usize> {
    let (mut after, mut total) = (0_i64, 0);
    loop {
        let transaction = services.db.begin_keyed().await?;
        // The lock on the campaign comes first, as for whoever makes attempts.
        campaigns::lock(&transaction, services.db.is_postgres(), campaign).await?;
        let sql = "SELECT s.number FROM recipient_status s CROSS JOIN recipient r WHERE s.campaign_id = $1 AND s.status = $2 AND s.number > $3 \
                   AND r.campaign_id = s.campaign_id AND r.number = s.number AND r.attempt > 1 AND NOT EXISTS (\
                      SELECT 1 FROM reminder m CROSS JOIN reminder_target t WHERE m.campaign_id = $1 AND m.has_attempts \
                      AND t.rule_id = m.rule_id AND t.campaign_id = m.campaign_id AND t.recipient = s.number AND t.round = m.round \
                      AND t.attempt = r.attempt) ORDER BY s.number LIMIT $4";
        let ready = RecipientStatus::Ready.code();
        let rows = query_all(&transaction, sql, [campaign.into(), ready.into(), after.into(), CHUNK.into()]).await?;
        let key = |row: &QueryResult| Ok(RecipientKey { campaign, number: row.try_get_by_index(0)? });
        let keys = rows.iter().map(key).collect::<Result<Vec<_>>>()?;
        let Some(last) = keys.last() else { return Ok(total) };
        after = last.number;
        let targets = again::lock(&transaction, &keys).await?;
        let over: Vec<&Target> = targets
            .iter()
            .filter(|target| target.can_be_undone() && has_it_already(&target.earlier).is_some())
            .collect();
        let mut rollup = RollUp::default();
        again::undo(&transaction, &over, &mut rollup).await?;
        rollup.write(&transaction, services.now()).await?;
        transaction.commit().await?;
        if !over.is_empty() {
            services.changes.publish(Change::Campaign(campaign));
        }
        total += over.len();
    }
}
