//! Reading JSON of others: fields that may be missing, null, numbers instead of texts, or one instead of many.

use std::collections::BTreeMap;

use chrono::NaiveDateTime;
use domain::reading::{BadElement, ReadError, Reading};
use domain::{Event, Provider, Timestamp};
use serde_json::Value;

/// The value at a path of object keys; `None` where a step is missing, null or no object.
#[must_use]
pub fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, key| value.get(key)).filter(|value| !value.is_null())
}

/// The text at a path: non-empty texts as they are, numbers and booleans as JSON writes them (64-bit integers keep every digit).
#[must_use]
pub fn text(value: &Value, path: &[&str]) -> Option<String> {
    as_text(at(value, path)?)
}

/// A value as a text, see [`text`].
#[must_use]
pub fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if text.trim().is_empty() => None,
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// The integer at a path, also where it is written as a text.
#[must_use]
pub fn integer(value: &Value, path: &[&str]) -> Option<i64> {
    match at(value, path)? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// The boolean at a path, also where it is written as a text or as 0 and 1.
#[must_use]
pub fn boolean(value: &Value, path: &[&str]) -> Option<bool> {
    match at(value, path)? {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) => text.trim().to_ascii_lowercase().parse().ok(),
        Value::Number(number) => match number.as_i64() {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        },
        _ => None,
    }
}

/// The texts at a path: a list, or one text that stands for a list of one.
#[must_use]
pub fn texts(value: &Value, path: &[&str]) -> Vec<String> {
    match at(value, path) {
        Some(Value::Array(items)) => items.iter().filter_map(as_text).collect(),
        Some(single) => as_text(single).into_iter().collect(),
        None => Vec::new(),
    }
}

/// An object as metadata: texts as they are, anything else as JSON writes it; nulls are left out.
#[must_use]
pub fn metadata(value: Option<&Value>) -> BTreeMap<String, String> {
    let Some(Value::Object(object)) = value else { return BTreeMap::new() };
    let entry = |(key, value): (&String, &Value)| match value {
        Value::Null => None,
        Value::String(text) => Some((key.clone(), text.clone())),
        other => Some((key.clone(), other.to_string())),
    };
    object.iter().filter_map(entry).collect()
}

/// Metadata that travels as a text: a JSON object is taken apart, any other non-empty text stands under `name`.
#[must_use]
pub fn metadata_in_text(text: Option<&str>, name: &str) -> BTreeMap<String, String> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return BTreeMap::new() };
    match serde_json::from_str::<Value>(text) {
        Ok(object @ Value::Object(_)) => metadata(Some(&object)),
        _ => BTreeMap::from([(name.to_owned(), text.to_owned())]),
    }
}

/// A time however providers write it: RFC 3339 with any fraction, or Unix seconds as a number or text, with or without a fraction.
#[must_use]
pub fn time(value: &Value, path: &[&str]) -> Option<Timestamp> {
    match at(value, path)? {
        Value::Number(number) => match number.as_i64() {
            Some(seconds) => Some(Timestamp::from_seconds(seconds)),
            None => Timestamp::from_float_seconds(number.as_f64()?),
        },
        Value::String(text) => {
            let text = text.trim();
            match text.parse::<i64>() {
                Ok(seconds) => Some(Timestamp::from_seconds(seconds)),
                Err(_) => text.parse().ok().or_else(|| Timestamp::from_float_seconds(text.parse().ok()?)),
            }
        }
        _ => None,
    }
}

/// A time as in [`time`], or as `2026-01-31 09:30:00` without a zone, which then is UTC.
#[must_use]
pub fn time_or_naive_utc(value: &Value, path: &[&str]) -> Option<Timestamp> {
    let naive = || NaiveDateTime::parse_from_str(at(value, path)?.as_str()?.trim(), "%Y-%m-%d %H:%M:%S%.f").ok();
    time(value, path).or_else(|| naive().map(|naive| naive.and_utc().into()))
}

/// A message id without angle brackets.
#[must_use]
pub fn bare_message_id(text: &str) -> Option<String> {
    let bare = text.trim().trim_start_matches('<').trim_end_matches('>').trim();
    (!bare.is_empty()).then(|| bare.to_owned())
}

/// The address in `Name <address>`, or the text itself.
#[must_use]
pub fn bare_address(text: &str) -> Option<String> {
    let text = text.trim();
    let inner = match (text.rfind('<'), text.ends_with('>')) {
        (Some(start), true) => text.get(start + 1..text.len() - 1).unwrap_or_default(),
        _ => text,
    };
    let inner = inner.trim();
    (!inner.is_empty()).then(|| inner.to_owned())
}

/// The error for a body that is not in the provider's format; `reason` is without personal data.
#[must_use]
pub fn not_from(provider: Provider, reason: &str) -> ReadError {
    ReadError::NotThisProvider { provider, reason: reason.to_owned() }
}

/// The body as JSON.
///
/// # Errors
/// [`ReadError::NotThisProvider`] names the place of the mistake, never the content.
pub fn parse(provider: Provider, body: &[u8]) -> Result<Value, ReadError> {
    serde_json::from_slice(body).map_err(|error| ReadError::NotThisProvider {
        provider,
        reason: format!("no JSON (line {}, column {})", error.line(), error.column()),
    })
}

/// The elements of a batch: those of a list, or the one object that stands for a list of one.
///
/// # Errors
/// [`ReadError::NotThisProvider`] where the body is neither.
pub fn batch(provider: Provider, body: &[u8]) -> Result<Vec<Value>, ReadError> {
    match parse(provider, body)? {
        Value::Array(elements) => Ok(elements),
        single @ Value::Object(_) => Ok(vec![single]),
        _ => Err(ReadError::NotThisProvider { provider, reason: "neither an object nor a list of objects".into() }),
    }
}

/// Reads every element on its own, so that a bad one holds up no other. `read` gives the reason where it is bad.
pub fn read_each<'a>(
    elements: impl IntoIterator<Item = &'a Value>,
    read: impl Fn(&'a Value) -> Result<Event, String>,
) -> Reading {
    let mut reading = Reading::default();
    for (index, element) in elements.into_iter().enumerate() {
        match read(element) {
            Ok(event) => reading.events.push(event),
            Err(reason) => reading.failures.push(BadElement { index, reason }),
        }
    }
    reading
}
