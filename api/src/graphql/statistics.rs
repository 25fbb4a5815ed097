//! The figures of a campaign and what they consist of.

use async_graphql::{Enum, ID, Object, SimpleObject};
use domain::contribution::Figure;
use service::statistics as figures;

use super::node::Key;
use super::scalars::{DateTime, int};
use super::words::{BounceClass, RecipientStatus};

/// How a campaign, or its recipients at one domain, are doing. Recipients at providers' simulators count nowhere.
#[derive(SimpleObject)]
pub struct CampaignStatistics {
    /// All recipients.
    recipients: i32,
    /// Recipients whose mail went out.
    sent: i32,
    /// Recipients whose mail went out and did not bounce: sent - softBounced - hardBounced.
    delivered: i32,
    /// Recipients whose mail bounced for a reason that may pass or is the sender's.
    soft_bounced: i32,
    /// Recipients whose mail bounced for good.
    hard_bounced: i32,
    /// Recipients who were not sent to: blocked address, duplicate, no consent, refused by the provider.
    blocked: i32,
    /// Recipients with at least one open by a person.
    opened: i32,
    /// Recipients that only a proxy or prefetcher opened.
    machine_opened: i32,
    /// Recipients with at least one click by a person.
    clicked: i32,
    /// Recipients that only a scanner clicked.
    machine_clicked: i32,
    /// Recipients who reported it as spam.
    complained: i32,
    /// Recipients who unsubscribed.
    unsubscribed: i32,
    /// All opens by persons.
    opens: i32,
    /// All clicks by persons.
    clicks: i32,
    /// opened / delivered; null where nothing was delivered.
    open_rate: Option<f64>,
    /// clicked / delivered; null where nothing was delivered.
    click_through_rate: Option<f64>,
    /// clicked / opened; null where nothing was opened.
    click_to_open_rate: Option<f64>,
    /// (softBounced + hardBounced) / sent; null where nothing was sent.
    bounce_rate: Option<f64>,
    /// complained / delivered; null where nothing was delivered.
    complaint_rate: Option<f64>,
    /// When the figures last changed.
    updated_at: DateTime,
}

impl From<figures::CampaignStatistics> for CampaignStatistics {
    fn from(statistics: figures::CampaignStatistics) -> Self {
        let count = |figure| int(statistics.get(figure));
        Self {
            recipients: count(Figure::Recipients),
            sent: int(statistics.sent()),
            delivered: int(statistics.delivered()),
            soft_bounced: count(Figure::SoftBounced),
            hard_bounced: count(Figure::HardBounced),
            blocked: count(Figure::Blocked),
            opened: count(Figure::Opened),
            machine_opened: count(Figure::MachineOpened),
            clicked: count(Figure::Clicked),
            machine_clicked: count(Figure::MachineClicked),
            complained: count(Figure::Complained),
            unsubscribed: count(Figure::Unsubscribed),
            opens: count(Figure::Opens),
            clicks: count(Figure::Clicks),
            open_rate: statistics.open_rate(),
            click_through_rate: statistics.click_through_rate(),
            click_to_open_rate: statistics.click_to_open_rate(),
            bounce_rate: statistics.bounce_rate(),
            complaint_rate: statistics.complaint_rate(),
            updated_at: statistics.updated_at.into(),
        }
    }
}

/// How many recipients have a status.
#[derive(SimpleObject)]
pub struct StatusCount {
    /// The status.
    status: RecipientStatus,
    /// How many have it.
    count: i32,
}

impl From<figures::StatusCount> for StatusCount {
    fn from(count: figures::StatusCount) -> Self {
        Self { status: count.status.into(), count: int(count.count) }
    }
}

/// How wide the points of a timeline are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "figures::Interval")]
pub enum TimelineInterval {
    /// An hour.
    Hour,
    /// A day in UTC.
    Day,
}

/// What happened in an hour or on a day: recipients, each counted when it first happened to them.
#[derive(SimpleObject)]
pub struct TimelinePoint {
    /// When the hour or day begins.
    at: DateTime,
    /// Recipients whose mail went out.
    sent: i32,
    /// Recipients whose mail was first accepted by their server; some of these bounce later.
    delivered: i32,
    /// Recipients whose status is a soft bounce that came then.
    soft_bounced: i32,
    /// Recipients whose status is a hard bounce that came then.
    hard_bounced: i32,
    /// Recipients who opened for the first time.
    opened: i32,
    /// Recipients who clicked for the first time.
    clicked: i32,
    /// Recipients who reported it as spam.
    complained: i32,
    /// Recipients who unsubscribed.
    unsubscribed: i32,
}

impl From<figures::TimelinePoint> for TimelinePoint {
    fn from(point: figures::TimelinePoint) -> Self {
        Self {
            at: point.at.into(),
            sent: int(point.sent),
            delivered: int(point.delivered),
            soft_bounced: int(point.soft_bounced),
            hard_bounced: int(point.hard_bounced),
            opened: int(point.opened),
            clicked: int(point.clicked),
            complained: int(point.complained),
            unsubscribed: int(point.unsubscribed),
        }
    }
}

/// How the recipients at one domain are doing.
#[derive(SimpleObject)]
pub struct DomainStatistics {
    /// The domain. Who may not see personal data sees it only where it has 20 recipients or more.
    domain: String,
    /// How they are doing. `updatedAt` is not kept by domain and is always 1970.
    statistics: CampaignStatistics,
}

impl From<figures::DomainStatistics> for DomainStatistics {
    fn from(part: figures::DomainStatistics) -> Self {
        Self { domain: part.domain, statistics: part.statistics.into() }
    }
}

/// How many recipients bounced for a reason.
#[derive(SimpleObject)]
pub struct BounceReasonCount {
    /// The class.
    bounce_class: BounceClass,
    /// The SMTP reply code, such as 550.
    smtp_code: Option<i32>,
    /// The enhanced status code, such as 5.1.1.
    enhanced_code: Option<String>,
    /// How many bounced for it.
    recipients: i32,
}

impl From<figures::BounceReasonCount> for BounceReasonCount {
    fn from(reason: figures::BounceReasonCount) -> Self {
        Self {
            bounce_class: reason.class.into(),
            smtp_code: reason.smtp_code.map(i32::from),
            enhanced_code: reason.enhanced_code,
            recipients: int(reason.recipients),
        }
    }
}

/// A link in the mails of a campaign.
pub struct TrackedLink(pub(super) figures::TrackedLink);

/// A link in the mails of a campaign.
#[Object]
impl TrackedLink {
    /// For `clickedLink` and `clicks`.
    async fn id(&self) -> ID {
        Key::Link(self.0.id).id()
    }

    /// Where it leads. Who may not see personal data sees only its scheme and host, unless at least 20 recipients clicked it and it holds
    /// no address.
    async fn url(&self) -> &str {
        &self.0.url
    }

    /// Clicks by persons.
    async fn clicks(&self) -> i32 {
        int(self.0.clicks)
    }

    /// Persons who clicked it.
    async fn clickers(&self) -> i32 {
        int(self.0.clickers)
    }

    /// Clicks by scanners.
    async fn machine_clicks(&self) -> i32 {
        int(self.0.machine_clicks)
    }
}
