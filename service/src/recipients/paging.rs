//! Pages of long lists that cost the same at any depth: a page begins where a cursor points to, and is read along an index.
//!
//! What `hasNextPage` and `hasPreviousPage` say is true in both directions, without a second statement: the row at the cursor is
//! read too, and shows that there is something on its side. Only where that row has left the list meanwhile, one more
//! statement looks.

mod jobs;

use sea_orm::{DbErr, QueryResult};
use serde::{Deserialize, Serialize};

use super::sql::{Cells, Sql};
use crate::access::Services;
use crate::cursor::CursorKey;
use crate::db::{query_all, query_one};
use crate::error::{Refusal, RefusalCode, Result};

/// How many rows a page has where nothing is said.
pub const DEFAULT_SIZE: i64 = 50;
/// How many rows a page may have.
pub const MAX_SIZE: i64 = 500;
/// How far a list may be counted.
pub const MAX_COUNT: i64 = 1_000_000;

/// Which part of a list is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageArgs {
    /// So many rows from the beginning, or behind `after`.
    pub first: Option<i64>,
    /// Only what stands behind this cursor.
    pub after: Option<String>,
    /// So many rows up to the end, or before `before`.
    pub last: Option<i64>,
    /// Only what stands before this cursor.
    pub before: Option<String>,
}

/// A part of a list.
#[derive(Clone)]
pub struct Page<T> {
    /// Its rows, in the order of the list whichever way they were read.
    pub rows: Vec<T>,
    /// Whether there is more behind them.
    pub has_next: bool,
    /// Whether there is something before them.
    pub has_previous: bool,
    places: Vec<Place>,
    scope: String,
    key: CursorKey,
}

impl<T> Page<T> {
    /// The cursor of the row at `index`; `None` where there is no such row.
    ///
    /// # Errors
    /// Where it cannot be sealed.
    pub fn cursor(&self, index: usize) -> Result<Option<String>> {
        self.places.get(index).map(|place| self.key.seal(&self.scope, place)).transpose()
    }

    /// The cursor of the last row.
    ///
    /// # Errors
    /// Where it cannot be sealed.
    pub fn end_cursor(&self) -> Result<Option<String>> {
        self.places.last().map(|place| self.key.seal(&self.scope, place)).transpose()
    }

    /// The same page with its rows made into something else.
    #[must_use]
    pub fn map<U>(self, make: impl FnMut(T) -> U) -> Page<U> {
        let (rows, rest) = self.take_rows();
        Page { rows: rows.into_iter().map(make).collect(), ..rest }
    }

    /// As [`Page::map`], where that may fail.
    ///
    /// # Errors
    /// That of the first row that cannot be made into anything.
    pub fn try_map<U, E>(self, make: impl FnMut(T) -> Result<U, E>) -> Result<Page<U>, E> {
        let (rows, rest) = self.take_rows();
        Ok(Page { rows: rows.into_iter().map(make).collect::<Result<_, _>>()?, ..rest })
    }

    fn take_rows<U>(self) -> (Vec<T>, Page<U>) {
        let Self { rows, has_next, has_previous, places, scope, key } = self;
        (rows, Page { rows: Vec::new(), has_next, has_previous, places, scope, key })
    }
}

/// How many rows a list has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// So many, or at least so many.
    pub value: i64,
    /// Whether it is not more.
    pub exact: bool,
}

/// Where a row stands in the order of its list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Place(Option<SortValue>, i64);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum SortValue {
    Number(i64),
    Text(String),
}

