//! Who is reminded of a campaign, and when.

mod pattern;

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, TimeZone, Weekday};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::coded_enum;
use crate::facts::Facts;
use crate::health::AddressHealth;
use crate::status::{RecipientStatus, SkipReason, status};
pub use pattern::NamePattern;

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
    /// What is made of those who are due.
    ReminderAction {
        /// A campaign with them as its recipients, and the same as a selection where the CRM knows anybody.
        NewCampaign = 1 "NEW_CAMPAIGN",
        /// Members of a selection of the CRM: somebody reminds them by other means.
        Selection = 2 "SELECTION",
        /// The same campaign is sent to them again.
        Resend = 3 "RESEND",
    }
}

coded_enum! {
    /// Why somebody gets no reminder.
    Exclusion {
        /// The mail did not go out to them: skipped, canceled, or not sent yet.
        NotSent = 1 "NOT_SENT",
        /// The mail bounced, or the reminder before did.
        Bounced = 2 "BOUNCED",
        /// They have read it or an earlier reminder, or clicked, whichever the rule is about.
        Responded = 3 "RESPONDED",
        /// They reported it, or an earlier reminder, as spam.
        Complained = 4 "COMPLAINED",
        /// They unsubscribed, by this mail or another.
        Unsubscribed = 5 "UNSUBSCRIBED",
        /// Their address is blocked.
        BlockedAddress = 6 "BLOCKED_ADDRESS",
        /// They have left their company.
        FormerEmployee = 7 "FORMER_EMPLOYEE",
        /// It is not long enough ago that the mail, or the reminder before, went out.
        TooSoon = 8 "TOO_SOON",
        /// They were reminded as often as the rule allows.
        RemindedEnough = 9 "REMINDED_ENOUGH",
        /// A provider's simulator, not a person.
        Simulator = 10 "SIMULATOR",
        /// They do not consent: they reported another mail as spam, or the CRM says that they must not be written to.
        NoConsent = 11 "NO_CONSENT",
        /// Their address was taken out of use.
        DeletedAddress = 12 "DELETED_ADDRESS",
        /// The reminder that would be theirs was called off.
        Canceled = 13 "CANCELED",
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
    /// What is known of the reminders that the rule has made for them, the first one first.
    pub reminders: &'a [Facts],
    /// What is known of the other times that one of these mails was sent to them. What they answered to any of them counts.
    pub other_attempts: &'a [Facts],
    /// Whether it is a provider's simulator.
    pub is_simulator: bool,
    /// The address they are written to.
    pub address: Address,
    /// When the campaign went out, for recipients of whom no event tells.
    pub campaign_sent_at: Option<Timestamp>,
    /// Whether the next reminder was called off for everybody.
    pub is_canceled: bool,
}

/// What there is to know about an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// How it is doing.
    pub health: AddressHealth,
    /// Whether its user has left the company.
    pub is_former_employee: bool,
    /// Whether it was taken out of use.
    pub is_deleted: bool,
    /// Whether its user withdrew their consent, over all campaigns.
    pub is_consent_withdrawn: bool,
    /// Whether its user unsubscribed, over all campaigns.
    pub is_unsubscribed: bool,
}

/// Whether somebody is to be reminded at `now`.
///
/// What can never be undone by waiting is told first, so that a preview explains and does not only count.
///
/// # Errors
/// The reason why not.
pub fn check(candidate: &Candidate<'_>, targeting: &Targeting, now: Timestamp) -> Result<(), Exclusion> {
    if let Some(reason) = objection(candidate, targeting.audience) {
        return Err(reason);
    }
    if u32::try_from(candidate.reminders.len()).unwrap_or(u32::MAX) >= targeting.max_reminders {
        return Err(Exclusion::RemindedEnough);
    }
    if let Some(reason) = failed_reminder(candidate) {
        return Err(reason);
    }
    if candidate.is_canceled {
        return Err(Exclusion::Canceled);
    }
    if due_at(candidate, targeting).is_none_or(|due| now < due) {
        return Err(Exclusion::TooSoon);
    }
    Ok(())
}

/// Why a reminder that was made for somebody and has not gone out yet is not to go out, as the reason for skipping its recipient.
/// [`Candidate::reminders`] are those before it.
#[must_use]
pub fn withdrawal(candidate: &Candidate<'_>, audience: ReminderAudience) -> Option<SkipReason> {
    let reason = objection(candidate, audience).or_else(|| failed_reminder(candidate))?;
    match reason {
        Exclusion::Responded => Some(SkipReason::Responded),
        Exclusion::Complained | Exclusion::NoConsent => Some(SkipReason::NoConsent),
        Exclusion::Unsubscribed => Some(SkipReason::NoSubscription),
        Exclusion::Bounced | Exclusion::BlockedAddress | Exclusion::FormerEmployee | Exclusion::DeletedAddress => {
            Some(SkipReason::BlockedAddress)
        }
        // What was to be reminded of did not go out after all.
        Exclusion::NotSent => Some(SkipReason::ProviderRefused),
        Exclusion::TooSoon | Exclusion::RemindedEnough | Exclusion::Simulator | Exclusion::Canceled => None,
    }
}

