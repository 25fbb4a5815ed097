//! Whom something is done with in the CRM: the persons that recipients are, or who have addresses, or who complained.

use domain::status::RecipientStatus;
use serde::{Deserialize, Serialize};

use super::people;
use crate::access::Marketer;
use crate::addresses::AddressSet;
use crate::addresses::complaints::{self, ComplaintFilter};
use crate::addresses::set::StoredSet;
use crate::db::query_all;
use crate::error::{Refusal, RefusalCode, Result};
use crate::recipients::scan::Scan;
use crate::recipients::{RecipientKey, RecipientSet};
use sea_orm::{ConnectionTrait, QueryResult};

/// Whom, as a user says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Persons {
    /// Those that these recipients are.
    Recipients(RecipientSet),
    /// All who have these addresses.
    Addresses(AddressSet),
    /// Those who reported mails as spam.
    Complaints(ComplaintFilter),
}

/// The same, as it stands in a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Source {
    Recipients(RecipientSet),
    Addresses {
        set: StoredSet,
        /// Addresses that were named and that nobody knows.
        unknown: i64,
    },
    Complaints(ComplaintFilter),
    /// Those whom a rule for reminders reminds of a campaign for the how manieth time, unless they were taken out again.
    Reminded {
        rule: i64,
        campaign: i64,
        round: i64,
    },
}

/// Behind what to go on: the key of a recipient; the id of an address or a complaint, without a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct After {
    pub campaign: i64,
    pub number: i64,
}

/// Somebody of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Somebody {
    /// Who it is in the CRM.
    pub person: Option<i64>,
    /// The recipient, where it is one.
    pub recipient: Option<RecipientKey>,
    /// How it is named as an example: `campaign:number` of a recipient, the id of an address.
    pub example: String,
}

/// Why somebody is left out who is not in the CRM.
pub(crate) const NOT_IN_CRM: &str = "NOT_IN_CRM";
/// Why somebody is left out whom the CRM does not take.
pub(crate) const REFUSED_BY_CRM: &str = "REFUSED_BY_CRM";
/// Why an address is left out that was never seen.
pub(crate) const UNKNOWN_ADDRESS: &str = "UNKNOWN_ADDRESS";

impl Source {
    /// The source that a user means, checked.
    ///
    /// # Errors
    /// A refusal for what is no set, or not for this user; those of the database.
    pub(crate) async fn of<C: ConnectionTrait>(connection: &C, marketer: &Marketer, persons: Persons) -> Result<Self> {
        Ok(match persons {
            Persons::Recipients(set) => Self::Recipients(set),
            Persons::Addresses(set) => {
                set.check(&marketer.subject)?;
                let (set, unknown) = StoredSet::find(connection, set).await?;
                Self::Addresses { set, unknown }
            }
            Persons::Complaints(filter) => {
                complaints::check(&filter, &marketer.subject)?;
                Self::Complaints(filter)
            }
        })
    }

    /// Whether it can only be short: somebody waits for it.
    pub(crate) const fn is_named(&self) -> bool {
        match self {
            Self::Recipients(set) => matches!(set, RecipientSet::Ids(_)),
            Self::Addresses { set, .. } => set.is_named(),
            Self::Complaints(_) | Self::Reminded { .. } => false,
        }
    }

    /// The campaign of all of them, where there is one.
    pub(crate) fn campaign(&self) -> Option<i64> {
        match self {
            Self::Recipients(set) => set.campaign(),
            Self::Addresses { .. } => None,
            Self::Complaints(filter) => filter.campaign,
            Self::Reminded { campaign, .. } => Some(*campaign),
        }
    }

    /// How many addresses were named that nobody knows.
    pub(crate) const fn unknown(&self) -> i64 {
        if let Self::Addresses { unknown, .. } = self { *unknown } else { 0 }
    }

