//! Which addresses are exported.

use domain::email::key_of;
use sea_orm::ConnectionTrait;

use super::lists::AddressChoice;
use crate::addresses::AddressFilter;
use crate::batch::{Batch, Column};
use crate::error::{Refusal, RefusalCode, Result};

/// How many addresses may be named; for more there are conditions.
const MAX_EMAILS: usize = 10_000;

/// Which addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressSelection {
    /// These, however they are written. Those that were never seen are nobody's.
    Emails(Vec<String>),
    /// All that a condition holds for.
    Where(AddressFilter),
}

impl AddressSelection {
    /// As a job may keep it: without an address in it.
    pub(super) async fn choose<C: ConnectionTrait>(self, connection: &C) -> Result<AddressChoice> {
        let emails = match self {
            Self::Where(filter) => return Ok(AddressChoice::Where(filter)),
            Self::Emails(emails) => emails,
        };
        let refuse = |message: String| Refusal::field(RefusalCode::Invalid, &["addresses", "emails"], message);
        if emails.is_empty() {
            return Err(refuse("name at least one address".to_owned()).into());
        }
        if emails.len() > MAX_EMAILS {
            return Err(refuse(format!("name {MAX_EMAILS} addresses at most, or say which by a condition")).into());
        }
        let mut batch = Batch::new(&[("email_key", Column::Text)]);
        emails.iter().for_each(|email| batch.push([key_of(email).into()]));
        let sql = "SELECT DISTINCT address.id FROM {rows} JOIN address ON address.email_key = rows.email_key ORDER BY address.id";
        let rows = batch.query(connection, sql, []).await?;
        Ok(AddressChoice::Ids(rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?))
    }
}
