//! The persons of the CRM, to be looked at.

use std::collections::HashMap;

use domain::Timestamp;
use entity::person::Column;
use entity::person_email;
use sea_orm::DbErr;

use super::people::PERSON;
use crate::access::Reader;
use crate::batch::{self, Batch};
use crate::error::Result;
use crate::recipients::RecipientKey;
use crate::recipients::row::time;
use crate::recipients::sql::{Cells, Sql};
use crate::subject::Subject;

/// A person of the CRM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Which one.
    pub id: i64,
    /// The CRM's id.
    pub crm_id: String,
    /// The whole name; hidden from viewers.
    pub name: Option<String>,
    /// Where they work; hidden from viewers.
    pub company: Option<String>,
    /// Who is responsible for them; hidden from viewers.
    pub owner: Option<String>,
    /// The address to write to; hidden from viewers.
    pub email: Option<String>,
    /// Has left the company.
    pub is_former_employee: bool,
    /// Wants no mailings at all.
    pub no_mailing: bool,
    /// Whether they consented to marketing by e-mail, where the CRM keeps that.
    pub consent: Option<bool>,
    /// When the CRM last changed them.
    pub crm_updated_at: Option<Timestamp>,
    /// When the CRM was found not to know them any more.
    pub deleted_at: Option<Timestamp>,
}

/// What is read of a person `p`, for [`decode`].
pub(super) const COLUMNS: &[&str] = &[
    "p.crm_id",
    "p.name",
    "p.company",
    "p.owner",
    "(SELECT e.email FROM person_email e WHERE e.person_id = p.id ORDER BY e.rank LIMIT 1)",
    "p.is_former_employee",
    "p.no_mailing",
    "p.consent",
    "p.crm_updated_at",
    "p.deleted_at",
];

pub(super) fn decode(id: i64, mut cells: Cells<'_>) -> Result<Person, DbErr> {
    Ok(Person {
        id,
        crm_id: cells.take()?,
        name: cells.take()?,
        company: cells.take()?,
        owner: cells.take()?,
        email: cells.take()?,
        is_former_employee: cells.take()?,
        no_mailing: cells.take()?,
        consent: cells.take()?,
        crm_updated_at: time(&mut cells)?,
        deleted_at: time(&mut cells)?,
    })
}

impl Person {
    /// As this subject may see them.
    fn shown_to(self, subject: &Subject) -> Self {
        Self {
            crm_id: subject.masked(Column::CrmId, self.crm_id),
            name: subject.visible(Column::Name, self.name),
            company: subject.visible(Column::Company, self.company),
            owner: subject.visible(Column::Owner, self.owner),
            email: self.email.map(|email| subject.masked(person_email::Column::Email, email)),
            ..self
        }
    }
}

impl Reader {
    /// Persons by their ids.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn persons_by_id(&self, ids: &[i64]) -> Result<HashMap<i64, Person>> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let mut sql = Sql::new(format!("SELECT p.id, {} FROM person p WHERE p.id IN (", COLUMNS.join(", ")));
        sql.bind_all(ids.iter().copied()).push(")");
        let found = self.read_all(sql, |row| Ok(decode(row.try_get_by_index(0)?, Cells::from(row, 1))?)).await?;
        Ok(found.into_iter().map(|row| (row.id, row.shown_to(&self.subject))).collect())
    }

    /// The persons that recipients are; those who are none are missing.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn persons_of(&self, keys: &[RecipientKey]) -> Result<HashMap<RecipientKey, Person>> {
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let mut batch = Batch::new(&[("campaign_id", batch::Column::Big), ("number", batch::Column::Big)]);
        keys.iter().for_each(|key| batch.push([key.campaign.into(), key.number.into()]));
        let sql = format!(
            "SELECT r.campaign_id, r.number, p.id, {} FROM {{rows}} CROSS JOIN recipient r JOIN person p ON p.id = {PERSON} \
             WHERE r.campaign_id = rows.campaign_id AND r.number = rows.number",
            COLUMNS.join(", "),
        );
        let mut found = HashMap::new();
        for row in batch.query(self.services.db.read(), &sql, []).await? {
            let key = RecipientKey { campaign: row.try_get_by_index(0)?, number: row.try_get_by_index(1)? };
            let person = decode(row.try_get_by_index(2)?, Cells::from(&row, 3))?;
            found.insert(key, person.shown_to(&self.subject));
        }
        Ok(found)
    }
}
