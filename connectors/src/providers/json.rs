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
/// [`ReadError::NotThisProvider`] names the place of the mistake, never the content; [`ReadError::TooMuch`] where the tree would take
/// too much memory.
pub fn parse(provider: Provider, body: &[u8]) -> Result<Value, ReadError> {
    if !bounds::is_bounded(body) {
        let reason = format!("as a tree it would take more than {} MB of memory", bounds::MAX_TREE >> 20);
        return Err(ReadError::TooMuch(reason));
    }
    serde_json::from_slice(body).map_err(|error| no_json(provider, &error))
}

/// Where the body is no JSON; an error of serde's own may quote what it found, so only the place is kept.
fn no_json(provider: Provider, error: &serde_json::Error) -> ReadError {
    not_from(provider, &format!("no JSON (line {}, column {})", error.line(), error.column()))
}

/// The fields of an object, as they are written: its tree may be too large, and mostly one field is wanted.
#[derive(Debug)]
pub struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// The fields of the object that the body is.
    ///
    /// # Errors
    /// [`ReadError::NotThisProvider`] where it is no object; [`ReadError::TooMuch`] where it has too many fields.
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

    /// The value of a field, as it is written; of several the last one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, raw)| raw.get().as_bytes())
    }

    /// Whether there is a field of that name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether there are none at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A short text, such as a signature; `None` where the field is something else, or longer than 4 KB.
    #[must_use]
    pub fn short_text(&self, name: &str) -> Option<String> {
        let raw = self.get(name).filter(|raw| raw.len() <= bounds::MAX_TEXT)?;
        as_text(&serde_json::from_slice(raw).ok()?)
    }
}

/// The elements of the list in `json`, as they are written.
///
/// # Errors
/// [`ReadError::NotThisProvider`] where it is no list; [`ReadError::TooMuch`] where it is too long.
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

/// Whether it is JSON at all.
#[must_use]
pub fn is_json(json: &[u8]) -> bool {
    serde_json::from_slice::<&RawValue>(json).is_ok()
}

/// Whether `json` begins as a list does.
#[must_use]
pub fn is_list(json: &[u8]) -> bool {
    json.trim_ascii_start().first() == Some(&b'[')
}

/// Whether `json` begins as an object does.
#[must_use]
pub fn is_object(json: &[u8]) -> bool {
    json.trim_ascii_start().first() == Some(&b'{')
}

/// The elements of a batch, as they are written: those of a list, or the one object that stands for a list of one.
///
/// # Errors
/// [`ReadError::NotThisProvider`] where the body is neither; [`ReadError::TooMuch`] where there are too many.
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

/// Whether one of the elements is such a one; those behind it are not looked at.
pub fn any(elements: &[&[u8]], is_such: impl Fn(&Value) -> bool) -> bool {
    elements.iter().any(|element| bounds::tree(element).is_ok_and(|element| is_such(&element)))
}

/// Whether there are elements, and all of them are such ones; those behind one that is not are not looked at.
pub fn all(elements: &[&[u8]], is_such: impl Fn(&Value) -> bool) -> bool {
    let all = elements.iter().all(|element| bounds::tree(element).is_ok_and(|element| is_such(&element)));
    !elements.is_empty() && all
}

/// Reads every element on its own, so that a bad one holds up no other, and only one is in memory as a tree. `read` gives the reason
/// where it is bad.
///
/// # Errors
/// [`ReadError::TooMuch`] where their events are too many or too large.
pub fn read_each<'a>(
    elements: impl IntoIterator<Item = &'a [u8]>,
    read: impl Fn(&Value) -> Result<Event, String>,
) -> Result<Reading, ReadError> {
    let mut reading = bounds::Bounded::default();
    for element in elements {
        reading.add(bounds::tree(element).and_then(|element| read(&element)))?;
    }
    Ok(reading.finish())
}

/// What is read of a body that holds a single event.
///
/// # Errors
/// [`ReadError::TooMuch`] where it is too large.
pub fn single(event: Result<Event, String>) -> Result<Reading, ReadError> {
    let mut reading = bounds::Bounded::default();
    reading.add(event)?;
    Ok(reading.finish())
}

/// Takes the fields of an object, up to a number of them.
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

/// The name of a field: borrowed unless it is written with escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Takes the elements of a list, up to a number of them.
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
