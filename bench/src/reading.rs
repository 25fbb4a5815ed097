//! Reading by GraphQL: the statistics of a campaign, and its first and last page of recipients, small and large.

use std::time::Duration;

use anyhow::Context;
use serde_json::Value;

use crate::http::Request;
use crate::ingest::{copy_postgres, copy_sqlite};
use crate::load::{rate, repeat};
use crate::peer::{Length, Sqlite};
use crate::report::{Report, Target};
use crate::server::{Server, graphql};
use crate::{Database, Stage, mix};

/// Clients that ask at once.
const CLIENTS: u32 = 16;
/// Recipients of the small campaign.
const SMALL: u32 = 10_000;
/// Recipients on a page.
const PAGE: u32 = 100;

/// How often everything is asked, in turns.
const TURNS: u32 = 3;

/// All figures.
const STATISTICS: &str = "recipients sent delivered softBounced hardBounced blocked opened machineOpened clicked \
    machineClicked complained unsubscribed opens clicks openRate clickThroughRate clickToOpenRate \
    bounceRate complaintRate updatedAt";

/// What a page shows of each.
const NODE: &str = "id email name status sentAt opens clicks";

/// The statement behind the statistics, as the program sends it.
fn statistics_sql(campaign: &str) -> String {
    format!(
        "SELECT c.id, c.key, c.name, c.subject, c.from_address, c.state, c.sent_at, c.parent_id, c.created_at, \
         s.recipients, s.ready, s.sent_only, s.delivered_only, s.read, s.clicked_only, s.soft_bounced, s.hard_bounced, \
         s.blocked, s.complained_only, s.unsubscribed_only, s.canceled, s.opened, s.machine_opened, s.clicked, \
         s.machine_clicked, s.complained, s.unsubscribed, s.opens, s.clicks, COALESCE(s.updated_at, c.created_at) \
         FROM campaign c LEFT JOIN campaign_statistics s ON s.campaign_id = c.id WHERE c.id = {campaign};\n"
    )
}

/// The statement behind a page.
fn page_sql(campaign: &str, from: &str, limit: u32) -> String {
    format!(
        "SELECT r.number, r.campaign_id, r.address_id, r.email, r.name, r.company, r.status, r.skip_reason, \
         r.sent_at, r.opens, r.clicks FROM recipient r \
         WHERE r.campaign_id = {campaign} AND NOT r.is_simulator{from} ORDER BY r.number ASC LIMIT {limit};\n"
    )
}

/// A campaign to read.
struct Campaign {
    label: String,
    id: String,
    number: String,
    recipients: u32,
    /// Of the recipient before the last page.
    cursor: String,
}

/// Measures it.
pub async fn measure(stage: &Stage<'_>, report: &mut Report) -> anyhow::Result<()> {
    fill(stage, report)?;
    let token = stage.installation.output(&["token", "create", "--name", "bench", "--role", "marketer"])?;
    let server = stage.installation.start().await?;
    let mut campaigns = Vec::new();
    for (key, recipients) in [("small", SMALL), ("large", stage.options.large())] {
        campaigns.push(find(stage, &server, token.trim(), key, recipients).await?);
    }
    let mut asked = Vec::new();
    for campaign in &campaigns {
        asked.extend(questions(campaign, token.trim()));
    }
    // In turns, so that what else happens on the machine meets all of them.
    let time = Duration::from_millis(stage.options.seconds() * 1_000 / u64::from(TURNS));
    for _ in 0..TURNS {
        let mut medians = Vec::new();
        for question in &asked {
            medians.push(ask(stage, &server, question, time, report).await?);
        }
        ratios(stage, report, &asked, &medians);
    }
    server.stop()
}

/// What is asked, and the statement behind it.
struct Question {
    label: String,
    request: Request,
    sql: String,
    /// The part of pgbench's transactions that is to be reached.
    target: f64,
}

fn questions(campaign: &Campaign, token: &str) -> [Question; 3] {
    let make = |what: &str, fields: String, sql: String, target: f64| Question {
        label: format!("{what} of {}", campaign.label),
        request: graphql(token, &format!("{{ campaign(id: \"{}\") {{ {fields} }} }}", campaign.id)),
        sql,
        target,
    };
    let (number, after) = (&campaign.number, format!(", after: \"{}\"", campaign.cursor));
    let from = format!(" AND r.number >= {}", campaign.recipients - PAGE);
    [
        make("statistics", format!("statistics {{ {STATISTICS} }}"), statistics_sql(number), 0.4),
        make("first page", page(""), page_sql(number, "", PAGE + 1), 0.16),
        make("last page", page(&after), page_sql(number, &from, PAGE + 2), 0.16),
    ]
}

