//! The customer relations management (CRM) that recipients are persons of: what nachfass needs of it, whichever it is.
//!
//! A CRM knows persons with their addresses, company and the user who is responsible for them; static lists of persons (selections
//! and projects); tasks in the diaries of its users. nachfass mirrors what it reads from it, and writes what its own users decide.
//! Ids are the CRM's own, as text.
//!
//! No CRM promises to do a thing once only. Who calls writes down beforehand what is about to happen; where the outcome is not known
//! ([`CrmError::may_have_happened`]), it is found out by reading before anything is sent again.

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::coded_enum;

mod trouble;

pub use trouble::Trouble;

coded_enum! {
    /// How the members of a selection are chosen.
    SelectionKind {
        /// They were put there one by one.
        Static = 1 "STATIC",
        /// Whoever meets its criteria at the moment.
        Dynamic = 2 "DYNAMIC",
        /// Put together from two others.
        Combined = 3 "COMBINED",
    }
}

coded_enum! {
    /// A kind of list of persons.
    ListKind {
        /// A selection.
        Selection = 1 "SELECTION",
        /// A project: its members are persons, whatever else belongs to it.
        Project = 2 "PROJECT",
    }
}

/// A person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// The CRM's id.
    pub id: String,
    /// The whole name.
    pub name: Option<String>,
    /// Where they work.
    pub company: Option<Company>,
    /// Who is responsible for them: the company's own user where the person has none.
    pub owner: Option<Owner>,
    /// Their addresses as they stand in the CRM, the one to write to first.
    pub emails: Vec<String>,
    /// Has left the company.
    pub is_former_employee: bool,
    /// Wants no mailings at all.
    pub no_mailing: bool,
    /// Whether they consented to marketing by e-mail; `None` where the CRM does not keep that.
    pub consent: Option<bool>,
    /// The names of the subscriptions that they have; `None` where the CRM does not keep that.
    pub subscriptions: Option<Vec<String>>,
    /// When the CRM last changed them: the precondition of a change by us.
    pub updated_at: Option<Timestamp>,
}

/// A company.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Company {
    /// The CRM's id.
    pub id: String,
    /// What it is called.
    pub name: String,
}

/// A user of the CRM, in whose diary tasks are put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The CRM's id.
    pub id: String,
    /// What they are called.
    pub name: String,
    /// Whether they still work with the CRM.
    pub is_active: bool,
}

/// A static list of persons, or one that the CRM works out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// The CRM's id.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// How its members are chosen; [`SelectionKind::Static`] for projects. Only static lists can be changed.
    pub kind: SelectionKind,
}

/// A member of a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// The person's id.
    pub person: String,
    /// The company as whose person they are on the list, where the CRM knows one.
    pub company: Option<String>,
}

/// A part of a list, in the order of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it.
    pub rows: Vec<T>,
    /// Where to go on, in the CRM's own words, to be handed back as it is; `None` where this was the last page.
    pub next: Option<String>,
}

/// Which persons to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PersonQuery {
    /// Only those that changed since, an address of theirs included; all where there is no time. What is read may hold a few more.
    pub changed_since: Option<Timestamp>,
    /// Where to go on: [`Page::next`] of the page before.
    pub after: Option<String>,
}

/// A list to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewList {
    /// Ours, and the same for each try: it stands in the CRM's list, so that it can be found there.
    pub key: String,
    /// Selection or project.
    pub kind: ListKind,
    /// What it shall be called.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
}

/// A task to be put into the diary of a user of the CRM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTask {
    /// Ours, and the same for each try: it stands in the CRM's task, so that it can be found there.
    pub key: String,
    /// In whose diary.
    pub owner: String,
    /// About whom.
    pub person: String,
    /// The person's company.
    pub company: Option<String>,
    /// What is to be done.
    pub title: String,
    /// Why, and where to look.
    pub description: Option<String>,
    /// The day on which it is due, at midnight UTC; none for a list of things to be done some time.
    pub due: Option<Timestamp>,
}

/// An address to be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailChange {
    /// Whose.
    pub person: String,
    /// What it must be still; where there is none, the new one is added to what the person has.
    pub old: Option<String>,
    /// What it shall be.
    pub new: String,
}

/// A bounce to be noted with an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounce {
    /// The address.
    pub email: String,
    /// The SMTP reply code (RFC 5321), where it is known.
    pub smtp_code: Option<u16>,
    /// Why, in a few words: no more than what the receiving server said.
    pub reason: String,
}

/// As whom the CRM is reached, and what may be done there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// The kind of CRM and the installation or tenant.
    pub crm: String,
    /// The user, by the name that the CRM has for it.
    pub user: String,
    /// What nachfass does there, each in a few words, and whether it may.
    pub rights: Vec<Right>,
}

/// Something that may be done in the CRM, or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Right {
    /// What, for people: `read persons`.
    pub what: String,
    /// Whether it may be done; `None` where that cannot be told without doing it.
    pub allowed: Option<bool>,
    /// Why not, where it may not; why that cannot be told; or of what it was told, where that is not all.
    pub reason: Option<String>,
}

/// What the CRM told by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Told {
    /// Persons changed.
    Persons,
    /// Projects, or their members, changed.
    Projects,
    /// Nothing that matters here.
    Nothing,
}

