//! The only door to the use cases: what a subject may not do, it is not handed.
//!
//! [`Services`] is made once. For each request it gives an [`Access`] for the subject, which hands out [`Reader`] to everybody,
//! [`Marketer`] and [`Admin`] to those who have the role. The use cases are methods of these three, in the files of their subjects.

use std::sync::Arc;

use domain::crm::Crm;
use domain::storage::FileStore;
use domain::table::TableFormats;
use domain::{Clock, Timestamp};
use tokio::sync::Notify;

use crate::accounts::{Accounts, SignInOptions};
use crate::changes::Changes;
use crate::crm::builtin::Builtin;
use crate::crm::tokens::TokenKey;
use crate::cursor::CursorKey;
use crate::db::Db;
use crate::error::Refusal;
use crate::exports::links::LinkKey;
use crate::exports::{ExportOptions, Exports};
use crate::jobs;
use crate::prune::Retention;
use crate::sources::{ConfiguredSource, SourceTally};
use crate::statistics::Campaign;
use crate::subject::{Role, Subject};
use crate::together::Together;
use crate::uploads::FileLimits;
use crate::uploads::limits::Underway;

/// What all use cases need; cheap to clone.
#[derive(Clone)]
pub struct Services {
    /// The database.
    pub(crate) db: Db,
    /// The time.
    pub(crate) clock: Arc<dyn Clock>,
    /// Seals cursors.
    pub(crate) cursor_key: CursorKey,
    /// Where uploads lie.
    pub(crate) data_dir: Arc<std::path::Path>,
    /// Told whose figures change.
    pub(crate) changes: Changes,
    /// Campaigns that requests look at.
    pub(crate) campaigns: Together<i64, Campaign>,
    /// Signs links to files.
    pub(crate) link_key: LinkKey,
    /// Where exported files go; nowhere in processes that were not told.
    pub(crate) exports: Option<Arc<Exports>>,
    /// The CRM.
    pub(crate) crm: Arc<dyn Crm>,
    /// Seals what the CRM gave us.
    pub(crate) token_key: TokenKey,
    /// What signing in needs.
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) sign_in: SignInOptions,
    /// Told that jobs were added.
    due: Arc<Notify>,
    lease_seconds: i64,
    /// For how long things are kept.
    pub(crate) retention: Retention,
    /// How much may be uploaded and imported.
    pub(crate) files: FileLimits,
    /// The uploads that go on.
    pub(crate) uploading: Underway,
    /// The sources that are configured.
    pub(crate) sources: Arc<[ConfiguredSource]>,
    /// What becomes of requests to them.
    pub(crate) source_tally: SourceTally,
}

impl Services {
    /// Over this database; `secret` is the installation's key, `data_dir` the folder that its processes share.
    #[must_use]
    pub fn new(db: Db, clock: Arc<dyn Clock>, secret: &[u8; 32], data_dir: &std::path::Path) -> Self {
        let (cursor_key, changes) = (CursorKey::derive(secret), Changes::default());
        let (due, lease_seconds) = (Arc::default(), jobs::LEASE_SECONDS);
        let (data_dir, campaigns) = (data_dir.into(), Together::default());
        let (link_key, exports, retention) = (LinkKey::derive(secret), None, Retention::default());
        let (crm, token_key) = (Arc::new(Builtin::new(db.clone(), clock.clone())), TokenKey::derive(secret));
        Self {
            db,
            clock,
            cursor_key,
            data_dir,
            changes,
            campaigns,
            link_key,
            exports,
            crm,
            token_key,
            accounts: Arc::new(Accounts::new(secret)),
            sign_in: SignInOptions::default(),
            due,
            lease_seconds,
            retention,
            files: FileLimits::default(),
            uploading: Underway::default(),
            sources: Arc::default(),
            source_tally: SourceTally::default(),
        }
    }

    /// The same with other limits of uploads and imports.
    #[must_use]
    pub const fn with_file_limits(mut self, files: FileLimits) -> Self {
        self.files = files;
        self
    }

