//! How far the CRM has been read, and how the last readings went.

use domain::Timestamp;
use domain::crm::ListKind;
use domain::text::cut;
use entity::crm_sync::Column;
use sea_orm::ConnectionTrait;

use crate::access::Reader;
use crate::crm::outcome::MAX_MESSAGE;
use crate::db::{execute, query_all};
use crate::error::{Result, ServiceError};

/// What is read from a CRM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The persons.
    Persons,
    /// The selections, and who is on those that are used here.
    Selections,
    /// The projects, and who is on those that are used here.
    Projects,
}

impl Subject {
    const ALL: [Self; 3] = [Self::Persons, Self::Selections, Self::Projects];

    pub(super) const fn of(list: ListKind) -> Self {
        match list {
            ListKind::Selection => Self::Selections,
            ListKind::Project => Self::Projects,
        }
    }

    /// The name in the database.
    const fn name(self) -> &'static str {
        match self {
            Self::Persons => "persons",
            Self::Selections => "selections",
            Self::Projects => "projects",
        }
    }
}

/// The CRM, and how far it has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrmState {
    /// What people call it.
    pub name: &'static str,
    /// Whether nachfass's own tables are the CRM, so that there is nothing to read.
    pub is_builtin: bool,
    /// The last reading of each subject, where there was one.
    pub readings: Vec<LastReading>,
}

/// How far something has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastReading {
    /// What.
    pub subject: Subject,
    /// What is held here is at least as new as this.
    pub read_until: Option<Timestamp>,
    /// When all of it was last read, not only what had changed. Of persons only.
    pub complete_at: Option<Timestamp>,
    /// When it was last tried to read it.
    pub tried_at: Option<Timestamp>,
    /// Why that failed, or left something out.
    pub error: Option<String>,
    /// The job that tried.
    pub job: Option<i64>,
}

impl Reader {
    /// The CRM, and how far it has been read.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn crm_state(&self) -> Result<CrmState> {
        let crm = self.services.crm();
        let mut readings = Vec::new();
        let sql = "SELECT subject, read_until, complete_at, last_at, last_error, last_job FROM crm_sync";
        for row in query_all(self.services.db.read(), sql, []).await? {
            let time = |index| -> Result<Option<Timestamp>> {
                Ok(row.try_get_by_index::<Option<i64>>(index)?.map(Timestamp::from_micros))
            };
            let name: String = row.try_get_by_index(0)?;
            let Some(subject) = Subject::ALL.into_iter().find(|subject| subject.name() == name) else { continue };
            readings.push(LastReading {
                subject,
                read_until: time(1)?,
                complete_at: time(2)?,
                tried_at: time(3)?,
                error: row
                    .try_get_by_index::<Option<String>>(4)?
                    .map(|error| self.subject.masked(Column::LastError, error)),
                job: row.try_get_by_index(5)?,
            });
        }
        readings.sort_by_key(|reading| Subject::ALL.iter().position(|subject| *subject == reading.subject));
        Ok(CrmState { name: crm.name(), is_builtin: crm.is_builtin(), readings })
    }
}

/// How a reading went, for [`LastReading`].
pub(super) struct Note {
    pub subject: Subject,
    /// None where it failed: what was read before is what is held.
    pub read_until: Option<Timestamp>,
    pub complete_at: Option<Timestamp>,
    pub job: i64,
    pub error: Option<String>,
}

impl Note {
    pub(super) async fn write<C: ConnectionTrait>(self, connection: &C, now: Timestamp) -> Result<(), ServiceError> {
        // Readings of lists that are named go on beside others: one that began earlier may end later.
        let sql = "INSERT INTO crm_sync (subject, read_until, complete_at, last_job, last_error, last_at) VALUES ($1, $2, $3, $4, $5, $6) \
                   ON CONFLICT (subject) DO UPDATE SET last_job = excluded.last_job, last_error = excluded.last_error, \
                   read_until = CASE WHEN crm_sync.read_until > excluded.read_until OR excluded.read_until IS NULL \
                      THEN crm_sync.read_until ELSE excluded.read_until END, \
                   complete_at = COALESCE(excluded.complete_at, crm_sync.complete_at), last_at = excluded.last_at";
        let values = [
            self.subject.name().into(),
            self.read_until.map(Timestamp::micros).into(),
            self.complete_at.map(Timestamp::micros).into(),
            self.job.into(),
            self.error.map(|error| cut(&error, MAX_MESSAGE)).into(),
            now.micros().into(),
        ];
        execute(connection, sql, values).await?;
        Ok(())
    }
}
