//! Persons of the CRM.

use async_graphql::{ID, Object};
use service::crm;

use super::node::Key;
use super::scalars::{DateTime, at};

/// A person of the CRM.
pub struct Person(pub(super) crm::Person);

/// A person of the CRM. Who may not see personal data sees `•••` for the address and the CRM's id, and null for the rest.
#[Object]
impl Person {
    /// The global id.
    pub async fn id(&self) -> ID {
        Key::Person(self.0.id).id()
    }

    /// The CRM's id.
    async fn crm_id(&self) -> &str {
        &self.0.crm_id
    }

    /// The whole name.
    async fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }

    /// Where they work.
    async fn company(&self) -> Option<&str> {
        self.0.company.as_deref()
    }

    /// Who is responsible for them.
    async fn owner(&self) -> Option<&str> {
        self.0.owner.as_deref()
    }

    /// The address to write to.
    async fn email(&self) -> Option<&str> {
        self.0.email.as_deref()
    }

    /// Whether they have left the company.
    async fn is_former_employee(&self) -> bool {
        self.0.is_former_employee
    }

    /// Whether they want no mailings at all.
    async fn no_mailing(&self) -> bool {
        self.0.no_mailing
    }

    /// Whether they consented to marketing by e-mail; null where the CRM does not keep that.
    async fn consent(&self) -> Option<bool> {
        self.0.consent
    }

    /// When the CRM last changed them.
    async fn crm_updated_at(&self) -> Option<DateTime> {
        at(self.0.crm_updated_at)
    }

    /// When the CRM was found not to know them any more.
    async fn deleted_at(&self) -> Option<DateTime> {
        at(self.0.deleted_at)
    }
}