/// When enough time has passed for the next reminder; `None` while nobody knows when the mail before it went out.
#[must_use]
pub fn due_at(candidate: &Candidate<'_>, targeting: &Targeting) -> Option<Timestamp> {
    let sent_at = match candidate.reminders.last() {
        Some(reminder) if !status(reminder).0.is_sent() => None,
        Some(reminder) => reminder.sent_at.or(reminder.delivered_at),
        None => candidate.facts.sent_at.or(candidate.facts.delivered_at).or(candidate.campaign_sent_at),
    };
    sent_at.map(|at| at.plus_seconds(i64::from(targeting.after_hours) * 3_600))
}

/// What speaks against any reminder, however much time passes.
fn objection(candidate: &Candidate<'_>, audience: ReminderAudience) -> Option<Exclusion> {
    let Candidate { facts, reminders, other_attempts, address, .. } = candidate;
    let mut mails = std::iter::once(*facts).chain(*reminders).chain(*other_attempts);
    if candidate.is_simulator {
        return Some(Exclusion::Simulator);
    }
    if mails.clone().any(|mail| mail.complained_at.is_some()) {
        return Some(Exclusion::Complained);
    }
    if address.is_consent_withdrawn {
        return Some(Exclusion::NoConsent);
    }
    if address.is_unsubscribed || mails.clone().any(|mail| mail.unsubscribed_at.is_some()) {
        return Some(Exclusion::Unsubscribed);
    }
    if address.is_former_employee {
        return Some(Exclusion::FormerEmployee);
    }
    if address.is_deleted {
        return Some(Exclusion::DeletedAddress);
    }
    if let Some(reason) = failure(facts) {
        return Some(reason);
    }
    let responded = mails.any(|mail| match audience {
        ReminderAudience::NoHumanSignal => mail.opens > 0 || mail.clicks > 0,
        ReminderAudience::NotClicked => mail.clicks > 0,
    });
    if responded {
        return Some(Exclusion::Responded);
    }
    (address.health == AddressHealth::Blocked).then_some(Exclusion::BlockedAddress)
}

/// Why there can be no further reminder after the last one. One that is still to go out is none.
fn failed_reminder(candidate: &Candidate<'_>) -> Option<Exclusion> {
    let last = candidate.reminders.last()?;
    failure(last).filter(|_| status(last).0 != RecipientStatus::Ready)
}

/// Why a mail did not reach anybody.
fn failure(facts: &Facts) -> Option<Exclusion> {
    match status(facts).0 {
        RecipientStatus::Ready | RecipientStatus::Blocked | RecipientStatus::Canceled => Some(Exclusion::NotSent),
        RecipientStatus::SoftBounced | RecipientStatus::HardBounced => Some(Exclusion::Bounced),
        RecipientStatus::Sent
        | RecipientStatus::Delivered
        | RecipientStatus::Read
        | RecipientStatus::Clicked
        | RecipientStatus::Complained
        | RecipientStatus::Unsubscribed => None,
    }
}

/// Whether there is a time zone of this name (`Europe/Berlin`).
#[must_use]
pub fn is_time_zone(name: &str) -> bool {
    name.parse::<Tz>().is_ok()
}

