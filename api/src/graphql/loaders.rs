//! What a list would ask for row by row, asked for all rows at once: one loader for each kind of key.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::Duration;

use async_graphql::Context;
use async_graphql::dataloader::{DataLoader, HashMapCache, Loader};
use domain::crm::ListKind;
use service::Reader;
use service::addresses::Address;
use service::alerts::Alert;
use service::crm::{Person, PersonList};
use service::recipients::{Recipient, RecipientKey};
use service::resends::EarlierAttempt;
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

/// A person of the CRM by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PersonId(pub i64);

/// The person of the CRM that a recipient is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PersonOf(pub RecipientKey);

/// The earlier attempts of a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttemptsOf(pub RecipientKey);

/// A selection or project by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListId(pub ListKind, pub i64);

/// The loaders of one request, made when the first is used. What they have loaded they keep until its end.
#[derive(Default)]
pub struct Loaders(OnceLock<DataLoader<Batches, HashMapCache>>);

/// Keys are gathered for so long before they are loaded together. Tests count statements, and a debug build on a busy machine may take
/// longer to go through a list.
const GATHER: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 1 });

/// The loaders of the request.
pub(super) fn loaders<'a>(ctx: &Context<'a>) -> Result<&'a DataLoader<Batches, HashMapCache>> {
    let reader = reader(ctx)?;
    let loaders = ctx.data_opt::<Loaders>().ok_or_else(Failure::no_context)?;
    let make = || DataLoader::with_cache(Batches(reader), tokio::spawn, HashMapCache::default()).delay(GATHER);
    Ok(loaders.0.get_or_init(make))
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

impl Loader<PersonId> for Batches {
    type Value = Person;
    type Error = Failure;

    async fn load(&self, keys: &[PersonId]) -> Result<HashMap<PersonId, Person>> {
        let ids: Vec<i64> = keys.iter().map(|key| key.0).collect();
        Ok(self.0.persons_by_id(&ids).await?.into_iter().map(|(id, person)| (PersonId(id), person)).collect())
    }
}

impl Loader<PersonOf> for Batches {
    type Value = Person;
    type Error = Failure;

    async fn load(&self, keys: &[PersonOf]) -> Result<HashMap<PersonOf, Person>> {
        let recipients: Vec<RecipientKey> = keys.iter().map(|key| key.0).collect();
        Ok(self.0.persons_of(&recipients).await?.into_iter().map(|(key, person)| (PersonOf(key), person)).collect())
    }
}

impl Loader<AttemptsOf> for Batches {
    type Value = Vec<EarlierAttempt>;
    type Error = Failure;

    async fn load(&self, keys: &[AttemptsOf]) -> Result<HashMap<AttemptsOf, Vec<EarlierAttempt>>> {
        let recipients: Vec<RecipientKey> = keys.iter().map(|key| key.0).collect();
        let found = self.0.earlier_attempts(&recipients).await?;
        Ok(found.into_iter().map(|(key, attempts)| (AttemptsOf(key), attempts)).collect())
    }
}

impl Loader<ListId> for Batches {
    type Value = PersonList;
    type Error = Failure;

    async fn load(&self, keys: &[ListId]) -> Result<HashMap<ListId, PersonList>> {
        let mut all = HashMap::new();
        for list in [ListKind::Selection, ListKind::Project] {
            let ids: Vec<i64> = keys.iter().filter(|key| key.0 == list).map(|key| key.1).collect();
            let found = self.0.person_lists_by_id(list, &ids).await?;
            all.extend(found.into_iter().map(|(id, row)| (ListId(list, id), row)));
        }
        Ok(all)
    }
}
