//! Proving the roll-ups: adding up anew what the rows contribute, and comparing.
//!
//! A campaign is recounted in one transaction that holds the lock on its figures. Everything that changes its rows writes these
//! figures in the same transaction, so nothing of it can commit meanwhile, and a running ingest makes no false differences.

use std::collections::{BTreeMap, BTreeSet};

use domain::contribution::{Contribution, contribution};
use sea_orm::{ConnectionTrait, QueryResult};
use serde::Serialize;

use crate::access::Services;
use crate::by_status;
use crate::db::{execute, query_all};
use crate::error::Result;
use crate::facts_row::{self, FACT_COLUMNS};
use crate::rollup::{RollUp, figure_names, moment_names};

/// What a recount found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Recounted {
    /// Roll-up rows that were compared.
    pub compared: u64,
    /// Those that did not agree with the rows they count, and recipients that were listed under a status that is not theirs.
    pub different: u64,
    /// Those that were put right.
    pub repaired: u64,
}

/// Recipients are read this many at a time.
const PAGE: i64 = 10_000;

/// Recounts a campaign, or all where `campaign` is `None`; puts right what differs if `repair` says so.
///
/// # Errors
/// Those of the database.
pub async fn recount(services: &Services, campaign: Option<i64>, repair: bool) -> Result<Recounted> {
    let ids = match campaign {
        Some(id) => vec![id],
        None => {
            let rows = query_all(services.db().read(), "SELECT id FROM campaign ORDER BY id", []).await?;
            rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<Vec<i64>, _>>()?
        }
    };
    let mut total = Recounted::default();
    for id in ids {
        let found = recount_campaign(services, id, repair).await?;
        total.compared += found.compared;
        total.different += found.different;
        total.repaired += found.repaired;
    }
    Ok(total)
}

async fn recount_campaign(services: &Services, campaign: i64, repair: bool) -> Result<Recounted> {
    let transaction = services.db().begin().await?;
    let sql = "INSERT INTO campaign_statistics (campaign_id, updated_at) VALUES ($1, $2) \
               ON CONFLICT (campaign_id) DO UPDATE SET updated_at = campaign_statistics.updated_at";
    execute(&transaction, sql, [campaign.into(), services.now().micros().into()]).await?;
    let rollup = add_up(&transaction, campaign).await?;
    let counted = rollup.rows();
    let links = links_of_clicks(&transaction, campaign).await?;
    let mut found = Recounted::default();
    let mut different_tables = BTreeSet::new();
    for table in TABLES {
        let stored = table.stored(&transaction, campaign).await?;
        let counted =
            if table.name == LINKS { &links } else { counted.get(table.name).unwrap_or(const { &BTreeMap::new() }) };
        let zero = vec![0; table.counts];
        let keys: BTreeSet<&String> = stored.keys().chain(counted.keys()).collect();
        for key in keys {
            found.compared += 1;
            let (stored, counted) = (stored.get(key).unwrap_or(&zero), counted.get(key).unwrap_or(&zero));
            if stored != counted {
                found.different += 1;
                different_tables.insert(table.name);
            }
        }
    }
    let misplaced = by_status::differences(&transaction, campaign).await?;
    if misplaced > 0 {
        found.different += misplaced.unsigned_abs();
        if repair {
            by_status::repair(&transaction, campaign).await?;
        }
    }
    if repair && found.different > 0 {
        for table in TABLES.iter().filter(|table| table.name != LINKS) {
            let sql = format!("DELETE FROM {} WHERE campaign_id = $1", table.name);
            execute(&transaction, &sql, [campaign.into()]).await?;
        }
        rollup.write(&transaction, services.now()).await?;
        if different_tables.contains(LINKS) {
            repair_links(&transaction, campaign).await?;
        }
        found.repaired = found.different;
    }
    transaction.commit().await?;
    Ok(found)
}

