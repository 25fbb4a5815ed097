//! Persons: all of them by the page, those that changed, or one.

use std::collections::HashMap;

use domain::Timestamp;
use domain::crm::{Company, CrmError, Page, Person, PersonQuery};

use super::SuperOffice;
use super::associates::Active;
use super::odata::{Filter, Listing, PAGE, Rows};
use super::values::{Row, parse_id};

/// So many changed persons are read at once: their ids must fit into a URL.
const CHANGED: usize = 100;
/// The clocks of SuperOffice and of this machine may differ by so many seconds.
const CLOCKS: i64 = 60;

/// What is read of a person. To be verified on a tenant: the paths of the company's owner, which the documents abbreviate.
const COLUMNS: [&str; 13] = [
    "personId",
    "fullName",
    "retired",
    "personNoMail",
    "personUpdatedDate",
    "contactId",
    "personContact/name",
    "personAssociateId",
    "personAssociate/fullName",
    "personContact/contactAssociate/associateDbId",
    "personContact/contactAssociate/fullName",
    "hasEmarketingConsent",
    "subscription",
];
/// Those who left their companies are given only to who asks for them.
const ENTITIES: &str = "person,retiredPerson";

/// The addresses, from the table itself: a list of persons has no more than one of each. To be verified on a tenant: the column `rank`.
const EMAIL_COLUMNS: [&str; 4] = ["email.email_id", "email.person_id", "email.email_address", "email.rank"];

/// How far a reading of what changed has come: the persons' own rows first, then those of their addresses, of which SuperOffice tells
/// nothing with the person, then the persons whose company changed: its name stands with them, and its owner is theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Person(i64),
    Email(i64),
    /// Up to this person.
    Company(i64),
}

impl Place {
    fn parse(text: Option<&str>) -> Result<Self, CrmError> {
        let Some(text) = text else { return Ok(Self::Person(0)) };
        let parsed = text.split_once(':').and_then(|(table, id)| match table {
            "person" => id.parse().ok().map(Self::Person),
            "email" => id.parse().ok().map(Self::Email),
            "company" => id.parse().ok().map(Self::Company),
            _ => None,
        });
        parsed.ok_or_else(stray)
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Person(id) => write!(f, "person:{id}"),
            Self::Email(id) => write!(f, "email:{id}"),
            Self::Company(id) => write!(f, "company:{id}"),
        }
    }
}

fn stray() -> CrmError {
    CrmError::Refused("no page of SuperOffice's begins there".to_owned())
}

impl SuperOffice {
    pub(super) async fn read_persons(&self, query: &PersonQuery) -> Result<Page<Person>, CrmError> {
        match query.changed_since {
            Some(since) => self.changed_persons(since, query.after.as_deref()).await,
            None => self.all_persons(query.after.as_deref()).await,
        }
    }

    /// The one person.
    pub(super) async fn read_person(&self, id: &str) -> Result<Option<Person>, CrmError> {
        let Ok(id) = parse_id(id) else { return Ok(None) };
        Ok(self.persons_with(&[id]).await?.pop())
    }

    async fn all_persons(&self, after: Option<&str>) -> Result<Page<Person>, CrmError> {
        let after = after.map_or(Ok(0), |after| after.parse().map_err(|_| stray()))?;
        let filter = Filter::default().above("personId", after);
        let rows = self.client.list(&person_listing(filter, PAGE)).await?;
        let next = rows.next("personId");
        let Some(last) = rows.iter().filter_map(|row| row.id("personId")).max() else {
            return Ok(Page { rows: Vec::new(), next: None });
        };
        let of_these = Filter::default().above("email.person_id", after).up_to("email.person_id", last);
        let persons = self.complete(rows.iter(), of_these).await?;
        Ok(Page { rows: persons, next: next.map(|key| key.to_string()) })
    }

    async fn changed_persons(&self, since: Timestamp, after: Option<&str>) -> Result<Page<Person>, CrmError> {
        let since = since.plus_seconds(-CLOCKS);
        let place = Place::parse(after)?;
        let Columns { key, person, .. } = columns(place);
        let rows = match self.changed_rows(place, since, CHANGED).await {
            Err(error @ (CrmError::Refused(_) | CrmError::NotFound)) if matches!(place, Place::Company(_)) => {
                // Of what the persons themselves say, nothing is lost by that.
                tracing::warn!(%error, "which companies changed cannot be read: that is seen by the next complete reading");
                return Ok(Page { rows: Vec::new(), next: None });
            }
            rows => rows?,
        };
        let next = match (rows.next(key), place) {
            (Some(last), Place::Person(_)) => Some(Place::Person(last)),
            (Some(last), Place::Email(_)) => Some(Place::Email(last)),
            (Some(last), Place::Company(_)) => Some(Place::Company(last)),
            (None, Place::Person(_)) => Some(Place::Email(0)),
            (None, Place::Email(_)) => Some(Place::Company(0)),
            (None, Place::Company(_)) => None,
        };
        // Addresses of companies have no person.
        let mut ids: Vec<i64> = rows.iter().filter_map(|row| row.id(person)).collect();
        ids.sort_unstable();
        ids.dedup();
        let persons = self.persons_with(&ids).await?;
        Ok(Page { rows: persons, next: next.map(|place| place.to_string()) })
    }

