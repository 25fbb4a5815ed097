//! The earlier attempts of recipients, as they are shown.

use std::collections::HashMap;

use domain::status::{RecipientStatus, SkipReason};
use domain::{BounceClass, Timestamp};
use entity::attempt;

use crate::access::Reader;
use crate::batch::{Batch, Column};
use crate::error::Result;
use crate::recipients::RecipientKey;
use crate::recipients::row::{coded, reason, time};
use crate::recipients::sql::Cells;

/// What became of a recipient when the campaign was sent to it before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlierAttempt {
    /// The how manieth one, from 1.
    pub number: i64,
    /// The address at the end of it; hidden from viewers.
    pub email: String,
    /// What became of it.
    pub status: RecipientStatus,
    /// Why it was not sent to.
    pub skip_reason: Option<SkipReason>,
    /// When it was sent.
    pub sent_at: Option<Timestamp>,
    /// Why it failed.
    pub bounce_class: Option<BounceClass>,
    /// The server's own words with the codes; not for viewers.
    pub bounce_reason: Option<String>,
    /// When the next one was asked for.
    pub ended_at: Timestamp,
}

impl Reader {
    /// The earlier attempts of recipients, the first one first. Who was never sent to again has none.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn earlier_attempts(
        &self,
        recipients: &[RecipientKey],
    ) -> Result<HashMap<RecipientKey, Vec<EarlierAttempt>>> {
        let mut found: HashMap<RecipientKey, Vec<EarlierAttempt>> = HashMap::new();
        if recipients.is_empty() {
            return Ok(found);
        }
        let mut batch = Batch::new(&[("campaign_id", Column::Big), ("number", Column::Big)]);
        recipients.iter().for_each(|key| batch.push([key.campaign.into(), key.number.into()]));
        let sql = "SELECT a.campaign_id, a.number, a.attempt, a.email, a.status, a.skip_reason, a.sent_at, a.failure_at, \
                a.failure_class, a.failure_smtp_code, a.failure_enhanced_code, a.failure_diagnostic, a.ended_at \
             FROM {rows} CROSS JOIN attempt a WHERE a.campaign_id = rows.campaign_id AND a.number = rows.number \
             ORDER BY a.campaign_id, a.number, a.attempt";
        let subject = &self.subject;
        for row in batch.query(self.services.db.read(), sql, []).await? {
            let mut cells = Cells::from(&row, 0);
            let key = RecipientKey { campaign: cells.take()?, number: cells.take()? };
            let number = cells.take()?;
            let email: String = cells.take()?;
            let status = coded(cells.take()?, RecipientStatus::from_code, "attempt.status")?;
            let skip_reason = cells.take::<Option<i16>>()?.and_then(SkipReason::from_code);
            let sent_at = time(&mut cells)?;
            let failed = cells.take::<Option<i64>>()?.is_some();
            let bounce_class = cells.take::<Option<i16>>()?.and_then(BounceClass::from_code);
            let (smtp_code, enhanced_code): (Option<i16>, Option<String>) = (cells.take()?, cells.take()?);
            let diagnostic: Option<String> = cells.take()?;
            let words = reason(smtp_code, enhanced_code.as_deref(), diagnostic.as_deref());
            found.entry(key).or_default().push(EarlierAttempt {
                number,
                email: subject.masked(attempt::Column::Email, email),
                status,
                skip_reason,
                sent_at,
                bounce_class: if failed { bounce_class.or(Some(BounceClass::Unknown)) } else { None },
                bounce_reason: subject.visible(attempt::Column::FailureDiagnostic, words),
                ended_at: Timestamp::from_micros(cells.take()?),
            });
        }
        Ok(found)
    }
}