async fn add_up<C: ConnectionTrait>(connection: &C, campaign: i64) -> Result<RollUp> {
    let mut rollup = RollUp::default();
    rollup.touch(campaign);
    let sql = format!(
        "SELECT number, domain, is_simulator, {FACT_COLUMNS} FROM recipient \
         WHERE campaign_id = $1 AND number > $2 ORDER BY number LIMIT $3"
    );
    let mut last = 0_i64;
    loop {
        let rows = query_all(connection, &sql, [campaign.into(), last.into(), PAGE.into()]).await?;
        for row in &rows {
            last = row.try_get_by_index(0)?;
            let domain: String = row.try_get_by_index(1)?;
            let after = contribution(&facts_row::read(row, 3)?, row.try_get_by_index(2)?);
            rollup.change(campaign, &domain, &Contribution::default(), &after);
        }
        if i64::try_from(rows.len()).unwrap_or(i64::MAX) < PAGE {
            return Ok(rollup);
        }
    }
}

/// The rows of a roll-up of one campaign: by the rest of their key, as text, their counts.
pub type Rows = BTreeMap<String, Vec<i64>>;

const LINKS: &str = "link_statistics";

/// A roll-up table.
struct Table {
    name: &'static str,
    /// The rest of its key, as SQL that gives a text.
    key: &'static str,
    /// The columns that count.
    columns: fn() -> String,
    /// How many these are.
    counts: usize,
}

const TABLES: &[Table] = &[
    Table { name: "campaign_statistics", key: "''", columns: || figure_names(""), counts: 20 },
    Table { name: "domain_statistics", key: "domain", columns: || figure_names(""), counts: 20 },
    Table { name: "campaign_hour", key: "CAST(hour AS text)", columns: moment_names, counts: 8 },
    Table {
        name: "bounce_statistics",
        key: "bounce_class || '/' || smtp_code || '/' || enhanced_code",
        columns: || "recipients".to_owned(),
        counts: 1,
    },
    Table {
        name: LINKS,
        key: "CAST(link_id AS text)",
        columns: || "clicks, clickers, machine_clicks".to_owned(),
        counts: 3,
    },
];

impl Table {
    async fn stored<C: ConnectionTrait>(&self, connection: &C, campaign: i64) -> Result<Rows> {
        let sql = format!("SELECT {}, {} FROM {} WHERE campaign_id = $1", self.key, (self.columns)(), self.name);
        let rows = query_all(connection, &sql, [campaign.into()]).await?;
        rows.iter().map(|row| keyed(row, self.counts)).collect()
    }
}

fn keyed(row: &QueryResult, counts: usize) -> Result<(String, Vec<i64>)> {
    let counts = (1..=counts).map(|index| row.try_get_by_index::<i64>(index)).collect::<Result<Vec<_>, _>>()?;
    Ok((row.try_get_by_index(0)?, counts))
}

const LINK_COUNTS: &str = "count(CASE WHEN verdict = 0 THEN 1 END), count(DISTINCT CASE WHEN verdict = 0 THEN recipient END), \
    count(CASE WHEN verdict <> 0 THEN 1 END)";

async fn links_of_clicks<C: ConnectionTrait>(connection: &C, campaign: i64) -> Result<Rows> {
    let sql = format!("SELECT CAST(link_id AS text), {LINK_COUNTS} FROM click WHERE campaign_id = $1 GROUP BY link_id");
    let rows = query_all(connection, &sql, [campaign.into()]).await?;
    rows.iter().map(|row| keyed(row, 3)).collect()
}

async fn repair_links<C: ConnectionTrait>(connection: &C, campaign: i64) -> Result<()> {
    execute(connection, "DELETE FROM link_statistics WHERE campaign_id = $1", [campaign.into()]).await?;
    let sql = format!(
        "INSERT INTO link_statistics (link_id, campaign_id, clicks, clickers, machine_clicks) \
         SELECT link_id, campaign_id, {LINK_COUNTS} FROM click WHERE campaign_id = $1 GROUP BY link_id, campaign_id"
    );
    execute(connection, &sql, [campaign.into()]).await?;
    Ok(())
}
