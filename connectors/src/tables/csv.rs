//! Comma-separated values as RFC 4180 has them: UTF-8, lines that end with CR LF, a heading.
//!
//! A byte order mark stands before it: without one, Excel reads the file in the machine's old character set and spoils every letter
//! beyond ASCII. Texts that a spreadsheet would take for formulas are defused.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};

use csv::{Terminator, Writer, WriterBuilder};
use domain::table::{Cell, Table, TableWriter, defuse};

use super::{BUFFER, time};

/// What tells Excel that the file is UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Writes a table as comma-separated values.
pub struct CsvWriter {
    csv: Writer<File>,
    /// A cell that is being put together.
    cell: String,
}

impl CsvWriter {
    /// Begins the file with the heading.
    pub fn begin(table: &Table, mut file: File) -> io::Result<Self> {
        file.write_all(BYTE_ORDER_MARK)?;
        let mut csv = WriterBuilder::new().terminator(Terminator::CRLF).buffer_capacity(BUFFER).from_writer(file);
        csv.write_record(table.columns.iter().map(|column| column.name))?;
        Ok(Self { csv, cell: String::new() })
    }
}

impl TableWriter for CsvWriter {
    fn write(&mut self, row: &[Cell<'_>]) -> io::Result<()> {
        for cell in row {
            self.cell.clear();
            match cell {
                Cell::Empty => {}
                Cell::Text(text) => {
                    self.csv.write_field(defuse(text).as_bytes())?;
                    continue;
                }
                // Writing to a String cannot fail.
                Cell::Int(number) => write!(self.cell, "{number}").unwrap_or_default(),
                Cell::Time(at) => time::push(&mut self.cell, *at),
                Cell::Bool(flag) => self.cell.push_str(if *flag { "true" } else { "false" }),
            }
            self.csv.write_field(&self.cell)?;
        }
        self.csv.write_record(None::<&[u8]>)?;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.csv.flush()
    }
}
