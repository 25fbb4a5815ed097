//! Events by HTTP until they are applied: in batches, and one a request.

use std::time::Instant;

use anyhow::ensure;

use crate::load::{rate, send_all};
use crate::peer::{Length, Postgres, Sqlite};
use crate::report::{Report, Target};
use crate::server::Server;
use crate::{Database, Stage, measure_start, mix};

/// Connections that post batches.
const BATCH_CONNECTIONS: usize = 4;
/// Connections that post single events.
const SINGLE_CONNECTIONS: usize = 64;

/// A campaign's events in batches of 1,000, against the database's own way of loading the same rows.
pub async fn batches(stage: &Stage<'_>, report: &mut Report) -> anyhow::Result<()> {
    measure_start(stage, report).await?;
    let recipients = stage.options.recipients();
    import(stage, "mix", recipients)?;
    let requests = mix::batches(stage.keys, "mix", recipients)?;
    stage.database.settle()?;
    let server = stage.installation.start().await?;
    if stage.options.pauses() {
        wait_for_return(&format!("process {}, before the ingest", server.id()))?;
    }
    let start = Instant::now();
    let sent = send_all(&server.address, BATCH_CONNECTIONS, &requests).await?;
    stage.database.wait_applied().await?;
    let elapsed = start.elapsed();
    let (peak, now) = server.memory()?;
    check(&server, sent.refused)?;
    server.stop()?;
    if stage.options.pauses() {
        wait_for_return("after the ingest")?;
    }

    let events = usize::try_from(recipients)? * 4;
    let (figure, stored) = (rate(events, elapsed), rate(events, sent.elapsed));
    let name = stage.database.name();
    let label = |what: &str| format!("{name}: {what}");
    let applied = label("batches of 1,000, until applied");
    let unit = "events/s";
    match &stage.database {
        Database::Postgres(postgres) => {
            expect(&postgres.sql("SELECT count(*) FROM event WHERE recipient IS NOT NULL")?, events)?;
            let copied = copy_postgres(postgres, "event", events, stage)?;
            report.compare(&applied, (figure, copied), unit, "\\copy", Some(Target::AtLeast(0.15)));
        }
        Database::Sqlite(sqlite) => {
            expect(&sqlite.sql("SELECT count(*) FROM event WHERE recipient IS NOT NULL")?, events)?;
            let copied = copy_sqlite(sqlite, "event", events, stage)?;
            report.compare(&applied, (figure, copied), unit, "INSERT … SELECT", Some(Target::FigureAtLeast(5_000.0)));
        }
    }
    report.figure(&label("batches of 1,000, until answered"), stored, unit, None);
    report.figure(&label("memory at its peak, while ingesting"), peak, "MB", Some(Target::FigureAtMost(200.0)));
    report.figure(&label("memory after it"), now, "MB", None);
    Ok(())
}

/// Requests with one event each, against the database's own commits of one row.
pub async fn singles(stage: &Stage<'_>, report: &mut Report) -> anyhow::Result<()> {
    let recipients = stage.options.recipients() / 5;
    import(stage, "single", recipients)?;
    let count = stage.options.singles();
    let requests = mix::singles("single", recipients, count)?;
    stage.database.settle()?;
    let server = stage.installation.start().await?;
    let start = Instant::now();
    let sent = send_all(&server.address, SINGLE_CONNECTIONS, &requests).await?;
    stage.database.wait_applied().await?;
    let applied = rate(requests.len(), start.elapsed());
    check(&server, sent.refused)?;
    server.stop()?;

    let name = stage.database.name();
    let label = |what: &str| format!("{name}: one event a request, {what}");
    let (peer, peer_name) = match &stage.database {
        Database::Postgres(postgres) => {
            expect(&postgres.sql("SELECT count(*) FROM event WHERE recipient IS NOT NULL")?, requests.len())?;
            like_event(postgres)?;
            let each = Length::Each(count / 64);
            (postgres.pgbench(&insert_one(), 64, each)?, "pgbench INSERT")
        }
        Database::Sqlite(sqlite) => {
            expect(&sqlite.sql("SELECT count(*) FROM event WHERE recipient IS NOT NULL")?, requests.len())?;
            (insert_sqlite(sqlite, count / 4, stage)?, "sqlite3 INSERT")
        }
    };
    for (what, figure) in [("until answered", sent.rate()), ("until applied", applied)] {
        report.compare(&label(what), (figure, peer), "events/s", peer_name, None);
    }
    report.figure(&label("median latency"), sent.median().as_secs_f64() * 1_000.0, "ms", None);
    report.figure(&label("latency of 99 %"), sent.p99().as_secs_f64() * 1_000.0, "ms", None);
    Ok(())
}

