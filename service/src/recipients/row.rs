//! A recipient as it is shown, and how it is read.

use domain::status::{RecipientStatus, SkipReason};
use domain::{BounceClass, Timestamp};
use entity::recipient::Column;
use sea_orm::DbErr;
use serde::{Deserialize, Serialize};

use super::sql::Cells;
use crate::subject::Subject;

/// Which recipient: its campaign, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "(i64, i64)", into = "(i64, i64)")]
pub struct RecipientKey {
    /// The campaign.
    pub campaign: i64,
    /// The place in the order of import, from 1.
    pub number: i64,
}

impl From<(i64, i64)> for RecipientKey {
    fn from((campaign, number): (i64, i64)) -> Self {
        Self { campaign, number }
    }
}

impl From<RecipientKey> for (i64, i64) {
    fn from(key: RecipientKey) -> Self {
        (key.campaign, key.number)
    }
}

/// A recipient of a campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Which one.
    pub key: RecipientKey,
    /// Its address.
    pub address_id: i64,
    /// The address as it was imported; hidden from viewers.
    pub email: String,
    /// The name; not for viewers.
    pub name: Option<String>,
    /// The company; not for viewers.
    pub company: Option<String>,
    /// What became of it.
    pub status: RecipientStatus,
    /// Why it was not sent to.
    pub skip_reason: Option<SkipReason>,
    /// When it was sent.
    pub sent_at: Option<Timestamp>,
    /// Opens by a person.
    pub opens: i32,
    /// Clicks by a person.
    pub clicks: i32,
    /// What lists show less often; only there where it was asked for.
    pub details: Option<Box<RecipientDetails>>,
}

/// The rest of what is known about a recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipientDetails {
    /// Who is responsible; not for viewers.
    pub owner: Option<String>,
    /// The person's id in the CRM; not for viewers.
    pub crm_id: Option<String>,
    /// The sender's own id of the recipient; not for viewers.
    pub reference: Option<String>,
    /// Other columns of the import, a JSON object; not for viewers.
    pub attributes: Option<String>,
    /// How many times the campaign was sent to it.
    pub attempts: i32,
    /// Whether the address belongs to a provider's simulator.
    pub is_simulator: bool,
    /// Why it failed; there wherever it failed.
    pub bounce_class: Option<BounceClass>,
    /// The server's own words with the codes; not for viewers, because they often repeat the address.
    pub bounce_reason: Option<String>,
    /// First delivery.
    pub delivered_at: Option<Timestamp>,
    /// First open by a person.
    pub first_opened_at: Option<Timestamp>,
    /// Last open by a person.
    pub last_opened_at: Option<Timestamp>,
    /// Opens by proxies and prefetchers.
    pub machine_opens: i32,
    /// First click by a person.
    pub first_clicked_at: Option<Timestamp>,
    /// Last click by a person.
    pub last_clicked_at: Option<Timestamp>,
    /// Clicks by scanners.
    pub machine_clicks: i32,
    /// First complaint.
    pub complained_at: Option<Timestamp>,
    /// First time unsubscribed.
    pub unsubscribed_at: Option<Timestamp>,
}

/// What a list shows.
pub(super) const SUMMARY: &[&str] = &[
    "r.campaign_id",
    "r.address_id",
    "r.email",
    "r.name",
    "r.company",
    "r.status",
    "r.skip_reason",
    "r.sent_at",
    "r.opens",
    "r.clicks",
];

/// Everything.
pub(super) const ALL: &[&str] = &[
    "r.campaign_id",
    "r.address_id",
    "r.email",
    "r.name",
    "r.company",
    "r.status",
    "r.skip_reason",
    "r.sent_at",
    "r.opens",
    "r.clicks",
    "r.owner",
    "r.crm_id",
    "r.ref",
    "r.attributes",
    "r.attempt",
    "r.is_simulator",
    "r.failure_at",
    "r.failure_class",
    "r.failure_smtp_code",
    "r.failure_enhanced_code",
    "r.failure_diagnostic",
    "r.delivered_at",
    "r.first_opened_at",
    "r.last_opened_at",
    "r.machine_opens",
    "r.first_clicked_at",
    "r.last_clicked_at",
    "r.machine_clicks",
    "r.complained_at",
    "r.unsubscribed_at",
];

