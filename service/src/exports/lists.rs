//! The lists that can be exported: where their rows come from, and what the file is called.

use domain::Timestamp;
use domain::table::{ExportFormat, Table};
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};

use super::columns::{AddressColumn, ClickColumn, Columns, ComplaintColumn, Read, RecipientColumn};
use crate::addresses::complaints::{self, ComplaintFilter};
use crate::addresses::filter;
use crate::addresses::set::StoredSet;
use crate::db::query_one;
use crate::error::{Refusal, RefusalCode, Result};
use crate::recipients::RecipientSet;
use crate::recipients::scan::Scan;
use crate::recipients::sql::Sql;

/// As much of a campaign's name stands in the name of a file, in characters.
const MAX_NAME: usize = 60;

/// What is exported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum List {
    /// Recipients.
    Recipients { set: RecipientSet, columns: Vec<RecipientColumn> },
    /// Who clicked what, and when: persons only.
    Clicks { campaign: i64, link: Option<i64>, columns: Vec<ClickColumn> },
    /// Addresses.
    Addresses { choice: StoredSet, columns: Vec<AddressColumn> },
    /// Complaints.
    Complaints { choice: ComplaintFilter, columns: Vec<ComplaintColumn> },
}

/// A list, ready to be read.
pub(super) struct Source {
    /// The table that it becomes.
    pub(super) table: Table,
    /// Its rows.
    pub(super) scan: Scan,
    /// How the cells of a row are read.
    pub(super) reads: Vec<Read>,
    /// What it is called in the name of a file.
    name: String,
}

impl Source {
    /// The name of the file.
    pub(super) fn file_name(&self, at: Timestamp, format: ExportFormat) -> String {
        let day = at.to_chrono().format("%Y-%m-%d");
        format!("{}-{day}.{}", self.name, format.extension())
    }

    /// The SQL expressions of its columns.
    pub(super) fn expressions(&self) -> Vec<&'static str> {
        self.reads.iter().flat_map(|read| read.expressions()).collect()
    }
}

impl List {
    /// What it is called in the audit log.
    pub(super) const fn action(&self) -> &'static str {
        match self {
            Self::Recipients { .. } => "recipients.export",
            Self::Clicks { .. } => "clicks.export",
            Self::Addresses { .. } => "addresses.export",
            Self::Complaints { .. } => "complaints.export",
        }
    }

    /// Whether it can only be short: somebody waits for it.
    pub(super) const fn is_short(&self) -> bool {
        matches!(
            self,
            Self::Recipients { set: RecipientSet::Ids(_), .. } | Self::Addresses { choice: StoredSet::Ids(_), .. }
        )
    }

    /// The campaign that it is about, where it is about one.
    pub(super) fn campaign(&self) -> Option<i64> {
        match self {
            Self::Recipients { set, .. } => set.campaign(),
            Self::Clicks { campaign, .. } => Some(*campaign),
            Self::Addresses { .. } => None,
            Self::Complaints { choice, .. } => choice.campaign,
        }
    }

    /// The names of its columns.
    pub(super) fn column_names(&self) -> Vec<&'static str> {
        fn names<C: Columns>(columns: &[C]) -> Vec<&'static str> {
            columns.iter().map(|column| column.name()).collect()
        }
        match self {
            Self::Recipients { columns, .. } => names(columns),
            Self::Clicks { columns, .. } => names(columns),
            Self::Addresses { columns, .. } => names(columns),
            Self::Complaints { columns, .. } => names(columns),
        }
    }

    /// Lets those through that name a campaign and a link of it that exist.
    ///
    /// # Errors
    /// A refusal where there are none.
    pub(super) async fn check<C: ConnectionTrait>(&self, connection: &C) -> Result<()> {
        let refuse = |field: &[&str], what: &str| {
            Refusal::field(RefusalCode::NotFound, field, format!("there is no such {what}"))
        };
        let named: Option<(i64, &[&str])> = match self {
            // Those that do not exist are nobody.
            Self::Recipients { set: RecipientSet::Ids(_), .. } | Self::Addresses { .. } => None,
            Self::Recipients { set: RecipientSet::Where(all), .. } => {
                Some((all.campaign, &["recipients", "where", "campaignId"]))
            }
            Self::Clicks { campaign, .. } => Some((*campaign, &["campaignId"])),
            Self::Complaints { choice, .. } => choice.campaign.map(|campaign| (campaign, ["campaignId"].as_slice())),
        };
        if let Some((campaign, field)) = named
            && campaign_name(connection, campaign).await?.is_none()
        {
            return Err(refuse(field, "campaign").into());
        }
        if let Self::Clicks { campaign, link: Some(link), .. } = self {
            let sql = "SELECT 1 FROM tracked_link WHERE id = $1 AND campaign_id = $2";
            if query_one(connection, sql, [(*link).into(), (*campaign).into()]).await?.is_none() {
                return Err(refuse(&["linkId"], "link in this campaign").into());
            }
        }
        Ok(())
    }

    /// The list, ready to be read.
    ///
    /// # Errors
    /// Those of the database.
    pub(super) async fn source<C: ConnectionTrait>(&self, connection: &C) -> Result<Source> {
        let campaign = match self.campaign() {
            Some(campaign) => campaign_name(connection, campaign).await?,
            None => None,
        };
        let (what, scan) = match self {
            Self::Recipients { set, columns } => ("Recipients", recipients(set, columns)),
            Self::Clicks { campaign, link, .. } => ("Clicks", clicks(*campaign, *link)),
            Self::Addresses { choice, .. } => ("Addresses", addresses(choice)),
            Self::Complaints { choice, columns } => ("Complaints", complaint_scan(choice, columns)),
        };
        fn of<C: Columns>(columns: &[C]) -> (Vec<domain::table::Column>, Vec<Read>) {
            (
                columns.iter().map(|column| column.column()).collect(),
                columns.iter().map(|column| column.read()).collect(),
            )
        }
        let (columns, reads) = match self {
            Self::Recipients { columns, .. } => of(columns),
            Self::Clicks { columns, .. } => of(columns),
            Self::Addresses { columns, .. } => of(columns),
            Self::Complaints { columns, .. } => of(columns),
        };
        let mut name = what.to_lowercase();
        let mut title = what.to_owned();
        if let Some(campaign) = campaign {
            name = format!("{name}-{}", in_a_file_name(&campaign));
            title = format!("{title} of {campaign}");
        }
        Ok(Source { table: Table { title, columns }, scan, reads, name })
    }
}

