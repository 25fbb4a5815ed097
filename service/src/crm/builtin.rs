//! The built-in CRM: our own tables, for where none is connected.
//!
//! Its persons are those whom imports call so by a CRM id. What nachfass writes down as still to be done in the CRM is done here by
//! changing the same rows; there is nothing to mirror.

use std::fmt::Display;
use std::sync::Arc;

use domain::crm::{
    Account, Answer, Bounce, Company, Crm, CrmError, EmailChange, List, ListKind, Member, NewList, NewTask, Owner,
    Page, Person, PersonQuery, Right, SelectionKind, Told,
};
use domain::email::key_of;
use domain::{Clock, Timestamp};
use sea_orm::{DbErr, QueryResult, Value};

use super::lists::{is_member, member_table, state, table};
use crate::batch::{Batch, Column};
use crate::db::{Db, execute, query_all, query_one};

/// As many rows are on a page.
const PAGE: usize = 1_000;

/// The built-in CRM.
#[derive(Clone)]
pub struct Builtin {
    db: Db,
    clock: Arc<dyn Clock>,
}

/// A database that fails is a CRM that cannot be reached.
fn unavailable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> CrmError {
    CrmError::Unavailable { source: error.into(), may_have_happened: false, retry_after: None }
}

fn failed(error: DbErr) -> CrmError {
    unavailable(error)
}

impl Builtin {
    /// Over this database.
    #[must_use]
    pub fn new(db: Db, clock: Arc<dyn Clock>) -> Self {
        Self { db, clock }
    }

    async fn rows(&self, sql: &str, values: Vec<Value>) -> Result<Vec<QueryResult>, CrmError> {
        query_all(self.db.read(), sql, values).await.map_err(failed)
    }

    /// Changes a person.
    async fn set(&self, assignment: &str, person: &str) -> Result<(), CrmError> {
        let sql = format!(
            "UPDATE person SET {assignment}, updated_at = $2, crm_updated_at = $2 WHERE crm_id = $1 AND deleted_at IS NULL"
        );
        let values = [person.into(), self.clock.now().micros().into()];
        let changed = execute(self.db.write(), &sql, values).await.map_err(failed)?;
        if changed.rows_affected() == 0 { Err(CrmError::NotFound) } else { Ok(()) }
    }

    async fn read_persons(
        &self,
        condition: &str,
        values: Vec<Value>,
        limit: usize,
    ) -> Result<Vec<(i64, Person)>, CrmError> {
        let sql = format!(
            "SELECT p.id, p.crm_id, p.name, p.company_id, p.company, p.owner_id, p.owner, p.owner_is_active, p.is_former_employee, \
             p.no_mailing, p.consent, p.subscriptions, p.crm_updated_at FROM person p \
             WHERE p.deleted_at IS NULL AND {condition} ORDER BY p.id LIMIT {limit}"
        );
        let rows = self.rows(&sql, values).await?;
        let mut persons = rows.iter().map(read_person).collect::<Result<Vec<_>, _>>().map_err(failed)?;
        let mut batch = Batch::new(&[("person_id", Column::Big)]);
        persons.iter().for_each(|(id, _)| batch.push([(*id).into()]));
        if batch.is_empty() {
            return Ok(persons);
        }
        let sql = "SELECT e.person_id, e.email FROM {rows} CROSS JOIN person_email e WHERE e.person_id = rows.person_id \
                   ORDER BY e.person_id, e.rank";
        for row in batch.query(self.db.read(), sql, []).await.map_err(failed)? {
            let id: i64 = row.try_get_by_index(0).map_err(failed)?;
            if let Ok(place) = persons.binary_search_by_key(&id, |(id, _)| *id)
                && let Some((_, person)) = persons.get_mut(place)
            {
                person.emails.push(row.try_get_by_index(1).map_err(failed)?);
            }
        }
        Ok(persons)
    }

