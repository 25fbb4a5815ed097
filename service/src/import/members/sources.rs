//! Who is on selections and projects, person by person.

use std::collections::{BTreeMap, HashSet};

use domain::Timestamp;
use domain::crm::ListKind;
use domain::email::EmailAddress;
use domain::standing::PersonStanding;
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use serde::{Deserialize, Serialize};

use crate::batch::{Batch, Column};
use crate::crm::lists::{is_member, member_table, table};
use crate::db::{execute, query_all, query_one};
use crate::error::{Refusal, RefusalCode, Result};
use crate::import::columns::{OfPerson, Row};

/// A list whose members are recipients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WantedList {
    pub kind: ListKind,
    pub id: i64,
    /// The subscription without which nobody of it is written to.
    pub subscription: Option<String>,
}

/// Where recipients come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sources {
    pub lists: Vec<WantedList>,
    /// Single persons, in the order of their ids.
    pub persons: Vec<i64>,
    /// The subscription that these need.
    pub subscription: Option<String>,
}

/// A person of the CRM that is a member.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub id: i64,
    pub crm_id: String,
    /// The address to write to, as the CRM writes it.
    pub email: Option<String>,
    pub standing: PersonStanding,
    /// The subscriptions that the lists ask for that they are on.
    pub wanted: Vec<Option<String>>,
    pub is_deleted: bool,
    name: Option<String>,
    company: Option<String>,
    owner: Option<String>,
}

/// What is read of the person `p`.
pub(super) const COLUMNS: &str = "p.id, p.crm_id, p.name, p.company, p.owner, p.is_former_employee, p.no_mailing, p.consent, \
    p.subscriptions, p.deleted_at IS NOT NULL, (SELECT e.email FROM person_email e WHERE e.person_id = p.id ORDER BY e.rank LIMIT 1)";
/// How many columns that are.
pub(super) const COLUMN_COUNT: usize = 11;

impl Member {
    /// Reads a person whose [`COLUMNS`] begin at `start`.
    pub(super) fn read(row: &QueryResult, start: usize) -> Result<Self> {
        let subscriptions: Option<String> = row.try_get_by_index(start + 8)?;
        Ok(Self {
            id: row.try_get_by_index(start)?,
            crm_id: row.try_get_by_index(start + 1)?,
            name: row.try_get_by_index(start + 2)?,
            company: row.try_get_by_index(start + 3)?,
            owner: row.try_get_by_index(start + 4)?,
            standing: PersonStanding {
                is_former_employee: row.try_get_by_index(start + 5)?,
                no_mailing: row.try_get_by_index(start + 6)?,
                consent: row.try_get_by_index(start + 7)?,
                subscriptions: subscriptions.as_deref().map(serde_json::from_str).transpose()?,
            },
            is_deleted: row.try_get_by_index(start + 9)?,
            email: row.try_get_by_index(start + 10)?,
            wanted: Vec::new(),
        })
    }

    /// The address, where it is one.
    pub(super) fn address(&self) -> Option<EmailAddress> {
        EmailAddress::parse(self.email.as_deref()?).ok()
    }

    /// As a row of an import.
    pub(super) fn into_row(self) -> Row {
        let address = self.address();
        let skip = self.standing.skip_reason(&self.wanted);
        let (email, email_key) = match &address {
            Some(address) => (address.as_str().to_owned(), address.key().to_owned()),
            // Nobody else has this key: persons without an address are no doubles of each other.
            None => (self.email.unwrap_or_default(), format!("no address of {}", self.crm_id)),
        };
        Row {
            line: self.id,
            email,
            email_key,
            is_valid: address.is_some(),
            name: Some(self.name),
            company: Some(self.company),
            owner: Some(self.owner),
            crm_id: Some(Some(self.crm_id)),
            person: Some(OfPerson { skip }),
            ..Row::default()
        }
    }
}

