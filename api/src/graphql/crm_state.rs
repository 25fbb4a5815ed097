//! The CRM that is connected, and how far it has been read.

use async_graphql::{Enum, ID, Object};
use service::crm::{CrmState, LastReading};

use super::node::Key;
use super::scalars::{DateTime, at};

/// What is read from a CRM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "service::crm::sync::Subject")]
pub enum CrmSubject {
    /// The persons.
    Persons,
    /// The selections, and who is on those that are used here.
    Selections,
    /// The projects, and who is on those that are used here.
    Projects,
}

/// The CRM: where persons, selections, projects and tasks are.
pub struct Crm(pub(super) CrmState);

/// The CRM: where persons, selections, projects and tasks are.
#[Object]
impl Crm {
    /// What it is called: `SuperOffice`, or `built-in`.
    async fn name(&self) -> &str {
        self.0.name
    }

    /// Whether it is nachfass itself, because none is connected: then there is nothing to read.
    async fn is_built_in(&self) -> bool {
        self.0.is_builtin
    }

    /// How far it has been read: persons, selections, projects, each where it was tried.
    async fn readings(&self) -> Vec<CrmReading> {
        self.0.readings.iter().cloned().map(CrmReading).collect()
    }
}

/// How far something of the CRM has been read.
pub struct CrmReading(LastReading);

/// How far something of the CRM has been read.
#[Object]
impl CrmReading {
    /// What.
    async fn subject(&self) -> CrmSubject {
        self.0.subject.into()
    }

    /// What is shown here is at least as new as this; null where it was never read.
    async fn read_until(&self) -> Option<DateTime> {
        at(self.0.read_until)
    }

    /// When all persons were last read, not only those that had changed; null for lists, of which always all that are used are read.
    async fn complete_at(&self) -> Option<DateTime> {
        at(self.0.complete_at)
    }

    /// When it was last tried to read it.
    async fn tried_at(&self) -> Option<DateTime> {
        at(self.0.tried_at)
    }

    /// Why that failed, or that it left something out; null where it went well. Who may not see personal data sees `•••`.
    async fn error(&self) -> Option<&str> {
        self.0.error.as_deref()
    }

    /// The global id of the job that tried.
    async fn job_id(&self) -> Option<ID> {
        self.0.job.map(|id| Key::Job(id).id())
    }
}