    async fn make_list(&self, new: &NewList) -> Result<String, CrmError> {
        let table = table(new.kind);
        let sql = format!(
            "INSERT INTO {table} (key, name, description, kind, created_by, created_at) VALUES ($1, $2, $3, $4, 'crm', $5) \
             ON CONFLICT (key) DO UPDATE SET key = excluded.key RETURNING id"
        );
        let values = [
            new.key.clone().into(),
            new.name.clone().into(),
            new.description.clone().into(),
            SelectionKind::Static.code().into(),
            self.clock.now().micros().into(),
        ];
        let row = query_one(self.db.write(), &sql, values).await.map_err(failed)?.ok_or(CrmError::NotFound)?;
        let id: i64 = row.try_get_by_index(0).map_err(failed)?;
        let sql = format!("UPDATE {table} SET crm_id = $2 WHERE id = $1");
        execute(self.db.write(), &sql, [id.into(), id.to_string().into()]).await.map_err(failed)?;
        Ok(id.to_string())
    }

    async fn make_task(&self, task: &NewTask) -> Result<String, CrmError> {
        /// It is there.
        const MADE: i16 = 3;
        let sql = format!(
            "INSERT INTO follow_up (key, person_id, owner_id, title, description, reason, due_at, state, created_by, created_at) \
             SELECT $1, p.id, $2, $3, $4, '', $5, {MADE}, 'crm', $6 FROM person p WHERE p.crm_id = $7 AND p.deleted_at IS NULL \
             ON CONFLICT (key) DO UPDATE SET key = excluded.key"
        );
        let values = [
            task.key.clone().into(),
            task.owner.clone().into(),
            task.title.clone().into(),
            task.description.clone().into(),
            task.due.map(Timestamp::micros).into(),
            self.clock.now().micros().into(),
            task.person.clone().into(),
        ];
        let made = execute(self.db.write(), &sql, values).await.map_err(failed)?;
        if made.rows_affected() == 0 { Err(CrmError::NotFound) } else { Ok(task.key.clone()) }
    }

    /// The id of a list that there is.
    async fn list_id(&self, kind: ListKind, list: &str) -> Result<i64, CrmError> {
        let sql = format!("SELECT id FROM {} WHERE crm_id = $1 AND deleted_at IS NULL", table(kind));
        let row = query_one(self.db.read(), &sql, [list.into()]).await.map_err(failed)?.ok_or(CrmError::NotFound)?;
        row.try_get_by_index(0).map_err(failed)
    }

    async fn change_members(&self, kind: ListKind, list: &str, members: &[Member], sql: &str) -> Result<(), CrmError> {
        let id = self.list_id(kind, list).await?;
        let mut batch = Batch::new(&[("list_id", Column::Big), ("crm_id", Column::Text)]);
        members.iter().for_each(|member| batch.push([id.into(), member.person.clone().into()]));
        if !batch.is_empty() {
            let transaction = self.db.begin_keyed().await.map_err(failed)?;
            batch.execute(&transaction, sql, [self.clock.now().micros().into()]).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
        }
        Ok(())
    }

    async fn replace_email(&self, change: &EmailChange) -> Result<(), CrmError> {
        let new = key_of(&change.new);
        let transaction = self.db.begin().await.map_err(failed)?;
        let sql = "SELECT p.id, e.email_key, e.rank FROM person p LEFT JOIN person_email e ON e.person_id = p.id \
                   WHERE p.crm_id = $1 AND p.deleted_at IS NULL ORDER BY e.rank";
        let rows = query_all(&transaction, sql, [change.person.clone().into()]).await.map_err(failed)?;
        let Some(first) = rows.first() else { return Err(CrmError::NotFound) };
        let person: i64 = first.try_get_by_index(0).map_err(failed)?;
        let mut keys: Vec<(Option<String>, Option<i32>)> = Vec::new();
        for row in &rows {
            keys.push((row.try_get_by_index(1).map_err(failed)?, row.try_get_by_index(2).map_err(failed)?));
        }
        let is_there = keys.iter().any(|(key, _)| key.as_deref() == Some(&new));
        let old = change.old.as_deref().map(key_of);
        let rank = match &old {
            Some(old) => keys.iter().find(|(key, _)| key.as_deref() == Some(old)).and_then(|(_, rank)| *rank),
            None if is_there => None,
            None => Some(keys.iter().filter_map(|(_, rank)| *rank).max().map_or(0, |last| last + 1)),
        };
        let Some(rank) = rank else {
            return if is_there { Ok(()) } else { Err(CrmError::Conflict) };
        };
        let sql = "DELETE FROM person_email WHERE person_id = $1 AND email_key IN ($2, $3)";
        execute(&transaction, sql, [person.into(), old.into(), new.clone().into()]).await.map_err(failed)?;
        let sql = "INSERT INTO person_email (person_id, email_key, email, rank) VALUES ($1, $2, $3, $4)";
        let values = [person.into(), new.into(), change.new.clone().into(), rank.into()];
        execute(&transaction, sql, values).await.map_err(failed)?;
        let sql = "UPDATE person SET updated_at = $2, crm_updated_at = $2 WHERE id = $1";
        execute(&transaction, sql, [person.into(), self.clock.now().micros().into()]).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }
}

