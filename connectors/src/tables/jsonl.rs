//! JSON Lines: an object for each row, with the names that GraphQL has for its fields.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};

use domain::table::{Cell, Table, TableWriter};

use super::time;

/// Writes a table as JSON Lines.
pub struct JsonlWriter {
    file: BufWriter<File>,
    /// What stands before each value: the beginning of the object or a comma, and the name.
    names: Vec<String>,
    /// A time that is being put together.
    time: String,
}

impl JsonlWriter {
    /// Begins the file; it has no heading.
    pub fn begin(table: &Table, file: BufWriter<File>) -> Self {
        let name = |(index, name): (usize, &str)| format!("{}\"{name}\":", if index == 0 { '{' } else { ',' });
        let names = table.columns.iter().map(|column| column.name).enumerate().map(name).collect();
        Self { file, names, time: String::new() }
    }
}

impl TableWriter for JsonlWriter {
    fn write(&mut self, row: &[Cell<'_>]) -> io::Result<()> {
        for (name, cell) in self.names.iter().zip(row) {
            self.file.write_all(name.as_bytes())?;
            match cell {
                Cell::Empty => self.file.write_all(b"null")?,
                Cell::Text(text) => serde_json::to_writer(&mut self.file, text)?,
                Cell::Int(number) => write!(self.file, "{number}")?,
                Cell::Time(at) => {
                    self.time.clear();
                    time::push(&mut self.time, *at);
                    write!(self.file, "\"{}\"", self.time)?;
                }
                Cell::Bool(flag) => write!(self.file, "{flag}")?,
            }
        }
        self.file.write_all(b"}\n")
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.file.flush()
    }
}
