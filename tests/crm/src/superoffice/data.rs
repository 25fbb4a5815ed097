//! The tenant's rows. Of 200,000 persons only those are kept that differ from how they were generated.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::crm::{ListKind, SelectionKind};
use domain::{Clock, Timestamp};
use serde_json::Value;

/// A person has so many addresses at most, which have the ids from `id * EMAILS` on.
pub(super) const EMAILS: i64 = 8;
/// When generated rows were changed: 2020-01-01.
const LONG_AGO: Timestamp = Timestamp::from_seconds(1_577_836_800);
/// The ids of what is entered begin after this.
const FIRST_ENTERED: i64 = 1_000_000;

/// A person.
#[derive(Clone, Debug)]
pub struct Person {
    /// The whole name.
    pub name: String,
    /// The company; 0 for none.
    pub company: i64,
    /// Their own responsible user; 0 for none.
    pub associate: i64,
    /// In the order of their ranks.
    pub emails: Vec<Email>,
    /// Has left.
    pub retired: bool,
    /// Wants no mailings.
    pub no_mail: bool,
    /// Consented to marketing by e-mail.
    pub consent: bool,
    /// The names of their subscriptions.
    pub subscriptions: Vec<String>,
    /// When their own row was changed.
    pub updated: Timestamp,
    /// Is gone.
    pub deleted: bool,
}

/// An address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email {
    /// Its id.
    pub id: i64,
    /// The address.
    pub address: String,
    /// When its row was changed.
    pub updated: Timestamp,
}

/// A company.
#[derive(Clone, Debug)]
pub struct Company {
    /// What it is called.
    pub name: String,
    /// The responsible user, who is also that of its persons without one of their own.
    pub associate: i64,
    /// When its row was changed.
    pub(super) updated: Timestamp,
}

/// A selection or project.
pub(super) struct List {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) kind: SelectionKind,
    /// Person, id of the membership, company.
    pub(super) members: BTreeSet<(i64, i64, i64)>,
}

pub(super) struct Data {
    clock: Arc<dyn Clock>,
    /// There are that many persons by themselves.
    pub(super) generated: i64,
    persons: BTreeMap<i64, Person>,
    companies: BTreeMap<i64, Company>,
    selections: BTreeMap<i64, List>,
    projects: BTreeMap<i64, List>,
    pub(super) appointments: BTreeMap<i64, Value>,
    pub(super) bounces: BTreeMap<String, u32>,
    /// Rights to tables, where they are not all there are.
    pub(super) masks: BTreeMap<String, String>,
    /// A column that no list has.
    pub(super) refused_column: Option<String>,
    next_id: i64,
}

/// Users: id, name, and whether they are gone.
pub(super) const ASSOCIATES: [(i64, &str, bool); 4] =
    [(1, "Erika Muster", false), (2, "Bo Berg", false), (3, "Chris Dahl", false), (4, "Dana Weg", true)];

impl Data {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            generated: 0,
            persons: BTreeMap::new(),
            companies: BTreeMap::new(),
            selections: BTreeMap::new(),
            projects: BTreeMap::new(),
            appointments: BTreeMap::new(),
            bounces: BTreeMap::new(),
            masks: BTreeMap::new(),
            refused_column: None,
            next_id: FIRST_ENTERED,
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The rights to a table.
    pub(super) fn mask(&self, table: &str) -> &str {
        self.masks.get(table).map_or("FULL", String::as_str)
    }

    /// Whether something may be done with a table.
    pub(super) fn may(&self, table: &str, right: &str) -> bool {
        let mask = self.mask(table);
        mask == "FULL" || mask.split(", ").any(|held| held == right)
    }

    /// A new id, for whatever it is.
    pub(super) fn next_id(&mut self) -> i64 {
        self.next_id += 1;
        self.next_id
    }

    pub(super) fn lists(&self, kind: ListKind) -> &BTreeMap<i64, List> {
        match kind {
            ListKind::Selection => &self.selections,
            ListKind::Project => &self.projects,
        }
    }

    pub(super) fn lists_mut(&mut self, kind: ListKind) -> &mut BTreeMap<i64, List> {
        match kind {
            ListKind::Selection => &mut self.selections,
            ListKind::Project => &mut self.projects,
        }
    }

