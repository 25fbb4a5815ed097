//! SuperOffice over its REST API.
//!
//! Each part of what is asked of a CRM has a file of its own; all of them go out through [`client`], which finds the tenant, has
//! the token of the moment, keeps the pace and knows what may be tried again. Where the vendor's documents are silent, what was
//! assumed stands behind one small function that says "to be verified on a tenant" (docs/decisions/0018).

mod associates;
mod changes;
mod circuit;
mod client;
mod failure;
mod lists;
mod members;
mod odata;
mod pace;
mod persons;
mod rights;
mod settings;
mod system_user;
mod tasks;
mod tenant;
#[cfg(test)]
mod tests;
mod tokens;
mod transport;
mod values;
mod webhook;

use std::sync::Arc;

use domain::Clock;
use domain::crm::{
    Account, Answer, Bounce, Crm, CrmError, EmailChange, List, ListKind, Member, NewList, NewTask, Page, Person,
    PersonQuery, TokenStore, Told,
};
use futures::FutureExt;

pub use settings::{Credentials, NotAllowed, Settings, SettingsError};

use associates::Associates;
use client::{Call, Client};
use values::Row;

/// A tenant of SuperOffice, as one user of it sees it.
pub struct SuperOffice {
    client: Client,
    associates: Associates,
    tenant: String,
    webhook_secret: Option<String>,
}

impl SuperOffice {
    /// A connection, with nothing sent yet. `tokens` keeps what SuperOffice gives us for later requests.
    ///
    /// # Errors
    /// Where it cannot be reached with these settings.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>, tokens: Arc<dyn TokenStore>) -> Result<Self, SettingsError> {
        settings.check()?;
        let client = Client::new(&settings, &clock, tokens)?;
        let associates = Associates::new(clock);
        Ok(Self { client, associates, tenant: settings.tenant, webhook_secret: settings.webhook_secret })
    }

    async fn account(&self) -> Result<Account, CrmError> {
        let principal = self.client.json(&Call::get("User/currentPrincipal")).await?;
        let principal = Row(&principal);
        let user = principal.text("FullName").or_else(|| principal.text("UserName"));
        let user = user.or_else(|| principal.text("Associate")).unwrap_or_else(|| "a user without a name".to_owned());
        let rights = self.rights().await?;
        Ok(Account { crm: format!("SuperOffice, tenant {}", self.tenant), user, rights })
    }
}

impl Crm for SuperOffice {
    fn name(&self) -> &'static str {
        "SuperOffice"
    }

    fn check(&self) -> Answer<'_, Account> {
        self.account().boxed()
    }

    fn persons<'a>(&'a self, query: &'a PersonQuery) -> Answer<'a, Page<Person>> {
        self.read_persons(query).boxed()
    }

    fn person<'a>(&'a self, id: &'a str) -> Answer<'a, Option<Person>> {
        self.read_person(id).boxed()
    }

    fn lists<'a>(&'a self, kind: ListKind, after: Option<&'a str>) -> Answer<'a, Page<List>> {
        self.read_lists(kind, after).boxed()
    }

    fn members<'a>(&'a self, kind: ListKind, list: &'a str, after: Option<&'a str>) -> Answer<'a, Page<Member>> {
        self.read_members(kind, list, after).boxed()
    }

    fn create_list<'a>(&'a self, new: &'a NewList, again: bool) -> Answer<'a, String> {
        self.write_list(new, again).boxed()
    }

    fn add_members<'a>(&'a self, kind: ListKind, list: &'a str, members: &'a [Member]) -> Answer<'a, ()> {
        self.write_members(kind, list, members).boxed()
    }

    fn remove_members<'a>(&'a self, kind: ListKind, list: &'a str, members: &'a [Member]) -> Answer<'a, ()> {
        self.write_no_members(kind, list, members).boxed()
    }

    fn create_task<'a>(&'a self, task: &'a NewTask, again: bool) -> Answer<'a, String> {
        self.write_task(task, again).boxed()
    }

    fn change_email<'a>(&'a self, change: &'a EmailChange) -> Answer<'a, ()> {
        self.write_email(change).boxed()
    }

    fn withdraw_consent<'a>(&'a self, person: &'a str) -> Answer<'a, ()> {
        self.write_no_consent(person).boxed()
    }

    fn mark_former_employee<'a>(&'a self, person: &'a str) -> Answer<'a, ()> {
        self.write_retired(person).boxed()
    }

    fn add_bounce<'a>(&'a self, bounce: &'a Bounce) -> Answer<'a, ()> {
        self.write_bounce(bounce).boxed()
    }

    fn may_tell(&self, headers: &[(String, String)]) -> bool {
        webhook::may_tell(self.webhook_secret.as_deref(), headers)
    }

    fn told(&self, headers: &[(String, String)], body: &[u8]) -> Option<Vec<Told>> {
        webhook::told(self.webhook_secret.as_deref(), &self.tenant, headers, body)
    }
}