/// Reads a recipient from [`SUMMARY`], or with `details` from [`ALL`].
pub(super) fn decode(number: i64, mut cells: Cells<'_>, details: bool, subject: &Subject) -> Result<Recipient, DbErr> {
    let mut recipient = Recipient {
        key: RecipientKey { campaign: cells.take()?, number },
        address_id: cells.take()?,
        email: cells.take()?,
        name: cells.take()?,
        company: cells.take()?,
        status: coded(cells.take()?, RecipientStatus::from_code, "recipient.status")?,
        skip_reason: cells.take::<Option<i16>>()?.and_then(SkipReason::from_code),
        sent_at: time(&mut cells)?,
        opens: cells.take()?,
        clicks: cells.take()?,
        details: None,
    };
    if details {
        recipient.details = Some(Box::new(decode_details(&mut cells)?));
    }
    Ok(if subject.sees_personal_data() { recipient } else { redacted(recipient, subject) })
}

fn decode_details(cells: &mut Cells<'_>) -> Result<RecipientDetails, DbErr> {
    let (owner, crm_id, reference, attributes) = (cells.take()?, cells.take()?, cells.take()?, cells.take()?);
    let (attempts, is_simulator) = (cells.take()?, cells.take()?);
    let failed: Option<i64> = cells.take()?;
    let class = cells.take::<Option<i16>>()?.and_then(BounceClass::from_code);
    let (smtp_code, enhanced_code): (Option<i16>, Option<String>) = (cells.take()?, cells.take()?);
    let diagnostic: Option<String> = cells.take()?;
    Ok(RecipientDetails {
        owner,
        crm_id,
        reference,
        attributes,
        attempts,
        is_simulator,
        bounce_class: failed.map(|_| class.unwrap_or(BounceClass::Unknown)),
        bounce_reason: reason(smtp_code, enhanced_code.as_deref(), diagnostic.as_deref()),
        delivered_at: time(cells)?,
        first_opened_at: time(cells)?,
        last_opened_at: time(cells)?,
        machine_opens: cells.take()?,
        first_clicked_at: time(cells)?,
        last_clicked_at: time(cells)?,
        machine_clicks: cells.take()?,
        complained_at: time(cells)?,
        unsubscribed_at: time(cells)?,
    })
}

/// The recipient as a subject sees it who may not see personal data.
fn redacted(recipient: Recipient, subject: &Subject) -> Recipient {
    let details = recipient.details.map(|details| {
        Box::new(RecipientDetails {
            owner: subject.visible(Column::Owner, details.owner),
            crm_id: subject.visible(Column::CrmId, details.crm_id),
            reference: subject.visible(Column::Ref, details.reference),
            attributes: subject.visible(Column::Attributes, details.attributes),
            bounce_reason: subject.visible(Column::FailureDiagnostic, details.bounce_reason),
            ..*details
        })
    });
    Recipient {
        email: subject.masked(Column::Email, recipient.email),
        name: subject.visible(Column::Name, recipient.name),
        company: subject.visible(Column::Company, recipient.company),
        details,
        ..recipient
    }
}

/// The server's words, behind the codes that they do not hold themselves.
pub(crate) fn reason(smtp_code: Option<i16>, enhanced_code: Option<&str>, diagnostic: Option<&str>) -> Option<String> {
    let words = diagnostic.unwrap_or_default().trim();
    let smtp_code = smtp_code.map(|code| code.to_string());
    let missing = [smtp_code.as_deref(), enhanced_code].into_iter().flatten().filter(|code| !words.contains(*code));
    let parts: Vec<&str> = missing.chain((!words.is_empty()).then_some(words)).collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

/// The next column as a time.
pub(crate) fn time(cells: &mut Cells<'_>) -> Result<Option<Timestamp>, DbErr> {
    Ok(cells.take::<Option<i64>>()?.map(Timestamp::from_micros))
}

/// What a stored number stands for.
pub(crate) fn coded<T>(code: i16, from_code: impl Fn(i16) -> Option<T>, column: &str) -> Result<T, DbErr> {
    from_code(code).ok_or_else(|| DbErr::Type(format!("{column} holds {code}, which stands for nothing")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_says_each_code_once() {
        assert_eq!(
            reason(Some(550), Some("5.1.1"), Some("550 5.1.1 no such user")).as_deref(),
            Some("550 5.1.1 no such user")
        );
        assert_eq!(reason(Some(550), Some("5.1.1"), Some("no such user")).as_deref(), Some("550 5.1.1 no such user"));
        assert_eq!(reason(Some(452), None, None).as_deref(), Some("452"));
        assert_eq!(reason(None, None, Some(" ")), None);
    }
}
