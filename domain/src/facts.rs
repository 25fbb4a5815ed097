//! What is known about one recipient of one campaign, and how an event adds to it.
//!
//! Every field is a minimum, a maximum, a sum over distinct events, or a function of the whole set of clicks. Adding the same set
//! of events in any order therefore gives the same facts; repeats are dropped before, by the key of the event.

use crate::event::BounceClass;
use crate::machine::Verdict;
use crate::smtp::{EnhancedCode, Reply};
use crate::status::SkipReason;
use crate::{EventKind, Timestamp};

/// The failure that is shown: of the gravest kind, and among those the latest.
///
/// The order of the fields is the order of comparison; the later ones only decide between failures of the same moment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Failure {
    /// How grave it is.
    pub gravity: Gravity,
    /// When it happened.
    pub at: Timestamp,
    /// Why.
    pub class: Option<BounceClass>,
    /// The SMTP reply code.
    pub smtp_code: Option<u16>,
    /// The enhanced status code.
    pub enhanced_code: Option<EnhancedCode>,
    /// The server's own words.
    pub diagnostic: Option<String>,
}

/// How grave a failure is, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gravity {
    /// The provider refused to send, or could not.
    Refused,
    /// It may pass, or is the sender's fault.
    Soft,
    /// It will not pass.
    Hard,
}

/// Everything known about a recipient of a campaign.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Decided before sending: not to be sent to.
    pub skip: Option<SkipReason>,
    /// The campaign was cancelled before this recipient was sent to.
    pub canceled: bool,
    /// First taken over by the provider.
    pub queued_at: Option<Timestamp>,
    /// First known to have been sent: any event that only a sent mail can have counts.
    pub sent_at: Option<Timestamp>,
    /// First delivery.
    pub delivered_at: Option<Timestamp>,
    /// Last delivery.
    pub last_delivered_at: Option<Timestamp>,
    /// Last soft bounce or refusal for the sender's reputation, policy or content.
    pub last_soft_bounced_at: Option<Timestamp>,
    /// First hard bounce.
    pub hard_bounced_at: Option<Timestamp>,
    /// First time that the provider refused to send, or could not.
    pub refused_at: Option<Timestamp>,
    /// The failure that is shown.
    pub failure: Option<Failure>,
    /// First open by a person.
    pub first_opened_at: Option<Timestamp>,
    /// Last open by a person.
    pub last_opened_at: Option<Timestamp>,
    /// Opens by a person.
    pub opens: i32,
    /// Opens by proxies and prefetchers.
    pub machine_opens: i32,
    /// First click by a person.
    pub first_clicked_at: Option<Timestamp>,
    /// Last click by a person.
    pub last_clicked_at: Option<Timestamp>,
    /// Clicks by a person.
    pub clicks: i32,
    /// Clicks by scanners.
    pub machine_clicks: i32,
    /// First complaint.
    pub complained_at: Option<Timestamp>,
    /// First time unsubscribed.
    pub unsubscribed_at: Option<Timestamp>,
}

/// What of an event the facts depend on.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// What happened.
    pub kind: EventKind,
    /// When.
    pub at: Timestamp,
    /// Why it failed.
    pub class: Option<BounceClass>,
    /// The codes of the failure.
    pub reply: Reply,
    /// The server's words.
    pub diagnostic: Option<&'a str>,
    /// Person or machine.
    pub verdict: Option<Verdict>,
}

/// What all clicks of a recipient add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClickSummary {
    /// First click by a person.
    pub first: Option<Timestamp>,
    /// Last click by a person.
    pub last: Option<Timestamp>,
    /// Clicks by a person.
    pub human: i32,
    /// Clicks by scanners.
    pub machine: i32,
}

fn earliest(slot: &mut Option<Timestamp>, at: Timestamp) {
    *slot = Some(slot.map_or(at, |known| known.min(at)));
}

fn latest(slot: &mut Option<Timestamp>, at: Timestamp) {
    *slot = Some(slot.map_or(at, |known| known.max(at)));
}

impl Facts {
    /// Adds a report that has not been added before. Clicks are added by [`Facts::set_clicks`].
    pub fn add(&mut self, report: &Report<'_>) {
        let at = report.at;
        match report.kind {
            EventKind::Queued => earliest(&mut self.queued_at, at),
            EventKind::Delivered => {
                earliest(&mut self.delivered_at, at);
                latest(&mut self.last_delivered_at, at);
            }
            EventKind::SoftBounce | EventKind::Blocked => {
                latest(&mut self.last_soft_bounced_at, at);
                self.add_failure(Gravity::Soft, report);
            }
            EventKind::HardBounce => {
                earliest(&mut self.hard_bounced_at, at);
                self.add_failure(Gravity::Hard, report);
            }
            EventKind::Rejected | EventKind::Failed => {
                earliest(&mut self.refused_at, at);
                self.add_failure(Gravity::Refused, report);
            }
            EventKind::Opened if report.verdict.is_some_and(Verdict::is_machine) => {
                self.machine_opens = self.machine_opens.saturating_add(1);
            }
            EventKind::Opened => {
                earliest(&mut self.first_opened_at, at);
                latest(&mut self.last_opened_at, at);
                self.opens = self.opens.saturating_add(1);
            }
            EventKind::Complained => earliest(&mut self.complained_at, at),
            EventKind::Unsubscribed => earliest(&mut self.unsubscribed_at, at),
            EventKind::Sent
            | EventKind::Deferred
            | EventKind::Clicked
            | EventKind::Subscribed
            | EventKind::AutoReply
            | EventKind::Other => {}
        }
        if proves_sending(report.kind) {
            earliest(&mut self.sent_at, at);
        }
    }

