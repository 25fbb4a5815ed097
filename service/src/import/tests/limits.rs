//! Files that are too much: each limit costs the row, or where it is about the file as a whole, the file.

use std::fmt::Write;
use std::io::Cursor;
use std::time::{Duration, Instant};

use super::{Fixture, counts};
use crate::error::{Refusal, ServiceError};
use crate::import::records::{MAX_CELL, MAX_COLUMNS, Records};
use crate::import::{CHUNK_RECORDS, Import, ImportOptions, MAX_ISSUES, Source};
use crate::subject::Subject;
use crate::uploads::FileLimits;

/// A line of a cell.
const LINE: &str = "a line of a note that is much too long to be one";

/// The reasons for which lines were rejected, by their numbers.
async fn reasons(fixture: &Fixture) -> Vec<(i64, String)> {
    let rows = fixture.rows("SELECT line, reason FROM import_issue ORDER BY import_id, line").await;
    rows.iter()
        .map(|row| (row.try_get_by_index(0).expect("a line"), row.try_get_by_index(1).expect("a text")))
        .collect()
}

#[tokio::test]
async fn a_header_that_is_too_wide_or_too_long_is_refused() {
    for fixture in Fixture::each().await {
        let wide = format!("email{}\ne@example.com\n", ",x".repeat(MAX_COLUMNS));
        let refusal = fixture.refusal(wide).await;
        assert!(refusal.message.contains("line 1") && refusal.message.contains("500 columns"), "{refusal}");
        let long = format!("email,{}\ne@example.com,x\n", "n".repeat(64 << 10));
        let refusal = fixture.refusal(long).await;
        assert!(refusal.message.contains("line 1") && refusal.message.contains("65536 bytes"), "{refusal}");
        let name = format!("email,{}\ne@example.com,x\n", "n".repeat(1_001));
        assert!(fixture.refusal(name).await.message.contains("the name of column 2 is longer than 1000 characters"));
        assert_eq!(fixture.count("SELECT count(*) FROM recipient").await, 0);
        fixture.close().await;
    }
}

#[tokio::test]
async fn a_row_that_is_too_much_costs_that_row_only() {
    for fixture in Fixture::each().await {
        let long = "x".repeat(MAX_CELL + 1);
        let lines = (LINE.to_owned() + "\n").repeat(MAX_CELL / LINE.len() + 1);
        let content = format!(
            "email,name,note,crm id\n\
             a@example.com{wide}\n\
             b@example.com,B,{long},1\n\
             c@example.com,C,\"{lines}\",1\n\
             d@example.com,D,ok,1\n\
             e@example.com,{name},ok,1\n\
             f@example.com,F,ok,{id}\n\
             g@example.com,G,ok,2\n",
            wide = ",x".repeat(10_000),
            name = "n".repeat(10_001),
            id = "9".repeat(201),
        );
        let result = fixture.import(content).await;
        assert_eq!(counts(&result), [2, 0, 0, 0, 5]);
        let after = 4 + i64::try_from(MAX_CELL / LINE.len() + 1).expect("small");
        let found = reasons(&fixture).await;
        for ((line, reason), (at, words)) in found.iter().zip([
            (2, "10001 cells"),
            (3, "column 3 is longer than 65536 bytes"),
            (4, "column 3 is longer than 65536 bytes"),
            (after + 2, "the name is longer than 10000 characters"),
            (after + 3, "the CRM id is longer than 200 characters"),
        ]) {
            assert!(*line == at && reason.contains(words), "{line}: {reason}");
        }
        assert_eq!(found.len(), 5);
        fixture.close().await;
    }
}

#[tokio::test]
async fn objects_that_are_too_much_cost_their_lines_only() {
    for fixture in Fixture::each().await {
        let keys = (0..600).fold(String::new(), |mut keys, number| {
            write!(keys, ",\"k{number}\":1").expect("written");
            keys
        });
        let deep = "[".repeat(3_000) + &"]".repeat(3_000);
        let content = format!(
            "{{\"email\":\"a@example.com\",\"x\":{deep}}}\n\
             {{\"email\":\"b@example.com\",\"x\":[{many}0]}}\n\
             {{\"email\":\"c@example.com\"{keys}}}\n\
             {{\"email\":\"d@example.com\",\"{name}\":1}}\n\
             {{\"email\":\"e@example.com\",\"x\":\"{long}\"}}\n\
             {{\"email\":\"f@example.com\",\"x\":[[[\"{brackets}\"]]]}}\n",
            many = "0,".repeat(5_001),
            name = "n".repeat(1_001),
            long = "x".repeat(64 << 10),
            brackets = "[{\\\"".repeat(500),
        );
        let result = fixture.import(content).await;
        assert_eq!(counts(&result), [1, 0, 0, 0, 5]);
        let words =
            ["more than 16 deep", "more than 5000 values", "600 columns", "1000 characters", "65536 bytes together"];
        for ((line, reason), (at, words)) in reasons(&fixture).await.iter().zip((1_i64..).zip(words)) {
            // The keys of the third line and the address.
            let words = words.replace("600", "601");
            assert!(*line == at && reason.contains(&words), "{line}: {reason}");
        }
        fixture.close().await;
    }
}

