//! Reading JSON of others: fields that may be missing, null, numbers instead of texts, or one instead of many.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use chrono::NaiveDateTime;
use domain::reading::{ReadError, Reading};
use domain::{Event, Provider, Timestamp};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::bounds;

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

/// The texts at a path, up to a number of them: a list, or one text that stands for a list of one.
#[must_use]
pub fn texts(value: &Value, path: &[&str]) -> Vec<String> {
    match at(value, path) {
        Some(Value::Array(items)) => items.iter().filter_map(as_text).take(bounds::MAX_TAGS).collect(),
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
    match bounds::tree(text.as_bytes()) {
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
/// [`ReadError::NotThisProvider`] with the position of a syntax error, never content; [`ReadError::TooMuch`] if the tree would take too
/// much memory.
pub fn parse(provider: Provider, body: &[u8]) -> Result<Value, ReadError> {
    if !bounds::is_bounded(body) {
        let reason = format!("parsed, it would take more than {} MB", bounds::MAX_TREE >> 20);
        return Err(ReadError::TooMuch(reason));
    }
    serde_json::from_slice(body).map_err(|error| no_json(provider, &error))
}

/// The error for a body that is not JSON. Only the position is kept: serde's messages can quote content.
fn no_json(provider: Provider, error: &serde_json::Error) -> ReadError {
    not_from(provider, &format!("no JSON (line {}, column {})", error.line(), error.column()))
}

/// The fields of an object as raw JSON, for use before the sender is known and for objects that may be large.
#[derive(Debug)]
pub struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// The fields of `body`, an object.
    ///
    /// # Errors
    /// [`ReadError::NotThisProvider`] if it is not an object; [`ReadError::TooMuch`] if it has too many fields.
    pub fn of(provider: Provider, body: &'a [u8]) -> Result<Self, ReadError> {
        let mut too_many = false;
        let mut reader = serde_json::Deserializer::from_slice(body);
        let fields = RawFields(&mut too_many).deserialize(&mut reader).and_then(|fields| reader.end().map(|()| fields));
        match fields {
            Ok(fields) => Ok(Self(fields)),
            Err(_) if too_many => Err(ReadError::TooMuch(format!("more than {} fields", bounds::MAX_FIELDS))),
            Err(error) if error.is_data() => Err(not_from(provider, "no object")),
            Err(error) => Err(no_json(provider, &error)),
        }
    }

    /// The raw value of a field; the last one if the name is repeated.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, raw)| raw.get().as_bytes())
    }

    /// Whether the field exists.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether the object is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A short text such as a signature; `None` if the field is not a text, or longer than 4 KB.
    #[must_use]
    pub fn short_text(&self, name: &str) -> Option<String> {
        let raw = self.get(name).filter(|raw| raw.len() <= bounds::MAX_TEXT)?;
        as_text(&serde_json::from_slice(raw).ok()?)
    }
}

/// The elements of a list, as raw JSON.
///
/// # Errors
/// [`ReadError::NotThisProvider`] if it is not a list; [`ReadError::TooMuch`] if it is too long.
pub fn list(provider: Provider, json: &[u8]) -> Result<Vec<&[u8]>, ReadError> {
    let mut too_many = false;
    let mut reader = serde_json::Deserializer::from_slice(json);
    let list = RawList(&mut too_many).deserialize(&mut reader).and_then(|list| reader.end().map(|()| list));
    match list {
        Ok(list) => Ok(list),
        Err(_) if too_many => Err(bounds::too_many()),
        Err(error) if error.is_data() => Err(not_from(provider, "no list")),
        Err(error) => Err(no_json(provider, &error)),
    }
}

/// Whether a text is valid JSON.
#[must_use]
pub fn is_json(json: &[u8]) -> bool {
    serde_json::from_slice::<&RawValue>(json).is_ok()
}

/// Whether JSON starts like a list.
#[must_use]
pub fn is_list(json: &[u8]) -> bool {
    json.trim_ascii_start().first() == Some(&b'[')
}

/// Whether JSON starts like an object.
#[must_use]
pub fn is_object(json: &[u8]) -> bool {
    json.trim_ascii_start().first() == Some(&b'{')
}

/// The elements of a batch, as raw JSON: those of a list, or a single object.
///
/// # Errors
/// [`ReadError::NotThisProvider`] if the body is neither; [`ReadError::TooMuch`] if there are too many.
pub fn batch(provider: Provider, body: &[u8]) -> Result<Vec<&[u8]>, ReadError> {
    if is_list(body) {
        return list(provider, body);
    }
    match serde_json::from_slice::<&RawValue>(body) {
        Ok(single) if is_object(single.get().as_bytes()) => Ok(vec![single.get().as_bytes()]),
        Ok(_) => Err(not_from(provider, "neither an object nor a list of objects")),
        Err(error) => Err(no_json(provider, &error)),
    }
}

/// Whether the condition holds for any element. Stops at the first match.
pub fn any(elements: &[&[u8]], matches: impl Fn(&Value) -> bool) -> bool {
    elements.iter().any(|element| bounds::tree(element).is_ok_and(|element| matches(&element)))
}

/// Whether there are elements and the condition holds for all of them. Stops at the first mismatch.
pub fn all(elements: &[&[u8]], matches: impl Fn(&Value) -> bool) -> bool {
    let all = elements.iter().all(|element| bounds::tree(element).is_ok_and(|element| matches(&element)));
    !elements.is_empty() && all
}

/// Reads each element separately: a bad one does not affect the others, and only one is in memory as a tree at a time. `read` returns
/// the reason if an element is bad.
///
/// # Errors
/// [`ReadError::TooMuch`] if the events are too many or too large.
pub fn read_each<'a>(
    elements: impl IntoIterator<Item = &'a [u8]>,
    read: impl Fn(&Value) -> Result<Event, String>,
) -> Result<Reading, ReadError> {
    let mut reading = bounds::Collector::default();
    for element in elements {
        reading.add(bounds::tree(element).and_then(|element| read(&element)))?;
    }
    Ok(reading.finish())
}

/// The reading of a body with a single event.
///
/// # Errors
/// [`ReadError::TooMuch`] if it is too large.
pub fn single(event: Result<Event, String>) -> Result<Reading, ReadError> {
    let mut reading = bounds::Collector::default();
    reading.add(event)?;
    Ok(reading.finish())
}

/// Deserialises the fields of an object, up to [`bounds::MAX_FIELDS`]; sets the flag beyond.
struct RawFields<'t>(&'t mut bool);

impl<'de> DeserializeSeed<'de> for RawFields<'_> {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RawFields<'_> {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some((Name(name), raw)) = map.next_entry::<Name<'de>, &RawValue>()? {
            if fields.len() == bounds::MAX_FIELDS {
                *self.0 = true;
                return Err(A::Error::custom("too many fields"));
            }
            fields.push((name, raw));
        }
        Ok(fields)
    }
}

/// The name of a field, borrowed if it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Deserialises the elements of a list, up to [`bounds::MAX_EVENTS`]; sets the flag beyond.
struct RawList<'t>(&'t mut bool);

impl<'de> DeserializeSeed<'de> for RawList<'_> {
    type Value = Vec<&'de [u8]>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for RawList<'_> {
    type Value = Vec<&'de [u8]>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(raw) = list.next_element::<&RawValue>()? {
            if elements.len() == bounds::MAX_EVENTS {
                *self.0 = true;
                return Err(A::Error::custom("too many elements"));
            }
            elements.push(raw.get().as_bytes());
        }
        Ok(elements)
    }
}