/// What a list is ordered by before the id decides.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sort {
    /// An expression that is a 64-bit number, and never null.
    Number(&'static str),
    /// An expression that is a 16-bit number, and never null.
    Small(&'static str),
    /// An expression that is a text, and never null.
    Text(&'static str),
}

/// The order of a list: by `sort`, then by `id`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    pub(crate) sort: Option<Sort>,
    /// A column that makes the order total: a whole number.
    pub(crate) id: &'static str,
    pub(crate) descending: bool,
}

/// A list: what each row consists of, where the rows come from, and how they are ordered.
pub(crate) struct List {
    /// What is read of a row, behind its id.
    pub(crate) columns: &'static [&'static str],
    pub(crate) from: &'static str,
    /// Which rows belong to the list; never empty.
    pub(crate) condition: Sql,
    pub(crate) order: Order,
    /// What distinguishes it from all other lists: cursors are bound to it.
    pub(crate) scope: String,
}

/// The range of places that a page is cut from, checked.
struct Window {
    size: usize,
    /// Read from the end.
    backward: bool,
    /// The end of the range at which reading begins, if it is not the list's own.
    near: Option<Place>,
    /// The other end.
    far: Option<Place>,
}

impl PageArgs {
    fn window(&self, key: &CursorKey, scope: &str) -> Result<Window> {
        let (backward, size) = self.size()?;
        let open = |cursor: &Option<String>| cursor.as_deref().map(|cursor| key.open(scope, cursor)).transpose();
        let (after, before) = (open(&self.after)?, open(&self.before)?);
        let (near, far) = if backward { (before, after) } else { (after, before) };
        Ok(Window { size, backward, near, far })
    }

    fn size(&self) -> Result<(bool, usize), Refusal> {
        let refuse = |field: &str, message: String| Err(Refusal::field(RefusalCode::Invalid, &[field], message));
        let (backward, name, size) = match (self.first, self.last) {
            (Some(_), Some(_)) => {
                return refuse("last", "give first, to read forward, or last, to read backward: not both".to_owned());
            }
            (None, Some(last)) => (true, "last", last),
            (first, None) => (false, "first", first.unwrap_or(DEFAULT_SIZE)),
        };
        match usize::try_from(size) {
            Ok(rows) if size <= MAX_SIZE => Ok((backward, rows)),
            _ => refuse(name, format!("{name} must be between 0 and {MAX_SIZE}, and is {size}")),
        }
    }
}