fn import(stage: &Stage<'_>, campaign: &str, recipients: u32) -> anyhow::Result<()> {
    let file = stage.installation.folder.join("recipients.csv");
    mix::write_recipients(&file, campaign, recipients)?;
    stage.installation.import(campaign, &file)?;
    Ok(())
}

fn check(server: &Server, refused: u32) -> anyhow::Result<()> {
    ensure!(refused == 0, "the server asked {refused} times to come again; its log: {}", server.log());
    Ok(())
}

fn expect(found: &str, events: usize) -> anyhow::Result<()> {
    ensure!(found == events.to_string(), "{found} events were stored and matched, of {events}");
    Ok(())
}

/// `\copy` of the rows of a table into an empty table with the same columns, keys and indexes.
pub fn copy_postgres(postgres: &Postgres, table: &str, rows: usize, stage: &Stage<'_>) -> anyhow::Result<f64> {
    let file = stage.installation.folder.join("rows");
    let file = file.display();
    postgres.sql(&format!("\\copy (SELECT * FROM {table}) TO '{file}'"))?;
    if table == "event" {
        like_event(postgres)?;
    } else {
        postgres.sql(&format!("CREATE TABLE {table}_copy (LIKE {table} INCLUDING ALL)"))?;
    }
    postgres.sql("CHECKPOINT")?;
    Ok(rate(rows, postgres.timed(&format!("\\copy {table}_copy FROM '{file}'"))?))
}

/// `event_copy`: columns, keys, indexes and partitions of `event`, and no rows.
fn like_event(postgres: &Postgres) -> anyhow::Result<()> {
    postgres.sql(
        "CREATE TABLE event_copy (LIKE event INCLUDING ALL) PARTITION BY RANGE (occurred_at);\n\
         SELECT format('CREATE TABLE copy_of_%s PARTITION OF event_copy %s', relname, pg_get_expr(relpartbound, oid)) \
         FROM pg_inherits JOIN pg_class ON oid = inhrelid WHERE inhparent = 'event'::regclass \\gexec\n",
    )?;
    Ok(())
}

fn insert_one() -> String {
    let at = "(extract(epoch FROM now()) * 1000000)::bigint";
    format!(
        "\\set id random(1, 1000000000000000000)\n\\set recipient random(1, 50000)\n\
         INSERT INTO event_copy (provider, event_id, occurred_at, id, kind, campaign_id, recipient, verdict) \
         VALUES (1, 'single-s' || :id::bigint, {at}, :id, 10, 1, :recipient, 0);\n"
    )
}

/// The same for SQLite: rows from one file into an empty table of another, in one transaction.
pub fn copy_sqlite(sqlite: &Sqlite, table: &str, rows: usize, stage: &Stage<'_>) -> anyhow::Result<f64> {
    let copy = sqlite.empty_copy(table, &stage.installation.folder.join("copy.sqlite"))?;
    let source = sqlite.0.display();
    let sql = format!("ATTACH '{source}' AS source;\nINSERT INTO main.{table} SELECT * FROM source.{table};\n");
    Ok(rate(rows, copy.timed(&sql, 1)?))
}

/// One INSERT and commit each.
fn insert_sqlite(sqlite: &Sqlite, count: u32, stage: &Stage<'_>) -> anyhow::Result<f64> {
    let copy = sqlite.empty_copy("event", &stage.installation.folder.join("copy.sqlite"))?;
    let at = mix::now()? * 1_000_000;
    let statements: String = (0..count)
        .map(|id| {
            format!(
                "INSERT INTO event (provider, event_id, occurred_at, id, kind, campaign_id, recipient, verdict) \
                 VALUES (1, 'single-s{id}', {at}, {id}, 10, 1, {}, 0);\n",
                id % 50_000
            )
        })
        .collect();
    Ok(rate(usize::try_from(count)?, copy.timed(&statements, 1)?))
}

/// Says where it is and waits for the Return key.
#[expect(clippy::print_stderr, reason = "asked for with --pause")]
fn wait_for_return(place: &str) -> anyhow::Result<()> {
    eprintln!("{place}: Return goes on");
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}
