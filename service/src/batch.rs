//! Many rows in one statement, the same SQL on both databases.
//!
//! A [`Batch`] is a small table of typed columns that a statement can read from: `{rows}` in its SQL becomes
//! `unnest($1::text::bigint[], …) AS rows (a, …)` on PostgreSQL, which gets one array for each column, and a read of one JSON
//! parameter by `json_each` on SQLite. Neither has a limit on the number of rows, and both are prepared once. Arrays travel as
//! PostgreSQL's array literals, because those that sea-query binds cannot hold nulls.
//!
//! This is the one place in which the two databases' SQL differs for bulk work.

use std::fmt::Write;

use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, QueryResult, Statement, Value};

use crate::db::storable;

/// The type of a column of a [`Batch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// 64-bit integers.
    Big,
    /// 32-bit integers.
    Int,
    /// 16-bit integers.
    Small,
    /// Texts.
    Text,
    /// Booleans.
    Bool,
}

impl Column {
    const fn postgres(self) -> &'static str {
        match self {
            Self::Big => "bigint[]",
            Self::Int => "integer[]",
            Self::Small => "smallint[]",
            Self::Text => "text[]",
            Self::Bool => "boolean[]",
        }
    }
}

/// Rows to be used in a statement.
#[derive(Clone, Debug)]
pub struct Batch {
    columns: &'static [(&'static str, Column)],
    values: Vec<Vec<Value>>,
    rows: usize,
}

impl Batch {
    /// An empty batch with these columns.
    #[must_use]
    pub fn new(columns: &'static [(&'static str, Column)]) -> Self {
        Self { columns, values: columns.iter().map(|_| Vec::new()).collect(), rows: 0 }
    }

    /// Adds a row: a value for each column, of the column's type.
    pub fn push<const N: usize>(&mut self, row: [Value; N]) {
        debug_assert_eq!(N, self.columns.len(), "a row has a value for each column");
        self.push_row(row);
    }

    /// As [`Batch::push`], for rows that are put together.
    pub fn push_row(&mut self, row: impl IntoIterator<Item = Value>) {
        self.values.iter_mut().zip(row).for_each(|(column, value)| column.push(storable(value)));
        self.rows += 1;
    }

    /// How many rows there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Runs a statement that has `{rows}` where a table stands, and returns its rows. `more` are its parameters from `$first` on,
    /// where `first` is [`Batch::first_parameter`]; write them as `{1}`, `{2}`, ….
    ///
    /// # Errors
    /// Those of the database.
    pub async fn query<C: ConnectionTrait>(
        self,
        connection: &C,
        sql: &str,
        more: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<QueryResult>, DbErr> {
        connection.query_all_raw(self.statement(connection.get_database_backend(), sql, more)?).await
    }

    /// As [`Batch::query`], for a statement without result; returns how many rows it changed.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn execute<C: ConnectionTrait>(
        self,
        connection: &C,
        sql: &str,
        more: impl IntoIterator<Item = Value>,
    ) -> Result<u64, DbErr> {
        let statement = self.statement(connection.get_database_backend(), sql, more)?;
        Ok(connection.execute_raw(statement).await?.rows_affected())
    }

    fn statement(
        self,
        backend: DatabaseBackend,
        sql: &str,
        more: impl IntoIterator<Item = Value>,
    ) -> Result<Statement, DbErr> {
        let postgres = backend == DatabaseBackend::Postgres;
        let first = if postgres { self.columns.len() } else { 1 };
        let table = if postgres { self.postgres_table() } else { self.sqlite_table() };
        let mut sql = sql.replace("{rows}", &table);
        let mut values: Vec<Value> = if postgres { self.into_arrays() } else { vec![self.into_json()?.into()] };
        for (index, value) in more.into_iter().enumerate() {
            sql = sql.replace(&format!("{{{}}}", index + 1), &format!("${}", first + index + 1));
            values.push(storable(value));
        }
        Ok(Statement::from_sql_and_values(backend, sql, values))
    }

    fn postgres_table(&self) -> String {
        let list = |item: &dyn Fn(usize, &(&'static str, Column)) -> String| {
            self.columns.iter().enumerate().map(|(index, column)| item(index, column)).collect::<Vec<_>>().join(", ")
        };
        let arrays = list(&|index, (_, column)| format!("${}::text::{}", index + 1, column.postgres()));
        let names = list(&|_, (name, _)| (*name).to_owned());
        format!("unnest({arrays}) AS rows ({names})")
    }

    fn sqlite_table(&self) -> String {
        let mut table = "(SELECT ".to_owned();
        for (index, (name, _)) in self.columns.iter().enumerate() {
            let gap = if index == 0 { "" } else { ", " };
            // Writing to a String cannot fail.
            write!(table, "{gap}value ->> {index} AS {name}").ok();
        }
        table.push_str(" FROM json_each($1)) AS rows");
        table
    }

    fn into_arrays(self) -> Vec<Value> {
        // A column of nulls need not travel: unnest fills up what is shorter.
        let is_null = |value: &Value| *value == value.as_null();
        let array = |values: Vec<Value>| (!values.iter().all(is_null)).then(|| array_literal(&values)).into();
        self.values.into_iter().map(array).collect()
    }

    fn into_json(self) -> Result<String, DbErr> {
        let mut columns: Vec<_> = self.values.into_iter().map(Vec::into_iter).collect();
        let mut rows = Vec::with_capacity(self.rows);
        for _ in 0..self.rows {
            let row: Vec<serde_json::Value> =
                columns.iter_mut().map(|column| column.next().map_or(serde_json::Value::Null, json)).collect();
            rows.push(row);
        }
        serde_json::to_string(&rows).map_err(|error| DbErr::Custom(format!("rows as JSON: {error}")))
    }
}

