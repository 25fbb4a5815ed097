//! Recipients of a campaign.

use async_graphql::{Context, ID, Name, Object, ScalarType, Value};
use service::recipients::paging::Count;
use service::recipients::{self, RecipientDetails, RecipientKey, RecipientQuery};

use super::address::Address;
use super::campaign::Campaign;
use super::connection::{Connection, List, page_args};
use super::cost::page_cost;
use super::errors::{Failure, Result};
use super::event::{Event, Events};
use super::loaders::{AddressId, AttemptsOf, PersonOf, loaders};
use super::node::Key;
use super::person::Person;
use super::resend::EarlierAttempt;
use super::scalars::{DateTime, at};
use super::schema::reader;
use super::words::{BounceClass, RecipientStatus, SkipReason};

/// What of a recipient is read from a list where nothing else is asked for.
const IN_SUMMARY: &[&str] = &[
    "__typename",
    "id",
    "campaign",
    "email",
    "name",
    "company",
    "status",
    "skipReason",
    "sentAt",
    "opens",
    "clicks",
    "address",
    "events",
    "earlierAttempts",
];

/// A recipient of a campaign.
pub struct Recipient(pub(super) recipients::Recipient);

impl Recipient {
    fn details(&self) -> Result<&RecipientDetails> {
        self.0.details.as_deref().ok_or_else(|| Failure::missing("what is known about a recipient"))
    }
}

/// A recipient of a campaign, with what became of it. Who may not see personal data sees `•••` for the address, and null for
/// everything else that is personal.
#[Object]
impl Recipient {
    /// The global id.
    pub async fn id(&self) -> ID {
        Key::Recipient(self.0.key).id()
    }

    /// The campaign.
    async fn campaign(&self) -> Campaign {
        Campaign::unread(self.0.key.campaign)
    }

    /// The address, as it was imported.
    async fn email(&self) -> &str {
        &self.0.email
    }

    /// The person's name.
    async fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }

    /// The company.
    async fn company(&self) -> Option<&str> {
        self.0.company.as_deref()
    }

    /// Who is responsible, as the import named them.
    async fn owner(&self) -> Result<Option<&str>> {
        Ok(self.details()?.owner.as_deref())
    }

    /// The person's id in the CRM.
    async fn crm_id(&self) -> Result<Option<&str>> {
        Ok(self.details()?.crm_id.as_deref())
    }

    /// The person of the CRM that it is; null where it is none.
    #[graphql(complexity = "5 + child_complexity")]
    async fn person(&self, ctx: &Context<'_>) -> Result<Option<Person>> {
        Ok(loaders(ctx)?.load_one(PersonOf(self.0.key)).await?.map(Person))
    }

    /// The sender's own id of the recipient.
    async fn recipient_id(&self) -> Result<Option<&str>> {
        Ok(self.details()?.reference.as_deref())
    }

    /// Further columns of the import, as a JSON object.
    async fn attributes(&self) -> Result<Option<&str>> {
        Ok(self.details()?.attributes.as_deref())
    }

    /// What became of it.
    async fn status(&self) -> RecipientStatus {
        self.0.status.into()
    }

    /// Why it was not sent to; there where the status is BLOCKED.
    async fn skip_reason(&self) -> Option<SkipReason> {
        self.0.skip_reason.map(Into::into)
    }

    /// Why it failed; there wherever it did, also where it was read later.
    async fn bounce_class(&self) -> Result<Option<BounceClass>> {
        Ok(self.details()?.bounce_class.map(Into::into))
    }

    /// The server's own words when it failed, with SMTP and enhanced code.
    async fn bounce_reason(&self) -> Result<Option<&str>> {
        Ok(self.details()?.bounce_reason.as_deref())
    }

    /// When it was sent.
    async fn sent_at(&self) -> Option<DateTime> {
        at(self.0.sent_at)
    }

    /// When the recipient's server first accepted it.
    async fn delivered_at(&self) -> Result<Option<DateTime>> {
        Ok(at(self.details()?.delivered_at))
    }

    /// When a person first opened it.
    async fn first_opened_at(&self) -> Result<Option<DateTime>> {
        Ok(at(self.details()?.first_opened_at))
    }

    /// When a person last opened it.
    async fn last_opened_at(&self) -> Result<Option<DateTime>> {
        Ok(at(self.details()?.last_opened_at))
    }

    /// Opens by persons.
    async fn opens(&self) -> i32 {
        self.0.opens
    }

    /// Opens by proxies and prefetchers.
    async fn machine_opens(&self) -> Result<i32> {
        Ok(self.details()?.machine_opens)
    }

    /// When a person first clicked.
    async fn first_clicked_at(&self) -> Result<Option<DateTime>> {
        Ok(at(self.details()?.first_clicked_at))
    }

    /// When a person last clicked.
    async fn last_clicked_at(&self) -> Result<Option<DateTime>> {
        Ok(at(self.details()?.last_clicked_at))
    }

    /// Clicks by persons.
    async fn clicks(&self) -> i32 {
        self.0.clicks
    }

    /// Clicks by scanners.
    async fn machine_clicks(&self) -> Result<i32> {
        Ok(self.details()?.machine_clicks)
    }

    /// When it was reported as spam.
    async fn complained_at(&self) -> Result<Option<DateTime>> {
        Ok(at(self.details()?.complained_at))
    }

    /// When the recipient unsubscribed.
    async fn unsubscribed_at(&self) -> Result<Option<DateTime>> {
        Ok(at(self.details()?.unsubscribed_at))
    }

    /// How many times the campaign was sent to it, with the attempt that is under way.
    async fn attempts(&self) -> Result<i32> {
        Ok(self.details()?.attempts)
    }

    /// What became of the attempts before the one that is under way, the first one first.
    #[graphql(complexity = "5 + child_complexity")]
    async fn earlier_attempts(&self, ctx: &Context<'_>) -> Result<Vec<EarlierAttempt>> {
        let attempts = loaders(ctx)?.load_one(AttemptsOf(self.0.key)).await?;
        Ok(attempts.unwrap_or_default().into_iter().map(EarlierAttempt::from).collect())
    }

    /// Whether the address belongs to a provider's simulator: such a recipient counts nowhere.
    async fn is_simulator(&self) -> Result<bool> {
        Ok(self.details()?.is_simulator)
    }

    /// How the address is doing in all campaigns.
    async fn address(&self, ctx: &Context<'_>) -> Result<Address> {
        let address = loaders(ctx)?.load_one(AddressId(self.0.address_id)).await?;
        address.map(Address).ok_or_else(|| Failure::missing("an address"))
    }

    /// What providers reported about it, the earliest first.
    #[graphql(complexity = "page_cost(first, last, child_complexity)")]
    async fn events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "So many from the beginning, or behind `after`; 50 where nothing is said, 500 at most.")]
        first: Option<i32>,
        #[graphql(desc = "Only what stands behind this cursor.")] after: Option<String>,
        #[graphql(desc = "So many up to the end, or before `before`; not together with `first`.")] last: Option<i32>,
        #[graphql(desc = "Only what stands before this cursor.")] before: Option<String>,
    ) -> Result<Connection<Events>> {
        let page = reader(ctx)?.recipient_events(self.0.key, &page_args(first, after, last, before)).await?;
        Ok(Connection::new(Events::Of(self.0.key), page.map(Event)))
    }
}

