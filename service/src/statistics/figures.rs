//! The figures of a campaign, and what follows from them.

use domain::Timestamp;
use domain::contribution::{Figure, Figures};
use domain::status::RecipientStatus;
use sea_orm::DbErr;

use crate::recipients::sql::Cells;

/// The figures of a campaign or of a domain in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CampaignStatistics {
    /// What is counted.
    pub figures: Figures,
    /// When they last changed.
    pub updated_at: Timestamp,
}

impl CampaignStatistics {
    /// The count of a figure.
    #[must_use]
    pub fn get(&self, figure: Figure) -> i64 {
        self.figures.get(figure)
    }

    /// Recipients whose mail went out.
    #[must_use]
    pub fn sent(&self) -> i64 {
        let sent = RecipientStatus::ALL.iter().filter(|status| status.is_sent());
        sent.map(|status| self.get(Figure::of_status(*status))).sum()
    }

    /// Recipients whose mail went out and did not bounce.
    #[must_use]
    pub fn delivered(&self) -> i64 {
        self.sent() - self.bounced()
    }

    /// Recipients whose mail bounced, for now or for good.
    #[must_use]
    pub fn bounced(&self) -> i64 {
        self.get(Figure::SoftBounced) + self.get(Figure::HardBounced)
    }

    /// opened / delivered
    #[must_use]
    pub fn open_rate(&self) -> Option<f64> {
        rate(self.get(Figure::Opened), self.delivered())
    }

    /// clicked / delivered
    #[must_use]
    pub fn click_through_rate(&self) -> Option<f64> {
        rate(self.get(Figure::Clicked), self.delivered())
    }

    /// clicked / opened
    #[must_use]
    pub fn click_to_open_rate(&self) -> Option<f64> {
        rate(self.get(Figure::Clicked), self.get(Figure::Opened))
    }

    /// (soft bounced + hard bounced) / sent
    #[must_use]
    pub fn bounce_rate(&self) -> Option<f64> {
        rate(self.bounced(), self.sent())
    }

    /// complained / delivered
    #[must_use]
    pub fn complaint_rate(&self) -> Option<f64> {
        rate(self.get(Figure::Complained), self.delivered())
    }
}

/// `part / whole`; `None` where `whole` is zero.
fn rate(part: i64, whole: i64) -> Option<f64> {
    (whole > 0).then(|| float(part) / float(whole))
}

fn float(count: i64) -> f64 {
    u32::try_from(count).unwrap_or(u32::MAX).into()
}

/// The columns of the figures in the order of [`Figure::ALL`], of the roll-up called `table` in the statement.
pub(super) fn columns(table: &str) -> Vec<String> {
    Figure::ALL.iter().map(|figure| format!("{table}.{}", figure.as_str())).collect()
}

/// Reads [`columns`] and when they were changed; a roll-up without row counts nothing.
pub(super) fn decode(cells: &mut Cells<'_>) -> Result<CampaignStatistics, DbErr> {
    let mut figures = Figures::default();
    for figure in Figure::ALL {
        figures.add(*figure, cells.take::<Option<i64>>()?.unwrap_or_default());
    }
    Ok(CampaignStatistics { figures, updated_at: Timestamp::from_micros(cells.take()?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_the_contract() {
        let mut statistics = CampaignStatistics::default();
        assert_eq!(
            (statistics.open_rate(), statistics.bounce_rate(), statistics.click_to_open_rate()),
            (None, None, None)
        );
        for (figure, count) in [
            (Figure::Recipients, 112),
            (Figure::Blocked, 12),
            (Figure::SoftBounced, 5),
            (Figure::HardBounced, 15),
            (Figure::DeliveredOnly, 40),
            (Figure::Read, 30),
            (Figure::ClickedOnly, 9),
            (Figure::ComplainedOnly, 1),
            (Figure::Opened, 40),
            (Figure::Clicked, 10),
            (Figure::Complained, 1),
        ] {
            statistics.figures.add(figure, count);
        }
        assert_eq!((statistics.sent(), statistics.delivered(), statistics.bounced()), (100, 80, 20));
        assert_eq!(statistics.open_rate(), Some(0.5));
        assert_eq!(statistics.click_through_rate(), Some(0.125));
        assert_eq!(statistics.click_to_open_rate(), Some(0.25));
        assert_eq!(statistics.bounce_rate(), Some(0.2));
        assert_eq!(statistics.complaint_rate(), Some(0.0125));
    }
}
