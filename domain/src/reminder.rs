//! Who is reminded of a campaign, and when.

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, TimeZone, Weekday};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::coded_enum;
use crate::facts::Facts;
use crate::health::{AddressHealth, Marks};
use crate::status::{RecipientStatus, status};

coded_enum! {
    /// Whom a reminder is for.
    ReminderAudience {
        /// Sent or delivered, and no person opened or clicked.
        NoHumanSignal = 1 "NO_HUMAN_SIGNAL",
        /// No person clicked, whether or not somebody opened.
        NotClicked = 2 "NOT_CLICKED",
    }
}

coded_enum! {
    /// Why somebody gets no reminder.
    Exclusion {
        /// The mail did not go out to them: skipped, canceled, or not sent yet.
        NotSent = 1 "NOT_SENT",
        /// The mail bounced.
        Bounced = 2 "BOUNCED",
        /// They have read it, or clicked, whichever the rule is about.
        Responded = 3 "RESPONDED",
        /// They reported a mail as spam.
        Complained = 4 "COMPLAINED",
        /// They unsubscribed.
        Unsubscribed = 5 "UNSUBSCRIBED",
        /// Their address is blocked.
        BlockedAddress = 6 "BLOCKED_ADDRESS",
        /// They have left their company.
        FormerEmployee = 7 "FORMER_EMPLOYEE",
        /// It is not long enough ago that the mail went out.
        TooSoon = 8 "TOO_SOON",
        /// They were reminded as often as the rule allows.
        RemindedEnough = 9 "REMINDED_ENOUGH",
        /// A provider's simulator, not a person.
        Simulator = 10 "SIMULATOR",
    }
}

/// Who and after how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Targeting {
    /// Hours since the mail went out.
    pub after_hours: u32,
    /// Who.
    pub audience: ReminderAudience,
    /// How often at most.
    pub max_reminders: u32,
}

/// Somebody who may be reminded.
#[derive(Clone, Debug)]
pub struct Candidate<'a> {
    /// What is known of the recipient.
    pub facts: &'a Facts,
    /// Whether it is a provider's simulator.
    pub is_simulator: bool,
    /// How the address is doing.
    pub health: AddressHealth,
    /// What people did about the address.
    pub marks: Marks,
    /// Whether any mail to the address was ever reported as spam.
    pub has_complained: bool,
    /// When the campaign went out, for recipients of whom no event tells.
    pub campaign_sent_at: Option<Timestamp>,
    /// How often the rule has reminded already.
    pub reminded: u32,
}

/// Whether somebody is to be reminded at `now`.
///
/// What can never be undone by waiting is told first, so that a preview explains and does not only count.
///
/// # Errors
/// The reason why not.
pub fn check(candidate: &Candidate<'_>, targeting: &Targeting, now: Timestamp) -> Result<(), Exclusion> {
    let facts = candidate.facts;
    if candidate.is_simulator {
        return Err(Exclusion::Simulator);
    }
    if candidate.has_complained || facts.complained_at.is_some() {
        return Err(Exclusion::Complained);
    }
    if facts.unsubscribed_at.is_some() {
        return Err(Exclusion::Unsubscribed);
    }
    if candidate.marks.former_employee_at.is_some() {
        return Err(Exclusion::FormerEmployee);
    }
    match status(facts).0 {
        RecipientStatus::Ready | RecipientStatus::Blocked | RecipientStatus::Canceled => {
            return Err(Exclusion::NotSent);
        }
        RecipientStatus::SoftBounced | RecipientStatus::HardBounced => return Err(Exclusion::Bounced),
        RecipientStatus::Complained => return Err(Exclusion::Complained),
        RecipientStatus::Unsubscribed => return Err(Exclusion::Unsubscribed),
        RecipientStatus::Sent | RecipientStatus::Delivered | RecipientStatus::Read | RecipientStatus::Clicked => {}
    }
    let responded = match targeting.audience {
        ReminderAudience::NoHumanSignal => facts.opens > 0 || facts.clicks > 0,
        ReminderAudience::NotClicked => facts.clicks > 0,
    };
    if responded {
        return Err(Exclusion::Responded);
    }
    if candidate.health == AddressHealth::Blocked {
        return Err(Exclusion::BlockedAddress);
    }
    if candidate.reminded >= targeting.max_reminders {
        return Err(Exclusion::RemindedEnough);
    }
    let sent_at = facts.sent_at.or(facts.delivered_at).or(candidate.campaign_sent_at);
    let due = sent_at.map(|at| at.plus_seconds(i64::from(targeting.after_hours) * 3_600));
    if due.is_none_or(|due| now < due) {
        return Err(Exclusion::TooSoon);
    }
    Ok(())
}

