//! Crashes, cancelling, and changes meanwhile.

use domain::table::ExportFormat;
use futures::FutureExt;

use super::*;
use crate::exports::job;
use crate::jobs::JobProgress;

/// As many as are read in several pages.
const MANY: i64 = 6_000;

#[tokio::test]
async fn a_file_shows_one_moment() {
    for fixture in Fixture::each().await {
        fixture.recipients(MANY).await;
        let columns = Some(vec![RecipientColumn::Name, RecipientColumn::Opens]);
        let made = fixture.marketer().export_recipients(everybody(), ExportFormat::Csv, columns).await.expect("a job");
        let claimed = fixture.claim().await;
        let began = fixture.services.now();
        let (told, mut pages) = tokio::sync::mpsc::unbounded_channel();
        let services = fixture.services.clone();
        let running = tokio::spawn(async move {
            let mut on_page = |rows| told.send(rows).unwrap_or_default();
            job::run(&services, &claimed, &mut on_page).await
        });
        // The first page was read: what happens now is not in the file, wherever it happens.
        pages.recv().await.expect("a page");
        fixture.clock.advance_seconds(60);
        fixture.run("UPDATE recipient SET name = 'changed', opens = 99", []).await;
        fixture.run("DELETE FROM recipient WHERE number > 5000", []).await;
        running.await.expect("no panic").expect("done");
        let (result, text) = fixture.file(&made).await;
        assert!(!text.contains("changed") && !text.contains("99\r\n"), "nothing of what came later");
        assert_eq!((result.rows, result.snapshot_at), (MANY, began));
        assert_eq!(text.lines().count(), usize::try_from(MANY + 1).expect("small"));
        fixture.close().await;
    }
}

#[tokio::test]
async fn after_a_crash_there_is_one_file() {
    for fixture in Fixture::each().await {
        fixture.recipients(MANY).await;
        let made = fixture.marketer().export_recipients(everybody(), ExportFormat::Csv, None).await.expect("a job");
        let first = fixture.claim().await;
        // Killed while it wrote, and another time when the file was stored and nobody knew of it yet.
        let mut die = |rows| assert_eq!(rows, 0, "killed");
        let ends = job::run(&fixture.services, &first, &mut die);
        assert!(std::panic::AssertUnwindSafe(ends).catch_unwind().await.is_err());
        let payload = first.payload["file"].as_str().expect("a name").to_owned();
        std::fs::write(fixture.path("exports").join(format!("{payload}-1")), "half").expect("written");
        std::fs::write(fixture.path("unfinished").join(format!("{}-1-abc", first.id)), "half").expect("written");
        assert_eq!(fixture.count("export_file").await, 0);

        fixture.clock.advance_seconds(3_600);
        let second = fixture.claim().await;
        assert_eq!((second.id, second.attempt), (first.id, 2));
        run_export_job(&fixture.services, &second).await.expect("done");
        let (result, text) = fixture.file(&made).await;
        assert_eq!(result.rows, MANY);
        assert_eq!(text.lines().count(), usize::try_from(MANY + 1).expect("small"));
        assert_eq!(fixture.stored(), std::slice::from_ref(&result.file_id));
        assert_eq!(fixture.unfinished(), Vec::<String>::new());

        // The first worker wakes up: it has lost the job, and leaves nothing behind.
        let lost = run_export_job(&fixture.services, &first).await;
        assert!(matches!(lost, Err(ServiceError::JobLost)), "{lost:?}");
        assert_eq!(fixture.stored(), [result.file_id]);
        assert_eq!((fixture.count("export_file").await, fixture.unfinished().len()), (1, 0));
        fixture.close().await;
    }
}

