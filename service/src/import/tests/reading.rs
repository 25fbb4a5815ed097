//! The reader, given anything.

use std::io::Cursor;

use proptest::prelude::*;

use crate::import::columns::{Columns, Mapping};
use crate::import::records::{Content, Format, Record, Records};

fn records(content: Vec<u8>, format: Option<Format>) -> Option<Vec<Record>> {
    let mut records = Records::open(Box::new(Cursor::new(content)), format, u64::MAX).ok()?;
    let mut all = Vec::new();
    while let Some(record) = records.next().expect("read") {
        all.push(record);
    }
    Some(all)
}

/// Texts in which the characters that mean something are frequent.
fn anything() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"\"".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b";".to_vec()),
        Just(b",".to_vec()),
        Just(b"{\"email\":\"e@example.com\"}\n".to_vec()),
        Just(b"e@example.com".to_vec()),
        Just(vec![0xFC]),
        proptest::collection::vec(any::<u8>(), 0..8),
    ];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

fn quoted(cell: &str) -> String {
    format!("\"{}\"", cell.replace('"', "\"\""))
}

proptest! {
    #[test]
    fn any_text_splits_into_records_each_line_once(content in anything(), json in any::<bool>()) {
        let format = json.then_some(Format::JsonLines);
        if let Some(records) = records(content, format) {
            let mut last = 0;
            for record in records {
                prop_assert!(last < record.line && record.line <= record.last_line);
                last = record.last_line;
            }
        }
    }

    #[test]
    fn any_record_says_something_or_why_not(content in anything()) {
        let columns = Columns::of_header(&["email".to_owned(), "name".to_owned()], Mapping::new()).expect("columns");
        for record in records(content, None).unwrap_or_default() {
            match columns.read(record) {
                Ok(row) => prop_assert!(!row.email_key.is_empty()),
                Err((_, reason)) => prop_assert!(!reason.is_empty()),
            }
        }
    }

    /// Whatever the text: exported, it is imported as it was, but for space around it and U+0000.
    #[test]
    fn what_is_exported_is_imported_unchanged(
        text in prop_oneof!["\\PC{0,40}", "[ ab=+@;,|\"'\t\r\n＝\u{a0}\u{85}-]{0,16}", proptest::string::string_regex("(\r|\n|'|=|;|a){0,12}").expect("a pattern")],
    ) {
        let file = format!("\u{feff}email,name,note\r\n{0},{1},{1}\r\n", quoted("e@example.com"), quoted(&domain::table::defuse(&text)));
        let mut read = records(file.into_bytes(), None).expect("records").into_iter().skip(1);
        let columns = Columns::of_header(&["email", "name", "note"].map(str::to_owned), Mapping::new()).expect("columns");
        let row = columns.read(read.next().expect("a row")).expect("a recipient");
        let want = text.trim().replace('\0', "");
        prop_assert_eq!(row.name.flatten().unwrap_or_default(), want.as_str());
        prop_assert_eq!(row.attributes.get("note").and_then(|note| note.as_str()).unwrap_or_default(), want.as_str());
        prop_assert!(read.next().is_none());
    }

    #[test]
    fn what_is_written_is_read(cells in proptest::collection::vec(proptest::collection::vec("[ -~äöü\n]{0,12}", 2..4), 1..6)) {
        let mut text = "a;b;c\n".to_owned();
        for record in &cells {
            text.push_str(&record.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(";"));
            text.push('\n');
        }
        let read: Vec<Vec<String>> = records(text.into_bytes(), None).expect("records").into_iter().skip(1)
            .map(|record| match record.content {
                Ok(Content::Cells(cells)) => cells,
                other => panic!("{other:?}"),
            }).collect();
        let filled = |record: &&Vec<String>| record.iter().any(|cell| !cell.trim().is_empty());
        let want: Vec<Vec<String>> = cells.iter().filter(filled).cloned().collect();
        prop_assert_eq!(read, want);
    }
}

#[test]
fn a_byte_that_is_no_utf_8_late_in_a_file_is_windows_1252() {
    let mut content = b"email;name\n".to_vec();
    for _ in 0..100_000 {
        content.extend_from_slice(b"erika@example.com;Erika\n");
    }
    content.extend_from_slice(b"joerg@example.com;J\xF6rg \x80\n");
    content.extend_from_slice("zoe@example.com;Zoë\n".as_bytes());
    let records = records(content, None).expect("records");
    let names: Vec<&str> = records.iter().rev().take(2).map(|record| record.text.as_str()).collect();
    assert_eq!(names, ["zoe@example.com;Zoë", "joerg@example.com;Jörg €"]);
}

#[test]
fn many_open_quotation_marks_cost_no_more_than_reading() {
    let content = "email\n".to_owned() + &"\"open\n".repeat(200_000);
    let records = records(content.into_bytes(), None).expect("records");
    assert_eq!(records.len(), 200_001);
    assert!(records.iter().skip(1).all(|record| record.content.is_err()));
}
