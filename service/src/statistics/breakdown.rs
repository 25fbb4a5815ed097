//! What the figures of a campaign consist of: by status, hour, domain, link and reason.

use domain::contribution::Figure;
use domain::privacy::{ANONYMOUS_FROM, HIDDEN, public_link};
use domain::status::RecipientStatus;
use domain::{BounceClass, Timestamp};
use sea_orm::QueryResult;

use super::figures::{CampaignStatistics, columns, decode};
use crate::access::Reader;
use crate::db::query_all;
use crate::error::{Refusal, RefusalCode, Result};
use crate::recipients::row::coded;
use crate::recipients::sql::{Cells, Sql};

/// How many domains or links may be asked for at once.
pub const MAX_PARTS: i64 = 1_000;
/// How many recipients have a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusCount {
    /// The status.
    pub status: RecipientStatus,
    /// How many have it.
    pub count: i64,
}

/// The width of the points of a timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interval {
    /// An hour.
    Hour,
    /// A day, UTC.
    Day,
}

/// What happened in an hour or on a day: recipients, each counted when it first happened to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the counts have the names of domain::contribution::Moment")]
pub struct TimelinePoint {
    /// When the hour or day begins.
    pub at: Timestamp,
    pub sent: i64,
    pub delivered: i64,
    pub soft_bounced: i64,
    pub hard_bounced: i64,
    pub opened: i64,
    pub clicked: i64,
    pub complained: i64,
    pub unsubscribed: i64,
}

/// The figures of the recipients of one domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainStatistics {
    /// The domain; hidden from viewers where it may stand for a person.
    pub domain: String,
    /// Their figures.
    pub statistics: CampaignStatistics,
}

/// A link in the mails of a campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackedLink {
    /// Which one.
    pub id: i64,
    /// Its campaign.
    pub campaign: i64,
    /// Where it leads; for viewers only scheme and host, unless so many have clicked it that it names nobody.
    pub url: String,
    /// Clicks by persons.
    pub clicks: i64,
    /// Recipients who clicked it.
    pub clickers: i64,
    /// Clicks by scanners.
    pub machine_clicks: i64,
}

/// How many recipients bounced for a reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BounceReasonCount {
    /// The class.
    pub class: BounceClass,
    /// The SMTP reply code.
    pub smtp_code: Option<i16>,
    /// The enhanced status code.
    pub enhanced_code: Option<String>,
    /// How many.
    pub recipients: i64,
}

impl CampaignStatistics {
    /// How many recipients have each status, also those that nobody has.
    #[must_use]
    pub fn by_status(&self) -> Vec<StatusCount> {
        let count = |status: &RecipientStatus| self.get(Figure::of_status(*status));
        RecipientStatus::ALL.iter().map(|status| StatusCount { status: *status, count: count(status) }).collect()
    }
}

