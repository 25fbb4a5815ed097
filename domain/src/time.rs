//! One kind of time: microseconds since 1970-01-01T00:00:00Z.
//!
//! Both databases store it as a 64-bit integer, so that comparing and ordering mean the same everywhere and a value
//! survives the way through either of them unchanged.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, TimeZone, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment, in microseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A text that is not an RFC 3339 time.
#[derive(Debug, thiserror::Error)]
#[error("not a time as RFC 3339 writes it (2026-01-31T09:30:00Z): {0}")]
pub struct InvalidTime(#[from] chrono::ParseError);

impl Timestamp {
    /// Microseconds in an hour: the width of a bucket of the timeline.
    pub const HOUR: i64 = 3_600_000_000;

    /// The moment `micros` microseconds after the Unix epoch.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the Unix epoch.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The moment `seconds` seconds after the Unix epoch; saturates far outside any calendar.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// The moment `millis` milliseconds after the Unix epoch; saturates far outside any calendar.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// From seconds with a fraction, rounded to the microsecond. `None` for what is no number or outside of the years 1 to 9999.
    #[must_use]
    pub fn from_float_seconds(seconds: f64) -> Option<Self> {
        const LIMIT: f64 = 253_402_300_800.0;
        if !seconds.is_finite() || seconds.abs() >= LIMIT {
            return None;
        }
        let whole = seconds.trunc();
        // Formatting is the one conversion from f64 to i64 that neither truncates silently nor needs `as`.
        let micros = ((seconds - whole) * 1e6).round();
        let whole: i64 = format!("{whole:.0}").parse().ok()?;
        let micros: i64 = format!("{micros:.0}").parse().ok()?;
        Some(Self(whole.checked_mul(1_000_000)?.checked_add(micros)?))
    }

    /// Whole seconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// The beginning of the UTC hour that this moment lies in; saturates at the beginning of the range.
    #[must_use]
    pub const fn hour(self) -> Self {
        Self(self.0.saturating_sub(self.0.rem_euclid(Self::HOUR)))
    }

    /// This moment moved by `micros` microseconds; saturates at the ends of the range.
    #[must_use]
    pub const fn plus_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// This moment moved by `seconds` seconds; saturates at the ends of the range.
    #[must_use]
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1_000_000)))
    }

    /// Microseconds from `earlier` to this moment, negative where it lies before.
    #[must_use]
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// As chrono writes it; the epoch where the value lies outside of chrono's range.
    #[must_use]
    pub fn to_chrono(self) -> DateTime<Utc> {
        Utc.timestamp_micros(self.0).single().unwrap_or_default()
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(value: DateTime<Utc>) -> Self {
        Self(value.timestamp_micros())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_chrono().to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        Ok(DateTime::parse_from_rfc3339(text)?.with_timezone(&Utc).into())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_float_keeps_its_microseconds() {
        assert_eq!(Timestamp::from_float_seconds(1_521_472_262.908_181), Some(Timestamp(1_521_472_262_908_181)));
        assert_eq!(Timestamp::from_float_seconds(f64::NAN), None);
        assert_eq!(Timestamp::from_float_seconds(1e300), None);
    }

    #[test]
    fn the_earliest_moment_has_an_hour() {
        assert_eq!(Timestamp(i64::MIN).hour(), Timestamp(i64::MIN));
    }

    proptest! {
        #[test]
        fn text_and_back_is_the_same(micros in -60_000_000_000_000_000_i64..250_000_000_000_000_000) {
            let time = Timestamp(micros);
            prop_assert_eq!(time.to_string().parse::<Timestamp>().expect("own text"), time);
        }

        #[test]
        fn an_hour_starts_at_or_before_its_moments(micros in any::<i32>()) {
            let time = Timestamp(i64::from(micros) * 1_000_003);
            let hour = time.hour();
            prop_assert!(hour <= time && time.since(hour) < Timestamp::HOUR && hour.micros() % Timestamp::HOUR == 0);
        }
    }
}
