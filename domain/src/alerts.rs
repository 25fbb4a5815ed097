//! When somebody should look at a campaign: because of its rates, or because nothing is heard of it.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::coded_enum;

coded_enum! {
    /// What is wrong with a campaign.
    AlertKind {
        /// Too many bounces.
        BounceRate = 1 "BOUNCE_RATE",
        /// Too many complaints.
        ComplaintRate = 2 "COMPLAINT_RATE",
        /// Too many refusals for the sender's reputation, policy or content. They harm no address.
        SenderRefusals = 3 "SENDER_REFUSALS",
        /// It was sent, and no provider reports anything.
        NoEvents = 4 "NO_EVENTS",
    }
}

impl AlertKind {
    /// Whether it is about a rate, and not about hours.
    #[must_use]
    pub const fn is_rate(self) -> bool {
        !matches!(self, Self::NoEvents)
    }

    /// A value of this kind as it is stored: a rate in parts per million; hours as they are.
    #[must_use]
    pub fn encode(self, value: f64) -> i64 {
        let scaled = if self.is_rate() { value * MILLION } else { value };
        // Formatting is the one conversion from f64 to i64 that neither truncates silently nor needs `as`.
        format!("{scaled:.0}").parse().unwrap_or(i64::MAX)
    }

    /// The value that [`AlertKind::encode`] has stored.
    #[must_use]
    pub fn decode(self, stored: i64) -> f64 {
        if self.is_rate() { float(stored) / MILLION } else { float(stored) }
    }
}

const MILLION: f64 = 1_000_000.0;

/// For so many days after its sending a campaign is watched for silence. One that is older when it is imported, or when nachfass
/// first hears of it, has nothing more to report.
pub const WATCHED_DAYS: i64 = 30;

/// From when on a campaign deserves an alert. Rates are parts of one: 0.05 is 5 %.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertPolicy {
    /// Bounced of sent.
    pub bounce_rate: f64,
    /// Complained of delivered.
    pub complaint_rate: f64,
    /// Refused because of the sender, of sent.
    pub refusal_rate: f64,
    /// Below so many recipients a rate says nothing.
    pub minimum_sample: i64,
    /// Hours after the sending in which some event must have come.
    pub silent_hours: u16,
}

impl Default for AlertPolicy {
    /// 5 % bounces (Amazon SES reviews accounts from there on), 0.1 % complaints (the line of Gmail's and SES' rules for senders),
    /// 2 % refusals, of 100 recipients at least; 6 hours of silence.
    fn default() -> Self {
        Self { bounce_rate: 0.05, complaint_rate: 0.001, refusal_rate: 0.02, minimum_sample: 100, silent_hours: 6 }
    }
}

/// What is known of a campaign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Course {
    /// Recipients whose mail went out.
    pub sent: i64,
    /// Those whose mail did not bounce.
    pub delivered: i64,
    /// Those whose mail bounced.
    pub bounced: i64,
    /// Those whose mail was refused because of the sender.
    pub refused: i64,
    /// Those who complained.
    pub complained: i64,
    /// When it was sent, if that is over.
    pub sent_at: Option<Timestamp>,
    /// Whether any event of it has come.
    pub has_events: bool,
}

/// Something that is wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alert {
    /// What it is.
    pub kind: AlertKind,
    /// The rate; of silence, its hours.
    pub value: f64,
    /// The limit that it passed.
    pub limit: f64,
}

impl Course {
    /// What is counted for a kind of rate, and of how many.
    const fn rate(&self, kind: AlertKind) -> Option<(i64, i64)> {
        match kind {
            AlertKind::BounceRate => Some((self.bounced, self.sent)),
            AlertKind::ComplaintRate => Some((self.complained, self.delivered)),
            AlertKind::SenderRefusals => Some((self.refused, self.sent)),
            AlertKind::NoEvents => None,
        }
    }
}

impl AlertPolicy {
    /// The limit of a kind.
    #[must_use]
    pub fn limit(&self, kind: AlertKind) -> f64 {
        match kind {
            AlertKind::BounceRate => self.bounce_rate,
            AlertKind::ComplaintRate => self.complaint_rate,
            AlertKind::SenderRefusals => self.refusal_rate,
            AlertKind::NoEvents => self.silent_hours.into(),
        }
    }
}

