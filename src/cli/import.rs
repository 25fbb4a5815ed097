//! `nachfass import`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use api::graphql::ids;
use domain::campaign::CampaignState;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use service::campaigns::{NewCampaign, find_or_create_campaign};
use service::import::{Import, ImportOptions, ImportResult, Issue, Progress, Source};
use service::{Marketer, Subject};

use super::args::{self, ImportState};
use super::output;
use crate::config::Config;
use crate::installation::Installation;

/// Imports a file into a campaign.
pub async fn run(config: &Config, options: args::ImportOptions) -> anyhow::Result<()> {
    let installation = Installation::open(config.clone()).await?;
    let is_stdin = options.file.as_os_str() == "-";
    let source = if is_stdin {
        Source::reader(std::io::stdin())
    } else {
        Source::path(&options.file).with_context(|| format!("while opening {}", options.file.display()))?
    };
    let subject = Subject::command_line();
    let campaign = NewCampaign {
        key: options.campaign.clone(),
        name: options.name.clone().unwrap_or_else(|| options.campaign.clone()),
        subject: options.subject.clone(),
        from_address: None,
        sent_at: options.sent_at,
        state: match options.state {
            ImportState::Draft => CampaignState::Draft,
            ImportState::Sending => CampaignState::Sending,
            ImportState::Sent => CampaignState::Sent,
        },
    };
    let now = installation.services.now();
    let campaign = find_or_create_campaign(installation.db.write(), &subject, now, campaign).await?;
    let bar = progress_bar(source.size);
    let import = Import::start(&installation.services, &subject, campaign.id, source, ImportOptions::default()).await?;
    let result = import.run(|progress| show(&bar, progress)).await?;
    bar.finish_and_clear();
    let wanted = options.report.clone().or_else(|| (!is_stdin).then(|| beside(&options.file)));
    let report = report(&installation.access().marketer()?, &result, wanted).await?;
    print(&result, report.as_deref(), options.json)
}

fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".report.csv");
    name.into()
}

fn progress_bar(size: Option<u64>) -> ProgressBar {
    let bar = size.map_or_else(ProgressBar::no_length, ProgressBar::new);
    let template = match size {
        Some(_) => "{bar:30} {percent:>3} %  {msg}  {elapsed} (still {eta})",
        None => "{spinner} {bytes}  {msg}  {elapsed}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

fn show(bar: &ProgressBar, progress: Progress) {
    bar.set_position(progress.bytes);
    bar.set_message(format!("{} rows", progress.counts.read()));
}

/// Writes the lines that made no recipient into a file; `None` where there are none.
async fn report(
    marketer: &Marketer,
    result: &ImportResult,
    wanted: Option<PathBuf>,
) -> anyhow::Result<Option<PathBuf>> {
    const PAGE: u32 = 1_000;
    if result.counts.rejected == 0 {
        return Ok(None);
    }
    let path = wanted.unwrap_or_else(|| PathBuf::from(format!("import-{}.report.csv", result.import_id)));
    let file = File::create(&path).with_context(|| format!("while writing the report {}", path.display()))?;
    let mut file = BufWriter::new(file);
    writeln!(file, "line,reason,text")?;
    let mut last = 0;
    loop {
        let issues = marketer.import_issues(result.import_id, last, PAGE).await?;
        let Some(end) = issues.last() else { break };
        last = end.line;
        for Issue { line, content, reason } in &issues {
            writeln!(file, "{line},{},{}", quoted(reason), quoted(content))?;
        }
    }
    file.flush()?;
    Ok(Some(path))
}

/// A text as a cell of CSV that no spreadsheet calculates.
fn quoted(text: &str) -> String {
    format!("\"{}\"", domain::table::defuse(text).replace('"', "\"\""))
}

fn print(result: &ImportResult, report: Option<&Path>, as_json: bool) -> anyhow::Result<()> {
    let counts = &result.counts;
    if as_json {
        return Ok(output::line(json!({
            "campaignId": ids::campaign(result.campaign_id),
            "read": result.read,
            "imported": counts.imported,
            "updated": counts.updated,
            "unchanged": counts.unchanged,
            "skipped": counts.skipped,
            "rejected": counts.rejected,
            "report": report.map(|path| path.display().to_string()),
        }))?);
    }
    output::line(format_args!(
        "{} rows read: {} imported, {} updated, {} unchanged, {} skipped, {} rejected",
        result.read, counts.imported, counts.updated, counts.unchanged, counts.skipped, counts.rejected
    ))?;
    if let Some(path) = report {
        output::note(format_args!("what made no recipient, and why: {}", path.display()));
    }
    Ok(())
}
