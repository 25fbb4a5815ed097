//! What providers reported: the events of a recipient, those that match nobody, clicks, and the deliveries they came in.

pub mod clicks;
pub mod deliveries;
#[cfg(test)]
mod tests;

use domain::event::EventKind;
use domain::machine::MachineReason;
use domain::privacy::origin;
use domain::{BounceClass, Provider, Timestamp};
use entity::event::Column;
use sea_orm::DbErr;
use serde::Serialize;

pub use self::clicks::{Click, ClickQuery};
pub use self::deliveries::{Delivery, DeliveryQuery, DeliveryState};
use crate::access::Reader;
use crate::db::query_one;
use crate::error::Result;
use crate::recipients::RecipientKey;
use crate::recipients::paging::{Count, List, Order, Page, PageArgs, Sort};
use crate::recipients::row::{coded, reason};
use crate::recipients::sql::{Cells, Sql};
use crate::subject::Subject;

/// Something that a provider reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Which one.
    pub id: i64,
    /// Who reported it.
    pub provider: Provider,
    /// What happened.
    pub kind: EventKind,
    /// When.
    pub occurred_at: Timestamp,
    /// The recipient that it belongs to.
    pub recipient: Option<RecipientKey>,
    /// Why it failed.
    pub bounce_class: Option<BounceClass>,
    /// The SMTP reply code.
    pub smtp_code: Option<i16>,
    /// The enhanced status code.
    pub enhanced_code: Option<String>,
    /// The server's own words with the codes; not for viewers.
    pub diagnostic: Option<String>,
    /// The link that was followed; for viewers only scheme and host.
    pub url: Option<String>,
    /// Whether a machine opened or clicked; `None` where nobody can tell. For a click, judged over all clicks of the recipient.
    pub machine: Option<bool>,
    /// How a machine was known.
    pub machine_reason: Option<MachineReason>,
    /// What is known of an event that matches no recipient; not for viewers.
    pub unmatched: Option<Unmatched>,
}

/// By what an event may be matched when its recipient is imported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unmatched {
    /// The provider's id of the message.
    pub message_id: Option<String>,
    /// The recipient's address.
    pub email: Option<String>,
    /// The sender's own id of the recipient.
    pub recipient_ref: Option<String>,
    /// The keys of campaigns that it may mean.
    pub campaign_keys: Vec<String>,
    /// The source that it came in by.
    pub source: Option<String>,
}

/// Which of the events that match nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EventFilter {
    /// Of one of these kinds; empty: of any.
    pub kinds: Vec<EventKind>,
    /// From one of these providers; empty: from any.
    pub providers: Vec<Provider>,
    /// Come in by one of these sources; empty: by any.
    pub sources: Vec<String>,
    /// At this moment or after it.
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
}

const COLUMNS: &[&str] = &[
    "e.provider",
    "e.kind",
    "e.occurred_at",
    "e.campaign_id",
    "e.recipient",
    "e.bounce_class",
    "e.smtp_code",
    "e.enhanced_code",
    "e.diagnostic",
    "e.url",
    "COALESCE(k.verdict, e.verdict)",
    "e.message_id",
    "e.email",
    "e.recipient_ref",
    "e.campaign_keys",
    "e.source",
];

/// An event beside the final verdict on it, if it is a click.
const TABLES: &str = "event e LEFT JOIN click k ON k.campaign_id = e.campaign_id AND k.id = e.id";

impl Reader {
    /// A page of the events of a recipient, the earliest first.
    ///
    /// # Errors
    /// Refusals for what cannot be asked for; those of the database.
    pub async fn recipient_events(&self, recipient: RecipientKey, args: &PageArgs) -> Result<Page<Event>> {
        self.event_page(recipient_list(recipient)?, args).await
    }

    /// How many events a recipient has.
    ///
    /// # Errors
    /// As [`Reader::recipient_events`].
    pub async fn count_recipient_events(&self, recipient: RecipientKey, max: i64) -> Result<Count> {
        recipient_list(recipient)?.count(&self.services, max).await
    }

    /// A page of the events that match no recipient, in the order in which they came in.
    ///
    /// # Errors
    /// Refusals for what cannot be asked for; those of the database.
    pub async fn unmatched_events(&self, filter: &EventFilter, args: &PageArgs) -> Result<Page<Event>> {
        self.event_page(unmatched_list(filter)?, args).await
    }

    /// How many events match no recipient.
    ///
    /// # Errors
    /// As [`Reader::unmatched_events`].
    pub async fn count_unmatched_events(&self, filter: &EventFilter, max: i64) -> Result<Count> {
        unmatched_list(filter)?.count(&self.services, max).await
    }

