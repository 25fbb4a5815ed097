//! Telling somebody about an alert, by a job for each channel.

use domain::notify::{AlertNotice, AlertNotifier, Channel, NotifyError};
use serde::Deserialize;
use serde_json::json;

use super::COLUMNS;
use crate::access::Services;
use crate::db::query_one;
use crate::error::{Refusal, RefusalCode, Result, ServiceError};
use crate::jobs::{self, ClaimedJob, JobProgress};

/// What such a job needs to know.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    alert_id: i64,
    channel: Channel,
}

/// Tells of the alert of the job, by its channel. Should the worker end between telling and writing that down, the next one tells again:
/// whoever is told recognises it by the alert's id.
///
/// # Errors
/// [`ServiceError::Outside`] where nobody could be told, but may be later; a refusal where that is final; those of the database.
pub async fn tell(services: &Services, job: &ClaimedJob, notifier: &dyn AlertNotifier) -> Result<()> {
    let Payload { alert_id, channel } = serde_json::from_value(job.payload.clone())?;
    let notice = notice(services, alert_id).await?;
    match notifier.notify(channel, &notice).await {
        Ok(()) => {}
        Err(NotifyError::Unavailable(source)) => {
            let what = match channel {
                Channel::Webhook => "the webhook for alerts",
                Channel::Mail => "the mail server for alerts",
            };
            return Err(ServiceError::outside(what, source));
        }
        Err(NotifyError::Refused(reason)) => {
            tracing::error!(alert = alert_id, channel = channel.as_str(), reason, "nobody is told about an alert");
            return Err(Refusal::new(RefusalCode::Invalid, reason).into());
        }
    }
    tracing::info!(alert = alert_id, channel = channel.as_str(), "somebody was told about an alert");
    let progress = JobProgress { done: 1, total: Some(1), skipped: 0 };
    let result = json!({ "alertId": alert_id, "channel": channel });
    jobs::finish(services.db.write(), services, job, progress, &result).await
}

async fn notice(services: &Services, alert: i64) -> Result<AlertNotice> {
    let columns = COLUMNS.split(", ").map(|column| format!("a.{column}")).collect::<Vec<_>>().join(", ");
    let sql =
        format!("SELECT {columns}, c.key, c.name FROM alert a JOIN campaign c ON c.id = a.campaign_id WHERE a.id = $1");
    let row = query_one(services.db.read(), &sql, [alert.into()]).await?;
    let row = row.ok_or_else(|| Refusal::new(RefusalCode::NotFound, "this alert is not there any more"))?;
    let super::Alert { id, finding, raised_at, resolved_at, .. } = super::read(&row)?;
    let (campaign_key, campaign_name) = (row.try_get_by_index(7)?, row.try_get_by_index(8)?);
    Ok(AlertNotice { id, alert: finding, raised_at, resolved_at, campaign_key, campaign_name })
}
