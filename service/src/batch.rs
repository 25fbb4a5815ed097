//! Many rows in one statement, the same SQL on both databases.
//!
//! A [`Batch`] is a small table of typed columns that a statement can read from: `{rows}` in its SQL becomes
//! `unnest($1::bigint[], …) AS rows (a, …)` on PostgreSQL, which binds one array for each column, and a read of one JSON
//! parameter by `json_each` on SQLite. Neither has a limit on the number of rows, and both are prepared once.
//!
//! This is the one place in which the two databases' SQL differs for bulk work.

use std::fmt::Write;

use sea_orm::sea_query::ArrayType;
use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, QueryResult, Statement, Value};

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
    const fn postgres(self) -> (&'static str, ArrayType) {
        match self {
            Self::Big => ("bigint[]", ArrayType::BigInt),
            Self::Int => ("integer[]", ArrayType::Int),
            Self::Small => ("smallint[]", ArrayType::SmallInt),
            Self::Text => ("text[]", ArrayType::String),
            Self::Bool => ("boolean[]", ArrayType::Bool),
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
        self.values.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
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
            values.push(value);
        }
        Ok(Statement::from_sql_and_values(backend, sql, values))
    }

    fn postgres_table(&self) -> String {
        let list = |item: &dyn Fn(usize, &(&'static str, Column)) -> String| {
            self.columns.iter().enumerate().map(|(index, column)| item(index, column)).collect::<Vec<_>>().join(", ")
        };
        let arrays = list(&|index, (_, column)| format!("${}::{}", index + 1, column.postgres().0));
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
        let array = |((_, column), values): (&(&'static str, Column), Vec<Value>)| {
            Value::Array(column.postgres().1, Some(Box::new(values)))
        };
        self.columns.iter().zip(self.values).map(array).collect()
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
