//! Who clicked what, and when.

use domain::Timestamp;
use domain::machine::MachineReason;
use serde::Serialize;

use crate::access::Reader;
use crate::error::Result;
use crate::recipients::RecipientKey;
use crate::recipients::paging::{Count, List, Order, Page, PageArgs};
use crate::recipients::sql::Sql;

/// A click on a link of a campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Click {
    /// That of its event.
    pub id: i64,
    /// Who clicked.
    pub recipient: RecipientKey,
    /// What was clicked.
    pub link: i64,
    /// When.
    pub occurred_at: Timestamp,
    /// How it is known that a machine clicked; `None` for a person.
    pub machine_reason: Option<MachineReason>,
}

/// Which clicks of a campaign, in the order in which they came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ClickQuery {
    /// The campaign.
    pub campaign: i64,
    /// Only those on this link.
    pub link: Option<i64>,
    /// Only those by machines, or only those by persons.
    pub machine: Option<bool>,
}

impl Reader {
    /// A page of the clicks of a campaign.
    ///
    /// # Errors
    /// Refusals for what cannot be asked for; those of the database.
    pub async fn clicks(&self, query: ClickQuery, args: &PageArgs) -> Result<Page<Click>> {
        let list = click_list(query)?;
        list.page(&self.services, args, |id, mut cells| {
            Ok(Click {
                id,
                recipient: RecipientKey { campaign: query.campaign, number: cells.take()? },
                link: cells.take()?,
                occurred_at: Timestamp::from_micros(cells.take()?),
                machine_reason: MachineReason::from_code(cells.take()?),
            })
        })
        .await
    }

    /// How many clicks a query finds.
    ///
    /// # Errors
    /// As [`Reader::clicks`].
    pub async fn count_clicks(&self, query: ClickQuery, max: i64) -> Result<Count> {
        click_list(query)?.count(&self.services, max).await
    }
}

fn click_list(query: ClickQuery) -> Result<List> {
    let mut condition = Sql::new("k.campaign_id = ");
    condition.bind(query.campaign);
    if let Some(link) = query.link {
        condition.push(" AND k.link_id = ").bind(link);
    }
    match query.machine {
        Some(true) => condition.push(" AND k.verdict <> 0"),
        Some(false) => condition.push(" AND k.verdict = 0"),
        None => &mut condition,
    };
    Ok(List {
        columns: &["k.recipient", "k.link_id", "k.occurred_at", "k.verdict"],
        from: "click k",
        condition,
        order: Order { sort: None, id: "k.id", descending: false },
        scope: serde_json::to_string(&("clicks", query))?,
    })
}