    /// The rows that were changed since then, behind a place; so many at most.
    pub(super) async fn changed_rows(&self, place: Place, since: Timestamp, top: usize) -> Result<Rows, CrmError> {
        let Columns { key, person, updated } = columns(place);
        let columns = if key == person { vec![key] } else { vec![key, person] };
        let (Place::Person(last) | Place::Email(last) | Place::Company(last)) = place;
        let filter = Filter::default().after(updated, since).above(key, last);
        let listing = Listing { path: "Archive/dynamic", columns: &columns, key, filter, entities: None, top };
        self.client.list(&listing).await
    }

    /// Those of these persons that there are; no more than [`CHANGED`] of them are asked for.
    async fn persons_with(&self, ids: &[i64]) -> Result<Vec<Person>, CrmError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let filter = Filter::default().one_of("personId", ids);
        let rows = self.client.list(&person_listing(filter, PAGE)).await?;
        self.complete(rows.iter(), Filter::default().one_of("email.person_id", ids)).await
    }

    /// The persons of these rows, with the addresses that the filter finds.
    async fn complete<'a>(
        &self,
        rows: impl Iterator<Item = Row<'a>>,
        of_these: Filter,
    ) -> Result<Vec<Person>, CrmError> {
        let active = self.associates.active(&self.client).await?;
        let mut emails = self.emails(of_these).await?;
        let mut persons: Vec<(i64, Person)> = Vec::new();
        for row in rows {
            let Some(id) = row.id("personId") else { continue };
            // Where a list has a row for each of somebody's subscriptions, say, the first one is as good as any.
            if persons.last().is_none_or(|(last, _)| *last != id) {
                persons.push((id, person(id, row, emails.remove(&id).unwrap_or_default(), &active)));
            }
        }
        Ok(persons.into_iter().map(|(_, person)| person).collect())
    }

    /// The addresses of persons, by their ids.
    async fn emails(&self, filter: Filter) -> Result<HashMap<i64, Vec<String>>, CrmError> {
        let listing = Listing {
            path: "Archive/dynamic",
            columns: &EMAIL_COLUMNS,
            key: "email.email_id",
            filter,
            entities: None,
            top: PAGE,
        };
        let rows = self.client.whole(listing).await?;
        let mut found: HashMap<i64, Vec<(i64, i64, String)>> = HashMap::new();
        for row in rows.iter().map(Row) {
            let address = row.text("email.email_address");
            if let (Some(person), Some(id), Some(address)) =
                (row.id("email.person_id"), row.id("email.email_id"), address)
            {
                found.entry(person).or_default().push((row.int("email.rank").unwrap_or_default(), id, address));
            }
        }
        let in_order = |mut emails: Vec<(i64, i64, String)>| {
            emails.sort_unstable();
            emails.into_iter().map(|(_, _, address)| address).collect()
        };
        Ok(found.into_iter().map(|(person, emails)| (person, in_order(emails))).collect())
    }
}

/// The columns by which it is found what changed.
struct Columns {
    /// What the rows are ordered by.
    key: &'static str,
    /// Whose row it is.
    person: &'static str,
    /// When it was changed last.
    updated: &'static str,
}

/// To be verified on a tenant: that a filter may name the company's column by the way from the person's `contact_id`, as the grammar of the
/// dynamic archive has it.
const fn columns(place: Place) -> Columns {
    let (key, person, updated) = match place {
        Place::Person(_) => ("person.person_id", "person.person_id", "person.updated"),
        Place::Email(_) => ("email.email_id", "email.person_id", "email.updated"),
        Place::Company(_) => ("person.person_id", "person.person_id", "person.contact_id.updated"),
    };
    Columns { key, person, updated }
}

fn person_listing(filter: Filter, top: usize) -> Listing<'static> {
    Listing { path: "Person", columns: &COLUMNS, key: "personId", filter, entities: Some(ENTITIES), top }
}

fn person(id: i64, row: Row<'_>, emails: Vec<String>, active: &Active) -> Person {
    let company = row
        .id("contactId")
        .map(|company| Company { id: company.to_string(), name: row.text("personContact/name").unwrap_or_default() });
    // Most persons have no owner of their own.
    let own = row.id("personAssociateId").map(|id| (id, row.text("personAssociate/fullName")));
    let owner = own.or_else(|| {
        let id = row.id("personContact/contactAssociate/associateDbId")?;
        Some((id, row.text("personContact/contactAssociate/fullName")))
    });
    Person {
        id: id.to_string(),
        name: row.text("fullName"),
        company,
        owner: owner.map(|(id, name)| active.owner(id, name)),
        emails,
        is_former_employee: row.flag("retired").unwrap_or_default(),
        no_mailing: row.flag("personNoMail").unwrap_or_default(),
        consent: row.flag("hasEmarketingConsent"),
        subscriptions: row.names("subscription"),
        updated_at: row.time("personUpdatedDate"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        for place in [Place::Person(0), Place::Person(17), Place::Email(i64::MAX), Place::Company(3)] {
            assert_eq!(Place::parse(Some(&place.to_string())).expect("a place"), place);
        }
        for text in ["", "17", "person:", "project:3", "person:x"] {
            assert!(Place::parse(Some(text)).is_err(), "{text}");
        }
    }
}