/// Why something could not be read from the CRM, or done there.
#[derive(Debug, thiserror::Error)]
pub enum CrmError {
    /// It cannot be reached, or has too much to do.
    #[error("the CRM cannot be reached")]
    Unavailable {
        /// Why, for the log; made by [`Trouble::because`] where it is known what is wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
        /// Whether what was asked for may have happened all the same: a request went out, and no answer that can be relied on came.
        may_have_happened: bool,
        /// After so many seconds it may be better, says the CRM.
        retry_after: Option<u32>,
    },
    /// It does not let us in: somebody has to see to it. For people, without secrets.
    #[error("{0}")]
    NoAccess(String),
    /// It says no, and always will. For people, without personal data.
    #[error("{0}")]
    Refused(String),
    /// There is no such thing there (any more).
    #[error("the CRM does not know it (any more)")]
    NotFound,
    /// It is not what it must be: somebody changed it meanwhile.
    #[error("it was changed in the CRM meanwhile")]
    Conflict,
}

impl CrmError {
    /// Whether what was asked for may have happened all the same.
    #[must_use]
    pub const fn may_have_happened(&self) -> bool {
        matches!(self, Self::Unavailable { may_have_happened: true, .. })
    }

    /// What is wrong where it cannot be reached, as far as that is known.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        match self {
            Self::Unavailable { source, .. } => Trouble::of(source.as_ref()),
            _ => None,
        }
    }
}

/// What asking the CRM comes to.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, CrmError>>;

/// A CRM. All implementations pass the same tests (`crm-testing`).
pub trait Crm: Send + Sync + 'static {
    /// What people call it: `SuperOffice`.
    fn name(&self) -> &'static str;

    /// Whether nachfass's own tables are the CRM, so that there is nothing to mirror.
    fn is_builtin(&self) -> bool {
        false
    }

    /// As whom it is reached, and what may be done.
    fn check(&self) -> Answer<'_, Account>;

    /// Persons in the order of their keys; former employees as well.
    fn persons<'a>(&'a self, query: &'a PersonQuery) -> Answer<'a, Page<Person>>;

    /// A person; `None` where there is none with this id (any more).
    fn person<'a>(&'a self, id: &'a str) -> Answer<'a, Option<Person>>;

    /// The selections or projects, in the order of their keys.
    fn lists<'a>(&'a self, kind: ListKind, after: Option<&'a str>) -> Answer<'a, Page<List>>;

    /// The members of a selection or project, in the order of their keys, each once.
    fn members<'a>(&'a self, kind: ListKind, list: &'a str, after: Option<&'a str>) -> Answer<'a, Page<Member>>;

    /// Makes a selection or project, and answers its id. With `again`, an earlier try with the same key may have made it: it is looked
    /// for first.
    fn create_list<'a>(&'a self, new: &'a NewList, again: bool) -> Answer<'a, String>;

    /// Adds members, [`MAX_MEMBERS`] at most. Who calls has read the members before: whether somebody who is a member already becomes
    /// one twice is the CRM's affair.
    fn add_members<'a>(&'a self, kind: ListKind, list: &'a str, members: &'a [Member]) -> Answer<'a, ()>;

    /// Removes members, [`MAX_MEMBERS`] at most. Who is none is passed over.
    fn remove_members<'a>(&'a self, kind: ListKind, list: &'a str, members: &'a [Member]) -> Answer<'a, ()>;

    /// Puts a task into a user's diary, and answers its id. With `again` as for [`Crm::create_list`].
    fn create_task<'a>(&'a self, task: &'a NewTask, again: bool) -> Answer<'a, String>;

    /// Changes an address of a person, if it still is what it was; else [`CrmError::Conflict`]. Or adds one. Where the person has the new one
    /// already, that is fine.
    fn change_email<'a>(&'a self, change: &'a EmailChange) -> Answer<'a, ()>;

    /// Notes that a person no longer consents to marketing by e-mail. Doing it twice changes nothing.
    fn withdraw_consent<'a>(&'a self, person: &'a str) -> Answer<'a, ()>;

    /// Notes that a person has left their company. Doing it twice changes nothing.
    fn mark_former_employee<'a>(&'a self, person: &'a str) -> Answer<'a, ()>;

    /// Adds a bounce to those of an address: twice counts twice.
    fn add_bounce<'a>(&'a self, bounce: &'a Bounce) -> Answer<'a, ()>;

    /// Whether a request to our webhook may come from the CRM, judged by its headers before its body is read. Header names are in lower
    /// case.
    fn may_tell(&self, _headers: &[(String, String)]) -> bool {
        true
    }

    /// What a request to our webhook tells. `None`: it is not the CRM's, or its signature does not fit. Names of headers are in lower
    /// case.
    fn told(&self, headers: &[(String, String)], body: &[u8]) -> Option<Vec<Told>>;
}

/// Something that the CRM gave us for later requests: an access token, a ticket.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// The token itself.
    pub secret: String,
    /// When it ends, where that is known.
    pub expires_at: Option<Timestamp>,
}

/// Keeps tokens for all processes of an installation, encrypted.
pub trait TokenStore: Send + Sync + 'static {
    /// The token of this name, where there is one that can be read.
    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<Token>>;

    /// Keeps a token in place of the one that was kept under this name before. Where that fails it is logged: the next request will
    /// ask the CRM for another one.
    fn put<'a>(&'a self, name: &'a str, token: &'a Token) -> BoxFuture<'a, ()>;
}

/// As many members at most are added or removed by one call.
pub const MAX_MEMBERS: usize = 500;

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}
