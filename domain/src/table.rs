//! A table that is written into a file: what stands in it, and what must not.
//!
//! The service knows the rows, the connectors know the formats; this is what they have in common. A cell is a value with a type,
//! never a formula: what a spreadsheet would take for one is [`defuse`]d, and [`restore`]d where the file is imported again.

mod formula;

use std::borrow::Cow;
use std::io;
use std::path::Path;

use crate::{Timestamp, coded_enum};
pub use formula::{defuse, is_formula, restore};

coded_enum! {
    /// How a table is written.
    ExportFormat {
        /// Comma-separated values, for spreadsheets and programs.
        Csv = 1 "CSV",
        /// A workbook for Excel and others like it, with typed cells.
        Xlsx = 2 "XLSX",
        /// A page for browsers.
        Html = 3 "HTML",
        /// Plain text, the cells separated by tabs.
        Text = 4 "TEXT",
        /// A JSON object on each line, for programs.
        Jsonl = 5 "JSONL",
    }
}

impl ExportFormat {
    /// What the name of the file ends with.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Xlsx => "xlsx",
            Self::Html => "html",
            Self::Text => "txt",
            Self::Jsonl => "jsonl",
        }
    }

    /// The media type of the file.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Html => "text/html; charset=utf-8",
            Self::Text => "text/plain; charset=utf-8",
            Self::Jsonl => "application/x-ndjson",
        }
    }
}

/// What the cells of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellKind {
    /// Texts.
    Text,
    /// Whole numbers.
    Int,
    /// Moments.
    Time,
    /// Yes or no.
    Bool,
}

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its heading: the name of the field in GraphQL.
    pub name: &'static str,
    /// What its cells are, where they are not empty.
    pub kind: CellKind,
}

/// A table, but for its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// What it shows, for people.
    pub title: String,
    /// Its columns, from left to right.
    pub columns: Vec<Column>,
}

/// What stands in a column of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell<'a> {
    /// Nothing.
    Empty,
    /// A text, as it is.
    Text(Cow<'a, str>),
    /// A whole number.
    Int(i64),
    /// A moment.
    Time(Timestamp),
    /// Yes or no.
    Bool(bool),
}

impl<'a> Cell<'a> {
    /// A text.
    #[must_use]
    pub const fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

/// Writes the rows of a table into a file.
pub trait TableWriter: Send {
    /// Writes a row: a cell for each column.
    ///
    /// # Errors
    /// Those of the file.
    fn write(&mut self, row: &[Cell<'_>]) -> io::Result<()>;

    /// Writes what comes behind the last row. Without it the file is not complete.
    ///
    /// # Errors
    /// Those of the file.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// Knows the formats.
pub trait TableFormats: Send + Sync + 'static {
    /// Begins a table in the file at `path`, which is there and empty. Beside it there is room for what else is needed meanwhile.
    ///
    /// # Errors
    /// Those of the file.
    fn begin(&self, format: ExportFormat, table: &Table, path: &Path) -> io::Result<Box<dyn TableWriter>>;
}