/// The hours in which reminders may go out, by the clocks of a time zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendWindow {
    /// From this time of day on.
    pub from: NaiveTime,
    /// Before this time of day; not before `from`.
    pub to: NaiveTime,
    /// On these days.
    pub days: Vec<Weekday>,
}

impl SendWindow {
    /// `now` where the window is open, else when it opens next; `None` for one that never does.
    #[must_use]
    pub fn next_open(&self, now: Timestamp, zone: Tz) -> Option<Timestamp> {
        let here = zone.timestamp_micros(now.micros()).single()?;
        let today = here.date_naive();
        // A week and a day: the only day allowed may be today's, and over.
        (0..=7).filter_map(|ahead| today.checked_add_days(Days::new(ahead))).find_map(|date| {
            let opens = self.opens_on(date, zone)?;
            let closes = local(zone, date, self.to)?;
            let at = opens.max(here);
            (at < closes).then(|| Timestamp::from_micros(at.timestamp_micros()))
        })
    }

    fn opens_on(&self, date: NaiveDate, zone: Tz) -> Option<DateTime<Tz>> {
        self.days.contains(&date.weekday()).then(|| local(zone, date, self.from)).flatten()
    }
}

/// When the clocks show this time; where they skip it, when they go on; where they show it twice, the first time.
fn local(zone: Tz, date: NaiveDate, time: NaiveTime) -> Option<DateTime<Tz>> {
    let wanted = date.and_time(time);
    let minutes = (0..=180).map(chrono::Duration::minutes);
    minutes.filter_map(|later| zone.from_local_datetime(&(wanted + later)).earliest()).next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono_tz::Europe::Berlin;
    use proptest::prelude::*;

    fn sent(hour: i64) -> Facts {
        Facts { sent_at: Some(Timestamp::from_seconds(hour * 3_600)), ..Facts::default() }
    }

    fn candidate(facts: &Facts) -> Candidate<'_> {
        Candidate {
            facts,
            is_simulator: false,
            health: AddressHealth::Ok,
            marks: Marks::default(),
            has_complained: false,
            campaign_sent_at: None,
            reminded: 0,
        }
    }

    const RULE: Targeting = Targeting { after_hours: 72, audience: ReminderAudience::NoHumanSignal, max_reminders: 1 };

    fn at_hour(hour: i64) -> Timestamp {
        Timestamp::from_seconds(hour * 3_600)
    }

    #[test]
    fn those_who_have_not_read_are_reminded_when_it_is_time() {
        let facts = sent(0);
        assert_eq!(check(&candidate(&facts), &RULE, at_hour(71)), Err(Exclusion::TooSoon));
        assert_eq!(check(&candidate(&facts), &RULE, at_hour(72)), Ok(()));
        let machine = Facts { machine_opens: 3, machine_clicks: 1, ..sent(0) };
        assert_eq!(check(&candidate(&machine), &RULE, at_hour(72)), Ok(()), "machines do not read");
        let read = Facts { opens: 1, first_opened_at: Some(at_hour(1)), ..sent(0) };
        assert_eq!(check(&candidate(&read), &RULE, at_hour(72)), Err(Exclusion::Responded));
        let clicks = Targeting { audience: ReminderAudience::NotClicked, ..RULE };
        assert_eq!(check(&candidate(&read), &clicks, at_hour(72)), Ok(()));
    }

    #[test]
    fn some_are_never_reminded() {
        let facts = sent(0);
        let base = candidate(&facts);
        let marks = Marks { former_employee_at: Some(at_hour(0)), ..Marks::default() };
        for (candidate, reason) in [
            (Candidate { is_simulator: true, ..base.clone() }, Exclusion::Simulator),
            (Candidate { has_complained: true, ..base.clone() }, Exclusion::Complained),
            (Candidate { health: AddressHealth::Blocked, ..base.clone() }, Exclusion::BlockedAddress),
            (Candidate { marks, ..base.clone() }, Exclusion::FormerEmployee),
            (Candidate { reminded: 1, ..base.clone() }, Exclusion::RemindedEnough),
        ] {
            assert_eq!(check(&candidate, &RULE, at_hour(1_000)), Err(reason));
        }
        for (facts, reason) in [
            (Facts::default(), Exclusion::NotSent),
            (Facts { unsubscribed_at: Some(at_hour(1)), ..sent(0) }, Exclusion::Unsubscribed),
            (Facts { complained_at: Some(at_hour(1)), ..sent(0) }, Exclusion::Complained),
            (Facts { hard_bounced_at: Some(at_hour(1)), ..sent(0) }, Exclusion::Bounced),
        ] {
            assert_eq!(check(&candidate(&facts), &RULE, at_hour(1_000)), Err(reason), "{facts:?}");
        }
    }

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn window(from: &str, to: &str, days: &[Weekday]) -> SendWindow {
        let clock = |text: &str| NaiveTime::parse_from_str(text, "%H:%M").expect("a time of day");
        SendWindow { from: clock(from), to: clock(to), days: days.to_vec() }
    }

    #[test]
    fn quiet_hours_follow_the_clocks() {
        use Weekday::{Fri, Mon, Sun, Thu, Tue, Wed};
        let work = window("08:00", "18:00", &[Mon, Tue, Wed, Thu, Fri]);
        for (now, opens) in [
            // Winter: UTC+1.
            ("2026-01-14T06:59:00Z", "2026-01-14T07:00:00Z"),
            ("2026-01-14T12:00:00Z", "2026-01-14T12:00:00Z"),
            ("2026-01-14T17:00:00Z", "2026-01-15T07:00:00Z"),
            // A Friday evening; the Monday after the clocks went forward on 29 March 2026: UTC+2.
            ("2026-03-27T20:00:00Z", "2026-03-30T06:00:00Z"),
        ] {
            assert_eq!(work.next_open(time(now), Berlin), Some(time(opens)), "{now}");
        }
        // 02:30 does not exist on that Sunday: it opens when the clocks go on, at 03:00 summer time.
        let night = window("02:30", "04:00", &[Sun]);
        assert_eq!(night.next_open(time("2026-03-28T12:00:00Z"), Berlin), Some(time("2026-03-29T01:00:00Z")));
        // And it exists twice on 25 October: the first one counts.
        assert_eq!(night.next_open(time("2026-10-24T12:00:00Z"), Berlin), Some(time("2026-10-25T00:30:00Z")));
        assert_eq!(window("18:00", "08:00", &[Mon]).next_open(time("2026-01-14T12:00:00Z"), Berlin), None);
        assert_eq!(window("08:00", "18:00", &[]).next_open(time("2026-01-14T12:00:00Z"), Berlin), None);
    }

    proptest! {
        #[test]
        fn an_open_window_is_never_in_the_past_and_stays_open(now in 0_i64..4_000_000_000, from in 0_u32..23, length in 1_u32..23) {
            let hour = |hour: u32| NaiveTime::from_hms_opt(hour.min(23), 0, 0).expect("a time of day");
            let days = vec![Weekday::Tue, Weekday::Sat];
            let window = SendWindow { from: hour(from), to: hour(from + length), days };
            let now = Timestamp::from_seconds(now);
            if let Some(opens) = window.next_open(now, Berlin) {
                prop_assert!(opens >= now);
                prop_assert_eq!(window.next_open(opens, Berlin), Some(opens));
            }
        }
    }
}
