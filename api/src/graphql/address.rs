//! E-mail addresses, whoever uses them.

use async_graphql::{Context, ID, Object, SimpleObject};
use service::addresses::{self, AddressQuery, groups};
use service::recipients::paging::Count;

use super::connection::List;
use super::errors::Result;
use super::event::Event;
use super::node::Key;
use super::scalars::{DateTime, at, int};
use super::schema::reader;
use super::words::{AddressHealth, BlockReason};

/// An e-mail address, whoever uses it.
pub struct Address(pub(super) addresses::Address);

/// An e-mail address, whoever uses it, with its health. Who may not see personal data sees `•••` for the address.
#[Object]
impl Address {
    /// The global id.
    pub async fn id(&self) -> ID {
        Key::Address(self.0.id).id()
    }

    /// The address in lower case, its domain in ASCII.
    async fn email(&self) -> &str {
        &self.0.email
    }

    /// How it is doing.
    async fn health(&self) -> AddressHealth {
        self.0.health.into()
    }

    /// Soft bounces since the last delivery.
    async fn consecutive_soft_bounces(&self) -> i32 {
        self.0.consecutive_soft_bounces
    }

    /// What a server last said when it bounced.
    async fn last_reason(&self) -> Option<&str> {
        self.0.last_reason.as_deref()
    }

    /// When that was.
    async fn last_reason_at(&self) -> Option<DateTime> {
        at(self.0.last_reason_at)
    }

    /// Since when it is blocked.
    async fn blocked_at(&self) -> Option<DateTime> {
        at(self.0.blocked_at)
    }

    /// Why it is blocked.
    async fn block_reason(&self) -> Option<BlockReason> {
        self.0.block_reason.map(Into::into)
    }

    /// Why somebody blocked it, in their words.
    async fn block_note(&self) -> Option<&str> {
        self.0.block_note.as_deref()
    }

    /// The event that the block rests on; null where it rests on none, or the event was removed because of its age.
    #[graphql(complexity = "5 + child_complexity")]
    async fn block_event(&self, ctx: &Context<'_>) -> Result<Option<Event>> {
        let Some(event) = self.0.block_event else { return Ok(None) };
        Ok(reader(ctx)?.address_event(self.0.id, event).await?.map(Event))
    }

    /// Whether its user has withdrawn the consent to be written to, by a complaint.
    async fn consent_withdrawn(&self) -> bool {
        self.0.consent_withdrawn
    }

    /// When its user last unsubscribed from anything.
    async fn unsubscribed_at(&self) -> Option<DateTime> {
        at(self.0.unsubscribed_at)
    }

    /// When its user last reported a mail as spam.
    async fn complained_at(&self) -> Option<DateTime> {
        at(self.0.complained_at)
    }

    /// When it was first seen.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }
}

/// The addresses that a query finds.
pub struct Addresses(pub(super) AddressQuery);

impl List for Addresses {
    type Node = Address;
    const CONNECTION: &'static str = "AddressConnection";
    const EDGE: &'static str = "AddressEdge";

    async fn count(&self, ctx: &Context<'_>, max: i64) -> Result<Count> {
        Ok(reader(ctx)?.count_addresses(&self.0, max).await?)
    }
}

/// Addresses that have something in common.
#[derive(SimpleObject)]
pub struct AddressGroup {
    /// What they have in common: a domain, a reason, a name, a month such as `2026-01`; null for those that have none of it.
    key: Option<String>,
    /// How many they are.
    count: i32,
    /// Since when the latest of them is blocked.
    latest_blocked_at: Option<DateTime>,
}

impl From<groups::AddressGroup> for AddressGroup {
    fn from(group: groups::AddressGroup) -> Self {
        Self { key: group.key, count: int(group.count), latest_blocked_at: at(group.latest) }
    }
}
