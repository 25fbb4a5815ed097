//! Times and addresses as they are written in requests and answers.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use chrono::{NaiveDate, NaiveTime, SecondsFormat};
use domain::Timestamp;
use service::Refusal;

/// A moment, in requests and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateTime(pub Timestamp);

impl From<Timestamp> for DateTime {
    fn from(at: Timestamp) -> Self {
        Self(at)
    }
}

/// A moment as RFC 3339 writes it, in UTC with microseconds: `2026-01-31T09:30:00.000000Z`. Any offset is understood on input.
#[Scalar(name = "DateTime", specified_by_url = "https://www.rfc-editor.org/rfc/rfc3339")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text) => Ok(Self(text.parse().map_err(|error| InputValueError::custom(format!("{error}")))?)),
            other => Err(InputValueError::expected_type(other)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_chrono().to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

/// A day, in requests and answers: its midnight in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date(pub Timestamp);

/// A day as RFC 3339 writes it: `2026-01-31`.
#[Scalar(name = "Date", specified_by_url = "https://www.rfc-editor.org/rfc/rfc3339#section-5.6")]
impl ScalarType for Date {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = value else { return Err(InputValueError::expected_type(value)) };
        let day = NaiveDate::parse_from_str(&text, "%Y-%m-%d");
        let day = day.map_err(|_| InputValueError::custom("write a day as 2026-01-31"))?;
        let midnight = day.and_time(NaiveTime::MIN).and_utc();
        Ok(Self(Timestamp::from_micros(midnight.timestamp_micros())))
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_chrono().format("%Y-%m-%d").to_string())
    }
}

/// An address, in requests: as it was written, valid or not. A mistyped one is a user's mistake, so it is refused by what it was given
/// to, with the field's name ([`EmailAddress::read`]), and not as a mistake in the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailAddress(String);

/// An e-mail address: the local part is kept as it is written, the domain in lower case. A text that is no address is refused as a user
/// error of the field where it stands.
#[Scalar(name = "EmailAddress")]
impl ScalarType for EmailAddress {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text) => Ok(Self(text)),
            // The value may be an address in a wrong place: it is not repeated.
            _ => Err(InputValueError::custom("an e-mail address is a text")),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

impl EmailAddress {
    /// The address.
    ///
    /// # Errors
    /// A refusal about the field at this path, where the text is no address.
    pub(super) fn read(&self, field: &[&str]) -> Result<domain::email::EmailAddress, Refusal> {
        service::email::read(&self.0, field)
    }
}

/// A count as GraphQL's 32-bit Int; one that is larger shows as the largest.
pub(super) fn int(count: i64) -> i32 {
    i32::try_from(count).unwrap_or(if count < 0 { i32::MIN } else { i32::MAX })
}

/// A time that may be missing.
pub(super) fn at(time: Option<Timestamp>) -> Option<DateTime> {
    time.map(DateTime)
}
