//! Making campaigns, and cancelling them ([`cancel`]). Looking at them is done elsewhere.

mod cancel;
#[cfg(test)]
mod tests;

use domain::Timestamp;
use domain::campaign::CampaignState;
use sea_orm::{ConnectionTrait, DbErr, QueryResult};

use crate::access::Marketer;
use crate::audit;
use crate::db::{execute, query_one};
use crate::email;
use crate::error::{Refusal, RefusalCode, Result, ServiceError};
use crate::subject::Subject;

/// The longest key, and the longest name.
pub(crate) const MAX_NAME: usize = 200;
/// The longest subject line and sender; RFC 5322 gives a line 998 characters.
pub(crate) const MAX_LINE: usize = 998;

const COLUMNS: &str =
    "id, key, name, subject, from_address, state, sent_at, parent_id, created_by, created_at, reopened_at";

/// A campaign as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CampaignRow {
    /// Its key in the database.
    pub id: i64,
    /// What the sender calls it; unique.
    pub key: String,
    /// What people call it.
    pub name: String,
    /// The subject line of its mails.
    pub subject: Option<String>,
    /// Whom its mails are from.
    pub from_address: Option<String>,
    /// Where it stands.
    pub state: CampaignState,
    /// When it went out.
    pub sent_at: Option<Timestamp>,
    /// The campaign that this one reminds of.
    pub parent_id: Option<i64>,
    /// Who made it, as in the audit log.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last taken up again after it was sent, because some of its recipients are to be sent to again.
    pub reopened_at: Option<Timestamp>,
}

impl CampaignRow {
    /// Whether it is being sent again, to some, since it was sent.
    pub(crate) fn is_sent_again(&self) -> bool {
        self.state == CampaignState::Sending && self.reopened_at.is_some()
    }
}

/// A campaign to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCampaign {
    /// What the sender calls it; unique.
    pub key: String,
    /// What people call it.
    pub name: String,
    /// The subject line of its mails.
    pub subject: Option<String>,
    /// Whom its mails are from.
    pub from_address: Option<String>,
    /// When it went out; now, where it has and nothing is said.
    pub sent_at: Option<Timestamp>,
    /// Where it stands.
    pub state: CampaignState,
}

impl Marketer {
    /// Makes a campaign.
    ///
    /// # Errors
    /// A refusal where a campaign with this key exists, or a value cannot be used.
    pub async fn create_campaign(&self, campaign: NewCampaign) -> Result<CampaignRow> {
        let campaign = campaign.checked(self.services.now())?;
        let transaction = self.services.db.begin().await?;
        let Some(row) = insert(&transaction, &self.subject, self.services.now(), &campaign).await? else {
            let message = format!("a campaign with the key \"{}\" exists already", campaign.key);
            return Err(Refusal::field(RefusalCode::Conflict, &["key"], message).into());
        };
        transaction.commit().await?;
        Ok(row)
    }
}

/// The campaign with this key, made where there is none. One that has gone out by now (`SENT`) is marked as such where it was not.
///
/// # Errors
/// A refusal where a value cannot be used; those of the database.
pub async fn find_or_create_campaign<C: ConnectionTrait>(
    connection: &C,
    subject: &Subject,
    now: Timestamp,
    campaign: NewCampaign,
) -> Result<CampaignRow> {
    let campaign = campaign.checked(now)?;
    if let Some(row) = insert(connection, subject, now, &campaign).await? {
        return Ok(row);
    }
    let mut row = find_campaign(connection, &campaign.key).await?.ok_or_else(|| not_found("key"))?;
    let was_open = matches!(row.state, CampaignState::Draft | CampaignState::Sending);
    if campaign.state == CampaignState::Sent && was_open {
        (row.state, row.sent_at) = (campaign.state, campaign.sent_at.or(row.sent_at));
        execute(
            connection,
            "UPDATE campaign SET state = $2, sent_at = $3 WHERE id = $1",
            [row.id.into(), row.state.code().into(), row.sent_at.map(Timestamp::micros).into()],
        )
        .await?;
        audit::record(connection, now, subject, "campaign.sent", object(row.id), None).await?;
    }
    Ok(row)
}

/// The campaign with this key.
///
/// # Errors
/// Those of the database.
pub async fn find_campaign<C: ConnectionTrait>(connection: &C, key: &str) -> Result<Option<CampaignRow>> {
    let sql = format!("SELECT {COLUMNS} FROM campaign WHERE key = $1");
    let row = query_one(connection, &sql, [key.to_owned().into()]).await?;
    row.as_ref().map(read).transpose()
}

/// The campaign, locked until the end of the transaction: recipients are made and cancelled under this lock.
///
/// # Errors
/// A refusal where there is none; those of the database.
pub(crate) async fn lock<C: ConnectionTrait>(connection: &C, postgres: bool, id: i64) -> Result<CampaignRow> {
    // The lock leaves foreign keys to the campaign alone. SQLite's transaction holds the only write lock already.
    let lock = if postgres { "FOR NO KEY UPDATE" } else { "" };
    let row =
        query_one(connection, &format!("SELECT {COLUMNS} FROM campaign WHERE id = $1 {lock}"), [id.into()]).await?;
    row.as_ref().map(read).transpose()?.ok_or_else(|| not_found("campaignId").into())
}

