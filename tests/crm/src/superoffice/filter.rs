//! The parameters of a list, and what they mean for its rows.

use std::cmp::Ordering;

use domain::Timestamp;
use serde_json::{Value, json};

use super::answer::{Answer, Fault};
use super::http::Request;

/// A value of a row.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Val {
    Int(i64),
    Text(String),
    Flag(bool),
    Time(Timestamp),
    Names(Vec<String>),
    None,
}

impl Val {
    fn json(&self, numbers_as_texts: bool) -> Value {
        match self {
            Self::Int(number) if numbers_as_texts => json!(number.to_string()),
            Self::Int(number) => json!(number),
            Self::Text(text) => json!(text),
            Self::Flag(flag) => json!(flag),
            Self::Time(time) => json!(date(*time)),
            Self::Names(names) => json!(names),
            Self::None => Value::Null,
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Int(one), Self::Int(two)) => one.cmp(two),
            (Self::Text(one), Self::Text(two)) => one.cmp(two),
            _ => Ordering::Equal,
        }
    }
}

/// A time without a zone, to the second.
pub(super) fn date(time: Timestamp) -> String {
    time.to_chrono().format("%Y-%m-%dT%H:%M:%S").to_string()
}

enum Test {
    Above(i64),
    UpTo(i64),
    Equal(i64),
    OneOf(Vec<i64>),
    Is(String),
    After(Timestamp),
}

/// What is asked of a list.
pub(super) struct Query {
    select: Vec<String>,
    conditions: Vec<(String, Test)>,
    order: String,
    top: usize,
    entities: Vec<String>,
}

impl Query {
    /// Reads the parameters; refuses what this list does not have.
    pub(super) fn read(request: &Request, known: &[&str]) -> Result<Self, Fault> {
        const PARAMETERS: [&str; 5] = ["$select", "$filter", "$orderBy", "$top", "$entities"];
        if request.query.iter().any(|(name, _)| !PARAMETERS.contains(&name.as_str())) {
            return Err(Fault::BAD);
        }
        let list = |name: &str| -> Vec<String> {
            let text = request.parameter(name).unwrap_or_default();
            text.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect()
        };
        let select = list("$select");
        let conditions = split(request.parameter("$filter").unwrap_or_default());
        let conditions = conditions.iter().map(|text| condition(text)).collect::<Result<Vec<_>, Fault>>()?;
        let order = request.parameter("$orderBy").ok_or(Fault::BAD)?.to_owned();
        let top = request.parameter("$top").and_then(|text| text.parse().ok()).unwrap_or(100);
        let mut columns = select.iter().chain(conditions.iter().map(|(column, _)| column)).chain([&order]);
        let is_known = columns.all(|column| known.contains(&column.as_str()));
        drop(columns);
        if select.is_empty() || !is_known {
            return Err(Fault::BAD);
        }
        Ok(Self { select, conditions, order, top: usize::min(top, 1_000), entities: list("$entities") })
    }

    pub(super) fn has_entity(&self, name: &str) -> bool {
        self.entities.iter().any(|entity| entity == name)
    }

    /// The number that a column must be.
    pub(super) fn equal(&self, column: &str) -> Option<i64> {
        self.tests(column).find_map(|test| if let Test::Equal(number) = test { Some(*number) } else { None })
    }

    /// The numbers that a column must be one of.
    pub(super) fn one_of(&self, column: &str) -> Option<Vec<i64>> {
        self.tests(column).find_map(|test| if let Test::OneOf(numbers) = test { Some(numbers.clone()) } else { None })
    }

    /// The number that a column must be above, and the one that it must not be above.
    pub(super) fn range(&self, column: &str) -> (i64, i64) {
        self.tests(column).fold((0, i64::MAX), |(above, up_to), test| match test {
            Test::Above(number) => (above.max(*number), up_to),
            Test::UpTo(number) => (above, up_to.min(*number)),
            _ => (above, up_to),
        })
    }

    fn tests(&self, column: &str) -> impl Iterator<Item = &Test> {
        self.conditions.iter().filter(move |(known, _)| known == column).map(|(_, test)| test)
    }

    /// The page. Rows come in the order of `natural`; `column` is a row's value.
    pub(super) fn page<R>(
        &self,
        natural: &str,
        numbers_as_texts: bool,
        rows: impl Iterator<Item = R>,
        column: impl Fn(&R, &str) -> Val,
    ) -> Answer {
        let mut rows = rows.filter(|row| self.conditions.iter().all(|(name, test)| test.holds(&column(row, name))));
        let mut found: Vec<R> = if self.order == natural {
            rows.by_ref().take(self.top + 1).collect()
        } else {
            let mut all: Vec<R> = rows.collect();
            all.sort_by(|one, two| column(one, &self.order).compare(&column(two, &self.order)));
            all
        };
        let more = found.len() > self.top;
        found.truncate(self.top);
        let object = |row: &R| {
            let pairs = self.select.iter().map(|name| (name.clone(), column(row, name).json(numbers_as_texts)));
            let mut object: serde_json::Map<String, Value> = pairs.collect();
            object.insert("PrimaryKey".to_owned(), json!("0"));
            Value::Object(object)
        };
        let rows: Vec<Value> = found.iter().map(object).collect();
        let next = more.then_some("https://somewhere.example/not-to-be-followed");
        Ok(Some(json!({ "odata.metadata": "", "odata.nextLink": next, "value": rows })))
    }
}

impl Test {
    fn holds(&self, value: &Val) -> bool {
        match (self, value) {
            (Self::Above(number), Val::Int(value)) => value > number,
            (Self::UpTo(number), Val::Int(value)) => value <= number,
            (Self::Equal(number), Val::Int(value)) => value == number,
            (Self::OneOf(numbers), Val::Int(value)) => numbers.contains(value),
            (Self::Is(text), Val::Text(value)) => value == text,
            (Self::After(time), Val::Time(value)) => value.seconds() > time.seconds(),
            _ => false,
        }
    }
}

/// The conditions, split where `and` stands outside of quotes.
fn split(filter: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let (mut quoted, mut rest) = (false, filter);
    while let Some(letter) = rest.chars().next() {
        if !quoted && rest.starts_with(" and ") {
            parts.push(String::new());
            rest = &rest[5..];
            continue;
        }
        quoted ^= letter == '\'';
        parts.last_mut().expect("one at least").push(letter);
        rest = &rest[letter.len_utf8()..];
    }
    parts.retain(|part| !part.is_empty());
    parts
}

fn condition(text: &str) -> Result<(String, Test), Fault> {
    let mut parts = text.splitn(3, ' ');
    let (Some(column), Some(operator), Some(value)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Fault::BAD);
    };
    let number = || value.parse::<i64>().map_err(|_| Fault::BAD);
    let quoted = || value.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')).ok_or(Fault::BAD);
    let test = match operator {
        "gt" => Test::Above(number()?),
        "le" => Test::UpTo(number()?),
        "eq" => Test::Equal(number()?),
        "oneOf" => {
            let list = value.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).ok_or(Fault::BAD)?;
            let numbers = list.split(',').map(str::parse).collect::<Result<Vec<i64>, _>>();
            Test::OneOf(numbers.map_err(|_| Fault::BAD)?)
        }
        "is" => {
            let text = quoted()?.replace("''", "\u{0}");
            if text.contains('\'') {
                return Err(Fault::BAD);
            }
            Test::Is(text.replace('\u{0}', "'"))
        }
        "afterTime" => Test::After(format!("{}Z", quoted()?).parse().map_err(|_| Fault::BAD)?),
        _ => return Err(Fault::BAD),
    };
    Ok((column.to_owned(), test))
}
