//! The requests of providers as they came. For admins.

use async_graphql::{Context, ID, Object};
use service::events::{self, DeliveryQuery};
use service::recipients::paging::Count;

use super::connection::List;
use super::errors::Result;
use super::node::Key;
use super::scalars::{DateTime, at, int};
use super::schema::access;
use super::words::{DeliveryState, Provider};

/// A request of a provider as it came.
pub struct Delivery(pub(super) events::Delivery);

/// A request of a provider as it came. For admins.
#[Object]
impl Delivery {
    /// The global id.
    pub async fn id(&self) -> ID {
        Key::Delivery(self.0.id).id()
    }

    /// The source that it came in by.
    async fn source(&self) -> &str {
        &self.0.source
    }

    /// Whose format it has.
    async fn provider(&self) -> Provider {
        self.0.provider.into()
    }

    /// When it came in.
    async fn received_at(&self) -> DateTime {
        self.0.received_at.into()
    }

    /// How large its body is, in bytes.
    async fn body_size(&self) -> i32 {
        int(self.0.body_size)
    }

    /// How far it is.
    async fn state(&self) -> DeliveryState {
        self.0.state.into()
    }

    /// How many events were found in it.
    async fn events(&self) -> i32 {
        self.0.events
    }

    /// How many of these were not known before.
    async fn new_events(&self) -> i32 {
        self.0.new_events
    }

    /// How many of its elements could not be read.
    async fn failures(&self) -> i32 {
        self.0.failures
    }

    /// What went wrong.
    async fn error(&self) -> Option<&str> {
        self.0.error.as_deref()
    }

    /// When it was applied.
    async fn applied_at(&self) -> Option<DateTime> {
        at(self.0.applied_at)
    }

    /// The body, up to a megabyte; what is no text in it is replaced.
    #[graphql(complexity = "1000")]
    async fn body(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        Ok(access(ctx)?.admin()?.delivery_body(self.0.id).await?)
    }
}

/// The deliveries that a query finds.
pub struct Deliveries(pub(super) DeliveryQuery);

impl List for Deliveries {
    type Node = Delivery;
    const CONNECTION: &'static str = "DeliveryConnection";
    const EDGE: &'static str = "DeliveryEdge";

    async fn count(&self, ctx: &Context<'_>, max: i64) -> Result<Count> {
        Ok(access(ctx)?.admin()?.count_deliveries(&self.0, max).await?)
    }
}
