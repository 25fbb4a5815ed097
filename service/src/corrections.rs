//! Corrections of addresses: suggested by a job, decided by people, followed by recipients, and pushed to the CRM.
//!
//! [`decide`] applies corrections, however they come: by hand ([`actions`]), by a file ([`file`]) or by an accepted suggestion. In that
//! transaction the correction is written and audited, and jobs are added: [`follow`] has the recipients take the new address, [`push`]
//! tells the CRM. [`suggest`] looks for addresses that may be written wrongly.

pub mod actions;
mod decide;
pub mod file;
pub mod follow;
pub mod push;
mod row;
pub mod suggest;
#[cfg(test)]
mod tests;

use domain::Timestamp;
use domain::correction::{CorrectionSource, CorrectionState, PushState, SuggestionReason};
use entity::correction::Column;
use sea_orm::{ConnectionTrait, DbErr};
use serde::Serialize;

use crate::access::Reader;
use crate::db::query_one;
use crate::error::{Refusal, RefusalCode, Result};
use crate::recipients::filter::check_search;
use crate::recipients::paging::{Count, List, Order, Page, PageArgs};
use crate::recipients::row::{coded, time};
use crate::recipients::sql::{Cells, Sql, containing};
use crate::subject::Subject;

pub use self::actions::{ConflictSide, NewCorrection};
pub use self::file::{FileIssue, Imported};

/// The longest reason that people may give, in characters.
pub const MAX_REASON: usize = 500;

/// The states of corrections that were applied.
pub(crate) fn applied() -> String {
    format!("({}, {})", CorrectionState::Applied.code(), CorrectionState::Conflict.code())
}

/// Another address in place of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correction {
    /// Which one.
    pub id: i64,
    /// The address that is wrong; hidden from viewers.
    pub old_email: String,
    /// The address instead; hidden from viewers.
    pub new_email: String,
    /// The person of the CRM whose address it is, where there is one.
    pub person_id: Option<i64>,
    /// Where it stands.
    pub state: CorrectionState,
    /// Where it comes from.
    pub source: CorrectionSource,
    /// Why it was suggested.
    pub suggestion: Option<SuggestionReason>,
    /// How sure the suggestion is, in percent.
    pub confidence: Option<i16>,
    /// What people said about it; not for viewers.
    pub reason: Option<String>,
    /// What has become of it in the CRM.
    pub push: PushState,
    /// Why the CRM does not take it.
    pub push_error: Option<String>,
    /// What the CRM has instead, where that is a conflict; hidden from viewers.
    pub crm_email: Option<String>,
    /// Who, or what, wrote it down.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// Who decided.
    pub decided_by: Option<String>,
    /// When.
    pub decided_at: Option<Timestamp>,
}

/// Which corrections. What is empty restricts nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CorrectionFilter {
    /// In one of these states.
    pub states: Vec<CorrectionState>,
    /// From one of these sources.
    pub sources: Vec<CorrectionSource>,
    /// Suggested for one of these reasons.
    pub reasons: Vec<SuggestionReason>,
    /// Of which this has become in the CRM.
    pub pushes: Vec<PushState>,
    /// Of addresses that recipients of this campaign have, or had.
    pub campaign: Option<i64>,
    /// A text in one of the addresses. Not for viewers.
    pub search: Option<String>,
}

const COLUMNS: &[&str] = &[
    "k.old_email",
    "k.new_email",
    "k.person_id",
    "k.state",
    "k.source",
    "k.suggestion",
    "k.confidence",
    "k.reason",
    "k.push",
    "k.push_error",
    "k.crm_email",
    "k.created_by",
    "k.created_at",
    "k.decided_by",
    "k.decided_at",
];

