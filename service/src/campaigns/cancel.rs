//! Cancelling campaigns.

use domain::Timestamp;
use domain::campaign::CampaignState;
use domain::contribution::{Contribution, Figure};
use domain::status::RecipientStatus;
use sea_orm::ConnectionTrait;

use super::{CampaignRow, lock, object};
use crate::access::Marketer;
use crate::audit;
use crate::by_status;
use crate::changes::Change;
use crate::db::{execute, query_all};
use crate::error::{Refusal, RefusalCode, Result};
use crate::resends::call_off;
use crate::rollup::RollUp;

impl Marketer {
    /// Cancels a campaign that has not gone out: its recipients that are `READY` become `CANCELED`. Of a campaign that was sent and is sent again
    /// to some, only that is called off: it was sent, as before. Cancelling what is cancelled changes nothing.
    ///
    /// # Errors
    /// A refusal where there is no such campaign, or it was sent.
    pub async fn cancel_campaign(&self, id: i64) -> Result<CampaignRow> {
        const TRIES: u32 = 5;
        let mut tries = 0;
        loop {
            match self.cancel_once(id).await {
                Err(error) if error.is_transient() && tries < TRIES => {
                    tries += 1;
                    tracing::debug!(tries, %error, "cancelling a campaign is tried again");
                    tokio::time::sleep(std::time::Duration::from_millis(10 << tries)).await;
                }
                result => return result,
            }
        }
    }

    async fn cancel_once(&self, id: i64) -> Result<CampaignRow> {
        let now = self.services.now();
        let transaction = self.services.db.begin().await?;
        let mut campaign = lock(&transaction, self.services.db.is_postgres(), id).await?;
        match campaign.state {
            CampaignState::Canceled => return Ok(campaign),
            CampaignState::Sent => {
                return Err(Refusal::new(
                    RefusalCode::Conflict,
                    "this campaign was sent: it cannot be cancelled any more",
                )
                .into());
            }
            CampaignState::Sending if campaign.is_sent_again() => {
                let mut rollup = RollUp::default();
                let recipients = call_off(&transaction, &campaign, &mut rollup).await?;
                rollup.write(&transaction, now).await?;
                let detail = Some(serde_json::json!({ "recipients": recipients }));
                audit::record(&transaction, now, &self.subject, "campaign.resend_canceled", object(id), detail).await?;
                transaction.commit().await?;
                self.services.changes.publish(Change::Campaign(id));
                campaign.state = CampaignState::Sent;
                return Ok(campaign);
            }
            CampaignState::Draft | CampaignState::Sending => campaign.state = CampaignState::Canceled,
        }
        let state = campaign.state.code();
        execute(&transaction, "UPDATE campaign SET state = $2 WHERE id = $1", [id.into(), state.into()]).await?;
        let canceled = cancel_recipients(&transaction, id, now).await?;
        let detail = serde_json::json!({ "recipients": canceled });
        audit::record(&transaction, now, &self.subject, "campaign.canceled", object(id), Some(detail)).await?;
        transaction.commit().await?;
        self.services.changes.publish(Change::Campaign(id));
        Ok(campaign)
    }
}

/// Cancels the recipients that are still to be sent to; says how many they were.
async fn cancel_recipients<C: ConnectionTrait>(connection: &C, campaign: i64, now: Timestamp) -> Result<u64> {
    let (ready, canceled) = (RecipientStatus::Ready.code(), RecipientStatus::Canceled.code());
    let changed = execute(
        connection,
        "UPDATE recipient SET canceled = TRUE, status = $3 WHERE campaign_id = $1 AND status = $2",
        [campaign.into(), ready.into(), canceled.into()],
    )
    .await?;
    by_status::change_all(connection, campaign, RecipientStatus::Ready, RecipientStatus::Canceled).await?;
    // A campaign is cancelled once: those that are cancelled now are those that were just changed.
    let domains = query_all(
        connection,
        "SELECT domain, count(*) FROM recipient WHERE campaign_id = $1 AND status = $2 AND NOT is_simulator GROUP BY domain",
        [campaign.into(), canceled.into()],
    )
    .await?;
    let mut rollup = RollUp::default();
    for row in domains {
        let (domain, count): (String, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        rollup.change(campaign, &domain, &counted(Figure::Ready, count), &counted(Figure::Canceled, count));
    }
    rollup.write(connection, now).await?;
    Ok(changed.rows_affected())
}

fn counted(figure: Figure, count: i64) -> Contribution {
    let mut contribution = Contribution::default();
    contribution.figures.add(figure, count);
    contribution
}
