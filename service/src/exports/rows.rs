//! From rows of the database to cells. Millions of them: texts are borrowed from the row, and nothing is looked up by name.

use std::borrow::Cow;

use domain::Timestamp;
use domain::table::Cell;
use sea_orm::sqlx::{ColumnIndex, Database, Decode, Row, Type};
use sea_orm::{DbErr, QueryResult, RuntimeErr};

use super::columns::Read;
use crate::recipients::row::reason;

/// Puts the cells of a row into `cells`, in place of what is there. They begin at the column `first`.
pub(super) fn cells<'r>(
    row: &'r QueryResult,
    first: usize,
    reads: &[Read],
    cells: &mut Vec<Cell<'r>>,
) -> Result<(), DbErr> {
    let read = match (row.try_as_pg_row(), row.try_as_sqlite_row()) {
        (Some(row), _) => read_row(row, first, reads, cells),
        (None, Some(row)) => read_row(row, first, reads, cells),
        (None, None) => return Err(DbErr::Type("a row of an unknown database".to_owned())),
    };
    read.map_err(|error| DbErr::Query(RuntimeErr::SqlxError(error.into())))
}

fn read_row<'r, R>(
    row: &'r R,
    first: usize,
    reads: &[Read],
    cells: &mut Vec<Cell<'r>>,
) -> Result<(), sea_orm::sqlx::Error>
where
    R: Row,
    usize: ColumnIndex<R>,
    &'r str: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    i32: Decode<'r, R::Database> + Type<R::Database>,
    i16: Decode<'r, R::Database> + Type<R::Database>,
    bool: Decode<'r, R::Database> + Type<R::Database>,
{
    cells.clear();
    let mut next = first;
    for read in reads {
        let place = next;
        next += 1;
        let cell = match read {
            Read::Text(_) => get::<&str, R>(row, place)?.map(Cell::text),
            Read::Int(_) => get::<i32, R>(row, place)?.map(|number| Cell::Int(number.into())),
            Read::Time(_) => get::<i64, R>(row, place)?.map(|micros| Cell::Time(Timestamp::from_micros(micros))),
            Read::Bool(_) => get::<bool, R>(row, place)?.map(Cell::Bool),
            Read::Word(_, word) => get::<i16, R>(row, place)?.and_then(word).map(Cell::text),
            Read::Reason(..) => {
                next += 2;
                let (code, enhanced, words) =
                    (get::<i16, R>(row, place)?, get::<&str, R>(row, place + 1)?, get::<&str, R>(row, place + 2)?);
                reason(code, enhanced, words).map(|text| Cell::Text(Cow::Owned(text)))
            }
        };
        cells.push(cell.unwrap_or(Cell::Empty));
    }
    Ok(())
}

fn get<'r, T, R>(row: &'r R, place: usize) -> Result<Option<T>, sea_orm::sqlx::Error>
where
    R: Row,
    usize: ColumnIndex<R>,
    T: Decode<'r, <R as Row>::Database> + Type<R::Database>,
    R::Database: Database,
{
    row.try_get(place)
}