async fn campaign_name<C: ConnectionTrait>(connection: &C, campaign: i64) -> Result<Option<String>> {
    let row = query_one(connection, "SELECT name FROM campaign WHERE id = $1", [campaign.into()]).await?;
    Ok(row.map(|row| row.try_get_by_index(0)).transpose()?)
}

/// A campaign's name without what means something to a file system or a browser.
fn in_a_file_name(name: &str) -> String {
    let safe = |c: char| if c.is_alphanumeric() || matches!(c, '-' | '_') { c } else { ' ' };
    let words: String = name.chars().take(MAX_NAME).map(safe).collect();
    words.split_whitespace().collect::<Vec<_>>().join("-")
}

/// Whether a column needs the table that is `alias` in its expression.
fn needs<C: Columns>(columns: &[C], alias: &str) -> bool {
    columns.iter().flat_map(|column| column.read().expressions()).any(|sql| sql.starts_with(alias))
}

fn recipients(set: &RecipientSet, columns: &[RecipientColumn]) -> Scan {
    let mut scan = set.scan();
    if needs(columns, "a.") {
        scan.from.push_str(" JOIN address a ON a.id = r.address_id");
    }
    scan
}

fn clicks(campaign: i64, link: Option<i64>) -> Scan {
    let mut condition = Sql::new("k.campaign_id = ");
    condition.bind(campaign).push(" AND k.verdict = 0 AND NOT r.is_simulator");
    if let Some(link) = link {
        condition.push(" AND k.link_id = ").bind(link);
    }
    let from = "click k JOIN recipient r ON r.campaign_id = k.campaign_id AND r.number = k.recipient \
        JOIN tracked_link l ON l.id = k.link_id";
    Scan { from: from.to_owned(), condition, keys: &["k.id"] }
}

fn addresses(choice: &StoredSet) -> Scan {
    let condition = match choice {
        StoredSet::Ids(ids) if ids.is_empty() => Sql::new("FALSE"),
        StoredSet::Ids(ids) => {
            let mut condition = Sql::new("a.id IN (");
            condition.bind_all(ids.iter().copied()).push(")");
            condition
        }
        StoredSet::Where(filter) => filter::condition(filter),
    };
    Scan { from: "address a".to_owned(), condition, keys: &["a.id"] }
}

fn complaint_scan(choice: &ComplaintFilter, columns: &[ComplaintColumn]) -> Scan {
    let mut from = complaints::TABLES.to_owned();
    if needs(columns, "a.") {
        from.push_str(" JOIN address a ON a.id = m.address_id");
    }
    if needs(columns, "c.") {
        from.push_str(" JOIN campaign c ON c.id = m.campaign_id");
    }
    Scan { from, condition: complaints::condition(choice), keys: &["m.id"] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_campaigns_name_is_harmless_in_a_file_name() {
        assert_eq!(in_a_file_name("Spring Sale 2026"), "Spring-Sale-2026");
        assert_eq!(in_a_file_name("../../etc/passwd\r\nX: \"y\""), "etc-passwd-X-y");
        assert_eq!(in_a_file_name("Größe 日本"), "Größe-日本");
        assert_eq!(in_a_file_name(&"x".repeat(500)).len(), MAX_NAME);
    }
}