    /// The next of them behind `after`, and where to go on; nowhere where these are the last ones.
    pub(crate) async fn next<C: ConnectionTrait>(
        &self,
        connection: &C,
        after: Option<After>,
        limit: i64,
    ) -> Result<(Vec<Somebody>, Option<After>)> {
        let is_full = |length: usize| i64::try_from(length).unwrap_or(i64::MAX) >= limit;
        match self {
            Self::Recipients(set) => {
                let after = after.map(|after| RecipientKey { campaign: after.campaign, number: after.number });
                let keys = set.chunk(connection, after, limit).await?;
                let last = keys.last().filter(|_| is_full(keys.len()));
                let next = last.map(|key| After { campaign: key.campaign, number: key.number });
                let found = people::of_recipients(connection, &keys).await?;
                Ok((found.into_iter().map(recipient).collect(), next))
            }
            Self::Addresses { set, .. } => {
                let behind = after.map_or(0, |after| after.number);
                let ids = set.next(connection, behind, usize::try_from(limit).unwrap_or(usize::MAX)).await?;
                let next = ids.last().filter(|_| is_full(ids.len())).map(|id| After { campaign: 0, number: *id });
                let found = people::of_addresses(connection, &ids).await?.into_iter();
                let somebody =
                    |(address, person): (i64, _)| Somebody { person, recipient: None, example: address.to_string() };
                Ok((found.map(somebody).collect(), next))
            }
            Self::Complaints(filter) => {
                let scan = Scan {
                    from: complaints::TABLES.to_owned(),
                    condition: complaints::condition(filter),
                    keys: &["m.id"],
                };
                let place: Vec<i64> = after.map(|after| after.number).into_iter().collect();
                let (text, values) = scan.select(&["m.campaign_id", "m.recipient"], &place, limit).into_parts();
                let rows = query_all(connection, &text, values).await?;
                let mut keys = Vec::with_capacity(rows.len());
                let mut last = 0;
                for row in &rows {
                    last = row.try_get_by_index(0)?;
                    keys.push(RecipientKey { campaign: row.try_get_by_index(1)?, number: row.try_get_by_index(2)? });
                }
                let next = is_full(rows.len()).then_some(After { campaign: 0, number: last });
                let found = people::of_recipients(connection, &keys).await?;
                Ok((found.into_iter().map(recipient).collect(), next))
            }
            Self::Reminded { rule, campaign, round } => {
                let sql = format!(
                    "SELECT t.recipient FROM reminder_target t \
                     LEFT JOIN recipient c ON c.campaign_id = t.child_id AND c.number = t.child_recipient \
                     WHERE t.rule_id = $1 AND t.campaign_id = $2 AND t.round = $3 AND t.recipient > $4 AND t.attempt IS NULL \
                     AND NOT t.is_taken_back AND (c.status IS NULL OR c.status <> {}) ORDER BY t.recipient LIMIT $5",
                    RecipientStatus::Blocked.code()
                );
                let behind = after.map_or(0, |after| after.number);
                let rows =
                    query_all(connection, &sql, [*rule, *campaign, *round, behind, limit].map(Into::into)).await?;
                let key =
                    |row: &QueryResult| Ok(RecipientKey { campaign: *campaign, number: row.try_get_by_index(0)? });
                let keys = rows.iter().map(key).collect::<Result<Vec<_>>>()?;
                let last = keys.last().filter(|_| is_full(keys.len()));
                let next = last.map(|key| After { campaign: key.campaign, number: key.number });
                let found = people::of_recipients(connection, &keys).await?;
                Ok((found.into_iter().map(recipient).collect(), next))
            }
        }
    }
}

fn recipient((key, person): (RecipientKey, Option<i64>)) -> Somebody {
    Somebody { person, recipient: Some(key), example: format!("{}:{}", key.campaign, key.number) }
}

/// The refusal of a text that is empty or too long; the text without space around it.
pub(crate) fn text(field: &[&str], text: &str, most: usize) -> Result<String, Refusal> {
    let text = text.trim();
    match text.chars().count() {
        0 => Err(Refusal::field(RefusalCode::Invalid, field, "it must not be empty")),
        length if length > most => {
            Err(Refusal::exceeds(field, "this text", (length, most, "characters"), "shorten it"))
        }
        _ => Ok(text.to_owned()),
    }
}