    /// An event about a mail to an address.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn address_event(&self, address: i64, event: i64) -> Result<Option<Event>> {
        let sql = format!(
            "SELECT e.id, {} FROM recipient r JOIN event e ON e.campaign_id = r.campaign_id AND e.recipient = r.number \
             LEFT JOIN click k ON k.campaign_id = e.campaign_id AND k.id = e.id \
             WHERE r.address_id = $1 AND e.recipient IS NOT NULL AND e.id = $2",
            COLUMNS.join(", ")
        );
        let row = query_one(self.services.db.read(), &sql, [address.into(), event.into()]).await?;
        let subject = &self.subject;
        Ok(row.map(|row| decode(row.try_get_by_index(0)?, Cells::from(&row, 1), subject)).transpose()?)
    }

    async fn event_page(&self, list: List, args: &PageArgs) -> Result<Page<Event>> {
        list.page(&self.services, args, |id, cells| decode(id, cells, &self.subject)).await
    }
}

fn recipient_list(recipient: RecipientKey) -> Result<List> {
    let mut condition = Sql::new("e.campaign_id = ");
    condition.bind(recipient.campaign).push(" AND e.recipient IS NOT NULL AND e.recipient = ").bind(recipient.number);
    Ok(List {
        columns: COLUMNS,
        from: TABLES,
        condition,
        order: Order { sort: Some(Sort::Number("e.occurred_at")), id: "e.id", descending: false },
        scope: serde_json::to_string(&("events", recipient.campaign, recipient.number))?,
    })
}

fn unmatched_list(filter: &EventFilter) -> Result<List> {
    let mut condition = Sql::new("e.recipient IS NULL");
    if !filter.kinds.is_empty() {
        condition.push(" AND e.kind IN (").bind_all(filter.kinds.iter().map(|kind| kind.code())).push(")");
    }
    if !filter.providers.is_empty() {
        condition.push(" AND e.provider IN (").bind_all(filter.providers.iter().map(|name| name.code())).push(")");
    }
    if !filter.sources.is_empty() {
        condition.push(" AND e.source IN (").bind_all(filter.sources.iter().cloned()).push(")");
    }
    if let Some(since) = filter.since {
        condition.push(" AND e.occurred_at >= ").bind(since.micros());
    }
    if let Some(until) = filter.until {
        condition.push(" AND e.occurred_at < ").bind(until.micros());
    }
    Ok(List {
        columns: COLUMNS,
        from: TABLES,
        condition,
        order: Order { sort: None, id: "e.id", descending: false },
        scope: serde_json::to_string(&("unmatched events", filter))?,
    })
}

fn decode(id: i64, mut cells: Cells<'_>, subject: &Subject) -> Result<Event, DbErr> {
    let personal = subject.sees_personal_data();
    let provider = coded(cells.take()?, Provider::from_code, "event.provider")?;
    let kind = coded(cells.take()?, EventKind::from_code, "event.kind")?;
    let occurred_at = Timestamp::from_micros(cells.take()?);
    let (campaign, number): (Option<i64>, Option<i64>) = (cells.take()?, cells.take()?);
    let recipient = campaign.zip(number).map(|(campaign, number)| RecipientKey { campaign, number });
    let bounce_class = cells.take::<Option<i16>>()?.and_then(BounceClass::from_code);
    let (smtp_code, enhanced_code): (Option<i16>, Option<String>) = (cells.take()?, cells.take()?);
    let diagnostic: Option<String> = cells.take()?;
    let (url, verdict): (Option<String>, Option<i16>) = (cells.take()?, cells.take()?);
    let (message_id, email, recipient_ref) = (cells.take()?, cells.take()?, cells.take()?);
    let (campaign_keys, source): (Option<String>, Option<String>) = (cells.take()?, cells.take()?);
    let campaign_keys = campaign_keys.unwrap_or_default().lines().map(str::to_owned).collect();
    let unmatched = Unmatched { message_id, email, recipient_ref, campaign_keys, source };
    Ok(Event {
        id,
        provider,
        kind,
        occurred_at,
        recipient,
        bounce_class,
        smtp_code,
        diagnostic: subject
            .visible(Column::Diagnostic, diagnostic)
            .and_then(|words| reason(smtp_code, enhanced_code.as_deref(), Some(&words))),
        enhanced_code,
        url: url.map(|url| if personal { url } else { origin(&url) }),
        machine: verdict.map(|verdict| verdict != 0),
        machine_reason: verdict.and_then(MachineReason::from_code),
        unmatched: (personal && recipient.is_none()).then_some(unmatched),
    })
}
