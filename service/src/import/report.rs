//! The report of an import: lines that made no recipient, [`MAX_ISSUES`] of them at most.

use serde::Serialize;

use super::MAX_ISSUES;
use super::columns::shortened;
use crate::access::Marketer;
use crate::db::query_all;
use crate::error::Result;

/// As much of a line is kept, in characters.
pub(crate) const SHOWN: usize = 2_000;

/// A line that made no recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Issue {
    /// Its number in the file, from 1.
    pub line: i64,
    /// What stands there: its beginning, where it is long.
    #[serde(rename = "text")]
    pub content: String,
    /// Why it made no recipient.
    pub reason: String,
}

impl Issue {
    /// About a line.
    #[must_use]
    pub fn new(line: i64, text: &str, reason: &str) -> Self {
        Self { line, content: shortened(text, SHOWN), reason: reason.to_owned() }
    }
}

/// The first of `issues` that there is room for, where `known` are counted already.
pub(crate) fn kept(issues: Vec<Issue>, known: i64) -> impl Iterator<Item = Issue> {
    issues.into_iter().take(usize::try_from(MAX_ISSUES.saturating_sub(known)).unwrap_or(0))
}

impl Marketer {
    /// Up to `limit` lines of an import that made no recipient, in their order, behind the line `after`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn import_issues(&self, import: i64, after: i64, limit: u32) -> Result<Vec<Issue>> {
        let sql =
            "SELECT line, content, reason FROM import_issue WHERE import_id = $1 AND line > $2 ORDER BY line LIMIT $3";
        let rows =
            query_all(self.services.db.read(), sql, [import.into(), after.into(), i64::from(limit).into()]).await?;
        let issue = |row: &sea_orm::QueryResult| {
            Ok(Issue {
                line: row.try_get_by_index(0)?,
                content: row.try_get_by_index(1)?,
                reason: row.try_get_by_index(2)?,
            })
        };
        rows.iter().map(issue).collect()
    }
}
