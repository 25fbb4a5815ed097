//! Reading who is on a selection or project in the CRM.

use domain::crm::ListKind;
use sea_orm::{ConnectionTrait, DatabaseTransaction};
use serde::{Deserialize, Serialize};

use super::lists::{self, is_member, member_table, state, table};
use crate::access::Services;
use crate::batch::{Batch, Column};
use crate::db::{execute, query_one};
use crate::error::{Refusal, RefusalCode, Result};
use crate::jobs;

/// How far the reading of a list is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reading {
    /// The reading: when it began. Members who are found are marked with it, those without its mark are gone.
    number: i64,
    /// Where to go on, in the CRM's words.
    next: Option<String>,
}

impl Reading {
    /// A new one.
    pub(crate) fn begin(services: &Services) -> Self {
        Self { number: services.now().micros(), next: None }
    }
}

/// Reads the next page of a list, and notes its members in a transaction that the caller commits. The place to go on; none where that was
/// the last page: who was not found is no member any more then.
///
/// # Errors
/// What the CRM says; those of the database.
pub(crate) async fn page(
    services: &Services,
    list: ListKind,
    id: i64,
    reading: &Reading,
) -> Result<(DatabaseTransaction, Option<Reading>)> {
    let sql = format!("SELECT crm_id FROM {} WHERE id = $1", table(list));
    let row = query_one(services.db.read(), &sql, [id.into()]).await?;
    let crm_id: Option<String> = row.map(|row| row.try_get_by_index(0)).transpose()?.flatten();
    let crm_id = crm_id.ok_or_else(|| Refusal::new(RefusalCode::NotFound, "the list is not in the CRM"))?;
    let page = services.crm.members(list, &crm_id, reading.next.as_deref()).await?;
    let transaction = services.db.begin_keyed().await?;
    note(&transaction, list, id, reading.number, page.rows.iter().map(|member| member.person.as_str())).await?;
    if let Some(next) = page.next {
        return Ok((transaction, Some(Reading { next: Some(next), ..reading.clone() })));
    }
    end(&transaction, services, list, id, reading.number).await?;
    Ok((transaction, None))
}

/// Notes members who were found. Those whom the mirror does not know yet come with the next reading of the persons.
async fn note<C: ConnectionTrait>(
    connection: &C,
    list: ListKind,
    id: i64,
    reading: i64,
    persons: impl Iterator<Item = &str>,
) -> Result<()> {
    let mut batch = Batch::new(&[("crm_id", Column::Text)]);
    persons.for_each(|person| batch.push([person.to_owned().into()]));
    if batch.is_empty() {
        return Ok(());
    }
    let (members, member, unwanted) = (member_table(list), state::MEMBER, state::UNWANTED);
    let is_being_removed = jobs::is_active(&format!("{members}.job_id"));
    // A reading that was put off comes behind one that began later: whom that one has seen keeps its mark.
    let sql = format!(
        "INSERT INTO {members} (list_id, person_id, state, seen_in, added_at) \
         SELECT DISTINCT {{1}}, p.id, {member}, {{2}}, {{2}} FROM {{rows}} CROSS JOIN person p WHERE p.crm_id = rows.crm_id \
         ON CONFLICT (list_id, person_id) DO UPDATE SET \
            seen_in = CASE WHEN {members}.seen_in > excluded.seen_in THEN {members}.seen_in ELSE excluded.seen_in END, \
            state = CASE WHEN {members}.state = {unwanted} AND {is_being_removed} THEN {unwanted} ELSE {member} END"
    );
    batch.execute(connection, &sql, [id.into(), reading.into()]).await?;
    Ok(())
}

async fn end<C: ConnectionTrait>(
    connection: &C,
    services: &Services,
    list: ListKind,
    id: i64,
    reading: i64,
) -> Result<()> {
    let (table, members) = (table(list), member_table(list));
    let sql = format!("DELETE FROM {members} WHERE list_id = $1 AND {} AND seen_in < $2", is_member(members));
    execute(connection, &sql, [id.into(), reading.into()]).await?;
    lists::count_members(connection, list, id).await?;
    let sql = format!("UPDATE {table} SET synced_at = $2, sync_error = NULL WHERE id = $1");
    execute(connection, &sql, [id.into(), services.now().micros().into()]).await?;
    Ok(())
}