fn read_person(row: &QueryResult) -> Result<(i64, Person), DbErr> {
    let text = |index: usize| row.try_get_by_index::<Option<String>>(index);
    let company = text(3)?.zip(text(4)?).map(|(id, name)| Company { id, name });
    let is_active = row.try_get_by_index(7)?;
    let owner = text(5)?.zip(text(6)?).map(|(id, name)| Owner { id, name, is_active });
    let person = Person {
        id: row.try_get_by_index(1)?,
        name: text(2)?,
        company,
        owner,
        emails: Vec::new(),
        is_former_employee: row.try_get_by_index(8)?,
        no_mailing: row.try_get_by_index(9)?,
        consent: row.try_get_by_index(10)?,
        subscriptions: text(11)?.and_then(|names| serde_json::from_str(&names).ok()),
        updated_at: row.try_get_by_index::<Option<i64>>(12)?.map(Timestamp::from_micros),
    };
    Ok((row.try_get_by_index(0)?, person))
}

/// A page out of rows that begin with their key.
fn page<K: Display, T>(rows: Vec<(K, T)>) -> Page<T> {
    let next = rows.last().filter(|_| rows.len() >= PAGE).map(|(key, _)| key.to_string());
    Page { rows: rows.into_iter().map(|(_, row)| row).collect(), next }
}

/// The key behind which to go on. What is none of ours begins anew.
fn behind(after: Option<&str>) -> Value {
    after.and_then(|after| after.parse::<i64>().ok()).unwrap_or_default().into()
}

