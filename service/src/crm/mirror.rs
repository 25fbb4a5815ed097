//! Writing persons into our tables, whoever says what they are.

use std::collections::HashSet;

use domain::Timestamp;
use domain::crm::{Company, Owner, Person};
use domain::email::key_of;
use domain::text::cut;
use sea_orm::{ConnectionTrait, DbErr};

use crate::batch::{Batch, Column};
use crate::db::execute;
use crate::error::Result;

/// The longest id of a CRM that is taken, in bytes: it is part of an index.
const MAX_ID: usize = 200;
/// As much of a name is kept, in characters.
const MAX_TEXT: usize = 1_000;
/// Longer texts are no addresses, in bytes.
const MAX_EMAIL: usize = 320;

const PERSON: &[(&str, Column)] = &[
    ("crm_id", Column::Text),
    ("name", Column::Text),
    ("company_id", Column::Text),
    ("company", Column::Text),
    ("owner_id", Column::Text),
    ("owner", Column::Text),
    ("owner_is_active", Column::Bool),
    ("is_former_employee", Column::Bool),
    ("no_mailing", Column::Bool),
    ("consent", Column::Bool),
    ("subscriptions", Column::Text),
    ("crm_updated_at", Column::Big),
];

const EMAIL: &[(&str, Column)] =
    &[("crm_id", Column::Text), ("email_key", Column::Text), ("email", Column::Text), ("rank", Column::Int)];

/// Writes persons as the CRM says they are, found by the reading `seen_in`. Says how many are new or were changed; the transaction must be
/// one that looks up by keys.
pub(crate) async fn write<C: ConnectionTrait>(
    connection: &C,
    persons: &[Person],
    seen_in: Option<i64>,
    now: Timestamp,
) -> Result<u64> {
    let persons: Vec<Person> = persons.iter().filter(|person| person.id.len() <= MAX_ID).map(storable).collect();
    let mut known = HashSet::new();
    let persons: Vec<&Person> = persons.iter().rev().filter(|person| known.insert(person.id.as_str())).collect();
    if persons.is_empty() {
        return Ok(0);
    }
    let changed = write_rows(connection, &persons, seen_in, now).await?;
    write_emails(connection, &persons).await?;
    Ok(changed)
}

/// A person as it can be stored: nothing that a database refuses, and nothing that is longer than any name is.
fn storable(person: &Person) -> Person {
    let text = |text: &str| cut(text, MAX_TEXT);
    let id = |id: &str| cut(id, MAX_ID);
    Person {
        id: id(&person.id),
        name: person.name.as_deref().map(text),
        company: person.company.as_ref().map(|company| Company { id: id(&company.id), name: text(&company.name) }),
        owner: person.owner.as_ref().map(|owner| Owner { id: id(&owner.id), name: text(&owner.name), ..owner.clone() }),
        emails: person.emails.iter().filter(|email| email.len() <= MAX_EMAIL).map(|email| text(email)).collect(),
        ..person.clone()
    }
}

async fn write_rows<C: ConnectionTrait>(
    connection: &C,
    persons: &[&Person],
    seen_in: Option<i64>,
    now: Timestamp,
) -> Result<u64> {
    let mut batch = Batch::new(PERSON);
    for person in persons {
        let (company_id, company) = person.company.clone().map(|company| (company.id, company.name)).unzip();
        let (owner_id, owner) = person.owner.clone().map(|owner| (owner.id, owner.name)).unzip();
        batch.push([
            person.id.clone().into(),
            person.name.clone().into(),
            company_id.into(),
            company.into(),
            owner_id.into(),
            owner.into(),
            person.owner.as_ref().is_none_or(|owner| owner.is_active).into(),
            person.is_former_employee.into(),
            person.no_mailing.into(),
            person.consent.into(),
            person.subscriptions.as_ref().map(serde_json::to_string).transpose()?.into(),
            person.updated_at.map(Timestamp::micros).into(),
        ]);
    }
    let names: Vec<&str> = PERSON.iter().map(|(name, _)| *name).collect();
    let differs: Vec<String> =
        names.iter().map(|name| format!("person.{name} IS DISTINCT FROM excluded.{name}")).collect();
    let sets: Vec<String> = names.iter().map(|name| format!("{name} = excluded.{name}")).collect();
    let names = names.join(", ");
    // Only a row that says something else is written anew; that a reading has seen it is a statement of its own.
    let sql = format!(
        "INSERT INTO person ({names}, seen_in, created_at, updated_at) SELECT {names}, {{1}}, {{2}}, {{2}} FROM {{rows}} WHERE true \
         ON CONFLICT (crm_id) DO UPDATE SET {}, updated_at = excluded.updated_at, deleted_at = NULL \
         WHERE person.deleted_at IS NOT NULL OR {}",
        sets.join(", "),
        differs.join(" OR "),
    );
    let more = [seen_in.unwrap_or_default().into(), now.micros().into()];
    let changed = batch.execute(connection, &sql, more).await?;
    if let Some(reading) = seen_in {
        let mut batch = Batch::new(&[("crm_id", Column::Text)]);
        persons.iter().for_each(|person| batch.push([person.id.clone().into()]));
        // A reading that was put off comes behind one that began later: whom that one has seen keeps its mark.
        let sql =
            "UPDATE person SET seen_in = {1} FROM {rows} WHERE person.crm_id = rows.crm_id AND person.seen_in < {1}";
        batch.execute(connection, sql, [reading.into()]).await?;
    }
    Ok(changed)
}

