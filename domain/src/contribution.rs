//! What one recipient adds to the figures of its campaign.
//!
//! A roll-up is the sum of the contributions of its rows. When a row changes, the difference of its contributions is added to the
//! roll-up in the same transaction; `nachfass recount` adds all of them up anew and compares.

use crate::Timestamp;
use crate::coded_enum;
use crate::event::BounceClass;
use crate::facts::Facts;
use crate::smtp::EnhancedCode;
use crate::status::{self, RecipientStatus};

coded_enum! {
    /// A figure that is counted for campaigns, domains and hours.
    Figure {
        /// All recipients, simulators aside.
        Recipients = 1 "recipients",
        /// Status READY.
        Ready = 2 "ready",
        /// Status SENT.
        SentOnly = 3 "sent_only",
        /// Status DELIVERED.
        DeliveredOnly = 4 "delivered_only",
        /// Status READ.
        Read = 5 "read",
        /// Status CLICKED.
        ClickedOnly = 6 "clicked_only",
        /// Status SOFT_BOUNCED.
        SoftBounced = 7 "soft_bounced",
        /// Status HARD_BOUNCED.
        HardBounced = 8 "hard_bounced",
        /// Status BLOCKED.
        Blocked = 9 "blocked",
        /// Status COMPLAINED.
        ComplainedOnly = 10 "complained_only",
        /// Status UNSUBSCRIBED.
        UnsubscribedOnly = 11 "unsubscribed_only",
        /// Status CANCELED.
        Canceled = 12 "canceled",
        /// Recipients with at least one human open.
        Opened = 13 "opened",
        /// Recipients that only machines opened.
        MachineOpened = 14 "machine_opened",
        /// Recipients with at least one human click.
        Clicked = 15 "clicked",
        /// Recipients that only machines clicked.
        MachineClicked = 16 "machine_clicked",
        /// Recipients who complained.
        Complained = 17 "complained",
        /// Recipients who unsubscribed.
        Unsubscribed = 18 "unsubscribed",
        /// All human opens.
        Opens = 19 "opens",
        /// All human clicks.
        Clicks = 20 "clicks",
    }
}

impl Figure {
    /// The figure that counts the recipients of a status.
    #[must_use]
    pub const fn of_status(status: RecipientStatus) -> Self {
        match status {
            RecipientStatus::Ready => Self::Ready,
            RecipientStatus::Sent => Self::SentOnly,
            RecipientStatus::Delivered => Self::DeliveredOnly,
            RecipientStatus::Read => Self::Read,
            RecipientStatus::Clicked => Self::ClickedOnly,
            RecipientStatus::SoftBounced => Self::SoftBounced,
            RecipientStatus::HardBounced => Self::HardBounced,
            RecipientStatus::Blocked => Self::Blocked,
            RecipientStatus::Complained => Self::ComplainedOnly,
            RecipientStatus::Unsubscribed => Self::UnsubscribedOnly,
            RecipientStatus::Canceled => Self::Canceled,
        }
    }
}

/// How many figures there are.
pub const FIGURES: usize = Figure::ALL.len();

/// Counts by figure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures([i64; FIGURES]);

impl Figures {
    /// The count of a figure.
    #[must_use]
    pub fn get(&self, figure: Figure) -> i64 {
        usize::try_from(figure.code() - 1).ok().and_then(|place| self.0.get(place)).copied().unwrap_or_default()
    }

    /// Adds to the count of a figure.
    pub fn add(&mut self, figure: Figure, count: i64) {
        if let Some(slot) = usize::try_from(figure.code() - 1).ok().and_then(|place| self.0.get_mut(place)) {
            *slot += count;
        }
    }

    /// Adds all counts of another, times `factor`: 1 to add, -1 to take away.
    pub fn add_all(&mut self, other: &Self, factor: i64) {
        self.0.iter_mut().zip(other.0).for_each(|(slot, count)| *slot += count * factor);
    }

    /// The counts in the order of [`Figure::ALL`].
    #[must_use]
    pub const fn values(&self) -> &[i64; FIGURES] {
        &self.0
    }

    /// From counts in the order of [`Figure::ALL`].
    #[must_use]
    pub const fn from_values(values: [i64; FIGURES]) -> Self {
        Self(values)
    }

    /// Whether all counts are zero.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0.iter().all(|count| *count == 0)
    }
}