#[tokio::test]
async fn columns_do_not_grow_without_end_by_one_import_after_another() {
    for fixture in Fixture::each().await {
        let mut rejected = 0;
        for number in 0..6 {
            let file = format!("email,c{number}\ne@example.com,{}\n", "x".repeat(60 << 10));
            rejected += fixture.import(file).await.counts.rejected;
        }
        assert_eq!(rejected, 4, "two have room");
        let size = fixture.count("SELECT CAST(octet_length(attributes) AS BIGINT) FROM recipient").await;
        assert!(size < 130 << 10, "{size}");
        // What takes something away has room.
        assert_eq!(counts(&fixture.import("email,c0\ne@example.com,\n").await), [0, 1, 0, 0, 0]);
        assert_eq!(counts(&fixture.import("email,c9\ne@example.com,x\n").await), [0, 1, 0, 0, 0]);
        let attributes = fixture.count("SELECT CAST(octet_length(attributes) AS BIGINT) FROM recipient").await;
        assert!(attributes < size);
        fixture.close().await;
    }
}

#[tokio::test]
async fn so_many_issues_are_kept_and_all_are_counted() {
    for fixture in Fixture::each().await {
        let bad = CHUNK_RECORDS * 6 + 3;
        let content = "email,name\n".to_owned() + &",nobody\n".repeat(bad) + "erika@example.com,Erika\n";
        let result = fixture.import(content).await;
        assert_eq!(counts(&result), [1, 0, 0, 0, i64::try_from(bad).expect("small")]);
        assert_eq!(fixture.count("SELECT count(*) FROM import_issue").await, MAX_ISSUES);
        assert_eq!(fixture.count("SELECT CAST(max(line) AS BIGINT) FROM import_issue").await, MAX_ISSUES + 1);
        fixture.close().await;
    }
}

async fn import_within(fixture: &Fixture, unpacked_bytes: u64, content: Vec<u8>) -> Result<(), Refusal> {
    let services = fixture.services.clone().with_file_limits(FileLimits { unpacked_bytes, ..FileLimits::default() });
    let source = Source::reader(Cursor::new(content));
    let subject = Subject::command_line();
    let import = Import::start(&services, &subject, fixture.campaign, source, ImportOptions::default()).await;
    let done = match import {
        Ok(import) => import.run(|_| ()).await.map(|_| ()),
        Err(error) => Err(error),
    };
    match done {
        Ok(()) => Ok(()),
        Err(ServiceError::Refused(refusal)) => Err(refusal),
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_unpacks_to_too_much_is_refused_and_what_stood_before_is_imported() {
    use std::io::Write as _;
    for fixture in Fixture::each().await {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packed.write_all(b"email\nerika@example.com\nbert@example.com\n").expect("packed");
        packed.write_all(&vec![b'\n'; 8 << 20]).expect("packed");
        packed.write_all(b"carl@example.com\n").expect("packed");
        let packed = packed.finish().expect("packed");
        assert!(packed.len() < 20_000, "{}", packed.len());
        let refusal = import_within(&fixture, 4 << 20, packed.clone()).await.expect_err("refused");
        assert!(refusal.message.contains("more than 4194304 bytes"), "{refusal}");
        assert!(refusal.message.starts_with("line "), "{refusal}");
        assert_eq!(fixture.count("SELECT count(*) FROM recipient").await, 2);
        import_within(&fixture, 16 << 20, packed).await.expect("it fits");
        assert_eq!(fixture.count("SELECT count(*) FROM recipient").await, 3);
        fixture.close().await;
    }
}

/// How many records there are, or why reading was given up, and how long that took.
fn read(content: Vec<u8>) -> (Result<usize, String>, Duration) {
    let started = Instant::now();
    let mut records = Records::open(Box::new(Cursor::new(content)), None, u64::MAX).expect("opened");
    let mut count = 0;
    loop {
        match records.next() {
            Ok(Some(_)) => count += 1,
            Ok(None) => return (Ok(count), started.elapsed()),
            Err(error) => return (Err(error.to_string()), started.elapsed()),
        }
    }
}

#[test]
fn an_open_quotation_mark_before_millions_of_lines_costs_its_line_only() {
    let mut content = b"email,name\n\"".to_vec();
    content.extend(std::iter::repeat_n(b'\n', 4 << 20));
    content.extend_from_slice(b"e@example.com,E\n");
    let (count, took) = read(content);
    assert_eq!(count, Ok(3), "header, broken line, row");
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn lines_that_make_each_other_be_read_again_are_given_up() {
    // Each opens a cell that the next one closes and opens another.
    for line in ["x\",\"\n", "x\";\"\n", "\"\",\"x\",\"\n"] {
        let content = "email,name\n".to_owned() + &line.repeat(400_000);
        let (result, took) = read(content.into_bytes());
        if let Err(message) = &result {
            assert!(message.contains("quotation marks"), "{message}");
        }
        assert!(took < Duration::from_secs(60), "{line:?}: {result:?} in {took:?}");
    }
}
