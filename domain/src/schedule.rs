//! When something that is done again and again is due: a cron expression in a time zone.
//!
//! The expression speaks of local times. Where a clock is set forward, a local time that does not exist is due at the moment at
//! which the gap ends; where it is set back, one that comes twice is due when it comes first. So what is due at a time of day is due
//! once on each day.

use std::str::FromStr;

use chrono::{DateTime, Days, NaiveDateTime, Offset, TimeZone, Utc};
use chrono_tz::Tz;

use crate::Timestamp;

/// A cron expression in a time zone.
#[derive(Clone, Debug)]
pub struct Timetable {
    expression: cron::Schedule,
    zone: Tz,
}

/// A text that is not a cron expression.
#[derive(Debug, thiserror::Error)]
#[error("not a cron expression with seconds (0 10 3 * * *): {0}")]
pub struct InvalidExpression(#[from] cron::error::Error);

impl Timetable {
    /// Reads an expression: second, minute, hour, day of the month, month, day of the week.
    ///
    /// # Errors
    /// Where it is none.
    pub fn new(expression: &str, zone: Tz) -> Result<Self, InvalidExpression> {
        Ok(Self { expression: cron::Schedule::from_str(expression)?, zone })
    }

    /// The last time at or before `now` at which it was due. `None` where it never was.
    #[must_use]
    pub fn latest(&self, now: Timestamp) -> Option<Timestamp> {
        let utc = now.to_chrono();
        // Where the clock was set back within the last day, local times up to so much later may have been already.
        let set_back = self.offset(utc.checked_sub_days(Days::new(1))?) - self.offset(utc);
        let ahead = chrono::TimeDelta::seconds(i64::from(set_back.max(0)));
        let local = utc.with_timezone(&self.zone).naive_local().checked_add_signed(ahead)?;
        // The iterator goes back to what lies before its beginning.
        let from = local.checked_add_signed(chrono::TimeDelta::microseconds(1))?.and_utc();
        let mut due = self.expression.after(&from).rev().map(|local| self.moment(local.naive_utc()));
        due.find(|due| *due <= now)
    }

    /// The first time after `now` at which it is due. `None` where it never is again.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let utc = now.to_chrono();
        let from = utc.with_timezone(&self.zone).naive_local().and_utc();
        let mut due = self.expression.after(&from).map(|local| self.moment(local.naive_utc()));
        due.find(|due| *due > now)
    }

    /// Seconds that local time is ahead of UTC.
    fn offset(&self, at: DateTime<Utc>) -> i32 {
        self.zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc()
    }

    /// When a local time is.
    fn moment(&self, local: NaiveDateTime) -> Timestamp {
        if let Some(moment) = self.zone.from_local_datetime(&local).earliest() {
            return moment.with_timezone(&Utc).into();
        }
        // It lies in a gap. A day before, local time still had the offset that it has until the gap.
        let before = local.checked_sub_days(Days::new(1)).unwrap_or(local).and_utc();
        let old = self.offset(before - chrono::TimeDelta::seconds(i64::from(self.offset(before))));
        self.end_of_gap((local - chrono::TimeDelta::seconds(i64::from(old))).and_utc())
    }

    /// The moment of the change of offset between `inside`, which a gap's local time would be by the old offset and so lies behind the
    /// change, and the day before.
    fn end_of_gap(&self, inside: DateTime<Utc>) -> Timestamp {
        let (mut after, new) = (inside.timestamp(), self.offset(inside));
        let mut before = after - 24 * 60 * 60;
        while after - before > 1 {
            let middle = before.midpoint(after);
            let at = DateTime::from_timestamp(middle, 0).unwrap_or(inside);
            if self.offset(at) == new {
                after = middle;
            } else {
                before = middle;
            }
        }
        Timestamp::from_seconds(after)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn berlin(expression: &str) -> Timetable {
        Timetable::new(expression, Tz::Europe__Berlin).expect("an expression")
    }

    #[test]
    fn a_time_of_day_that_does_not_exist_is_due_once_the_clock_has_jumped() {
        let table = berlin("0 30 2 * * *");
        assert_eq!(table.latest(at("2026-03-29T00:59:59.999Z")), Some(at("2026-03-28T01:30:00Z")));
        assert_eq!(table.latest(at("2026-03-29T01:00:00Z")), Some(at("2026-03-29T01:00:00Z")));
        assert_eq!(table.latest(at("2026-03-29T23:00:00Z")), Some(at("2026-03-29T01:00:00Z")));
        assert_eq!(table.next(at("2026-03-28T12:00:00Z")), Some(at("2026-03-29T01:00:00Z")));
        assert_eq!(table.next(at("2026-03-29T01:00:00Z")), Some(at("2026-03-30T00:30:00Z")));
    }

    #[test]
    fn a_time_of_day_that_comes_twice_is_due_the_first_time() {
        let table = berlin("0 30 2 * * *");
        let first = at("2026-10-25T00:30:00Z");
        assert_eq!(table.latest(at("2026-10-25T00:29:59Z")), Some(at("2026-10-24T00:30:00Z")));
        // Also while local time is before 02:30 again, at 02:30 again, and for the rest of the day.
        for later in ["00:30:00Z", "01:10:00Z", "01:30:00Z", "02:30:00Z", "22:00:00Z"] {
            assert_eq!(table.latest(at(&format!("2026-10-25T{later}"))), Some(first), "{later}");
        }
        assert_eq!(table.next(first), Some(at("2026-10-26T01:30:00Z")));
        assert_eq!(table.next(at("2026-10-25T01:10:00Z")), Some(at("2026-10-26T01:30:00Z")));
    }

    #[test]
    fn expressions_are_checked() {
        assert!(Timetable::new("every night", Tz::UTC).is_err());
        let never = Timetable::new("0 0 0 30 2 *", Tz::UTC).expect("an expression");
        assert_eq!((never.latest(at("2026-01-01T00:00:00Z")), never.next(at("2026-01-01T00:00:00Z"))), (None, None));
    }

    proptest! {
        #[test]
        fn a_nightly_time_is_due_once_a_day(
            day in 0_i64..3_650, hour in 0_u32..24, minute in 0_u32..60,
            zone in prop::sample::select(vec![Tz::Europe__Berlin, Tz::America__New_York, Tz::Australia__Lord_Howe, Tz::UTC]),
        ) {
            let table = Timetable::new(&format!("0 {minute} {hour} * * *"), zone).expect("an expression");
            let start = Timestamp::from_seconds(1_767_225_600 + day * 86_400);
            let (mut due, mut days) = (table.next(start).expect("a time"), Vec::new());
            for _ in 0..4 {
                days.push(due.to_chrono().with_timezone(&zone).date_naive());
                let next = table.next(due).expect("a time");
                prop_assert!(next > due);
                prop_assert_eq!(table.latest(due), Some(due));
                prop_assert_eq!(table.latest(next.plus_micros(-1)), Some(due));
                due = next;
            }
            let follow = |pair: &[chrono::NaiveDate]| pair[0].succ_opt() == Some(pair[1]);
            prop_assert!(days.windows(2).all(follow), "{:?}", days);
        }

        #[test]
        fn every_minute_is_due(second in 1_700_000_000_i64..1_900_000_000) {
            let table = Timetable::new("0 * * * * *", Tz::UTC).expect("an expression");
            let now = Timestamp::from_seconds(second);
            let minute = Timestamp::from_seconds(second - second % 60);
            prop_assert_eq!(table.latest(now), Some(minute));
            prop_assert_eq!(table.next(now), Some(minute.plus_seconds(60)));
        }
    }
}