    /// Sets what all clicks known for the recipient add up to.
    pub fn set_clicks(&mut self, summary: ClickSummary) {
        self.first_clicked_at = summary.first;
        self.last_clicked_at = summary.last;
        self.clicks = summary.human;
        self.machine_clicks = summary.machine;
    }

    fn add_failure(&mut self, gravity: Gravity, report: &Report<'_>) {
        let failure = Failure {
            gravity,
            at: report.at,
            class: report.class,
            smtp_code: report.reply.code,
            enhanced_code: report.reply.enhanced,
            diagnostic: report.diagnostic.map(str::to_owned),
        };
        if self.failure.as_ref().is_none_or(|known| *known < failure) {
            self.failure = Some(failure);
        }
    }
}

/// Whether only a mail that was sent can have such an event.
const fn proves_sending(kind: EventKind) -> bool {
    !matches!(
        kind,
        EventKind::Queued | EventKind::Rejected | EventKind::Failed | EventKind::Subscribed | EventKind::Other
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::MachineReason;
    use crate::status::{RecipientStatus, status};
    use proptest::prelude::*;

    fn report(kind: EventKind, at: i64) -> Report<'static> {
        Report {
            kind,
            at: Timestamp::from_seconds(at),
            class: None,
            reply: Reply::default(),
            diagnostic: None,
            verdict: None,
        }
    }

    fn facts_of(reports: &[Report<'_>]) -> Facts {
        let mut facts = Facts::default();
        reports.iter().for_each(|report| facts.add(report));
        facts
    }

    #[test]
    fn the_precedence_of_the_design() {
        use EventKind as K;
        use RecipientStatus as S;
        let cases: &[(&[(EventKind, i64)], RecipientStatus)] = &[
            (&[], S::Ready),
            (&[(K::Queued, 1)], S::Ready),
            (&[(K::Sent, 1)], S::Sent),
            (&[(K::Deferred, 1)], S::Sent),
            (&[(K::Sent, 1), (K::Delivered, 2)], S::Delivered),
            (&[(K::SoftBounce, 3), (K::Delivered, 2)], S::SoftBounced),
            (&[(K::SoftBounce, 1), (K::Delivered, 2)], S::Delivered),
            (&[(K::SoftBounce, 2), (K::Delivered, 2)], S::Delivered),
            (&[(K::Blocked, 3)], S::SoftBounced),
            (&[(K::HardBounce, 1), (K::Delivered, 2)], S::HardBounced),
            (&[(K::HardBounce, 1), (K::Opened, 2)], S::Read),
            (&[(K::Opened, 2), (K::Complained, 1)], S::Complained),
            (&[(K::Unsubscribed, 2), (K::Complained, 3)], S::Complained),
            (&[(K::Unsubscribed, 2), (K::Opened, 3)], S::Unsubscribed),
            (&[(K::Sent, 1), (K::Rejected, 2)], S::Blocked),
            (&[(K::Failed, 2)], S::Blocked),
            (&[(K::AutoReply, 2)], S::Sent),
            (&[(K::Other, 2)], S::Ready),
        ];
        for (events, want) in cases {
            let reports: Vec<_> = events.iter().map(|(kind, at)| report(*kind, *at)).collect();
            assert_eq!(status(&facts_of(&reports)).0, *want, "{events:?}");
        }
    }

    #[test]
    fn machines_change_no_status() {
        let mut open = report(EventKind::Opened, 3);
        open.verdict = Some(Verdict::Machine(MachineReason::ProviderFlag));
        let facts = facts_of(&[report(EventKind::Delivered, 1), open]);
        assert_eq!(status(&facts).0, RecipientStatus::Delivered);
        assert_eq!((facts.opens, facts.machine_opens), (0, 1));
    }

    fn any_report() -> impl Strategy<Value = Report<'static>> {
        let diagnostic = prop_oneof![Just(None), Just(Some("550 5.1.1 unknown")), Just(Some("mailbox full"))];
        (0..EventKind::ALL.len(), 0_i64..20, 0..BounceClass::ALL.len(), diagnostic, any::<bool>()).prop_map(
            |(kind, at, class, diagnostic, machine)| Report {
                kind: EventKind::ALL[kind],
                at: Timestamp::from_seconds(at),
                class: Some(BounceClass::ALL[class]),
                reply: diagnostic.map(Reply::find).unwrap_or_default(),
                diagnostic,
                verdict: machine.then_some(Verdict::Machine(MachineReason::KnownProxy)),
            },
        )
    }

    proptest! {
        #[test]
        fn any_order_gives_the_same_facts((reports, shuffled) in proptest::collection::vec(any_report(), 0..30)
            .prop_flat_map(|reports| (Just(reports.clone()), Just(reports).prop_shuffle())))
        {
            prop_assert_eq!(facts_of(&reports), facts_of(&shuffled));
        }
    }
}
