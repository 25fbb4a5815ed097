//! Putting a statement together: the text and the values bound to it grow side by side.

use std::fmt::Write;

use sea_orm::{DbErr, QueryResult, TryGetable, Value};

/// A piece of SQL. Values never become text: each is bound as `$1`, `$2`, ….
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sql {
    text: String,
    values: Vec<Value>,
}

impl Sql {
    /// Begins with this text.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), values: Vec::new() }
    }

    /// Puts text before it.
    pub(crate) fn prefixed(mut self, text: &str) -> Self {
        self.text.insert_str(0, text);
        self
    }

    /// Adds text.
    pub(crate) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Adds a whole number as it is. Only for what is not the user's: page sizes, so that the planner knows them.
    pub(crate) fn push_number(&mut self, number: i64) -> &mut Self {
        // Writing to a String cannot fail.
        write!(self.text, "{number}").ok();
        self
    }

    /// Adds a parameter and binds a value to it.
    pub(crate) fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        let number = self.values.len();
        write!(self.text, "${number}").ok();
        self
    }

    /// Adds parameters with commas between them.
    pub(crate) fn bind_all<V: Into<Value>>(&mut self, values: impl IntoIterator<Item = V>) -> &mut Self {
        for (index, value) in values.into_iter().enumerate() {
            if index > 0 {
                self.push(", ");
            }
            self.bind(value);
        }
        self
    }

    /// The text and its values.
    pub(crate) fn into_parts(self) -> (String, Vec<Value>) {
        (self.text, self.values)
    }
}

/// The pattern of `LIKE … ESCAPE '\'` for texts that contain `text`.
pub(crate) fn containing(text: &str) -> String {
    format!("%{}%", escape_like(text))
}

/// `text` with everything escaped that means something in a pattern of `LIKE … ESCAPE '\'`.
pub(crate) fn escape_like(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

/// Reads the columns of a row from left to right.
pub(crate) struct Cells<'a> {
    row: &'a QueryResult,
    next: usize,
}

impl<'a> Cells<'a> {
    /// Begins with the column at `first`.
    pub(crate) const fn from(row: &'a QueryResult, first: usize) -> Self {
        Self { row, next: first }
    }

    /// The next column's value.
    pub(crate) fn take<T: TryGetable>(&mut self) -> Result<T, DbErr> {
        let index = self.next;
        self.next += 1;
        self.row.try_get_by_index(index)
    }
}