impl Reader {
    /// A correction.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn correction(&self, id: i64) -> Result<Option<Correction>> {
        find(self.services.db.read(), id, &self.subject).await
    }

    /// A page of corrections, the latest first.
    ///
    /// # Errors
    /// Refusals for what cannot be asked for, or not by this subject; those of the database.
    pub async fn corrections(&self, filter: &CorrectionFilter, args: &PageArgs) -> Result<Page<Correction>> {
        let list = self.correction_list(filter)?;
        list.page(&self.services, args, |id, cells| decode(id, cells, &self.subject)).await
    }

    /// How many corrections there are.
    ///
    /// # Errors
    /// As [`Reader::corrections`].
    pub async fn count_corrections(&self, filter: &CorrectionFilter, max: i64) -> Result<Count> {
        self.correction_list(filter)?.count(&self.services, max).await
    }

    fn correction_list(&self, filter: &CorrectionFilter) -> Result<List> {
        let search = check_search(filter.search.as_deref(), &self.subject)?;
        Ok(List {
            columns: COLUMNS,
            from: "correction k",
            condition: condition(filter, search.as_deref()),
            order: Order { sort: None, id: "k.id", descending: true },
            scope: serde_json::to_string(&("corrections", filter))?,
        })
    }
}

fn condition(filter: &CorrectionFilter, search: Option<&str>) -> Sql {
    let mut sql = Sql::new("TRUE");
    let mut one_of = |column: &str, codes: Vec<i16>| {
        if !codes.is_empty() {
            sql.push(&format!(" AND {column} IN (")).bind_all(codes).push(")");
        }
    };
    one_of("k.state", filter.states.iter().map(|state| state.code()).collect());
    one_of("k.source", filter.sources.iter().map(|source| source.code()).collect());
    one_of("k.suggestion", filter.reasons.iter().map(|reason| reason.code()).collect());
    one_of("k.push", filter.pushes.iter().map(|push| push.code()).collect());
    if let Some(campaign) = filter.campaign {
        sql.push(" AND EXISTS (SELECT 1 FROM recipient r WHERE r.campaign_id = ").bind(campaign);
        sql.push(" AND r.email_key IN (k.old_key, k.new_key))");
    }
    if let Some(search) = search {
        let pattern = containing(&search.to_lowercase());
        sql.push(" AND (k.old_key LIKE ").bind(pattern.clone()).push(" ESCAPE '\\' OR k.new_key LIKE ");
        sql.bind(pattern).push(" ESCAPE '\\')");
    }
    sql
}

async fn find<C: ConnectionTrait>(connection: &C, id: i64, subject: &Subject) -> Result<Option<Correction>> {
    let sql = format!("SELECT {} FROM correction k WHERE k.id = $1", COLUMNS.join(", "));
    let row = query_one(connection, &sql, [id.into()]).await?;
    Ok(row.map(|row| decode(id, Cells::from(&row, 0), subject)).transpose()?)
}

fn decode(id: i64, mut cells: Cells<'_>, subject: &Subject) -> Result<Correction, DbErr> {
    Ok(Correction {
        id,
        old_email: subject.masked(Column::OldEmail, cells.take()?),
        new_email: subject.masked(Column::NewEmail, cells.take()?),
        person_id: cells.take()?,
        state: coded(cells.take()?, CorrectionState::from_code, "correction.state")?,
        source: coded(cells.take()?, CorrectionSource::from_code, "correction.source")?,
        suggestion: cells.take::<Option<i16>>()?.and_then(SuggestionReason::from_code),
        confidence: cells.take()?,
        reason: subject.visible(Column::Reason, cells.take()?),
        push: coded(cells.take()?, PushState::from_code, "correction.push")?,
        push_error: cells.take::<Option<String>>()?.map(|error| subject.masked(Column::PushError, error)),
        crm_email: cells.take::<Option<String>>()?.map(|email| subject.masked(Column::CrmEmail, email)),
        created_by: cells.take()?,
        created_at: Timestamp::from_micros(cells.take()?),
        decided_by: cells.take()?,
        decided_at: time(&mut cells)?,
    })
}

fn not_found() -> Refusal {
    Refusal::field(RefusalCode::NotFound, &["correctionId"], "there is no such correction")
}

fn object(id: i64) -> String {
    format!("correction:{id}")
}