impl Crm for Builtin {
    fn name(&self) -> &'static str {
        "built-in"
    }

    fn is_builtin(&self) -> bool {
        true
    }

    fn check(&self) -> Answer<'_, Account> {
        Box::pin(async move {
            self.db.ping().await.map_err(failed)?;
            let allowed = |what: &str| Right { what: what.to_owned(), allowed: Some(true), reason: None };
            let rights = [
                "read persons",
                "make selections",
                "make projects",
                "add and remove members",
                "make tasks",
                "correct addresses",
                "mark former employees",
                "withdraw consent",
                "count bounces",
            ];
            let rights = rights.map(allowed).to_vec();
            Ok(Account { crm: "built-in".to_owned(), user: "nachfass".to_owned(), rights })
        })
    }

    fn persons<'a>(&'a self, query: &'a PersonQuery) -> Answer<'a, Page<Person>> {
        Box::pin(async move {
            let mut values = vec![behind(query.after.as_deref())];
            let mut condition = "p.id > $1".to_owned();
            if let Some(since) = query.changed_since {
                values.push(since.micros().into());
                condition.push_str(" AND p.updated_at >= $2");
            }
            self.read_persons(&condition, values, PAGE).await.map(page)
        })
    }

    fn person<'a>(&'a self, id: &'a str) -> Answer<'a, Option<Person>> {
        Box::pin(async move {
            let found = self.read_persons("p.crm_id = $1", vec![id.into()], 1).await?;
            Ok(found.into_iter().next().map(|(_, person)| person))
        })
    }

    fn lists<'a>(&'a self, kind: ListKind, after: Option<&'a str>) -> Answer<'a, Page<List>> {
        Box::pin(async move {
            let sql = format!(
                "SELECT id, crm_id, name, description, kind FROM {} WHERE deleted_at IS NULL AND crm_id IS NOT NULL AND id > $1 \
                 ORDER BY id LIMIT {PAGE}",
                table(kind)
            );
            let rows = self.rows(&sql, vec![behind(after)]).await?;
            let read = |row: &QueryResult| {
                let list = List {
                    id: row.try_get_by_index(1)?,
                    name: row.try_get_by_index(2)?,
                    description: row.try_get_by_index(3)?,
                    kind: SelectionKind::from_code(row.try_get_by_index(4)?).unwrap_or(SelectionKind::Static),
                };
                Ok((row.try_get_by_index::<i64>(0)?, list))
            };
            rows.iter().map(read).collect::<Result<Vec<_>, _>>().map(page).map_err(failed)
        })
    }

    fn members<'a>(&'a self, kind: ListKind, list: &'a str, after: Option<&'a str>) -> Answer<'a, Page<Member>> {
        Box::pin(async move {
            let id = self.list_id(kind, list).await?;
            let sql = format!(
                "SELECT p.id, p.crm_id, p.company_id FROM {} m JOIN person p ON p.id = m.person_id \
                 WHERE m.list_id = $1 AND {} AND m.person_id > $2 ORDER BY m.person_id LIMIT {PAGE}",
                member_table(kind),
                is_member("m"),
            );
            let rows = self.rows(&sql, vec![id.into(), behind(after)]).await?;
            let read = |row: &QueryResult| {
                let member = Member { person: row.try_get_by_index(1)?, company: row.try_get_by_index(2)? };
                Ok((row.try_get_by_index::<i64>(0)?, member))
            };
            rows.iter().map(read).collect::<Result<Vec<_>, _>>().map(page).map_err(failed)
        })
    }

    fn create_list<'a>(&'a self, new: &'a NewList, _again: bool) -> Answer<'a, String> {
        // The key finds it whether or not it was made before.
        Box::pin(self.make_list(new))
    }

    fn add_members<'a>(&'a self, kind: ListKind, list: &'a str, members: &'a [Member]) -> Answer<'a, ()> {
        Box::pin(async move {
            let (table, member) = (member_table(kind), state::MEMBER);
            let sql = format!(
                "INSERT INTO {table} (list_id, person_id, state, added_at) SELECT rows.list_id, p.id, {member}, {{1}} \
                 FROM {{rows}} CROSS JOIN person p WHERE p.crm_id = rows.crm_id \
                 ON CONFLICT (list_id, person_id) DO UPDATE SET state = {member}"
            );
            self.change_members(kind, list, members, &sql).await
        })
    }

    fn remove_members<'a>(&'a self, kind: ListKind, list: &'a str, members: &'a [Member]) -> Answer<'a, ()> {
        Box::pin(async move {
            let sql = format!(
                "DELETE FROM {} WHERE (list_id, person_id) IN (\
                    SELECT rows.list_id, p.id FROM {{rows}} CROSS JOIN person p WHERE p.crm_id = rows.crm_id AND {{1}} > 0)",
                member_table(kind)
            );
            self.change_members(kind, list, members, &sql).await
        })
    }

    fn create_task<'a>(&'a self, task: &'a NewTask, _again: bool) -> Answer<'a, String> {
        // The key finds it whether or not it was made before: as a rule it is the follow-up that is about to be confirmed.
        Box::pin(self.make_task(task))
    }

    fn change_email<'a>(&'a self, change: &'a EmailChange) -> Answer<'a, ()> {
        Box::pin(self.replace_email(change))
    }

    fn withdraw_consent<'a>(&'a self, person: &'a str) -> Answer<'a, ()> {
        Box::pin(self.set("consent = FALSE", person))
    }

    fn mark_former_employee<'a>(&'a self, person: &'a str) -> Answer<'a, ()> {
        Box::pin(self.set("is_former_employee = TRUE", person))
    }

    fn add_bounce<'a>(&'a self, bounce: &'a Bounce) -> Answer<'a, ()> {
        Box::pin(async move {
            let sql = "UPDATE person_email SET bounces = bounces + 1 WHERE email_key = $1";
            execute(self.db.write(), sql, [key_of(&bounce.email).into()]).await.map_err(failed)?;
            Ok(())
        })
    }

    fn told(&self, _headers: &[(String, String)], _body: &[u8]) -> Option<Vec<Told>> {
        None
    }
}
