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

/// What is wrong with a campaign at `now`, in the order of the kinds.
#[must_use]
pub fn alerts(course: &Course, policy: &AlertPolicy, now: Timestamp) -> Vec<Alert> {
    let rate = |kind, part: i64, whole: i64, limit: f64| {
        let value = ratio(part, whole)?;
        (whole >= policy.minimum_sample.max(1) && value > limit).then_some(Alert { kind, value, limit })
    };
    let silence = || {
        let limit = i64::from(policy.silent_hours);
        let hours = (now.micros() - course.sent_at?.micros()) / Timestamp::HOUR;
        let is_silent = course.sent > 0 && !course.has_events && hours >= limit;
        is_silent.then(|| Alert { kind: AlertKind::NoEvents, value: float(hours), limit: float(limit) })
    };
    [
        rate(AlertKind::BounceRate, course.bounced, course.sent, policy.bounce_rate),
        rate(AlertKind::ComplaintRate, course.complained, course.delivered, policy.complaint_rate),
        rate(AlertKind::SenderRefusals, course.refused, course.sent, policy.refusal_rate),
        silence(),
    ]
    .into_iter()
    .flatten()
    .collect()
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

    proptest! {
        #[test]
        fn more_bounces_never_calm_an_alert(sent in 1_i64..10_000, bounced in 0_i64..10_000, more in 0_i64..100) {
            let course = |bounced| Course { sent, bounced: i64::min(bounced, sent), has_events: true, ..Course::default() };
            let (before, after) = (kinds(&course(bounced), 0), kinds(&course(bounced + more), 0));
            prop_assert!(before.iter().all(|kind| after.contains(kind)));
        }
    }
}
