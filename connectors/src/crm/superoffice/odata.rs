//! Lists, as SuperOffice's archives give them: something like OData, by the page.

use domain::Timestamp;
use domain::crm::{CrmError, Trouble};
use serde_json::Value;

use super::client::{Call, Client};
use super::values::Row;

/// So many rows are asked for at once. The largest page is nowhere documented; the vendor's examples have this one.
pub(super) const PAGE: usize = 1_000;

/// A list to be read, in the order of a key.
///
/// Pages go on after the last key, never by `$skip`: there the server counts from the beginning each time, and who is removed meanwhile
/// moves the others past the reader.
pub(super) struct Listing<'a> {
    /// Below `/api/v1/`.
    pub(super) path: &'a str,
    pub(super) columns: &'a [&'a str],
    /// The column that it is ordered by.
    pub(super) key: &'a str,
    pub(super) filter: Filter,
    /// The kinds of rows that are given only when they are asked for.
    pub(super) entities: Option<&'a str>,
    /// As many rows at most.
    pub(super) top: usize,
}

/// A part of a list.
pub(super) struct Rows {
    rows: Vec<Value>,
    /// Whether more follow.
    pub(super) more: bool,
}

impl Rows {
    pub(super) fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(Row)
    }

    /// The last key, where more follow.
    pub(super) fn next(&self, key: &str) -> Option<i64> {
        if !self.more {
            return None;
        }
        self.iter().filter_map(|row| row.int(key)).max()
    }
}

impl Client {
    /// Reads a page of a list.
    pub(super) async fn list(&self, listing: &Listing<'_>) -> Result<Rows, CrmError> {
        let mut call = Call::get(listing.path)
            .with("$select", listing.columns.join(","))
            .with("$orderBy", listing.key)
            .with("$top", listing.top.to_string());
        if !listing.filter.0.is_empty() {
            call = call.with("$filter", listing.filter.0.clone());
        }
        if let Some(entities) = listing.entities {
            call = call.with("$entities", entities);
        }
        let mut answer = self.json(&call).await?;
        // How the link to the next page looks is not documented: that there is one is enough. Where nothing is said, a full page may have a
        // next one.
        let link =
            ["odata.nextLink", "@odata.nextLink"].into_iter().find_map(|name| answer.get(name)).map(Value::is_string);
        let rows = match answer.get_mut("value").map(Value::take) {
            Some(Value::Array(rows)) => rows,
            _ => return Err(unreadable()),
        };
        let more = link.unwrap_or(rows.len() >= listing.top);
        Ok(Rows { rows, more })
    }

    /// Reads all pages of a list that is known to be short.
    pub(super) async fn whole(&self, mut listing: Listing<'_>) -> Result<Vec<Value>, CrmError> {
        let (mut all, filter) = (Vec::new(), listing.filter.clone());
        let mut after = 0;
        loop {
            listing.filter = filter.clone().above(listing.key, after);
            let page = self.list(&listing).await?;
            let next = page.next(listing.key);
            all.extend(page.rows);
            match next {
                Some(key) if key > after => after = key,
                _ => return Ok(all),
            }
        }
    }
}

fn unreadable() -> CrmError {
    let source = Trouble::Unreadable.because("its answer holds no list");
    CrmError::Unavailable { source, may_have_happened: false, retry_after: None }
}

/// What the rows of a list must be: all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filter(String);

impl Filter {
    fn and(mut self, condition: &str) -> Self {
        if !self.0.is_empty() {
            self.0.push_str(" and ");
        }
        self.0.push_str(condition);
        self
    }

    /// A number above this one.
    pub(super) fn above(self, column: &str, number: i64) -> Self {
        self.and(&format!("{column} gt {number}"))
    }

    /// A number that is not above this one.
    pub(super) fn up_to(self, column: &str, number: i64) -> Self {
        self.and(&format!("{column} le {number}"))
    }

    /// This number.
    pub(super) fn equal(self, column: &str, number: i64) -> Self {
        self.and(&format!("{column} eq {number}"))
    }

    /// One of these numbers.
    pub(super) fn one_of(self, column: &str, numbers: &[i64]) -> Self {
        let numbers: Vec<String> = numbers.iter().map(i64::to_string).collect();
        self.and(&format!("{column} oneOf ({})", numbers.join(",")))
    }

    /// This text.
    pub(super) fn is(self, column: &str, text: &str) -> Self {
        self.and(&format!("{column} is {}", quoted(text)))
    }

    /// A moment after this one, which counts to the second. To be verified on a tenant: that it is read as UTC, which is what we ask for.
    pub(super) fn after(self, column: &str, time: Timestamp) -> Self {
        let time = Timestamp::from_seconds(time.seconds()).to_chrono().format("%Y-%m-%dT%H:%M:%S");
        self.and(&format!("{column} afterTime '{time}'"))
    }
}

/// A text in quotes. To be verified on a tenant: that a quote is written twice, as OData has it; the documents do not say.
fn quoted(text: &str) -> String {
    let text: String = text.chars().filter(|letter| !letter.is_control()).collect();
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_joined() {
        let time = "2026-03-01T10:00:01.9Z".parse().expect("a time");
        let filter = Filter::default().above("personId", 7).one_of("a", &[1, 2]).after("b.updated", time);
        assert_eq!(filter.0, "personId gt 7 and a oneOf (1,2) and b.updated afterTime '2026-03-01T10:00:01'");
    }

    #[test]
    fn a_text_stays_within_its_quotes() {
        let filter = Filter::default().is("name", "O'Brien' or name is 'x\n");
        assert_eq!(filter.0, "name is 'O''Brien'' or name is ''x'");
    }
}