    /// The largest id of a person.
    pub(super) fn last_person(&self) -> i64 {
        self.persons.last_key_value().map_or(0, |(id, _)| *id).max(self.generated)
    }

    /// The next id of a person above this one, whether or not they are there still.
    pub(super) fn person_after(&self, id: i64) -> Option<i64> {
        if id < self.generated {
            return Some(id.max(0) + 1);
        }
        self.persons.range(id + 1..).next().map(|(id, _)| *id)
    }

    /// A person who is there.
    pub(super) fn person(&self, id: i64) -> Option<Cow<'_, Person>> {
        match self.persons.get(&id) {
            Some(person) => Some(Cow::Borrowed(person)).filter(|person| !person.deleted),
            None => (1..=self.generated).contains(&id).then(|| Cow::Owned(generated(id))),
        }
    }

    pub(super) fn enter(&mut self, person: Person) -> i64 {
        let id = self.next_id();
        self.persons.insert(id, person);
        id
    }

    /// Changes a person now; addresses that come out different were changed now, and so was the person if anything else was.
    pub(super) fn change<T>(&mut self, id: i64, change: impl FnOnce(&mut Person) -> T) -> Option<T> {
        let now = self.now();
        self.change_at(id, Some(now), change)
    }

    /// The same without a trace of when.
    pub(super) fn change_quietly(&mut self, id: i64, change: impl FnOnce(&mut Person)) {
        self.change_at(id, None, change);
    }

    /// The same after so many seconds.
    pub(super) fn change_later(&mut self, id: i64, seconds: i64, change: impl FnOnce(&mut Person)) {
        let later = self.now().plus_seconds(seconds);
        self.change_at(id, Some(later), change);
    }

    fn change_at<T>(&mut self, id: i64, at: Option<Timestamp>, change: impl FnOnce(&mut Person) -> T) -> Option<T> {
        let before = self.person(id)?.into_owned();
        let mut after = before.clone();
        let result = change(&mut after);
        let mut emails_only = after.clone();
        emails_only.emails.clone_from(&before.emails);
        if let Some(at) = at {
            for email in after.emails.iter_mut().filter(|email| !before.emails.contains(email)) {
                email.updated = at;
            }
            // As in SuperOffice: an address is a row of its own, and says nothing about the person's.
            if format!("{emails_only:?}") != format!("{before:?}") {
                after.updated = at;
            }
        }
        self.persons.insert(id, after);
        Some(result)
    }

    /// A company.
    pub(super) fn company(&self, id: i64) -> Option<Company> {
        let generated = || Company { name: format!("Company {id}"), associate: 1 + id % 3, updated: LONG_AGO };
        (id > 0).then(|| self.companies.get(&id).cloned().unwrap_or_else(generated))
    }

    /// Changes a company now. As in SuperOffice: nothing of that is seen with its persons.
    pub(super) fn change_company(&mut self, id: i64, change: impl FnOnce(&mut Company)) -> Option<()> {
        let mut company = self.company(id)?;
        change(&mut company);
        company.updated = self.now();
        self.companies.insert(id, company);
        Some(())
    }
}

fn generated(id: i64) -> Person {
    let email = Email { id: id * EMAILS, address: format!("person{id}@example.com"), updated: LONG_AGO };
    Person {
        name: format!("Person {id}"),
        company: (id - 1) / 10 + 1,
        associate: 0,
        emails: vec![email],
        retired: false,
        no_mail: false,
        consent: true,
        subscriptions: Vec::new(),
        updated: LONG_AGO,
        deleted: false,
    }
}

impl Data {
    /// Whether anybody has this address.
    pub(super) fn has_email(&self, address: &str) -> bool {
        let of = |person: &Person| person.emails.iter().any(|email| email.address == address);
        let number = address.strip_prefix("person").and_then(|rest| rest.strip_suffix("@example.com"));
        let generated = number.and_then(|number| number.parse().ok()).and_then(|id| self.person(id));
        generated.is_some_and(|person| of(&person)) || self.persons.values().any(|person| !person.deleted && of(person))
    }
}
