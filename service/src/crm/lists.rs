//! Selections and projects, and who is on them.

use std::collections::HashMap;

use domain::Timestamp;
use domain::crm::{ListKind, SelectionKind};
use entity::{project, selection};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};

use super::persons::{self, Person};
use crate::access::Reader;
use crate::db::query_one;
use crate::error::{Refusal, RefusalCode, Result};
use crate::jobs::is_active;
use crate::recipients::filter::check_search;
use crate::recipients::paging::{Count, List, Order, Page, PageArgs};
use crate::recipients::row::{coded, time};
use crate::recipients::sql::{Cells, Sql, containing};
use crate::subject::{Role, Subject};

/// A selection or a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonList {
    /// Which one, of its kind.
    pub id: i64,
    /// Selection or project.
    pub list: ListKind,
    /// What it is called.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// How its members are chosen.
    pub kind: SelectionKind,
    /// The CRM's id; none until it has been made there.
    pub crm_id: Option<String>,
    /// As of the last time that its members were changed or read.
    pub member_count: i64,
    /// Who made it, as in the audit log; `crm` where it comes from there.
    pub created_by: String,
    /// When it was first known.
    pub created_at: Timestamp,
    /// When its members were last read from the CRM.
    pub synced_at: Option<Timestamp>,
    /// Why the last try to read them failed.
    pub sync_error: Option<String>,
}

/// Which selections or projects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListQuery {
    /// Selections or projects.
    pub list: ListKind,
    /// Only those whose members are chosen so.
    pub kind: Option<SelectionKind>,
    /// A text in the name.
    pub search: Option<String>,
}

impl PersonList {
    /// As this subject may see it.
    fn shown_to(self, subject: &Subject) -> Self {
        let (name, description, error) = (self.name, self.description, self.sync_error);
        let (name, description, sync_error) = match self.list {
            ListKind::Selection => (
                subject.masked(selection::Column::Name, name),
                subject.visible(selection::Column::Description, description),
                error.map(|error| subject.masked(selection::Column::SyncError, error)),
            ),
            ListKind::Project => (
                subject.masked(project::Column::Name, name),
                subject.visible(project::Column::Description, description),
                error.map(|error| subject.masked(project::Column::SyncError, error)),
            ),
        };
        Self { name, description, sync_error, ..self }
    }
}

const COLUMNS: &[&str] = &[
    "l.name",
    "l.description",
    "l.kind",
    "l.crm_id",
    "l.member_count",
    "l.created_by",
    "l.created_at",
    "l.synced_at",
    "l.sync_error",
];

/// The table of a kind of list.
pub(crate) const fn table(list: ListKind) -> &'static str {
    match list {
        ListKind::Selection => "selection",
        ListKind::Project => "project",
    }
}

/// The table of the members of a kind of list.
pub(crate) const fn member_table(list: ListKind) -> &'static str {
    match list {
        ListKind::Selection => "selection_member",
        ListKind::Project => "project_member",
    }
}

/// The state of a row in a table of members.
pub(crate) mod state {
    /// To be added.
    pub const WANTED: i16 = 1;
    /// Being added: the CRM may know it or not.
    pub const IN_DOUBT: i16 = 2;
    /// A member.
    pub const MEMBER: i16 = 3;
    /// To be removed; a member still where the job that was to do it has ended ([`is_member`](super::is_member)).
    pub const UNWANTED: i16 = 4;
}

/// Whether the row `of` of a table of members, by its table's name or alias, is a member: whoever was to be removed is one again once the
/// job has failed or was called off.
pub(crate) fn is_member(of: &str) -> String {
    let (member, unwanted, active) = (state::MEMBER, state::UNWANTED, is_active(&format!("{of}.job_id")));
    format!("({of}.state = {member} OR {of}.state = {unwanted} AND NOT {active})")
}

impl Reader {
    /// A page of selections or projects, those that were known last first.
    ///
    /// # Errors
    /// Refusals for what cannot be asked for; those of the database.
    pub async fn person_lists(&self, query: &ListQuery, args: &PageArgs) -> Result<Page<PersonList>> {
        let list = query.list;
        let show = |found: PersonList| found.shown_to(&self.subject);
        self.list_of_lists(query)?.page(&self.services, args, |id, cells| decode(list, id, cells).map(show)).await
    }

    /// How many there are.
    ///
    /// # Errors
    /// As [`Reader::person_lists`].
    pub async fn count_person_lists(&self, query: &ListQuery, max: i64) -> Result<Count> {
        self.list_of_lists(query)?.count(&self.services, max).await
    }

