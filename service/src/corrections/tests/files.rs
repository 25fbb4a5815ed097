//! Corrections by a file.

use super::*;
use crate::corrections::file::{self, Imported};
use crate::error::RefusalCode;

async fn upload(fixture: &Fixture, content: &str) -> String {
    let content = futures::stream::iter([Ok(content.as_bytes().to_vec())]);
    marketer(fixture).store_upload(content, crate::uploads::Announced::default()).await.expect("stored").id
}

async fn begin(fixture: &Fixture, content: &str) -> i64 {
    let upload = upload(fixture, content).await;
    marketer(fixture).import_corrections(&upload, None).await.expect("begun").id
}

/// What came of a file, and the report.
async fn done(fixture: &Fixture, content: &str) -> ([i64; 3], Vec<String>) {
    let id = begin(fixture, content).await;
    work_off(&fixture.services).await;
    let job = reader(fixture).job(id).await.expect("asked").expect("the job");
    let Imported { applied, unchanged, rejected } =
        serde_json::from_value(job.result.expect("a result")).expect("read");
    let issues = marketer(fixture).correction_issues(id, 0, 100).await.expect("read");
    ([applied, unchanged, rejected], issues.iter().map(|it| format!("{}: {}", it.line, it.reason)).collect())
}

#[tokio::test]
async fn files_of_all_kinds_are_read() {
    for fixture in Fixture::each().await {
        let list: String = (0..9).map(|number| format!("a{number}@x.example\n")).collect();
        fixture.import(format!("email\n{list}")).await;
        for (number, content) in [
            "old,new\na0@x.example,a0@y.example\n",
            "Alte E-Mail;Neue E-Mail;Grund\na1@x.example;a1@y.example;vertippt\n",
            "a2@x.example,a2@y.example\n",
            "neu\talt\na3@y.example\ta3@x.example\n",
            "{\"old\": \"a4@x.example\", \"new\": \"a4@y.example\"}\n",
            "\u{feff}\"alte Adresse\";\"neue Adresse\"\r\n\"A5@X.example\";\"a5@y.example\"\r\n",
            "Name,From,To\nErika,a6@x.example,a6@y.example\n",
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(done(&fixture, content).await, ([1, 0, 0], Vec::new()), "{content}");
            assert!(recipients(&fixture).await[number].ends_with("@y.example READY corrected"), "{content}");
        }
        check(&fixture).await;
        let reasons = corrections(&fixture, CorrectionFilter::default()).await;
        assert_eq!(reasons.iter().filter_map(|it| it.reason.as_deref()).collect::<Vec<_>>(), ["vertippt"]);
        for content in ["name;company\nErika;Kleinfirma\n", "a@x.example\n"] {
            let id = begin(&fixture, content).await;
            let job = claim(&fixture, JobKind::ImportCorrections).await;
            assert_eq!(job.id, id);
            let refusal = refused(file::run(&fixture.services, &job).await);
            assert_eq!((refusal.code, refusal.message.contains('@')), (RefusalCode::Invalid, false), "{content}");
            run(&fixture, "UPDATE job SET state = 4, finished_at = 1 WHERE state = 2").await;
        }
        let missing = marketer(&fixture).import_corrections("01ARZ3NDEKTSV4RRFFQ69G5FAV", None).await;
        assert_eq!(refused(missing).code, RefusalCode::NotFound);
        fixture.close().await;
    }
}

#[tokio::test]
async fn each_bad_line_is_reported_and_costs_only_itself() {
    for fixture in Fixture::each().await {
        fixture.import("email\na@x.example\nb@x.example\nc@x.example\nd@x.example\n").await;
        run(
            &fixture,
            "UPDATE address SET health = 3, blocked_at = 5, block_reason = 3 WHERE email_key = 'd@x.example'",
        )
        .await;
        let content = "old,new\n\
            a@x.example,a@y.example\n\
            ,b@y.example\n\
            b@x.example,kaputt\n\
            z@x.example,z@y.example\n\
            b@x.example,B@x.example\n\
            c@x.example,d@x.example\n\
            a@x.example,a@y.example\n\
            a@x.example,other@y.example\n\
            \"b@x.example,b@y.example\n\
            b@x.example,b@y.example\n";
        let (counts, issues) = done(&fixture, content).await;
        assert_eq!(counts, [2, 1, 7]);
        let lines: Vec<&str> = issues.iter().filter_map(|issue| issue.split(':').next()).collect();
        assert_eq!(lines, ["3", "4", "5", "6", "7", "9", "10"]);
        assert!(
            issues.iter().all(|issue| !issue.contains("x.example") && !issue.contains("y.example")),
            "a reason names nobody: {issues:?}"
        );
        assert_eq!(done(&fixture, "a@x.example,a@y.example\nb@x.example,b@y.example\n").await, ([0, 2, 0], Vec::new()));
        assert_eq!(in_state(&fixture, CorrectionState::Applied).await.len(), 2);
        check(&fixture).await;
        fixture.close().await;
    }
}

#[tokio::test]
async fn a_file_goes_on_where_a_worker_died() {
    for fixture in Fixture::each().await {
        let list: String = (0..1_200).map(|number| format!("a{number}@x.example\n")).collect();
        fixture.import(format!("email\n{list}")).await;
        let lines: String = (0..1_200).map(|number| format!("a{number}@x.example,a{number}@y.example\n")).collect();
        begin(&fixture, &format!("old,new\n{lines}nobody@x.example,nobody@y.example\n")).await;
        let services = &fixture.services;
        let first = claim(&fixture, JobKind::ImportCorrections).await;
        // It dies behind the first chunk: the test ends it there.
        let died = tokio::select! {
            done = file::run(services, &first) => Some(done),
            () = until_some(&fixture) => None,
        };
        fixture.clock.advance_seconds(3_600);
        if died.is_none() {
            let second = claim(&fixture, JobKind::ImportCorrections).await;
            let imported = file::run(services, &second).await.expect("done");
            assert_eq!(imported, Imported { applied: 1_200, unchanged: 0, rejected: 1 });
            assert!(matches!(file::run(services, &first).await, Err(ServiceError::JobLost)));
        }
        assert_eq!(fixture.count("SELECT count(*) FROM correction").await, 1_200);
        assert_eq!(fixture.count("SELECT count(*) FROM correction_issue").await, 1);
        assert_eq!(fixture.count("SELECT count(*) FROM audit_entry WHERE action = 'address.corrected'").await, 1_200);
        work_off(services).await;
        assert_eq!(
            fixture.count("SELECT count(*) FROM recipient WHERE domain = 'y.example' AND status = 1").await,
            1_200
        );
        check(&fixture).await;
        fixture.close().await;
    }
}

/// Returns when the first chunk is committed.
async fn until_some(fixture: &Fixture) {
    while fixture.count("SELECT count(*) FROM correction").await == 0 {
        tokio::task::yield_now().await;
    }
}
