//! Counts of requests: added up over writes, processes and failures.

use std::sync::Arc;

use super::*;
use crate::subject::Subject;
use crate::testing::{TestClock, TestDb};

const ACCEPTED: SourceOutcome = SourceOutcome::Accepted;
const FORGED: SourceOutcome = SourceOutcome::Rejected(RejectionReason::SignatureInvalid);
const STALE: SourceOutcome = SourceOutcome::Rejected(RejectionReason::SignatureExpired);

fn services(test: &TestDb) -> Services {
    let folder = std::path::Path::new("/nonexistent");
    let source = |name: &str| ConfiguredSource {
        name: name.to_owned(),
        provider: Provider::Generic,
        url: format!("https://nachfass.example/ingest/{name}"),
    };
    Services::new(test.db.clone(), Arc::new(TestClock::new()), &[1; 32], folder)
        .with_sources(vec![source("shop"), source("news")])
}

async fn report(services: &Services) -> SourceReport {
    services.access(Subject::command_line()).admin().expect("an admin").sources().await.expect("a report")
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

fn tally(requests: i64, first: i64, last: i64) -> Tally {
    Tally { requests, first_at: at(first), last_at: at(last) }
}

#[tokio::test]
async fn counts_of_processes_add_up() {
    for test in TestDb::each().await {
        let (one, two) = (services(&test), services(&test));
        one.source_tally().count(Some("shop"), ACCEPTED, at(10));
        two.source_tally().count(Some("shop"), ACCEPTED, at(5));
        two.source_tally().count(Some("shop"), FORGED, at(6));
        two.source_tally().write(&test.db).await.expect("written");
        for time in 7..10 {
            one.source_tally().count(Some("shop"), STALE, at(time));
        }
        one.source_tally().count(Some("old"), ACCEPTED, at(1));
        one.source_tally().count(None, SourceOutcome::Rejected(RejectionReason::UnknownSource), at(11));

        // What is not written yet counts in its own process, and everywhere once it is.
        let before = report(&one).await;
        one.source_tally().write(&test.db).await.expect("written");
        one.source_tally().write(&test.db).await.expect("nothing more");
        assert_eq!(report(&one).await, before);
        assert_eq!(report(&two).await, before);
        let names: Vec<&str> = before.sources.iter().map(|source| source.name.as_str()).collect();
        assert_eq!(names, ["shop", "news", "old"]);
        assert_eq!(before.sources[0].accepted, Some(tally(2, 5, 10)));
        let rejected =
            [(RejectionReason::SignatureExpired, tally(3, 7, 9)), (RejectionReason::SignatureInvalid, tally(1, 6, 6))];
        assert_eq!(before.sources[0].rejected, rejected);
        assert_eq!((before.sources[1].accepted, before.sources[2].configured.clone()), (None, None));
        assert_eq!(before.unknown, Some(tally(1, 11, 11)));
        test.close().await;
    }
}

#[tokio::test]
async fn what_cannot_be_written_is_written_later() {
    for test in TestDb::each().await {
        let one = services(&test);
        one.source_tally().count(Some("shop"), ACCEPTED, at(10));
        let run = async |sql: &str| crate::db::execute(test.db.write(), sql, []).await.map(|_| ()).expect(sql);
        run("ALTER TABLE source_tally RENAME TO away").await;
        assert!(one.source_tally().write(&test.db).await.is_err());
        run("ALTER TABLE away RENAME TO source_tally").await;
        // Written once more in the end, however long the pause is.
        let counts = one.source_tally().clone();
        counts.write_every(test.db.clone(), Duration::from_secs(3_600), std::future::ready(())).await;
        let other = services(&test);
        assert_eq!(report(&other).await.sources[0].accepted, Some(tally(1, 10, 10)));
        test.close().await;
    }
}