/// The recipients of a campaign that a query finds.
pub struct Recipients(pub(super) RecipientQuery);

impl List for Recipients {
    type Node = Recipient;
    const CONNECTION: &'static str = "RecipientConnection";
    const EDGE: &'static str = "RecipientEdge";

    fn plain(Recipient(row): &Recipient, field: &str) -> Option<Value> {
        let text = |text: &Option<String>| text.as_ref().map_or(Value::Null, |text| Value::String(text.clone()));
        Some(match field {
            "id" => Value::String(Key::Recipient(row.key).id().0),
            "email" => Value::String(row.email.clone()),
            "name" => text(&row.name),
            "company" => text(&row.company),
            "status" => Value::Enum(Name::new(row.status.as_str())),
            "skipReason" => row.skip_reason.map_or(Value::Null, |reason| Value::Enum(Name::new(reason.as_str()))),
            "sentAt" => row.sent_at.map_or(Value::Null, |at| DateTime(at).to_value()),
            "opens" => row.opens.into(),
            "clicks" => row.clicks.into(),
            _ => return None,
        })
    }

    async fn count(&self, ctx: &Context<'_>, max: i64) -> Result<Count> {
        Ok(reader(ctx)?.count_recipients(&self.0, max).await?)
    }
}

/// Whether more is asked for about the recipients of the connection that is being resolved than a list reads by itself.
pub(super) fn wants_details(ctx: &Context<'_>) -> bool {
    let ahead = ctx.look_ahead();
    [ahead.field("nodes"), ahead.field("edges").field("node")].iter().any(|node| {
        let fields = node.selection_fields();
        fields.iter().flat_map(|field| field.selection_set()).any(|field| !IN_SUMMARY.contains(&field.name()))
    })
}

/// One recipient.
pub(super) async fn one(ctx: &Context<'_>, key: RecipientKey) -> Result<Option<Recipient>> {
    Ok(reader(ctx)?.recipient(key).await?.map(Recipient))
}