/// What is wrong with a campaign at `now`, in the order of the kinds.
#[must_use]
pub fn alerts(course: &Course, policy: &AlertPolicy, now: Timestamp) -> Vec<Alert> {
    let alert = |kind: &AlertKind| {
        let (kind, limit) = (*kind, policy.limit(*kind));
        let value = match course.rate(kind) {
            Some((part, whole)) => {
                let value = ratio(part, whole)?;
                (whole >= policy.minimum_sample.max(1) && value > limit).then_some(value)
            }
            None => silence(course, now).filter(|hours| *hours >= limit),
        };
        Some(Alert { kind, value: value?, limit })
    };
    AlertKind::ALL.iter().filter_map(alert).collect()
}

/// For how many hours nothing has been heard of a campaign from which something should be; whole hours.
fn silence(course: &Course, now: Timestamp) -> Option<f64> {
    let hours = now.since(course.sent_at?) / Timestamp::HOUR;
    (course.sent > 0 && !course.has_events && hours <= WATCHED_DAYS * 24).then(|| float(hours))
}

/// Whether an alert that was raised holds no longer: something was heard, or the rate has gone below the limit. One that has not
/// moved since stays, whatever was done to the limit: the campaign did not get better by that.
#[must_use]
pub fn is_over(open: &Alert, course: &Course, policy: &AlertPolicy) -> bool {
    let kind = open.kind;
    let Some((part, whole)) = course.rate(kind) else { return course.has_events };
    ratio(part, whole).is_some_and(|value| value < policy.limit(kind) && kind.encode(value) != kind.encode(open.value))
}

impl Alert {
    /// What is wrong and what to do about it, in a sentence.
    #[must_use]
    pub fn message(&self) -> String {
        let (value, limit) = (self.value, self.limit);
        let (rate, most) = (percent(value), percent(limit));
        match self.kind {
            AlertKind::BounceRate => format!(
                "{rate} of the mails bounced, more than the {most} that are accepted: see for which reasons, and do not send to \
                 these addresses again before it is known where they came from."
            ),
            AlertKind::ComplaintRate => format!(
                "{rate} of those who got the mail reported it as spam, more than the {most} that are accepted: stop writing to people who \
                 did not ask for it, and make unsubscribing easier, or providers will refuse further mail."
            ),
            AlertKind::SenderRefusals => format!(
                "{rate} of the mails were refused because of the sender, more than the {most} that are accepted: check the reputation of \
                 the sending domain, its SPF, DKIM and DMARC, and the content; the addresses are not to blame and stay as they are."
            ),
            AlertKind::NoEvents => format!(
                "Nothing was heard of the campaign for {value:.0} hours after it was sent: check at the provider that its webhook points \
                 here, that it is switched on, and what it was answered."
            ),
        }
    }
}

/// A rate as people read it: `5.1 %`.
fn percent(rate: f64) -> String {
    let percent = rate * 100.0;
    // What is small is told more precisely: the usual limit for complaints is 0.1 %.
    let text = if percent < 1.0 { format!("{percent:.3}") } else { format!("{percent:.1}") };
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text} %")
}

fn ratio(part: i64, whole: i64) -> Option<f64> {
    (whole > 0).then(|| float(part) / float(whole))
}

