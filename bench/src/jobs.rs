//! Jobs over sets of half a million, how soon a short one begins beside a long one, and what Redis keeps of a hundred thousand.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::load::rate;
use crate::report::{Report, Target};
use crate::server::Server;
use crate::{Database, Stage, mix};

/// So many short jobs are ordered beside the long one.
const SHORT: usize = 20;
/// What a short one waits for at most, in milliseconds, between being ordered and being begun.
const BEGUN_WITHIN: f64 = 1_000.0;
/// The longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(900);

/// Measures them.
pub async fn measure(stage: &Stage<'_>, report: &mut Report) -> anyhow::Result<()> {
    let recipients = stage.options.exported();
    let rows = usize::try_from(recipients)?;
    let file = stage.installation.folder.join("recipients.csv");
    mix::write_recipients(&file, "jobs", recipients)?;
    stage.installation.import("jobs", &file)?;
    stage.database.settle()?;
    let token = stage.installation.output(&["token", "create", "--name", "bench", "--role", "admin"])?;
    let server = stage.installation.start().await?;
    let client = Client { server: &server, token: token.trim() };
    let campaign = client.campaign().await?;
    let name = stage.database.name();

    let everybody = "where: { health: [] }";
    for (what, mutation) in [
        ("blocked", format!("blockAddresses(input: {{ {everybody} }})")),
        ("cleared", format!("clearBounces(input: {{ {everybody} }})")),
    ] {
        let took = client.done(&mutation).await?;
        report.figure(&format!("{name}: {recipients} addresses {what} by a filter"), rate(rows, took), "rows/s", None);
    }
    let rule = format!(
        "saveReminderRule(input: {{ name: \"bench\", campaignId: \"{campaign}\", afterHours: 0, enabled: false }}) \
         {{ reminderRule {{ id }} userErrors {{ message }} }}"
    );
    let answer = server.ask(client.token, &format!("mutation {{ {rule} }}")).await?;
    let rule = text(&answer, "/data/saveReminderRule/reminderRule/id")?;
    let took = client.done(&format!("runReminderNow(ruleId: \"{rule}\")")).await?;
    report.figure(&format!("{name}: {recipients} recipients reminded"), rate(rows, took), "rows/s", None);

    // A tenth of the rows is exported before twenty jobs have begun.
    if !stage.options.is_quick() {
        begin_beside(&client, &campaign, name, report).await?;
    }
    if let (Database::Postgres(_), Some(redis)) = (&stage.database, &stage.installation.redis) {
        remember(stage, &client, redis, report).await?;
    }
    let (peak, _) = server.memory()?;
    report.figure(&format!("{name}: memory of the program after these jobs, peak"), peak, "MB", None);
    ensure!(server.log().is_empty(), "the server complains: {}", server.log());
    server.stop()
}

/// How soon short jobs begin while exports of everybody take all places of their queue.
async fn begin_beside(client: &Client<'_>, campaign: &str, name: &str, report: &mut Report) -> anyhow::Result<()> {
    let export = format!(
        "exportRecipients(input: {{ recipients: {{ where: {{ campaignId: \"{campaign}\" }} }}, format: XLSX }})"
    );
    let first = client.order(&export).await?;
    for _ in 0..2 {
        client.order(&export).await?;
    }
    let last = client.order(&export).await?;
    client.until(&first, |state| state == "RUNNING").await?;
    let mut waits = Vec::with_capacity(SHORT);
    for _ in 0..SHORT {
        let job = client.order("clearBounces(input: { emails: [\"nobody@example.com\"] })").await?;
        let job = client.until(&job, |state| state == "SUCCEEDED").await?;
        let at = |field: &str| -> anyhow::Result<f64> {
            let time = text(&job, &format!("/data/job/{field}"))?;
            let time: chrono::DateTime<chrono::Utc> = time.parse()?;
            Ok(f64::from(u32::try_from(time.timestamp_micros() % 1_000_000_000)?) / 1_000.0)
        };
        // Within a thousand seconds; a wait over their end is not worth a special case.
        waits.push((at("startedAt")? - at("runAt")?).max(0.0));
    }
    let is_long_running = client.state(&last).await? != "SUCCEEDED";
    waits.sort_by(f64::total_cmp);
    let label = format!("{name}: a short job begins beside exports of everybody");
    report.figure(&format!("{label}, median"), waits.get(SHORT / 2).copied().unwrap_or_default(), "ms", None);
    let longest = waits.last().copied().unwrap_or_default();
    report.figure(&format!("{label}, longest"), longest, "ms", Some(Target::FigureAtMost(BEGUN_WITHIN)));
    ensure!(is_long_running, "the exports were over before the short jobs");
    client.until(&last, |state| state == "SUCCEEDED").await?;
    Ok(())
}

