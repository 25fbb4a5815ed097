//! Storing and opening uploads.

use std::io::{self, Read};

use futures::stream;

use super::open;
use crate::error::{RefusalCode, Result, ServiceError};
use crate::import::tests::Fixture;
use crate::subject::Subject;

fn code<T>(result: Result<T>) -> RefusalCode {
    match result {
        Err(ServiceError::Refused(refusal)) => refusal.code,
        Err(other) => panic!("not refused: {other:?}"),
        Ok(_) => panic!("not refused"),
    }
}

#[tokio::test]
async fn what_is_stored_can_be_opened() {
    for fixture in Fixture::each().await {
        let marketer = fixture.services.access(Subject::command_line()).marketer().expect("a marketer");
        let content = stream::iter([io::Result::Ok("email\n"), Ok("erika@example.com\n")]);
        let upload = marketer.store_upload(content, Some("text/csv"), false, 100).await.expect("stored");
        assert_eq!(upload.size, 24);
        let mut text = String::new();
        open(&fixture.services, &upload.id).await.expect("opened").read_to_string(&mut text).expect("read");
        assert_eq!(text, "email\nerika@example.com\n");
        for id in ["", "../test.db", "01ARZ3NDEKTSV4RRFFQ69G5FAV"] {
            assert_eq!(code(open(&fixture.services, id).await), RefusalCode::NotFound);
        }
        fixture.close().await;
    }
}

#[tokio::test]
async fn what_fails_leaves_nothing() {
    for fixture in Fixture::each().await {
        let marketer = fixture.services.access(Subject::command_line()).marketer().expect("a marketer");
        let too_long = marketer.store_upload(stream::iter([io::Result::Ok([0; 101])]), None, false, 100).await;
        assert_eq!(code(too_long), RefusalCode::Invalid);
        assert_eq!(
            code(marketer.store_upload(stream::iter([io::Result::Ok([])]), None, false, 100).await),
            RefusalCode::Invalid
        );
        let broken = stream::iter([Ok("email"), Err(io::Error::from(io::ErrorKind::ConnectionReset))]);
        assert!(matches!(marketer.store_upload(broken, None, false, 100).await, Err(ServiceError::Io(_))));
        assert_eq!(std::fs::read_dir(super::folder(&fixture.services)).expect("the folder").count(), 0);
        assert_eq!(fixture.count("SELECT count(*) FROM upload").await, 0);
        fixture.close().await;
    }
}