fn float(count: i64) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kinds(course: &Course, hour: i64) -> Vec<AlertKind> {
        let now = Timestamp::from_seconds(hour * 3_600);
        alerts(course, &AlertPolicy::default(), now).into_iter().map(|alert| alert.kind).collect()
    }

    #[test]
    fn rates_over_their_limits_raise_alerts() {
        let course = Course { sent: 1_000, delivered: 900, has_events: true, ..Course::default() };
        assert_eq!(kinds(&Course { bounced: 50, refused: 20, ..course }, 0), [], "at the limit is not over it");
        assert_eq!(
            kinds(&Course { bounced: 51, refused: 21, complained: 1, ..course }, 0),
            [AlertKind::BounceRate, AlertKind::ComplaintRate, AlertKind::SenderRefusals]
        );
    }

    #[test]
    fn a_few_recipients_prove_nothing() {
        let course = Course { sent: 99, delivered: 0, bounced: 99, has_events: true, ..Course::default() };
        assert_eq!(kinds(&course, 0), []);
    }

    #[test]
    fn silence_after_the_sending_is_told() {
        let course = Course { sent: 5, delivered: 5, sent_at: Some(Timestamp::from_seconds(0)), ..Course::default() };
        assert_eq!((kinds(&course, 5), kinds(&course, 6)), (vec![], vec![AlertKind::NoEvents]));
        assert_eq!(kinds(&Course { has_events: true, ..course }, 100), []);
        assert_eq!(kinds(&Course { sent_at: None, ..course }, 100), []);
        assert_eq!(kinds(&Course { sent: 0, ..course }, 100), []);
    }

    #[test]
    fn what_was_sent_long_ago_is_not_silent_but_old() {
        let course = Course { sent: 5, delivered: 5, sent_at: Some(Timestamp::from_seconds(0)), ..Course::default() };
        assert_eq!((kinds(&course, 30 * 24), kinds(&course, 30 * 24 + 1)), (vec![AlertKind::NoEvents], vec![]));
    }

    #[test]
    fn an_alert_ends_when_its_campaign_gets_better() {
        let policy = AlertPolicy::default();
        let course = |bounced| Course { sent: 1_000, bounced, ..Course::default() };
        let open = |value| Alert { kind: AlertKind::BounceRate, value, limit: 0.05 };
        assert!(!is_over(&open(0.06), &course(60), &policy), "it holds");
        assert!(!is_over(&open(0.06), &course(50), &policy), "at the limit it is not below it");
        assert!(is_over(&open(0.06), &course(49), &policy));
        let patient = AlertPolicy { bounce_rate: 0.1, ..policy };
        assert!(!is_over(&open(0.06), &course(60), &patient), "only the limit has moved");
        assert!(is_over(&open(0.06), &course(61), &patient));
        assert!(!is_over(&open(0.06), &Course::default(), &policy), "nothing is known");
        let silent = Alert { kind: AlertKind::NoEvents, value: 7.0, limit: 6.0 };
        assert!(!is_over(&silent, &course(0), &policy));
        assert!(is_over(&silent, &Course { has_events: true, ..course(0) }, &policy));
    }

    #[test]
    fn a_message_says_how_much_and_what_to_do() {
        let message = |kind, value, limit| Alert { kind, value, limit }.message();
        let bounces = message(AlertKind::BounceRate, 0.0513, 0.05);
        assert!(bounces.starts_with("5.1 % of the mails bounced, more than the 5 % that are accepted: "), "{bounces}");
        let complaints = message(AlertKind::ComplaintRate, 0.001_25, 0.001);
        assert!(complaints.starts_with("0.125 % of those"), "{complaints}");
        assert!(complaints.contains("the 0.1 % that are"), "{complaints}");
        assert!(message(AlertKind::NoEvents, 7.0, 6.0).contains("for 7 hours"));
        for kind in AlertKind::ALL {
            let text = message(*kind, 0.5, 0.1);
            assert!(text.ends_with('.') && text.matches(". ").count() == 0, "one sentence: {text}");
        }
    }

    proptest! {
        #[test]
        fn a_value_comes_back_as_it_was_stored(millionths in 0_i64..1_000_000, hours in 0_i64..1_000) {
            for kind in AlertKind::ALL {
                let stored = if kind.is_rate() { millionths } else { hours };
                prop_assert_eq!(kind.encode(kind.decode(stored)), stored);
            }
        }

        #[test]
        fn what_holds_is_never_over(sent in 1_i64..10_000, counts in proptest::array::uniform3(0_i64..10_000), limit in 0_u8..=100,
            events in any::<bool>(), hour in 0_i64..100) {
            let [bounced, refused, complained] = counts.map(|count| count.min(sent));
            let sent_at = Some(Timestamp::from_seconds(0));
            let course = Course { sent, delivered: sent, bounced, refused, complained, sent_at, has_events: events };
            let policy = AlertPolicy { bounce_rate: f64::from(limit) / 100.0, ..AlertPolicy::default() };
            for alert in alerts(&course, &policy, Timestamp::from_seconds(hour * 3_600)) {
                prop_assert!(!is_over(&alert, &course, &policy), "{alert:?}");
            }
        }

        #[test]
        fn more_bounces_never_calm_an_alert(sent in 1_i64..10_000, bounced in 0_i64..10_000, more in 0_i64..100) {
            let course = |bounced| Course { sent, bounced: i64::min(bounced, sent), has_events: true, ..Course::default() };
            let (before, after) = (kinds(&course(bounced), 0), kinds(&course(bounced + more), 0));
            prop_assert!(before.iter().all(|kind| after.contains(kind)));
        }
    }
}