fn not_found(field: &str) -> Refusal {
    Refusal::field(RefusalCode::NotFound, &[field], "there is no such campaign")
}

fn object(id: i64) -> String {
    format!("campaign:{id}")
}

/// Makes a campaign; `None` where there is one with its key. The values are not checked.
///
/// # Errors
/// Those of the database.
pub(crate) async fn insert<C: ConnectionTrait>(
    connection: &C,
    subject: &Subject,
    now: Timestamp,
    campaign: &NewCampaign,
) -> Result<Option<CampaignRow>> {
    let sql = format!(
        "INSERT INTO campaign (key, name, subject, from_address, state, sent_at, created_by, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (key) DO NOTHING RETURNING {COLUMNS}"
    );
    let values = [
        campaign.key.clone().into(),
        campaign.name.clone().into(),
        campaign.subject.clone().into(),
        campaign.from_address.clone().into(),
        campaign.state.code().into(),
        campaign.sent_at.map(Timestamp::micros).into(),
        subject.id.clone().into(),
        now.micros().into(),
    ];
    let Some(row) = query_one(connection, &sql, values).await? else { return Ok(None) };
    let row = read(&row)?;
    let statistics = "INSERT INTO campaign_statistics (campaign_id, updated_at) VALUES ($1, $2) ON CONFLICT (campaign_id) DO NOTHING";
    execute(connection, statistics, [row.id.into(), now.micros().into()]).await?;
    let detail = serde_json::json!({ "key": row.key, "state": row.state });
    audit::record(connection, now, subject, "campaign.created", object(row.id), Some(detail)).await?;
    Ok(Some(row))
}

fn read(row: &QueryResult) -> Result<CampaignRow> {
    let time = |index| -> Result<Option<Timestamp>, DbErr> {
        Ok(row.try_get_by_index::<Option<i64>>(index)?.map(Timestamp::from_micros))
    };
    let state: i16 = row.try_get_by_index(5)?;
    let unknown = || ServiceError::Inconsistent(format!("a campaign has the unknown state {state}"));
    Ok(CampaignRow {
        id: row.try_get_by_index(0)?,
        key: row.try_get_by_index(1)?,
        name: row.try_get_by_index(2)?,
        subject: row.try_get_by_index(3)?,
        from_address: row.try_get_by_index(4)?,
        state: CampaignState::from_code(state).ok_or_else(unknown)?,
        sent_at: time(6)?,
        parent_id: row.try_get_by_index(7)?,
        created_by: row.try_get_by_index(8)?,
        created_at: time(9)?.unwrap_or_default(),
        reopened_at: time(10)?,
    })
}

impl NewCampaign {
    /// Trimmed and found usable.
    fn checked(mut self, now: Timestamp) -> Result<Self, Refusal> {
        self.key = required("key", &self.key)?;
        self.name = required("name", &self.name)?;
        self.subject = optional("subject", self.subject.as_deref())?;
        self.from_address = optional("fromAddress", self.from_address.as_deref())?;
        self.from_address.as_deref().map(|sender| email::read_sender(sender, &["fromAddress"])).transpose()?;
        match self.state {
            CampaignState::Sent => self.sent_at = self.sent_at.or(Some(now)),
            CampaignState::Draft | CampaignState::Sending => {}
            CampaignState::Canceled => {
                let message = "a campaign cannot be made in the state CANCELED: make it, then cancel it";
                return Err(Refusal::field(RefusalCode::Invalid, &["state"], message));
            }
        }
        Ok(self)
    }
}

/// A text that must be there, trimmed and found usable as a name.
pub(crate) fn required(field: &str, text: &str) -> Result<String, Refusal> {
    let text = usable(field, text, MAX_NAME)?;
    if text.is_empty() {
        return Err(Refusal::field(
            RefusalCode::Invalid,
            &[field],
            format!("{field} is empty: enter 1 to {MAX_NAME} characters"),
        ));
    }
    Ok(text)
}

/// A text that may be missing or empty, trimmed and found usable as a line.
pub(crate) fn optional(field: &str, text: Option<&str>) -> Result<Option<String>, Refusal> {
    let text = text.map(|text| usable(field, text, MAX_LINE)).transpose()?;
    Ok(text.filter(|text| !text.is_empty()))
}

fn usable(field: &str, text: &str, most: usize) -> Result<String, Refusal> {
    let text = text.trim();
    if text.chars().any(char::is_control) {
        let message = format!("{field} contains control characters, such as a line break: remove them");
        return Err(Refusal::field(RefusalCode::Invalid, &[field], message));
    }
    let length = text.chars().count();
    if length > most {
        return Err(Refusal::exceeds(&[field], field, (length, most, "characters"), "shorten it"));
    }
    Ok(text.to_owned())
}