/// What Redis keeps once many jobs are done.
async fn remember(stage: &Stage<'_>, client: &Client<'_>, redis: &str, report: &mut Report) -> anyhow::Result<()> {
    let Database::Postgres(postgres) = &stage.database else { return Ok(()) };
    let jobs = if stage.options.is_quick() { 10_000 } else { 100_000 };
    let before = used_memory(redis)?;
    let start = Instant::now();
    // Settling the recipients of a campaign that has gone out finds nothing to do: what is measured is the way there and back.
    postgres.sql(&format!(
        "INSERT INTO job (kind, queue, payload, state, run_at, created_by, created_at) \
         SELECT 3, 1, '{{\"campaignId\": 0}}', 1, 0, 'bench', 0 FROM generate_series(1, {jobs})"
    ))?;
    let waiting = "SELECT count(*) FROM job WHERE state IN (1, 2) AND created_by = 'bench'";
    while postgres.sql(waiting)?.trim() != "0" {
        ensure!(start.elapsed() < PATIENCE, "{jobs} jobs take too long");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let took = start.elapsed();
    // The cleaner comes every ten seconds.
    tokio::time::sleep(Duration::from_secs(25)).await;
    let kept = used_memory(redis)? - before;
    report.figure(&format!("{jobs} jobs at once, done through Redis"), rate(jobs, took), "jobs/s", None);
    let label = format!("memory that Redis uses more after {jobs} jobs");
    report.figure(&label, kept, "MB", Some(Target::FigureAtMost(2.0)));
    ensure!(client.server.log().is_empty(), "the server complains: {}", client.server.log());
    Ok(())
}

/// What Redis says it uses, in MB.
fn used_memory(url: &str) -> anyhow::Result<f64> {
    let output = std::process::Command::new("redis-cli").args(["-u", url, "INFO", "memory"]).output()?;
    let info = String::from_utf8(output.stdout)?;
    let bytes = info.lines().find_map(|line| line.strip_prefix("used_memory:")).context("no used_memory")?;
    Ok(bytes.trim().parse::<f64>()? / 1_048_576.0)
}

/// Somebody who orders jobs.
struct Client<'a> {
    server: &'a Server,
    token: &'a str,
}

impl Client<'_> {
    async fn campaign(&self) -> anyhow::Result<String> {
        text(
            &self.server.ask(self.token, "{ campaigns(first: 1) { nodes { id } } }").await?,
            "/data/campaigns/nodes/0/id",
        )
    }

    /// Begins a job; its id.
    async fn order(&self, mutation: &str) -> anyhow::Result<String> {
        let query = format!("mutation {{ ordered: {mutation} {{ job {{ id }} userErrors {{ message }} }} }}");
        text(&self.server.ask(self.token, &query).await?, "/data/ordered/job/id")
    }

    /// Begins a job and waits until it is done; how long that took.
    async fn done(&self, mutation: &str) -> anyhow::Result<Duration> {
        let start = Instant::now();
        let job = self.order(mutation).await?;
        self.until(&job, |state| state == "SUCCEEDED").await?;
        Ok(start.elapsed())
    }

    async fn look(&self, job: &str) -> anyhow::Result<Value> {
        self.server.ask(self.token, &format!("{{ job(id: \"{job}\") {{ state error runAt startedAt }} }}")).await
    }

    async fn state(&self, job: &str) -> anyhow::Result<String> {
        text(&self.look(job).await?, "/data/job/state")
    }

    /// Waits until it is in a state; the job.
    async fn until(&self, job: &str, wanted: impl Fn(&str) -> bool) -> anyhow::Result<Value> {
        let start = Instant::now();
        loop {
            let answer = self.look(job).await?;
            let state = text(&answer, "/data/job/state")?;
            if wanted(&state) {
                return Ok(answer);
            }
            ensure!(["QUEUED", "RUNNING"].contains(&state.as_str()), "{answer}");
            ensure!(start.elapsed() < PATIENCE, "a job takes too long: {answer}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn text(answer: &Value, place: &str) -> anyhow::Result<String> {
    Ok(answer.pointer(place).and_then(Value::as_str).with_context(|| format!("{place} is not in {answer}"))?.to_owned())
}
