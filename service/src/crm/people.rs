//! Which person of the CRM a recipient is.
//!
//! The one with the recipient's CRM id; where there is none, one with its address: of several, one who has not left, and the one that
//! was known first. This is worked out each time, and stored nowhere: the CRM changes.

use sea_orm::ConnectionTrait;

use crate::batch::{Batch, Column};
use crate::error::Result;
use crate::recipients::RecipientKey;

/// Whether the recipient `r` is a person of the CRM; never null.
pub(crate) const IS_PERSON: &str = "(EXISTS (SELECT 1 FROM person known WHERE known.crm_id = r.crm_id AND known.deleted_at IS NULL) \
    OR EXISTS (SELECT 1 FROM person_email e JOIN person known ON known.id = e.person_id \
        WHERE e.email_key = r.email_key AND known.deleted_at IS NULL))";

/// The person who has the address of a row with this alias; of several, one who has not left, and the one that was known first.
macro_rules! holder {
    ($row:literal) => {
        concat!(
            "(SELECT known.id FROM person_email h JOIN person known ON known.id = h.person_id WHERE h.email_key = ",
            $row,
            ".email_key AND known.deleted_at IS NULL ORDER BY known.is_former_employee, known.id LIMIT 1)"
        )
    };
}
/// The person that the recipient `r` is.
macro_rules! person {
    () => {
        concat!(
            "COALESCE((SELECT known.id FROM person known WHERE known.crm_id = r.crm_id AND known.deleted_at IS NULL), ",
            holder!("r"),
            ")"
        )
    };
}

/// The id of the person that the recipient `r` is, or null.
pub(crate) const PERSON: &str = person!();

/// The id of the person who has the address `a`, or null: of several, as for a recipient.
pub(crate) const HOLDER: &str = holder!("a");

/// Whether the CRM says that the person must not be written to who the recipient `r` is; never null.
pub(crate) const REFUSED_BY_CRM: &str = concat!(
    "EXISTS (SELECT 1 FROM person p WHERE p.id = ",
    person!(),
    " AND (p.no_mailing OR p.consent = FALSE OR p.is_former_employee))"
);

/// The persons that recipients are, in the order of their keys.
pub(crate) async fn of_recipients<C: ConnectionTrait>(
    connection: &C,
    keys: &[RecipientKey],
) -> Result<Vec<(RecipientKey, Option<i64>)>> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut batch = Batch::new(&[("campaign_id", Column::Big), ("number", Column::Big)]);
    keys.iter().for_each(|key| batch.push([key.campaign.into(), key.number.into()]));
    let sql = format!(
        "SELECT r.campaign_id, r.number, {PERSON} FROM {{rows}} CROSS JOIN recipient r \
         WHERE r.campaign_id = rows.campaign_id AND r.number = rows.number ORDER BY r.campaign_id, r.number"
    );
    let rows = batch.query(connection, &sql, []).await?;
    let read = |row: &sea_orm::QueryResult| -> Result<_> {
        let key = RecipientKey { campaign: row.try_get_by_index(0)?, number: row.try_get_by_index(1)? };
        Ok((key, row.try_get_by_index(2)?))
    };
    rows.iter().map(read).collect()
}

/// The persons who have addresses: all of them, for each address.
pub(crate) async fn of_addresses<C: ConnectionTrait>(connection: &C, ids: &[i64]) -> Result<Vec<(i64, Option<i64>)>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut batch = Batch::new(&[("id", Column::Big)]);
    ids.iter().for_each(|id| batch.push([(*id).into()]));
    let sql = "SELECT a.id, p.id FROM {rows} CROSS JOIN address a LEFT JOIN person_email e ON e.email_key = a.email_key \
               LEFT JOIN person p ON p.id = e.person_id AND p.deleted_at IS NULL WHERE a.id = rows.id ORDER BY a.id, p.id";
    let rows = batch.query(connection, sql, []).await?;
    let mut found: Vec<(i64, Option<i64>)> = Vec::with_capacity(rows.len());
    for row in &rows {
        let (address, person): (i64, Option<i64>) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        match found.last() {
            // Somebody who was deleted has it as well.
            Some((last, _)) if *last == address && person.is_none() => {}
            Some((last, None)) if *last == address => {
                found.pop();
                found.push((address, person));
            }
            _ => found.push((address, person)),
        }
    }
    Ok(found)
}