/// An array as PostgreSQL writes it: `{1,NULL,"a \"text\""}`.
fn array_literal(values: &[Value]) -> String {
    let mut literal = String::with_capacity(values.len() * 8 + 2);
    literal.push('{');
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            literal.push(',');
        }
        // Writing to a String cannot fail.
        match value {
            Value::BigInt(Some(number)) => write!(literal, "{number}").ok(),
            Value::Int(Some(number)) => write!(literal, "{number}").ok(),
            Value::SmallInt(Some(number)) => write!(literal, "{number}").ok(),
            Value::Bool(Some(flag)) => write!(literal, "{flag}").ok(),
            Value::String(Some(text)) => {
                push_quoted(&mut literal, text);
                Some(())
            }
            _ => write!(literal, "NULL").ok(),
        };
    }
    literal.push('}');
    literal
}

fn push_quoted(literal: &mut String, text: &str) {
    literal.push('"');
    let mut rest = text;
    while let Some(place) = rest.find(['"', '\\']) {
        let (plain, special) = rest.split_at(place);
        literal.push_str(plain);
        literal.push('\\');
        let mut characters = special.chars();
        literal.extend(characters.next());
        rest = characters.as_str();
    }
    literal.push_str(rest);
    literal.push('"');
}

fn json(value: Value) -> serde_json::Value {
    match value {
        Value::BigInt(number) => number.into(),
        Value::Int(number) => number.into(),
        Value::SmallInt(number) => number.into(),
        Value::Bool(flag) => flag.into(),
        Value::String(text) => text.into(),
        _ => serde_json::Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestDb;

    #[tokio::test]
    async fn every_value_comes_back_as_it_went() {
        let texts =
            ["", "plain", "NULL", "null", "{}", "a,b", "\"quoted\"", "back\\slash", "line\nbreak", "ä€𝄞", " x "];
        for test in TestDb::each().await {
            let mut batch =
                Batch::new(&[("n", Column::Big), ("t", Column::Text), ("f", Column::Bool), ("s", Column::Small)]);
            for (number, text) in (0_i64..).zip(texts) {
                batch.push([number.into(), text.into(), (number % 2 == 0).into(), Value::SmallInt(None)]);
            }
            batch.push([Value::BigInt(None), Value::String(None), Value::Bool(None), 7_i16.into()]);
            let sql = "SELECT n, t, s FROM {rows} WHERE coalesce(n, 99) >= {1} ORDER BY coalesce(n, 99)";
            let rows = batch.query(test.db.read(), sql, [1_i64.into()]).await.expect("rows");
            let read = |row: &QueryResult| {
                let number: Option<i64> = row.try_get_by_index(0).expect("a number");
                let text: Option<String> = row.try_get_by_index(1).expect("a text");
                let small: Option<i16> = row.try_get_by_index(2).expect("a small number");
                (number, text, small)
            };
            let got: Vec<_> = rows.iter().map(read).collect();
            let mut want: Vec<_> =
                (0_i64..).zip(texts).skip(1).map(|(n, t)| (Some(n), Some(t.to_owned()), None)).collect();
            want.push((None, None, Some(7)));
            assert_eq!(got, want);
            test.close().await;
        }
    }
}