    /// The same that keeps things for other times.
    #[must_use]
    pub const fn with_retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// The same where people sign in otherwise.
    #[must_use]
    pub const fn with_sign_in(mut self, options: SignInOptions) -> Self {
        self.sign_in = options;
        self
    }

    /// The same with another length of a job's lease.
    #[must_use]
    pub fn with_lease(mut self, seconds: i64) -> Self {
        self.lease_seconds = seconds.max(1);
        self
    }

    /// The same with exports: where their files are kept, who knows the formats, and how they are given out.
    #[must_use]
    pub fn with_exports(
        mut self,
        files: Arc<dyn FileStore>,
        formats: Arc<dyn TableFormats>,
        options: ExportOptions,
    ) -> Self {
        self.exports = Some(Arc::new(Exports::new(files, formats, options)));
        self
    }

    /// The same with this CRM in place of the built-in one.
    #[must_use]
    pub fn with_crm(mut self, crm: Arc<dyn Crm>) -> Self {
        self.crm = crm;
        self
    }

    /// The CRM.
    #[must_use]
    pub const fn crm(&self) -> &Arc<dyn Crm> {
        &self.crm
    }

    /// A key by which something that we make in the CRM is found there again.
    pub(crate) fn new_crm_key(&self) -> String {
        format!("nachfass-{}", ulid::Ulid::generate())
    }

    /// The same for one of `threads` threads with a runtime each, see [`Db::of_thread`].
    #[must_use]
    pub fn of_thread(&self, threads: u32) -> Self {
        Self { db: self.db.of_thread(threads), campaigns: Together::default(), ..self.clone() }
    }

    /// The campaigns that these services change.
    #[must_use]
    pub const fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Until when a job is its worker's that has it now.
    #[must_use]
    pub fn lease_until(&self) -> Timestamp {
        self.now().plus_seconds(self.lease_seconds)
    }

    /// For how long a job is its worker's, in seconds.
    #[must_use]
    pub const fn lease_seconds(&self) -> i64 {
        self.lease_seconds
    }

    /// To be said once jobs that were added are committed: work on them begins at once instead of at the next look.
    pub(crate) fn jobs_were_added(&self) {
        self.due.notify_one();
    }

    /// Waits until jobs were added in this process.
    pub async fn jobs_added(&self) {
        self.due.notified().await;
    }

    /// What `subject` may do.
    #[must_use]
    pub fn access(&self, subject: Subject) -> Access {
        Access { services: self.clone(), subject: Arc::new(subject) }
    }

    /// The database, for the program's own work (worker, commands); not for requests.
    #[must_use]
    pub const fn db(&self) -> &Db {
        &self.db
    }

    /// The present moment.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// What a subject may do.
#[derive(Clone)]
pub struct Access {
    services: Services,
    subject: Arc<Subject>,
}

impl Access {
    /// Who it is.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// All use cases, for those that hand out a handle of their own.
    pub(crate) const fn services(&self) -> &Services {
        &self.services
    }

    /// Looking at things, without personal data for a viewer.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader { services: self.services.clone(), subject: self.subject.clone() }
    }

    /// Working with campaigns and recipients.
    ///
    /// # Errors
    /// A refusal for viewers.
    pub fn marketer(&self) -> Result<Marketer, Refusal> {
        self.subject.require(Role::Marketer)?;
        Ok(Marketer { services: self.services.clone(), subject: self.subject.clone() })
    }

    /// Managing the installation.
    ///
    /// # Errors
    /// A refusal for all but admins.
    pub fn admin(&self) -> Result<Admin, Refusal> {
        self.subject.require(Role::Admin)?;
        Ok(Admin { services: self.services.clone(), subject: self.subject.clone() })
    }
}

/// Use cases for everybody who is signed in.
#[derive(Clone)]
pub struct Reader {
    pub(crate) services: Services,
    pub(crate) subject: Arc<Subject>,
}

/// Use cases for marketers.
#[derive(Clone)]
pub struct Marketer {
    pub(crate) services: Services,
    pub(crate) subject: Arc<Subject>,
}

/// Use cases for admins.
#[derive(Clone)]
pub struct Admin {
    pub(crate) services: Services,
    pub(crate) subject: Arc<Subject>,
}
