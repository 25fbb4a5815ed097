//! Storing and opening uploads.

use std::io::{self, Read};

use futures::stream;

use super::{Announced, FileLimits, UploadError, open, remove_parts};
use crate::access::Marketer;
use crate::error::{RefusalCode, Result, ServiceError};
use crate::import::tests::Fixture;
use crate::subject::{Role, Subject};

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
        let upload = marketer.store_upload(content, announced()).await.expect("stored");
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
        let limits = FileLimits { file_bytes: 100, ..FileLimits::default() };
        let marketer = marketer(&fixture, "cli", limits);
        let too_long = marketer.store_upload(stream::iter([io::Result::Ok([0; 101])]), announced()).await;
        assert!(matches!(too_long, Err(UploadError::TooLarge { limit: 100 })), "{too_long:?}");
        let announced_too_long = Announced { size: Some(101), ..announced() };
        let too_long = marketer.store_upload(stream::iter([io::Result::Ok([0; 1])]), announced_too_long).await;
        assert!(matches!(too_long, Err(UploadError::TooLarge { limit: 100 })), "{too_long:?}");
        let empty = marketer.store_upload(stream::iter([io::Result::Ok([])]), announced()).await;
        assert!(matches!(empty, Err(UploadError::Service(ServiceError::Refused(_)))), "{empty:?}");
        let broken = stream::iter([Ok("email"), Err(io::Error::from(io::ErrorKind::ConnectionReset))]);
        let broken = marketer.store_upload(broken, announced()).await;
        assert!(matches!(broken, Err(UploadError::Service(ServiceError::Io(_)))), "{broken:?}");
        assert_eq!(std::fs::read_dir(super::folder(&fixture.services)).expect("the folder").count(), 0);
        assert_eq!(fixture.count("SELECT count(*) FROM upload").await, 0);
        fixture.close().await;
    }
}

/// What is known of a file of which nothing is.
fn announced() -> Announced<'static> {
    Announced { content_type: Some("text/csv"), ..Announced::default() }
}

/// Somebody who uploads, within these limits.
fn marketer(fixture: &Fixture, id: &str, limits: FileLimits) -> Marketer {
    let subject = Subject { id: id.to_owned(), name: id.to_owned(), role: Role::Marketer };
    fixture.services.clone().with_file_limits(limits).access(subject).marketer().expect("a marketer")
}

/// Uploads so many bytes.
async fn send(marketer: &Marketer, bytes: usize) -> Result<String, UploadError> {
    let content = stream::iter([io::Result::Ok(vec![b'x'; bytes])]);
    Ok(marketer.store_upload(content, announced()).await?.id)
}

fn no_room(result: Result<String, UploadError>, words: &str) {
    match result {
        Err(UploadError::NoRoom(message)) => assert!(message.contains(words), "{message}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_user_and_all_together_have_so_much_room() {
    for fixture in Fixture::each().await {
        let limits = FileLimits { user_files: 3, user_bytes: 10 << 20, total_bytes: 12 << 20, ..FileLimits::default() };
        let (one, other) = (marketer(&fixture, "user:1", limits), marketer(&fixture, "user:2", limits));
        for _ in 0..3 {
            send(&one, 1).await.expect("room");
        }
        no_room(send(&one, 1).await, "3 files of yours");
        send(&other, 9 << 20).await.expect("room");
        no_room(send(&other, 2 << 20).await, "your files would take more than 10 MB");
        let third = marketer(&fixture, "user:3", limits);
        no_room(send(&third, 4 << 20).await, "the files of all users would take more than 12 MB");
        let announced = Announced { size: Some(4 << 20), ..announced() };
        let never_read = stream::iter([io::Result::<Vec<u8>>::Err(io::Error::other("it was read"))]);
        no_room(third.store_upload(never_read, announced).await.map(|upload| upload.id), "12 MB");
        send(&third, 1 << 20).await.expect("room for something small");
        assert_eq!(std::fs::read_dir(super::folder(&fixture.services)).expect("the folder").count(), 5);
        fixture.close().await;
    }
}

#[tokio::test]
async fn a_file_makes_room_once_its_import_is_over() {
    for fixture in Fixture::each().await {
        let limits = FileLimits { user_files: 2, ..FileLimits::default() };
        let one = marketer(&fixture, "user:1", limits);
        let first = send(&one, 1).await.expect("room");
        let second = send(&one, 1).await.expect("room");
        let job = one.import_recipients(fixture.campaign, &first, None, Default::default()).await.expect("ordered");
        no_room(send(&one, 1).await, "2 files of yours");
        one.cancel_job(job.id).await.expect("canceled");
        send(&one, 1).await.expect("the first one is over");
        assert!(matches!(open(&fixture.services, &first).await, Err(ServiceError::Refused(_))));
        open(&fixture.services, &second).await.expect("never imported: it stays");
        assert_eq!(fixture.count("SELECT count(*) FROM audit_entry WHERE action = 'upload.removed'").await, 1);
        fixture.close().await;
    }
}

#[tokio::test]
async fn what_a_crash_left_is_removed_a_day_later() {
    for fixture in Fixture::each().await {
        let folder = super::folder(&fixture.services);
        std::fs::create_dir_all(&folder).expect("made");
        for name in ["01ARZ.part", "01ARZ"] {
            std::fs::write(folder.join(name), "x").expect("written");
        }
        let now = domain::Clock::now(&domain::SystemClock);
        remove_parts(&fixture.services, now.plus_seconds(-60)).await.expect("looked");
        assert!(folder.join("01ARZ.part").exists(), "it may go on");
        remove_parts(&fixture.services, now.plus_seconds(60)).await.expect("looked");
        assert!(!folder.join("01ARZ.part").exists() && folder.join("01ARZ").exists());
        fixture.close().await;
    }
}
