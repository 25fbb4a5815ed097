//! Calling off that a campaign is sent again.

use domain::campaign::CampaignState;
use domain::facts::Facts;
use domain::status::RecipientStatus;
use sea_orm::{ConnectionTrait, QueryResult};

use super::again::{self, Target};
use crate::campaigns::CampaignRow;
use crate::db::{execute, query_all};
use crate::error::Result;
use crate::recipients::RecipientKey;
use crate::reminders;
use crate::rollup::RollUp;

/// As many recipients are read at a time.
const CHUNK: i64 = 1_000;

/// Makes a campaign that was taken up again one that was sent, as before: whoever is still to be sent to is what they were, where this would be
/// another attempt, and `CANCELED` where it would be the first. Says for how many that is so. The caller has locked the campaign.
pub(crate) async fn call_off<C: ConnectionTrait>(
    connection: &C,
    campaign: &CampaignRow,
    rollup: &mut RollUp,
) -> Result<usize> {
    let (mut after, mut total) = (0_i64, 0);
    loop {
        let sql = "SELECT number FROM recipient_status WHERE campaign_id = $1 AND status = $2 AND number > $3 ORDER BY number LIMIT $4";
        let ready = RecipientStatus::Ready.code();
        let values = [campaign.id.into(), ready.into(), after.into(), CHUNK.into()];
        let rows = query_all(connection, sql, values).await?;
        let key = |row: &QueryResult| Ok(RecipientKey { campaign: campaign.id, number: row.try_get_by_index(0)? });
        let keys = rows.iter().map(key).collect::<Result<Vec<_>>>()?;
        let Some(last) = keys.last() else { break };
        after = last.number;
        let mut targets = again::lock(connection, &keys).await?;
        // Sent to since they were looked for.
        targets.retain(Target::is_ready);
        let (again, first): (Vec<&Target>, Vec<&Target>) = targets.iter().partition(|target| target.can_be_undone());
        reminders::note_called_off(connection, campaign.id, &again).await?;
        again::undo(connection, &again, rollup).await?;
        let canceled = |target: &Target| Facts { canceled: true, ..target.facts.clone() };
        let first: Vec<_> = first.into_iter().map(|target| (target, canceled(target))).collect();
        again::set(connection, &first, rollup).await?;
        total += targets.len();
    }
    let sql = "UPDATE campaign SET state = $2 WHERE id = $1";
    execute(connection, sql, [campaign.id.into(), CampaignState::Sent.code().into()]).await?;
    Ok(total)
}
