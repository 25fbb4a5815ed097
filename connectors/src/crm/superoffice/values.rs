//! Values as SuperOffice writes them. Some are numbers in one place and texts in another: both are read.

use chrono::{DateTime, NaiveDateTime};
use domain::Timestamp;
use domain::crm::CrmError;
use serde_json::Value;

/// A row of a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a>(pub(super) &'a Value);

impl<'a> Row<'a> {
    pub(super) fn value(self, column: &str) -> Option<&'a Value> {
        self.0.get(column)
    }

    /// A whole number.
    pub(super) fn int(self, column: &str) -> Option<i64> {
        int(self.value(column)?)
    }

    /// An id: a number above zero, which stands for none.
    pub(super) fn id(self, column: &str) -> Option<i64> {
        self.int(column).filter(|id| *id > 0)
    }

    /// A text that is not empty.
    pub(super) fn text(self, column: &str) -> Option<String> {
        let text = self.value(column)?.as_str()?.trim();
        Some(text.to_owned()).filter(|text| !text.is_empty())
    }

    /// A flag.
    pub(super) fn flag(self, column: &str) -> Option<bool> {
        match self.value(column)? {
            Value::Bool(flag) => Some(*flag),
            Value::Number(number) => number.as_i64().map(|number| number != 0),
            Value::String(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "1" => Some(true),
                "false" | "0" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    /// A moment.
    pub(super) fn time(self, column: &str) -> Option<Timestamp> {
        time(self.value(column)?.as_str()?)
    }

    /// Names: a list of them, or one text with commas between. To be verified on a tenant: the documents say that such a column is a
    /// list, and show none.
    pub(super) fn names(self, column: &str) -> Option<Vec<String>> {
        let clean = |names: Vec<&str>| {
            names.into_iter().map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
        };
        match self.value(column)? {
            Value::String(text) => Some(clean(text.split(',').collect())),
            Value::Array(list) => Some(clean(list.iter().filter_map(Value::as_str).collect())),
            _ => None,
        }
    }
}

/// A whole number, or a text of one.
pub(super) fn int(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A moment with its zone, or without one: then it is UTC, as we ask for with each request.
pub(super) fn time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let text = text.strip_prefix("[DT:").and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let found = match DateTime::parse_from_rfc3339(text) {
        Ok(time) => Timestamp::from_micros(time.timestamp_micros()),
        Err(_) => NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok()?.and_utc().into(),
    };
    // The year 1 stands for no time.
    (found > Timestamp::from_seconds(0)).then_some(found)
}

/// An id of ours as a number; there is nothing with another one.
pub(super) fn parse_id(id: &str) -> Result<i64, CrmError> {
    id.parse().ok().filter(|id| *id > 0).ok_or(CrmError::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_and_flags_are_read_however_they_are_written() {
        let row = json!({ "a": "25", "b": 25, "c": "true", "d": 0, "e": "x", "f": null, "g": 0 });
        let row = Row(&row);
        assert_eq!((row.int("a"), row.int("b"), row.int("e"), row.int("f")), (Some(25), Some(25), None, None));
        assert_eq!((row.flag("c"), row.flag("d"), row.flag("e")), (Some(true), Some(false), None));
        assert_eq!((row.id("g"), row.id("b"), row.text("f")), (None, Some(25), None));
    }

    #[test]
    fn a_time_without_a_zone_is_utc() {
        let expected = Some("2026-03-01T10:00:00Z".parse().expect("a time"));
        for text in ["2026-03-01T10:00:00", "2026-03-01T10:00:00Z", "2026-03-01T11:00:00+01:00"] {
            assert_eq!(time(text), expected, "{text}");
        }
        assert_eq!(time("2026-03-01T10:00:00.25").map(Timestamp::micros), expected.map(|at| at.micros() + 250_000));
        assert_eq!((time("0001-01-01T00:00:00"), time("")), (None, None));
    }
}