/// Asks for a while, and then the peer; returns the median latency in milliseconds.
async fn ask(
    stage: &Stage<'_>,
    server: &Server,
    question: &Question,
    time: Duration,
    report: &mut Report,
) -> anyhow::Result<f64> {
    let clients = usize::try_from(CLIENTS)?;
    // Warm before the clock runs; the peer right after, so that both find the machine the same.
    repeat(&server.address, clients, Duration::from_millis(300), &question.request).await?;
    let outcome = repeat(&server.address, clients, time, &question.request).await?;
    let (peer, name, target) = match &stage.database {
        Database::Postgres(postgres) => {
            let length = Length::Seconds(time.as_secs().max(1));
            let measured = postgres.pgbench(&question.sql, CLIENTS, length)?;
            (measured, "pgbench", Some(Target::AtLeast(question.target)))
        }
        Database::Sqlite(sqlite) => (repeat_sqlite(sqlite, &question.sql)?, "2 sqlite3", None),
    };
    let label = format!("{}: {}, {CLIENTS} clients", stage.database.name(), question.label);
    report.compare(&label, (outcome.rate(), peer), "requests/s", name, target);
    let median = outcome.median().as_secs_f64() * 1_000.0;
    report.figure(&format!("{label}: median latency"), median, "ms", None);
    Ok(median)
}

/// Large against small, last against first.
fn ratios(stage: &Stage<'_>, report: &mut Report, asked: &[Question], medians: &[f64]) {
    let found: Vec<(&str, f64)> =
        asked.iter().map(|question| question.label.as_str()).zip(medians.iter().copied()).collect();
    let [statistics, first, last, large_statistics, large_first, large_last] = found.as_slice() else { return };
    let pairs = [
        (large_statistics, statistics),
        (large_first, first),
        (large_last, last),
        (last, first),
        (large_last, large_first),
    ];
    for ((figure_name, figure), (peer_name, peer)) in pairs {
        let label = format!("{}: latency, {figure_name} to {peer_name}", stage.database.name());
        report.compare(&label, (*figure, *peer), "ms", "", Some(Target::AtMost(1.2)));
    }
}

fn page(after: &str) -> String {
    format!("recipients(first: {PAGE}{after}) {{ nodes {{ {NODE} }} }}")
}

/// Imports both campaigns, and compares the large one with what the database itself takes for the same rows.
fn fill(stage: &Stage<'_>, report: &mut Report) -> anyhow::Result<()> {
    let folder = &stage.installation.folder;
    for (key, recipients) in [("large", stage.options.large()), ("small", SMALL)] {
        let file = folder.join(key);
        mix::write_recipients(&file, key, recipients)?;
        let elapsed = stage.installation.import(key, &file)?;
        if key == "large" {
            let rows = usize::try_from(recipients)?;
            let peer = match &stage.database {
                Database::Postgres(postgres) => copy_postgres(postgres, "recipient", rows, stage)?,
                Database::Sqlite(sqlite) => copy_sqlite(sqlite, "recipient", rows, stage)?,
            };
            let name = stage.database.name();
            let label = format!("{name}: import of {recipients} recipients");
            let tool = if matches!(stage.database, Database::Postgres(_)) { "\\copy" } else { "INSERT … SELECT" };
            report.compare(&label, (rate(rows, elapsed), peer), "rows/s", tool, None);
        }
    }
    if let Database::Postgres(postgres) = &stage.database {
        postgres.sql("DROP TABLE recipient_copy")?;
    }
    stage.database.settle()
}

async fn find(stage: &Stage<'_>, server: &Server, token: &str, key: &str, recipients: u32) -> anyhow::Result<Campaign> {
    let answer = server.ask(token, "{ campaigns(first: 10) { nodes { id key } } }").await?;
    let nodes = answer.pointer("/data/campaigns/nodes").and_then(Value::as_array).context("no campaigns")?;
    let node = nodes.iter().find(|node| node.get("key").and_then(Value::as_str) == Some(key));
    let id = node.and_then(|node| node.get("id")?.as_str()).context("the campaign is not there")?.to_owned();
    let last =
        format!("{{ campaign(id: \"{id}\") {{ recipients(last: {}) {{ pageInfo {{ startCursor }} }} }} }}", PAGE + 1);
    let answer = server.ask(token, &last).await?;
    let cursor = answer.pointer("/data/campaign/recipients/pageInfo/startCursor").and_then(Value::as_str);
    let number = format!("SELECT id FROM campaign WHERE key = '{key}';");
    let number = match &stage.database {
        Database::Postgres(postgres) => postgres.sql(&number)?,
        Database::Sqlite(sqlite) => sqlite.sql(&number)?,
    };
    let label =
        if recipients >= 1_000_000 { "1 million".to_owned() } else { format!("{} thousand", recipients / 1_000) };
    Ok(Campaign { label, id, number, recipients, cursor: cursor.context("no cursor")?.to_owned() })
}

/// The statement again and again, in one process for each of two cores.
fn repeat_sqlite(sqlite: &Sqlite, sql: &str) -> anyhow::Result<f64> {
    const TIMES: usize = 5_000;
    const PROCESSES: u32 = 2;
    let elapsed = sqlite.timed(&sql.repeat(TIMES), PROCESSES)?;
    Ok(rate(TIMES * 2, elapsed))
}
