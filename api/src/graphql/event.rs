//! What providers reported.

use async_graphql::{Context, ID, Object, SimpleObject};
use service::events::{self, ClickQuery, EventFilter};
use service::recipients::RecipientKey;
use service::recipients::paging::Count;

use super::connection::List;
use super::errors::{Failure, Result};
use super::loaders::{LinkId, loaders};
use super::node::Key;
use super::recipient::Recipient;
use super::scalars::DateTime;
use super::schema::reader;
use super::statistics::TrackedLink;
use super::words::{BounceClass, EventKind, MachineReason, Provider};

/// Something that a provider reported about one message.
pub struct Event(pub(super) events::Event);

/// Something that a provider reported about one message. What is personal is null for those who may not see it.
#[Object]
impl Event {
    /// The global id.
    async fn id(&self) -> ID {
        Key::Event(self.0.id).id()
    }

    /// Who reported it.
    async fn provider(&self) -> Provider {
        self.0.provider.into()
    }

    /// What happened.
    async fn kind(&self) -> EventKind {
        self.0.kind.into()
    }

    /// When it happened, by the provider's clock.
    async fn occurred_at(&self) -> DateTime {
        self.0.occurred_at.into()
    }

    /// The recipient that it belongs to; null where it matches nobody.
    async fn recipient(&self, ctx: &Context<'_>) -> Result<Option<Recipient>> {
        match self.0.recipient {
            Some(key) => Ok(loaders(ctx)?.load_one(key).await?.map(Recipient)),
            None => Ok(None),
        }
    }

    /// Why it failed.
    async fn bounce_class(&self) -> Option<BounceClass> {
        self.0.bounce_class.map(Into::into)
    }

    /// The SMTP reply code, such as 550.
    async fn smtp_code(&self) -> Option<i32> {
        self.0.smtp_code.map(i32::from)
    }

    /// The enhanced status code, such as 5.1.1.
    async fn enhanced_code(&self) -> Option<&str> {
        self.0.enhanced_code.as_deref()
    }

    /// The server's own words, with the codes.
    async fn diagnostic(&self) -> Option<&str> {
        self.0.diagnostic.as_deref()
    }

    /// The link that was followed. Who may not see personal data sees only its scheme and host.
    async fn url(&self) -> Option<&str> {
        self.0.url.as_deref()
    }

    /// Whether a machine opened or clicked; null where nobody can tell. A click is judged over all clicks of its recipient.
    async fn machine(&self) -> Option<bool> {
        self.0.machine
    }

    /// How the machine was known.
    async fn machine_reason(&self) -> Option<MachineReason> {
        self.0.machine_reason.map(Into::into)
    }

    /// By what it may still be matched, while it matches nobody.
    async fn unmatched(&self) -> Option<UnmatchedEvent> {
        self.0.unmatched.clone().map(Into::into)
    }
}

/// By what an event that matches nobody may be matched when its recipient is imported.
#[derive(SimpleObject)]
pub struct UnmatchedEvent {
    /// The provider's id of the message.
    message_id: Option<String>,
    /// The address that it was sent to.
    email: Option<String>,
    /// The sender's own id of the recipient.
    recipient_id: Option<String>,
    /// The keys of the campaigns that it may mean.
    campaign_keys: Vec<String>,
    /// The source that it came in by.
    source: Option<String>,
}

impl From<events::Unmatched> for UnmatchedEvent {
    fn from(event: events::Unmatched) -> Self {
        Self {
            message_id: event.message_id,
            email: event.email,
            recipient_id: event.recipient_ref,
            campaign_keys: event.campaign_keys,
            source: event.source,
        }
    }
}

/// A list of events.
pub enum Events {
    /// Those of a recipient.
    Of(RecipientKey),
    /// Those that match nobody.
    Unmatched(EventFilter),
}

impl List for Events {
    type Node = Event;
    const CONNECTION: &'static str = "EventConnection";
    const EDGE: &'static str = "EventEdge";

    async fn count(&self, ctx: &Context<'_>, max: i64) -> Result<Count> {
        let reader = reader(ctx)?;
        Ok(match self {
            Self::Of(recipient) => reader.count_recipient_events(*recipient, max).await?,
            Self::Unmatched(filter) => reader.count_unmatched_events(filter, max).await?,
        })
    }
}

/// A click on a link of a campaign.
pub struct Click(pub(super) events::Click);

/// A click on a link of a campaign.
#[Object]
impl Click {
    /// The global id.
    async fn id(&self) -> ID {
        Key::Click(self.0.id).id()
    }

    /// Who clicked.
    async fn recipient(&self, ctx: &Context<'_>) -> Result<Recipient> {
        let recipient = loaders(ctx)?.load_one(self.0.recipient).await?;
        recipient.map(Recipient).ok_or_else(|| Failure::missing("the recipient of a click"))
    }

    /// What was clicked.
    async fn link(&self, ctx: &Context<'_>) -> Result<TrackedLink> {
        let link = loaders(ctx)?.load_one(LinkId(self.0.link)).await?;
        link.map(TrackedLink).ok_or_else(|| Failure::missing("the link of a click"))
    }

    /// When.
    async fn occurred_at(&self) -> DateTime {
        self.0.occurred_at.into()
    }

    /// Whether a machine clicked, judged over all clicks of the recipient.
    async fn machine(&self) -> bool {
        self.0.machine_reason.is_some()
    }

    /// How the machine was known.
    async fn machine_reason(&self) -> Option<MachineReason> {
        self.0.machine_reason.map(Into::into)
    }
}

/// The clicks of a campaign.
pub struct Clicks(pub(super) ClickQuery);

impl List for Clicks {
    type Node = Click;
    const CONNECTION: &'static str = "ClickConnection";
    const EDGE: &'static str = "ClickEdge";

    async fn count(&self, ctx: &Context<'_>, max: i64) -> Result<Count> {
        Ok(reader(ctx)?.count_clicks(self.0, max).await?)
    }
}