impl Sources {
    /// The next members behind the person `after`, in the order of their ids, each once; fewer than `limit` only where these are the last.
    pub(super) async fn next<C: ConnectionTrait>(
        &self,
        connection: &C,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Member>> {
        let (most, is_member) = (i64::try_from(limit).unwrap_or(i64::MAX), is_member("m"));
        let mut wanted: BTreeMap<i64, Vec<Option<String>>> = BTreeMap::new();
        for list in &self.lists {
            let sql = format!(
                "SELECT m.person_id FROM {} m WHERE m.list_id = $1 AND {is_member} AND m.person_id > $2 ORDER BY m.person_id LIMIT $3",
                member_table(list.kind)
            );
            for row in query_all(connection, &sql, [list.id.into(), after.into(), most.into()]).await? {
                wanted.entry(row.try_get_by_index(0)?).or_default().push(list.subscription.clone());
            }
        }
        for person in self.persons.iter().filter(|person| **person > after).take(limit) {
            wanted.entry(*person).or_default().push(self.subscription.clone());
        }
        // Of each list the first ones were read: so far the members of all of them are known.
        let mut batch = Batch::new(&[("id", Column::Big)]);
        wanted.keys().take(limit).for_each(|id| batch.push([(*id).into()]));
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!("SELECT {COLUMNS} FROM {{rows}} CROSS JOIN person p WHERE p.id = rows.id ORDER BY p.id");
        let mut members = Vec::with_capacity(batch.len());
        for row in batch.query(connection, &sql, []).await? {
            let mut member = Member::read(&row, 0)?;
            member.wanted = wanted.remove(&member.id).unwrap_or_default();
            members.push(member);
        }
        Ok(members)
    }

    /// Only the lists that are there still: nothing can be read of one that was deleted in the CRM.
    pub(super) async fn that_are_there<C: ConnectionTrait>(mut self, connection: &C) -> Result<Self> {
        for list in std::mem::take(&mut self.lists) {
            let sql = format!("SELECT 1 FROM {} WHERE id = $1 AND deleted_at IS NULL", table(list.kind));
            if query_one(connection, &sql, [list.id.into()]).await?.is_some() {
                self.lists.push(list);
            }
        }
        Ok(self)
    }

    /// Which of these persons are on the lists, and the subscriptions that those ask for.
    pub(super) async fn of_lists<C: ConnectionTrait>(
        &self,
        connection: &C,
        persons: &[i64],
    ) -> Result<BTreeMap<i64, Vec<Option<String>>>> {
        let mut wanted: BTreeMap<i64, Vec<Option<String>>> = BTreeMap::new();
        if persons.is_empty() {
            return Ok(wanted);
        }
        let is_member = is_member("m");
        for list in &self.lists {
            let mut batch = Batch::new(&[("list_id", Column::Big), ("id", Column::Big)]);
            persons.iter().for_each(|id| batch.push([list.id.into(), (*id).into()]));
            let sql = format!(
                "SELECT m.person_id FROM {{rows}} CROSS JOIN {} m WHERE m.list_id = rows.list_id AND m.person_id = rows.id AND {is_member}",
                member_table(list.kind)
            );
            for row in batch.query(connection, &sql, []).await? {
                wanted.entry(row.try_get_by_index(0)?).or_default().push(list.subscription.clone());
            }
        }
        Ok(wanted)
    }
}

/// Those of the members, by the CRM's ids, who are recipients of the campaign already.
pub(super) async fn recipients<C: ConnectionTrait>(
    connection: &C,
    campaign: i64,
    members: &[Member],
) -> Result<HashSet<String>> {
    if members.is_empty() {
        return Ok(HashSet::new());
    }
    let mut batch = Batch::new(&[("campaign_id", Column::Big), ("crm_id", Column::Text)]);
    members.iter().for_each(|member| batch.push([campaign.into(), member.crm_id.clone().into()]));
    let sql = "SELECT r.crm_id FROM {rows} CROSS JOIN recipient r \
               WHERE r.campaign_id = rows.campaign_id AND r.crm_id = rows.crm_id";
    let rows = batch.query(connection, sql, []).await?;
    Ok(rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, DbErr>>()?)
}

/// Refuses persons that nobody knows.
pub(super) async fn require_persons<C: ConnectionTrait>(connection: &C, ids: &[i64]) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let mut batch = Batch::new(&[("id", Column::Big)]);
    ids.iter().for_each(|id| batch.push([(*id).into()]));
    let sql = "SELECT p.id FROM {rows} CROSS JOIN person p WHERE p.id = rows.id AND p.deleted_at IS NULL";
    if batch.query(connection, sql, []).await?.len() == ids.len() {
        return Ok(());
    }
    Err(Refusal::field(RefusalCode::NotFound, &["personIds"], "one of these persons does not exist").into())
}

/// Keeps where the recipients of a campaign come from.
pub(super) async fn keep<C: ConnectionTrait>(
    connection: &C,
    campaign: i64,
    lists: &[WantedList],
    now: Timestamp,
) -> Result<()> {
    for list in lists {
        let column = match list.kind {
            ListKind::Selection => "selection_id",
            ListKind::Project => "project_id",
        };
        let sql = format!(
            "INSERT INTO campaign_source (campaign_id, {column}, subscription, created_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (campaign_id, {column}) WHERE {column} IS NOT NULL DO UPDATE SET subscription = excluded.subscription"
        );
        let values = [campaign.into(), list.id.into(), list.subscription.clone().into(), now.micros().into()];
        execute(connection, &sql, values).await?;
    }
    Ok(())
}

/// Where the recipients of a campaign come from.
pub(super) async fn of_campaign<C: ConnectionTrait>(connection: &C, campaign: i64) -> Result<Sources> {
    let sql = "SELECT selection_id, project_id, subscription FROM campaign_source WHERE campaign_id = $1 ORDER BY id";
    let mut sources = Sources::default();
    for row in query_all(connection, sql, [campaign.into()]).await? {
        let (selection, project): (Option<i64>, Option<i64>) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        let subscription = row.try_get_by_index(2)?;
        let list = selection.map(|id| (ListKind::Selection, id)).or(project.map(|id| (ListKind::Project, id)));
        sources.lists.extend(list.map(|(kind, id)| WantedList { kind, id, subscription }));
    }
    Ok(sources)
}