    /// Selections or projects by their ids.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn person_lists_by_id(&self, list: ListKind, ids: &[i64]) -> Result<HashMap<i64, PersonList>> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let mut sql = Sql::new(format!("SELECT l.id, {} FROM {} l WHERE l.id IN (", COLUMNS.join(", "), table(list)));
        sql.bind_all(ids.iter().copied()).push(") AND l.deleted_at IS NULL");
        let found = self.read_all(sql, |row| read(list, row)).await?;
        Ok(found.into_iter().map(|row| (row.id, row.shown_to(&self.subject))).collect())
    }

    /// A page of the members of a selection or project. Not for viewers.
    ///
    /// # Errors
    /// A refusal for viewers; those of the database.
    pub async fn list_members(&self, list: ListKind, id: i64, args: &PageArgs) -> Result<Page<Person>> {
        self.members(list, id)?.page(&self.services, args, persons::decode).await
    }

    /// How many members there are.
    ///
    /// # Errors
    /// As [`Reader::list_members`].
    pub async fn count_list_members(&self, list: ListKind, id: i64, max: i64) -> Result<Count> {
        self.members(list, id)?.count(&self.services, max).await
    }

    fn members(&self, list: ListKind, id: i64) -> Result<List> {
        self.subject.require(Role::Marketer)?;
        let mut condition = Sql::new("m.list_id = ");
        condition.bind(id).push(" AND ").push(&is_member("m"));
        Ok(List {
            columns: persons::COLUMNS,
            from: match list {
                ListKind::Selection => "selection_member m JOIN person p ON p.id = m.person_id",
                ListKind::Project => "project_member m JOIN person p ON p.id = m.person_id",
            },
            condition,
            order: Order { sort: None, id: "m.person_id", descending: false },
            scope: serde_json::to_string(&("members", list, id))?,
        })
    }

    fn list_of_lists(&self, query: &ListQuery) -> Result<List> {
        let search = query.search.as_deref().map(str::trim).filter(|text| !text.is_empty());
        if search.is_some() {
            // The limits of a search are the same for everybody.
            check_search(search, &Subject::command_line())?;
        }
        let mut condition = Sql::new("l.deleted_at IS NULL");
        if let Some(kind) = query.kind {
            condition.push(" AND l.kind = ").bind(kind.code());
        }
        if let Some(search) = search {
            condition.push(" AND lower(l.name) LIKE ").bind(containing(&search.to_lowercase())).push(" ESCAPE '\\'");
            if !self.subject.sees_personal_data() {
                // What is not shown cannot be searched for.
                condition.push(" AND l.name NOT LIKE '%@%'");
            }
        }
        Ok(List {
            columns: COLUMNS,
            from: match query.list {
                ListKind::Selection => "selection l",
                ListKind::Project => "project l",
            },
            condition,
            order: Order { sort: None, id: "l.id", descending: true },
            scope: serde_json::to_string(&("lists", query.list, query.kind, search))?,
        })
    }
}

fn read(list: ListKind, row: &QueryResult) -> Result<PersonList> {
    Ok(decode(list, row.try_get_by_index(0)?, Cells::from(row, 1))?)
}

fn decode(list: ListKind, id: i64, mut cells: Cells<'_>) -> Result<PersonList, DbErr> {
    Ok(PersonList {
        id,
        list,
        name: cells.take()?,
        description: cells.take()?,
        kind: coded(cells.take()?, SelectionKind::from_code, "the kind of a list")?,
        crm_id: cells.take()?,
        member_count: cells.take()?,
        created_by: cells.take()?,
        created_at: Timestamp::from_micros(cells.take()?),
        synced_at: time(&mut cells)?,
        sync_error: cells.take()?,
    })
}

/// A selection or project, whoever asks; a refusal about `field` where there is none (any more).
pub(crate) async fn require<C: ConnectionTrait>(
    connection: &C,
    list: ListKind,
    id: i64,
    field: &[&str],
) -> Result<PersonList> {
    let sql =
        format!("SELECT l.id, {} FROM {} l WHERE l.id = $1 AND l.deleted_at IS NULL", COLUMNS.join(", "), table(list));
    let row = query_one(connection, &sql, [id.into()]).await?;
    let found = row.as_ref().map(|row| read(list, row)).transpose()?;
    found
        .ok_or_else(|| Refusal::field(RefusalCode::NotFound, field, format!("there is no such {}", table(list))).into())
}

/// Counts the members of a list and notes how many they are.
pub(crate) async fn count_members<C: ConnectionTrait>(connection: &C, list: ListKind, id: i64) -> Result<(), DbErr> {
    let (table, members, is_member) = (table(list), member_table(list), is_member("m"));
    let sql = format!(
        "UPDATE {table} SET member_count = (SELECT count(*) FROM {members} m WHERE m.list_id = $1 AND {is_member}) WHERE id = $1"
    );
    crate::db::execute(connection, &sql, [id.into()]).await.map(|_| ())
}
