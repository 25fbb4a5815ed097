//! A table that is written into a file: what stands in it, and what must not.
//!
//! The service knows the rows, the connectors know the formats; this is what they have in common. A cell is a value with a type,
//! never a formula: what a spreadsheet would take for one is [`defuse`]d.

use std::borrow::Cow;
use std::io;
use std::path::Path;

use crate::{Timestamp, coded_enum};

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

/// Whether a spreadsheet that reads this text from a file may take it for a formula.
///
/// The characters are OWASP's ("CSV injection"), with their full-width forms. Some programs drop what looks like nothing before
/// they look: spaces do not hide a formula.
#[must_use]
pub fn is_formula(text: &str) -> bool {
    match text.bytes().next() {
        // By far the most texts begin with a letter or a digit.
        Some(first) if first.is_ascii_alphanumeric() => false,
        None => false,
        Some(_) => {
            let seen = text.trim_start_matches([' ', '\u{a0}', '\u{feff}', '\0']);
            seen.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'])
        }
    }
}

/// The text in a form that no spreadsheet takes for a formula: where it looks like one, an apostrophe stands before it.
#[must_use]
pub fn defuse(text: &str) -> Cow<'_, str> {
    if is_formula(text) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_spreadsheets_calculate_is_a_formula() {
        for text in
            ["=HYPERLINK(\"http://evil.example\")", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\n=1", "  =1", "＝1"]
        {
            assert!(is_formula(text), "{text:?}");
            assert_eq!(defuse(text), format!("'{text}"));
        }
        for text in ["", "Erika", "1+1", "'=1", "a=b", "<script>", "ä", "\"=1\"", "🙂"] {
            assert_eq!(defuse(text), text);
        }
    }

    proptest! {
        #[test]
        fn nothing_is_a_formula_once_it_is_defused(text in "[ =+@\t\r\na-z＝'-]{0,8}") {
            let defused = defuse(&text);
            prop_assert!(!is_formula(&defused), "{defused:?}");
            prop_assert!(defused.ends_with(text.as_str()) && defused.len() <= text.len() + 1);
            // It does not grow where it passes twice.
            prop_assert_eq!(defuse(&defused).into_owned(), defused.clone().into_owned());
        }
    }
}
