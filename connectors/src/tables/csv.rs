//! Comma-separated values as RFC 4180 has them: UTF-8, lines that end with CR LF, a heading.
//!
//! A byte order mark stands before it: without one, Excel reads the file in the machine's old character set and spoils every letter
//! beyond ASCII. Every text is quoted, and defused at its start and behind whatever else may separate cells: the file may be
//! opened by a program that separates them by semicolons.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};

use domain::table::{Cell, Table, TableWriter, defuse};

use super::time;

/// What tells Excel that the file is UTF-8.
const BYTE_ORDER_MARK: &str = "\u{feff}";
const LINE_END: &str = "\r\n";

/// Writes a table as comma-separated values.
pub struct CsvWriter {
    file: BufWriter<File>,
    /// A line that is being put together.
    line: String,
}

impl CsvWriter {
    /// Begins the file with the heading.
    pub fn begin(table: &Table, mut file: BufWriter<File>) -> io::Result<Self> {
        let names: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
        write!(file, "{BYTE_ORDER_MARK}{}{LINE_END}", names.join(","))?;
        Ok(Self { file, line: String::new() })
    }
}

impl TableWriter for CsvWriter {
    fn write(&mut self, row: &[Cell<'_>]) -> io::Result<()> {
        self.line.clear();
        for (index, cell) in row.iter().enumerate() {
            if index > 0 {
                self.line.push(',');
            }
            match cell {
                // A line without anything would be passed over.
                Cell::Empty if row.len() == 1 => self.line.push_str("\"\""),
                Cell::Empty => {}
                Cell::Text(text) => quote(&mut self.line, &defuse(text)),
                // Writing to a String cannot fail.
                Cell::Int(number) => write!(self.line, "{number}").unwrap_or_default(),
                Cell::Time(at) => time::push(&mut self.line, *at),
                Cell::Bool(flag) => self.line.push_str(if *flag { "true" } else { "false" }),
            }
        }
        self.line.push_str(LINE_END);
        self.file.write_all(self.line.as_bytes())
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.file.flush()
    }
}

/// Adds a text between quotation marks; those in it are doubled.
fn quote(line: &mut String, text: &str) {
    line.push('"');
    let mut parts = text.split('"');
    line.push_str(parts.next().unwrap_or_default());
    for part in parts {
        line.push_str("\"\"");
        line.push_str(part);
    }
    line.push('"');
}
