//! Plain text: a line for each row, the cells separated by tabs.
//!
//! What would break a line or a column, or do something to a terminal, is shown by a sign instead. Whoever pastes the text into a
//! spreadsheet must not calculate anything by it: formulas are defused.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};

use domain::table::{Cell, Table, TableWriter, defuse};

use super::time;

/// Where the pictures of control characters begin in Unicode.
const CONTROL_PICTURES: u32 = 0x2400;

/// Writes a table as plain text.
pub struct TextWriter {
    file: BufWriter<File>,
    /// A line that is being put together.
    line: String,
}

impl TextWriter {
    /// Begins with the names of the columns.
    pub fn begin(table: &Table, mut file: BufWriter<File>) -> io::Result<Self> {
        let names: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
        writeln!(file, "{}", names.join("\t"))?;
        Ok(Self { file, line: String::new() })
    }
}

impl TableWriter for TextWriter {
    fn write(&mut self, row: &[Cell<'_>]) -> io::Result<()> {
        self.line.clear();
        for (index, cell) in row.iter().enumerate() {
            if index > 0 {
                self.line.push('\t');
            }
            match cell {
                Cell::Empty => {}
                Cell::Text(text) => show(&mut self.line, &defuse(text)),
                // Writing to a String cannot fail.
                Cell::Int(number) => write!(self.line, "{number}").unwrap_or_default(),
                Cell::Time(at) => time::push(&mut self.line, *at),
                Cell::Bool(flag) => self.line.push_str(if *flag { "yes" } else { "no" }),
            }
        }
        self.line.push('\n');
        self.file.write_all(self.line.as_bytes())
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.file.flush()
    }
}

/// Adds a text in one line.
fn show(line: &mut String, text: &str) {
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\r' if characters.peek() == Some(&'\n') => {}
            '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => line.push('⏎'),
            '\t' => line.push('⇥'),
            '\u{7f}' => line.push('␡'),
            control if u32::from(control) < 0x20 => {
                line.extend(char::from_u32(CONTROL_PICTURES + u32::from(control)));
            }
            control if control.is_control() => line.push(char::REPLACEMENT_CHARACTER),
            other => line.push(other),
        }
    }
}