coded_enum! {
    /// What the timeline counts: recipients, each in the hour in which it first happened to them.
    Moment {
        /// Sent.
        Sent = 1 "sent",
        /// First delivered.
        Delivered = 2 "delivered",
        /// Last soft bounce, while that is the status.
        SoftBounced = 3 "soft_bounced",
        /// First hard bounce, while that is the status.
        HardBounced = 4 "hard_bounced",
        /// First opened by a person.
        Opened = 5 "opened",
        /// First clicked by a person.
        Clicked = 6 "clicked",
        /// Complained.
        Complained = 7 "complained",
        /// Unsubscribed.
        Unsubscribed = 8 "unsubscribed",
    }
}

/// Why a bounced recipient bounced, as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BounceReason {
    /// The class; `UNKNOWN` where there is none.
    pub class: BounceClass,
    /// The SMTP reply code.
    pub smtp_code: Option<u16>,
    /// The enhanced status code.
    pub enhanced_code: Option<EnhancedCode>,
}

/// What a recipient adds to the figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contribution {
    /// To those of the campaign and of the domain.
    pub figures: Figures,
    /// To the timeline: the beginning of the hour, and what happened in it.
    pub moments: Vec<(Timestamp, Moment)>,
    /// To the reasons of bounces.
    pub bounce: Option<BounceReason>,
}

/// The contribution of a recipient with these facts; nothing for a provider's simulator.
#[must_use]
pub fn contribution(facts: &Facts, is_simulator: bool) -> Contribution {
    let mut result = Contribution::default();
    if is_simulator {
        return result;
    }
    let (status, _) = status::status(facts);
    let figures = &mut result.figures;
    figures.add(Figure::Recipients, 1);
    figures.add(Figure::of_status(status), 1);
    figures.add(Figure::Opened, i64::from(facts.opens > 0));
    figures.add(Figure::MachineOpened, i64::from(facts.opens == 0 && facts.machine_opens > 0));
    figures.add(Figure::Clicked, i64::from(facts.clicks > 0));
    figures.add(Figure::MachineClicked, i64::from(facts.clicks == 0 && facts.machine_clicks > 0));
    figures.add(Figure::Complained, i64::from(facts.complained_at.is_some()));
    figures.add(Figure::Unsubscribed, i64::from(facts.unsubscribed_at.is_some()));
    figures.add(Figure::Opens, i64::from(facts.opens));
    figures.add(Figure::Clicks, i64::from(facts.clicks));

    let soft = facts.last_soft_bounced_at.filter(|_| status == RecipientStatus::SoftBounced);
    let hard = facts.hard_bounced_at.filter(|_| status == RecipientStatus::HardBounced);
    let moments = [
        (facts.sent_at.filter(|_| status.is_sent()), Moment::Sent),
        (facts.delivered_at, Moment::Delivered),
        (soft, Moment::SoftBounced),
        (hard, Moment::HardBounced),
        (facts.first_opened_at, Moment::Opened),
        (facts.first_clicked_at, Moment::Clicked),
        (facts.complained_at, Moment::Complained),
        (facts.unsubscribed_at, Moment::Unsubscribed),
    ];
    result.moments = moments.into_iter().filter_map(|(at, moment)| Some((at?.hour(), moment))).collect();
    if soft.is_some() || hard.is_some() {
        result.bounce = facts.failure.as_ref().map(|failure| BounceReason {
            class: failure.class.unwrap_or(BounceClass::Unknown),
            smtp_code: failure.smtp_code,
            enhanced_code: failure.enhanced_code,
        });
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipient_stands_in_exactly_one_status() {
        let facts = Facts { opens: 2, sent_at: Some(Timestamp::from_seconds(5)), ..Facts::default() };
        let figures = contribution(&facts, false).figures;
        let by_status: i64 = RecipientStatus::ALL.iter().map(|status| figures.get(Figure::of_status(*status))).sum();
        assert_eq!(by_status, 1);
        assert_eq!(
            (figures.get(Figure::Recipients), figures.get(Figure::Opened), figures.get(Figure::Opens)),
            (1, 1, 2)
        );
    }

    #[test]
    fn a_simulator_counts_nowhere() {
        let facts = Facts { opens: 2, ..Facts::default() };
        assert_eq!(contribution(&facts, true), Contribution::default());
    }
}
