//! Exports: the recipients of a campaign as a CSV file, compared with `\copy` of the same rows and columns.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::load::rate;
use crate::peer::Sqlite;
use crate::report::{Report, Target};
use crate::server::Server;
use crate::{Database, Stage, mix};

/// Every column that is usual, and what is behind it. Times and words are numbers for the peer.
const COLUMNS: &str = "r.email, r.name, r.company, r.status, r.skip_reason, \
    CASE WHEN r.failure_at IS NULL THEN NULL ELSE COALESCE(r.failure_class, 8) END, \
    NULLIF(COALESCE(CAST(r.failure_smtp_code AS TEXT), '') || COALESCE(' ' || r.failure_enhanced_code, '') || \
    COALESCE(' ' || r.failure_diagnostic, ''), ''), r.sent_at, r.delivered_at, \
    r.first_opened_at, r.opens, r.first_clicked_at, r.clicks";

/// So often is each file made in a run; the quickest counts, on both sides.
const TIMES: u32 = 3;

/// Measures it.
pub async fn measure(stage: &Stage<'_>, report: &mut Report) -> anyhow::Result<()> {
    let recipients = stage.options.exported();
    let rows = usize::try_from(recipients)?;
    let file = stage.installation.folder.join("recipients.csv");
    mix::write_recipients(&file, "export", recipients)?;
    stage.installation.import("export", &file)?;
    // As after a mailing: most got it, a third read it, some clicked, some bounced.
    let at = mix::now()? * 1_000_000;
    stage.database.run(&format!(
        "UPDATE recipient SET delivered_at = CASE WHEN number % 20 > 0 THEN {at} + number END, \
         failure_at = CASE WHEN number % 20 = 0 THEN {at} END, failure_smtp_code = CASE WHEN number % 20 = 0 THEN 550 END, \
         failure_diagnostic = CASE WHEN number % 20 = 0 THEN 'no mailbox here by that name' END, \
         first_opened_at = CASE WHEN number % 3 = 1 THEN {at} + number * 7 END, opens = CASE WHEN number % 3 = 1 THEN 2 ELSE 0 END, \
         first_clicked_at = CASE WHEN number % 9 = 1 THEN {at} + number * 9 END, clicks = CASE WHEN number % 9 = 1 THEN 1 ELSE 0 END;"
    ))?;
    stage.database.settle()?;
    let token = stage.installation.output(&["token", "create", "--name", "bench", "--role", "marketer"])?;
    let server = stage.installation.start().await?;
    let campaign = campaign(&server, token.trim()).await?;
    let name = stage.database.name();
    for (format, target) in [("CSV", Some(Target::AtMost(2.5))), ("JSONL", None), ("XLSX", None)] {
        let mut best = (Duration::MAX, Duration::MAX);
        for _ in 0..TIMES {
            best.0 = best.0.min(export(&server, token.trim(), &campaign, format, recipients).await?);
            if format == "CSV" {
                best.1 = best.1.min(peer(stage, rows)?);
            }
        }
        let label = format!("{name}: export of {recipients} recipients, {format}");
        if format == "CSV" {
            let tool = if matches!(stage.database, Database::Postgres(_)) { "\\copy" } else { "sqlite3" };
            let target = target.filter(|_| matches!(stage.database, Database::Postgres(_)));
            report.compare(&label, (best.0.as_secs_f64(), best.1.as_secs_f64()), "s", tool, target);
        } else {
            report.figure(&label, best.0.as_secs_f64(), "s", None);
        }
        report.figure(&format!("{label}: rate"), rate(rows, best.0), "rows/s", None);
        let (peak, _) = server.memory()?;
        let limit = Target::FigureAtMost(150.0);
        report.figure(&format!("{label}: memory of the program, peak"), peak, "MB", Some(limit));
    }
    ensure!(server.log().is_empty(), "the server complains: {}", server.log());
    server.stop()
}

async fn campaign(server: &Server, token: &str) -> anyhow::Result<String> {
    let answer = server.ask(token, "{ campaigns(first: 1) { nodes { id } } }").await?;
    let id = answer.pointer("/data/campaigns/nodes/0/id").and_then(Value::as_str).context("no campaign")?;
    Ok(id.to_owned())
}

/// From the order to the file, ready to be fetched.
async fn export(
    server: &Server,
    token: &str,
    campaign: &str,
    format: &str,
    recipients: u32,
) -> anyhow::Result<Duration> {
    let start = Instant::now();
    let mutation = format!(
        "mutation {{ exportRecipients(input: {{ recipients: {{ where: {{ campaignId: \"{campaign}\" }} }}, format: {format} }}) \
         {{ job {{ id }} userErrors {{ message }} }} }}"
    );
    let answer = server.ask(token, &mutation).await?;
    let job = answer.pointer("/data/exportRecipients/job/id").and_then(Value::as_str).context("no job")?;
    let query = format!("{{ job(id: \"{job}\") {{ state error result {{ file {{ rows }} }} }} }}");
    loop {
        let answer = server.ask(token, &query).await?;
        let state = answer.pointer("/data/job/state").and_then(Value::as_str).context("no state")?;
        match state {
            "SUCCEEDED" => {
                let rows = answer.pointer("/data/job/result/file/rows").and_then(Value::as_u64);
                ensure!(rows == Some(recipients.into()), "{answer}");
                return Ok(start.elapsed());
            }
            "QUEUED" | "RUNNING" => tokio::time::sleep(Duration::from_millis(10)).await,
            _ => anyhow::bail!("{answer}"),
        }
    }
}

/// The same rows by the database's own tool.
fn peer(stage: &Stage<'_>, rows: usize) -> anyhow::Result<Duration> {
    let file = stage.installation.folder.join("peer.csv");
    let elapsed = match &stage.database {
        Database::Postgres(postgres) => postgres.timed(&format!(
            "\\copy (SELECT {COLUMNS} FROM recipient r WHERE r.campaign_id = 1 AND NOT r.is_simulator ORDER BY r.number) \
             TO '{}' WITH (FORMAT csv, HEADER)",
            file.display()
        ))?,
        Database::Sqlite(sqlite) => sqlite_csv(sqlite, &file.display().to_string())?,
    };
    let lines = std::fs::read(&file)?.iter().filter(|byte| **byte == b'\n').count();
    ensure!(lines == rows + 1, "the peer wrote {lines} lines");
    Ok(elapsed)
}

fn sqlite_csv(sqlite: &Sqlite, file: &str) -> anyhow::Result<Duration> {
    let sql = format!(
        ".headers on\n.mode csv\n.once '{file}'\n\
         SELECT {COLUMNS} FROM recipient r WHERE r.campaign_id = 1 AND NOT r.is_simulator ORDER BY r.number;\n"
    );
    sqlite.timed(&sql, 1)
}