#[tokio::test]
async fn a_cancelled_export_leaves_no_file() {
    for fixture in Fixture::each().await {
        fixture.recipients(25_000).await;
        let made = fixture.marketer().export_recipients(everybody(), ExportFormat::Csv, None).await.expect("a job");
        let claimed = fixture.claim().await;
        let running = {
            let services = fixture.services.clone();
            let (told, mut pages) = tokio::sync::mpsc::unbounded_channel();
            let running = tokio::spawn(async move {
                job::run(&services, &claimed, &mut |rows| told.send(rows).unwrap_or_default()).await
            });
            pages.recv().await.expect("a page");
            fixture.marketer().cancel_job(made.id).await.expect("cancelled");
            running
        };
        let ended = running.await.expect("no panic");
        assert!(matches!(ended, Err(ServiceError::JobLost)), "{ended:?}");
        assert_eq!((fixture.stored().len(), fixture.unfinished().len()), (0, 0));
        assert_eq!(fixture.count("export_file").await, 0);
        fixture.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_export_says_how_far_it_is() {
    for fixture in Fixture::each().await {
        fixture.recipients(25_000).await;
        let filter = RecipientFilter::InCrm(false);
        let set = RecipientSet::Where(RecipientsWhere { campaign: 1, filter, search: None });
        let made = fixture.marketer().export_recipients(set, ExportFormat::Text, None).await.expect("a job");
        let claimed = fixture.claim().await;
        let (told, mut pages) = tokio::sync::mpsc::unbounded_channel();
        let (go_on, wait) = std::sync::mpsc::channel();
        let services = fixture.services.clone();
        let running = tokio::spawn(async move {
            let mut on_page = move |rows| {
                told.send(rows).expect("somebody listens");
                if rows > 20_000 {
                    // Said to the runtime: what else waits on this thread goes on elsewhere.
                    tokio::task::block_in_place(|| wait.recv().expect("somebody lets it go on"));
                }
            };
            job::run(&services, &claimed, &mut on_page).await
        });
        let progress = async || fixture.reader(Role::Admin).job(made.id).await.expect("a job").expect("there").progress;
        while let Some(rows) = pages.recv().await {
            if rows > 20_000 {
                assert_eq!(progress().await, JobProgress { done: 20_000, total: Some(25_000), skipped: 0 });
                go_on.send(()).expect("it waits");
            }
        }
        running.await.expect("no panic").expect("done");
        assert_eq!(progress().await, JobProgress { done: 25_000, total: Some(25_000), skipped: 0 });
        fixture.close().await;
    }
}

#[tokio::test]
async fn what_was_stored_when_an_export_was_called_off_is_removed() {
    for fixture in Fixture::each().await {
        fixture.recipients(1).await;
        let made = fixture.marketer().export_recipients(everybody(), ExportFormat::Csv, None).await.expect("a job");
        let claimed = fixture.claim().await;
        fixture.marketer().cancel_job(made.id).await.expect("cancelled");
        // The worker died between storing and noting down.
        let stored = format!("{}-{}", claimed.payload["file"].as_str().expect("a name"), claimed.attempt);
        for name in [&stored, "somebody-elses-1"] {
            std::fs::write(fixture.path("exports").join(name), "content").expect("written");
        }
        assert_eq!(remove_expired(&fixture.services, fixture.services.now(), 10).await.expect("removed"), 0);
        assert_eq!(fixture.stored(), ["somebody-elses-1"]);
        fixture.close().await;
    }
}

#[tokio::test]
async fn what_dead_workers_left_is_removed() {
    for fixture in Fixture::each().await {
        fixture.recipients(1).await;
        fixture.marketer().export_recipients(everybody(), ExportFormat::Csv, None).await.expect("a job");
        let running = fixture.claim().await;
        std::fs::create_dir_all(fixture.path("unfinished")).expect("a folder");
        let (kept, gone) = (format!("{}-1-abc", running.id), "987654-1-abc".to_owned());
        for name in [&kept, &gone] {
            std::fs::write(fixture.path("unfinished").join(name), "half").expect("written");
        }
        assert_eq!(remove_expired(&fixture.services, fixture.services.now(), 10).await.expect("removed"), 0);
        assert_eq!(fixture.unfinished(), [kept]);
        fixture.close().await;
    }
}
