//! Showing the demo: its campaigns are imported, its webhooks posted to this very process, and the figures move.

use anyhow::Context;
use domain::campaign::CampaignState;
use domain::{Clock, SystemClock};
use indicatif::{ProgressBar, ProgressStyle};
use service::Subject;
use service::campaigns::{NewCampaign, find_or_create_campaign};
use service::import::{Import, ImportOptions, Source};

use crate::cli::note;
use crate::demo::{self, Demo, Speed};
use crate::serving::Stage;

/// Imports and posts; ends early where the process is told to.
pub async fn show(stage: Stage, seed: u64, fast: bool) -> anyhow::Result<()> {
    let began = demo::beginning(SystemClock.now());
    let subject = Subject::command_line();
    for campaign in demo::campaigns() {
        let new = NewCampaign {
            key: campaign.key.to_owned(),
            name: campaign.name.to_owned(),
            subject: Some(campaign.subject.to_owned()),
            from_address: Some(campaign.from.to_owned()),
            sent_at: Some(campaign.sent_at(began)),
            state: CampaignState::Sent,
        };
        let services = &stage.services;
        let row = find_or_create_campaign(services.db().write(), &subject, services.now(), new).await?;
        let source = Source::reader(campaign.list(seed));
        let import = Import::start(services, &subject, row.id, source, ImportOptions::default()).await?;
        let result = import.run(|_progress| {}).await.with_context(|| format!("while importing {}", campaign.key))?;
        note(format_args!("{}: {} recipients", campaign.name, result.read));
    }
    let speed = if fast { Speed::Unlimited } else { Speed::default() };
    note("posting what the providers report in 72 hours; the figures move meanwhile");
    let bar = bar();
    let report = |progress: &demo::Progress| {
        bar.set_length(progress.all_requests.try_into().unwrap_or(u64::MAX));
        bar.set_position(progress.totals.requests);
        bar.set_message(format!("{} events, hour {}", progress.totals.events, progress.hour));
    };
    let demo = Demo { seed, speed };
    let totals = demo::post(&stage.url, demo, &SystemClock, report, &stage.shutdown).await?;
    bar.finish_and_clear();
    if !totals.is_cancelled {
        note(format_args!("posted: {} events in {} requests; Ctrl-C ends nachfass", totals.events, totals.requests));
    }
    Ok(())
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}  {elapsed}") {
        bar.set_style(style);
    }
    bar
}
