//! What a list would ask for row by row, asked for all rows at once: one loader for each kind of key.

use std::collections::HashMap;
use std::sync::OnceLock;

use async_graphql::Context;
use async_graphql::dataloader::{DataLoader, HashMapCache, Loader};
use service::Reader;
use service::addresses::Address;
use service::alerts::Alert;
use service::recipients::{Recipient, RecipientKey};
use service::statistics::{Campaign, TrackedLink};

use super::errors::{Failure, Result};
use super::schema::reader;

/// A campaign by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CampaignId(pub i64);

/// The campaigns that remind of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RemindersOf(pub i64);

/// The alerts of a campaign, without or with those that are over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AlertsOf {
    /// The campaign.
    pub campaign: i64,
    /// With those that are over.
    pub resolved: bool,
}

/// An address by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddressId(pub i64);

/// A link by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkId(pub i64);

/// The loaders of one request, made when the first is used. What they have loaded they keep until its end.
#[derive(Default)]
pub struct Loaders(OnceLock<DataLoader<Batches, HashMapCache>>);

/// The loaders of the request.
pub(super) fn loaders<'a>(ctx: &Context<'a>) -> Result<&'a DataLoader<Batches, HashMapCache>> {
    let reader = reader(ctx)?;
    let loaders = ctx.data_opt::<Loaders>().ok_or_else(Failure::no_context)?;
    Ok(loaders.0.get_or_init(|| DataLoader::with_cache(Batches(reader), tokio::spawn, HashMapCache::default())))
}

/// Asks the services for many keys at once.
pub struct Batches(Reader);

impl Loader<CampaignId> for Batches {
    type Value = Campaign;
    type Error = Failure;

    async fn load(&self, keys: &[CampaignId]) -> Result<HashMap<CampaignId, Campaign>> {
        let ids: Vec<i64> = keys.iter().map(|key| key.0).collect();
        Ok(self.0.campaigns_by_id(&ids).await?.into_iter().map(|(id, campaign)| (CampaignId(id), campaign)).collect())
    }
}

impl Loader<RemindersOf> for Batches {
    type Value = Vec<Campaign>;
    type Error = Failure;

    async fn load(&self, keys: &[RemindersOf]) -> Result<HashMap<RemindersOf, Vec<Campaign>>> {
        let ids: Vec<i64> = keys.iter().map(|key| key.0).collect();
        Ok(self.0.reminders(&ids).await?.into_iter().map(|(id, campaigns)| (RemindersOf(id), campaigns)).collect())
    }
}

impl Loader<AlertsOf> for Batches {
    type Value = Vec<Alert>;
    type Error = Failure;

    async fn load(&self, keys: &[AlertsOf]) -> Result<HashMap<AlertsOf, Vec<Alert>>> {
        let mut all = HashMap::new();
        for resolved in [false, true] {
            let wanted = keys.iter().filter(|key| key.resolved == resolved);
            let campaigns: Vec<i64> = wanted.map(|key| key.campaign).collect();
            let alerts = self.0.alerts(&campaigns, resolved).await?;
            all.extend(alerts.into_iter().map(|(campaign, alerts)| (AlertsOf { campaign, resolved }, alerts)));
        }
        Ok(all)
    }
}

impl Loader<AddressId> for Batches {
    type Value = Address;
    type Error = Failure;

    async fn load(&self, keys: &[AddressId]) -> Result<HashMap<AddressId, Address>> {
        let ids: Vec<i64> = keys.iter().map(|key| key.0).collect();
        Ok(self.0.addresses_by_id(&ids).await?.into_iter().map(|(id, address)| (AddressId(id), address)).collect())
    }
}

impl Loader<LinkId> for Batches {
    type Value = TrackedLink;
    type Error = Failure;

    async fn load(&self, keys: &[LinkId]) -> Result<HashMap<LinkId, TrackedLink>> {
        let ids: Vec<i64> = keys.iter().map(|key| key.0).collect();
        Ok(self.0.links_by_id(&ids).await?.into_iter().map(|link| (LinkId(link.id), link)).collect())
    }
}

impl Loader<RecipientKey> for Batches {
    type Value = Recipient;
    type Error = Failure;

    async fn load(&self, keys: &[RecipientKey]) -> Result<HashMap<RecipientKey, Recipient>> {
        Ok(self.0.recipients_by_key(keys).await?)
    }
}