async fn write_emails<C: ConnectionTrait>(connection: &C, persons: &[&Person]) -> Result<(), DbErr> {
    let mut batch = Batch::new(EMAIL);
    let mut of = Batch::new(&[("crm_id", Column::Text)]);
    let mut kept = HashSet::new();
    for person in persons {
        of.push([person.id.clone().into()]);
        let mut rank = 0_i32;
        for email in person.emails.iter().map(|email| email.trim()).filter(|email| !email.is_empty()) {
            let key = key_of(email);
            if kept.insert((person.id.clone(), key.clone())) {
                batch.push([person.id.clone().into(), key.into(), email.to_owned().into(), rank.into()]);
                rank += 1;
            }
        }
    }
    if !batch.is_empty() {
        let sql = "INSERT INTO person_email (person_id, email_key, email, rank) \
                   SELECT p.id, rows.email_key, rows.email, rows.rank FROM {rows} CROSS JOIN person p WHERE p.crm_id = rows.crm_id \
                   ON CONFLICT (person_id, email_key) DO UPDATE SET email = excluded.email, rank = excluded.rank \
                   WHERE person_email.email <> excluded.email OR person_email.rank <> excluded.rank";
        batch.execute(connection, sql, []).await?;
    }
    forget_emails(connection, of, &kept).await
}

/// Removes the addresses that persons have no longer.
async fn forget_emails<C: ConnectionTrait>(
    connection: &C,
    of: Batch,
    kept: &HashSet<(String, String)>,
) -> Result<(), DbErr> {
    let sql = "SELECT e.person_id, e.email_key, p.crm_id FROM {rows} CROSS JOIN person p CROSS JOIN person_email e \
               WHERE p.crm_id = rows.crm_id AND e.person_id = p.id";
    let mut gone = Batch::new(&[("person_id", Column::Big), ("email_key", Column::Text)]);
    for row in of.query(connection, sql, []).await? {
        let (person, key, crm_id): (i64, String, String) =
            (row.try_get_by_index(0)?, row.try_get_by_index(1)?, row.try_get_by_index(2)?);
        if !kept.contains(&(crm_id, key.clone())) {
            gone.push([person.into(), key.into()]);
        }
    }
    if gone.is_empty() {
        return Ok(());
    }
    let sql = "DELETE FROM person_email WHERE (person_id, email_key) IN (SELECT person_id, email_key FROM {rows})";
    gone.execute(connection, sql, []).await.map(|_| ())
}

/// Marks persons as gone whom a complete reading did not find; says how many they are.
pub(crate) async fn forget_unseen<C: ConnectionTrait>(connection: &C, reading: i64, now: Timestamp) -> Result<u64> {
    let sql = "UPDATE person SET deleted_at = $2, updated_at = $2 WHERE deleted_at IS NULL AND seen_in < $1";
    Ok(execute(connection, sql, [reading.into(), now.micros().into()]).await?.rows_affected())
}

/// What an import says about somebody whom it calls a person of the CRM.
#[derive(Clone, Debug)]
pub(crate) struct Imported {
    pub crm_id: String,
    pub name: Option<String>,
    pub company: Option<String>,
    pub owner: Option<String>,
    /// Where it is one that can be written to.
    pub email: Option<String>,
}

/// The built-in CRM learns from imports who its persons are: what an import does not speak of stays, and an address that is new to a
/// person stands behind those that it has.
pub(crate) async fn learn<C: ConnectionTrait>(connection: &C, imported: &[Imported], now: Timestamp) -> Result<()> {
    let mut known = HashSet::new();
    let mut batch = Batch::new(&[
        ("crm_id", Column::Text),
        ("name", Column::Text),
        ("company", Column::Text),
        ("owner", Column::Text),
        ("email_key", Column::Text),
        ("email", Column::Text),
    ]);
    for person in imported.iter().filter(|person| known.insert(person.crm_id.as_str())) {
        batch.push([
            person.crm_id.clone().into(),
            person.name.clone().into(),
            person.company.clone().into(),
            person.owner.clone().into(),
            person.email.as_deref().map(key_of).into(),
            person.email.clone().into(),
        ]);
    }
    if batch.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO person (crm_id, name, company_id, company, owner_id, owner, created_at, updated_at) \
               SELECT crm_id, name, lower(company), company, owner, owner, {1}, {1} FROM {rows} WHERE true \
               ON CONFLICT (crm_id) DO UPDATE SET name = COALESCE(excluded.name, person.name), \
               company_id = COALESCE(excluded.company_id, person.company_id), company = COALESCE(excluded.company, person.company), \
               owner_id = COALESCE(excluded.owner_id, person.owner_id), owner = COALESCE(excluded.owner, person.owner), \
               updated_at = excluded.updated_at, deleted_at = NULL";
    batch.clone().execute(connection, sql, [now.micros().into()]).await?;
    let sql = "INSERT INTO person_email (person_id, email_key, email, rank) \
               SELECT p.id, rows.email_key, rows.email, (SELECT count(*) FROM person_email e WHERE e.person_id = p.id) \
               FROM {rows} CROSS JOIN person p WHERE p.crm_id = rows.crm_id AND rows.email IS NOT NULL ON CONFLICT (person_id, email_key) DO NOTHING";
    batch.execute(connection, sql, []).await?;
    Ok(())
}