impl Reader {
    /// The hours or days in which something happened, from the one that holds `from` to the last that begins before `to`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn timeline(
        &self,
        campaign: i64,
        interval: Interval,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    ) -> Result<Vec<TimelinePoint>> {
        let width = match interval {
            Interval::Hour => Timestamp::HOUR,
            Interval::Day => 24 * Timestamp::HOUR,
        };
        let mut sql = Sql::new(format!("SELECT hour - (hour % {width} + {width}) % {width} AS at"));
        for count in
            ["sent", "delivered", "soft_bounced", "hard_bounced", "opened", "clicked", "complained", "unsubscribed"]
        {
            sql.push(&format!(", CAST(SUM({count}) AS BIGINT)"));
        }
        sql.push(" FROM campaign_hour WHERE campaign_id = ").bind(campaign);
        if let Some(from) = from.map(Timestamp::micros) {
            sql.push(" AND hour >= ").bind(from.saturating_sub(from.rem_euclid(width)));
        }
        if let Some(to) = to {
            sql.push(" AND hour < ").bind(to.micros());
        }
        sql.push(
            " GROUP BY 1 HAVING SUM(sent + delivered + soft_bounced + hard_bounced + opened + clicked + complained \
             + unsubscribed) > 0 ORDER BY 1",
        );
        self.read_all(sql, |row| {
            let mut cells = Cells::from(row, 0);
            Ok(TimelinePoint {
                at: Timestamp::from_micros(cells.take()?),
                sent: cells.take()?,
                delivered: cells.take()?,
                soft_bounced: cells.take()?,
                hard_bounced: cells.take()?,
                opened: cells.take()?,
                clicked: cells.take()?,
                complained: cells.take()?,
                unsubscribed: cells.take()?,
            })
        })
        .await
    }

    /// The domains with the most recipients.
    ///
    /// # Errors
    /// A refusal for too many; those of the database.
    pub async fn domains(&self, campaign: i64, first: i64) -> Result<Vec<DomainStatistics>> {
        let figures = columns("d").join(", ");
        let mut sql = Sql::new(format!("SELECT d.domain, {figures}, CAST(0 AS BIGINT) FROM domain_statistics d"));
        sql.push(" WHERE d.campaign_id = ")
            .bind(campaign)
            .push(" AND d.recipients > 0 ORDER BY d.recipients DESC, d.domain");
        sql.push(" LIMIT ").bind(checked_parts(first)?);
        let personal = self.subject.sees_personal_data();
        self.read_all(sql, |row| {
            let mut cells = Cells::from(row, 0);
            let domain: String = cells.take()?;
            let statistics = decode(&mut cells)?;
            // With fewer recipients it may stand for a single person or a small firm.
            let shown = personal || statistics.get(Figure::Recipients) >= ANONYMOUS_FROM;
            Ok(DomainStatistics { domain: if shown { domain } else { HIDDEN.to_owned() }, statistics })
        })
        .await
    }

    /// The links of a campaign, those with the most clicks by persons first.
    ///
    /// # Errors
    /// A refusal for too many; those of the database.
    pub async fn links(&self, campaign: i64, first: i64) -> Result<Vec<TrackedLink>> {
        let mut sql = Sql::new(SELECT_LINKS);
        sql.push("l.campaign_id = ").bind(campaign).push(" ORDER BY COALESCE(s.clicks, 0) DESC, l.id LIMIT ");
        sql.bind(checked_parts(first)?);
        self.read_all(sql, |row| self.link(row)).await
    }

    /// Links by their ids.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn links_by_id(&self, ids: &[i64]) -> Result<Vec<TrackedLink>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut sql = Sql::new(SELECT_LINKS);
        sql.push("l.id IN (").bind_all(ids.iter().copied()).push(")");
        self.read_all(sql, |row| self.link(row)).await
    }

    /// Why recipients bounced, the most frequent reason first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn bounce_reasons(&self, campaign: i64) -> Result<Vec<BounceReasonCount>> {
        let mut sql = Sql::new(
            "SELECT bounce_class, smtp_code, enhanced_code, recipients FROM bounce_statistics WHERE campaign_id = ",
        );
        sql.bind(campaign).push(" AND recipients > 0 ORDER BY recipients DESC, bounce_class, smtp_code, enhanced_code");
        self.read_all(sql, |row| {
            let mut cells = Cells::from(row, 0);
            let class = coded(cells.take()?, BounceClass::from_code, "bounce_statistics.bounce_class")?;
            let (smtp_code, enhanced_code): (i16, String) = (cells.take()?, cells.take()?);
            Ok(BounceReasonCount {
                class,
                smtp_code: Some(smtp_code).filter(|code| *code != 0),
                enhanced_code: Some(enhanced_code).filter(|code| !code.is_empty()),
                recipients: cells.take()?,
            })
        })
        .await
    }

    fn link(&self, row: &QueryResult) -> Result<TrackedLink> {
        let mut cells = Cells::from(row, 0);
        let (id, campaign, url) = (cells.take()?, cells.take()?, cells.take::<String>()?);
        let (clicks, clickers) = (cells.take()?, cells.take()?);
        let url = if self.subject.sees_personal_data() { url } else { public_link(&url, clickers) };
        Ok(TrackedLink { id, campaign, url, clicks, clickers, machine_clicks: cells.take()? })
    }

    /// Runs a statement and reads each of its rows.
    pub(crate) async fn read_all<T>(&self, sql: Sql, decode: impl Fn(&QueryResult) -> Result<T>) -> Result<Vec<T>> {
        let (text, values) = sql.into_parts();
        query_all(self.services.db.read(), &text, values).await?.iter().map(decode).collect()
    }
}

const SELECT_LINKS: &str = "SELECT l.id, l.campaign_id, l.url, COALESCE(s.clicks, 0), COALESCE(s.clickers, 0), \
     COALESCE(s.machine_clicks, 0) FROM tracked_link l LEFT JOIN link_statistics s ON s.link_id = l.id WHERE ";

fn checked_parts(first: i64) -> Result<i64, Refusal> {
    if (0..=MAX_PARTS).contains(&first) {
        return Ok(first);
    }
    let message = format!("first must be between 0 and {MAX_PARTS}, and is {first}");
    Err(Refusal::field(RefusalCode::Invalid, &["first"], message))
}