impl List {
    /// Reads a page. `decode` makes a row from its id and the columns behind it.
    pub(crate) async fn page<T>(
        self,
        services: &Services,
        args: &PageArgs,
        decode: impl Fn(i64, Cells<'_>) -> Result<T, DbErr>,
    ) -> Result<Page<T>> {
        let window = args.window(&services.cursor_key, &self.scope)?;
        let limit = window.size + 1 + usize::from(window.near.is_some());
        let (text, values) = self.select(&window, limit).into_parts();
        let found = query_all(services.db.read(), &text, values).await?;
        let mut places = found.iter().map(|row| self.place(row)).collect::<Result<Vec<_>, _>>()?;
        let mut rows = found.iter().map(|row| decode(row.try_get_by_index(0)?, Cells::from(row, 1)));

        let mut behind = false;
        if let Some(near) = &window.near {
            behind = if places.first() == Some(near) {
                places.remove(0);
                rows.next();
                true
            } else {
                self.exists_beyond(services, near, !window.backward).await?
            };
        }
        let until_far = window.far.as_ref().and_then(|far| places.iter().position(|place| place == far));
        let count = until_far.unwrap_or(places.len()).min(window.size);
        let ahead = match &window.far {
            _ if places.len() > count => true,
            Some(far) => self.exists_beyond(services, far, window.backward).await?,
            None => false,
        };
        places.truncate(count);
        let mut rows = rows.take(count).collect::<Result<Vec<T>, _>>()?;
        if window.backward {
            places.reverse();
            rows.reverse();
        }
        let (has_next, has_previous) = if window.backward { (behind, ahead) } else { (ahead, behind) };
        Ok(Page { rows, has_next, has_previous, places, scope: self.scope, key: services.cursor_key.clone() })
    }

    /// Counts its rows, but no more than `max` of them.
    pub(crate) async fn count(self, services: &Services, max: i64) -> Result<Count> {
        check_max(max)?;
        let mut sql = self.condition.prefixed(&format!("SELECT count(*) FROM (SELECT 1 FROM {} WHERE ", self.from));
        sql.push(" LIMIT ").push_number(max + 1).push(") AS counted");
        let (text, values) = sql.into_parts();
        let row = query_one(services.db.read(), &text, values).await?;
        let value: i64 = row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or_default();
        Ok(Count { value: value.min(max), exact: value <= max })
    }

    fn select(&self, window: &Window, limit: usize) -> Sql {
        let order = self.order;
        let mut head = format!("SELECT {}", order.id);
        for column in self.columns.iter().copied().chain(order.sort.map(Sort::expression)) {
            head.push_str(", ");
            head.push_str(column);
        }
        let mut sql = self.condition.clone().prefixed(&format!("{head} FROM {} WHERE ", self.from));
        let ascending = order.descending == window.backward;
        for (place, forward) in [(&window.near, true), (&window.far, false)] {
            if let Some(place) = place {
                self.compare(&mut sql, if ascending == forward { ">=" } else { "<=" }, place);
            }
        }
        let direction = if ascending { " ASC" } else { " DESC" };
        sql.push(" ORDER BY ");
        if let Some(sort) = order.sort {
            sql.push(sort.expression()).push(direction).push(", ");
        }
        sql.push(order.id).push(direction).push(" LIMIT ");
        sql.push_number(i64::try_from(limit).unwrap_or(MAX_SIZE));
        sql
    }

    /// Whether the list has a row behind `place`, in the direction given.
    async fn exists_beyond(&self, services: &Services, place: &Place, before: bool) -> Result<bool> {
        let mut sql = self.condition.clone().prefixed(&format!("SELECT 1 FROM {} WHERE ", self.from));
        self.compare(&mut sql, if before == self.order.descending { ">" } else { "<" }, place);
        let (text, values) = sql.push(" LIMIT 1").clone().into_parts();
        Ok(query_one(services.db.read(), &text, values).await?.is_some())
    }

    fn compare(&self, sql: &mut Sql, operator: &str, place: &Place) {
        sql.push(" AND ");
        match (self.order.sort, &place.0) {
            (Some(sort), Some(value)) => {
                sql.push(&format!("({}, {}) {operator} (", sort.expression(), self.order.id));
                match value {
                    SortValue::Number(number) => sql.bind(*number),
                    SortValue::Text(text) => sql.bind(text.clone()),
                };
                sql.push(", ").bind(place.1).push(")");
            }
            _ => {
                sql.push(&format!("{} {operator} ", self.order.id)).bind(place.1);
            }
        }
    }

    fn place(&self, row: &QueryResult) -> Result<Place, DbErr> {
        let sort = 1 + self.columns.len();
        let value = match self.order.sort {
            None => None,
            Some(Sort::Number(_)) => Some(SortValue::Number(row.try_get_by_index(sort)?)),
            Some(Sort::Small(_)) => Some(SortValue::Number(row.try_get_by_index::<i16>(sort)?.into())),
            Some(Sort::Text(_)) => Some(SortValue::Text(row.try_get_by_index(sort)?)),
        };
        Ok(Place(value, row.try_get_by_index(0)?))
    }
}

impl Sort {
    const fn expression(self) -> &'static str {
        match self {
            Self::Number(expression) | Self::Small(expression) | Self::Text(expression) => expression,
        }
    }
}

/// Whether a list may be counted so far.
///
/// # Errors
/// A refusal where not.
pub(crate) fn check_max(max: i64) -> Result<(), Refusal> {
    if (0..=MAX_COUNT).contains(&max) {
        return Ok(());
    }
    Err(Refusal::field(RefusalCode::Invalid, &["max"], format!("max must be between 0 and {MAX_COUNT}, and is {max}")))
}