/// When reminders may be made from `from` on: at once where there is no window. `None` where they never may.
#[must_use]
pub fn next_run(window: Option<&SendWindow>, time_zone: &str, from: Timestamp) -> Option<Timestamp> {
    match window {
        Some(window) => window.next_open(from, time_zone.parse().ok()?),
        None => Some(from),
    }
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

    const WELL: Address = Address {
        health: AddressHealth::Ok,
        is_former_employee: false,
        is_deleted: false,
        is_consent_withdrawn: false,
        is_unsubscribed: false,
    };

    fn candidate(facts: &Facts) -> Candidate<'_> {
        Candidate {
            facts,
            reminders: &[],
            other_attempts: &[],
            is_simulator: false,
            address: WELL,
            campaign_sent_at: None,
            is_canceled: false,
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
        let at = |address| Candidate { address, ..base.clone() };
        for (candidate, reason, skip) in [
            (Candidate { is_simulator: true, ..base.clone() }, Exclusion::Simulator, None),
            (at(Address { is_consent_withdrawn: true, ..WELL }), Exclusion::NoConsent, Some(SkipReason::NoConsent)),
            (at(Address { is_unsubscribed: true, ..WELL }), Exclusion::Unsubscribed, Some(SkipReason::NoSubscription)),
            (
                at(Address { health: AddressHealth::Blocked, ..WELL }),
                Exclusion::BlockedAddress,
                Some(SkipReason::BlockedAddress),
            ),
            (
                at(Address { is_former_employee: true, ..WELL }),
                Exclusion::FormerEmployee,
                Some(SkipReason::BlockedAddress),
            ),
            (at(Address { is_deleted: true, ..WELL }), Exclusion::DeletedAddress, Some(SkipReason::BlockedAddress)),
            (Candidate { reminders: &[sent(100)], ..base.clone() }, Exclusion::RemindedEnough, None),
            (Candidate { is_canceled: true, ..base.clone() }, Exclusion::Canceled, None),
        ] {
            assert_eq!(check(&candidate, &RULE, at_hour(1_000)), Err(reason));
            assert_eq!(withdrawal(&candidate, RULE.audience), skip, "{reason}");
        }
        for (facts, reason, skip) in [
            (Facts::default(), Exclusion::NotSent, SkipReason::ProviderRefused),
            (
                Facts { unsubscribed_at: Some(at_hour(1)), ..sent(0) },
                Exclusion::Unsubscribed,
                SkipReason::NoSubscription,
            ),
            (Facts { complained_at: Some(at_hour(1)), ..sent(0) }, Exclusion::Complained, SkipReason::NoConsent),
            (Facts { hard_bounced_at: Some(at_hour(1)), ..sent(0) }, Exclusion::Bounced, SkipReason::BlockedAddress),
            (Facts { opens: 1, ..sent(0) }, Exclusion::Responded, SkipReason::Responded),
        ] {
            assert_eq!(check(&candidate(&facts), &RULE, at_hour(1_000)), Err(reason), "{facts:?}");
            assert_eq!(withdrawal(&candidate(&facts), RULE.audience), Some(skip), "{facts:?}");
        }
    }

    #[test]
    fn further_reminders_follow_the_one_before() {
        let rule = Targeting { max_reminders: 3, ..RULE };
        let facts = sent(0);
        let after =
            |reminders: &[Facts], hour| check(&Candidate { reminders, ..candidate(&facts) }, &rule, at_hour(hour));
        assert_eq!(after(&[Facts::default()], 1_000), Err(Exclusion::TooSoon), "the first has not gone out yet");
        assert_eq!(after(&[sent(100)], 171), Err(Exclusion::TooSoon));
        assert_eq!(after(&[sent(100)], 172), Ok(()));
        assert_eq!(after(&[Facts { opens: 1, ..sent(100) }, sent(200)], 1_000), Err(Exclusion::Responded));
        assert_eq!(
            after(&[Facts { hard_bounced_at: Some(at_hour(101)), ..sent(100) }], 1_000),
            Err(Exclusion::Bounced)
        );
        let complained = Facts { complained_at: Some(at_hour(101)), ..sent(100) };
        assert_eq!(after(&[complained, sent(200)], 1_000), Err(Exclusion::Complained));
        let read = [Facts { opens: 1, ..sent(0) }];
        let resent = Candidate { other_attempts: &read, ..candidate(&facts) };
        assert_eq!(
            check(&resent, &rule, at_hour(1_000)),
            Err(Exclusion::Responded),
            "they read it when it was sent before"
        );
        let skipped = Facts { skip: Some(SkipReason::Responded), ..Facts::default() };
        assert_eq!(after(&[skipped], 1_000), Err(Exclusion::NotSent), "it was taken out");
        assert_eq!(after(&[sent(100), sent(200), sent(300)], 1_000), Err(Exclusion::RemindedEnough));
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
        fn whoever_is_to_be_reminded_is_not_taken_out_at_once(
            (opens, clicks, soft, reminded) in (0_i32..2, 0_i32..2, any::<bool>(), 0_usize..3),
            (blocked, former, withdrawn, unsubscribed) in any::<(bool, bool, bool, bool)>(),
            audience in 0..ReminderAudience::ALL.len(),
        ) {
            let facts = Facts { opens, clicks, last_soft_bounced_at: soft.then(|| at_hour(1)), ..sent(0) };
            let reminders: Vec<Facts> = (1..).take(reminded).map(|round| sent(round * 100)).collect();
            let address = Address {
                health: if blocked { AddressHealth::Blocked } else { AddressHealth::Ok },
                is_former_employee: former,
                is_deleted: false,
                is_consent_withdrawn: withdrawn,
                is_unsubscribed: unsubscribed,
            };
            let candidate = Candidate { reminders: &reminders, address, ..candidate(&facts) };
            let rule = Targeting { audience: ReminderAudience::ALL[audience], max_reminders: 4, ..RULE };
            let checked = check(&candidate, &rule, at_hour(10_000));
            prop_assert_eq!(checked.is_ok(), withdrawal(&candidate, rule.audience).is_none(), "{:?}", checked);
            if checked.is_ok() {
                let once = Targeting { max_reminders: u32::try_from(reminded).expect("few"), ..rule };
                prop_assert_eq!(check(&candidate, &once, at_hour(10_000)), Err(Exclusion::RemindedEnough));
            }
        }

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
