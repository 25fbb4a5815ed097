//! Who is on a selection or project.

use std::collections::BTreeSet;

use domain::crm::{CrmError, ListKind, MAX_MEMBERS, Member, Page};
use serde_json::{Value, json};

use super::SuperOffice;
use super::client::{Call, Client};
use super::odata::{Filter, Listing, PAGE};
use super::values::{Row, parse_id};

/// The kinds of rows of a selection of companies and persons, be it static or not.
const ENTITIES: &str = "staticContact,staticPerson,contact,person";
/// The archive of such a selection's members, where the selection does not name another one.
const PROVIDER: &str = "ContactPersonSelectionV2";

/// The table behind a project's members. To be verified on a tenant: that the application may read it.
const MEMBER_ID: &str = "projectmember.projectmember_id";
const PROJECT: &str = "projectmember.project_id";
const PERSON: &str = "projectmember.person_id";
const COMPANY: &str = "projectmember.contact_id";

/// How far a reading of members has come: the last person, and the archive that is read.
struct Place<'a> {
    archive: &'a str,
    last: i64,
}

impl<'a> Place<'a> {
    fn parse(text: &'a str) -> Result<Self, CrmError> {
        let parsed = text.split_once(':').and_then(|(archive, last)| Some(Self { archive, last: last.parse().ok()? }));
        let parsed = parsed.filter(|place| is_name(place.archive));
        parsed.ok_or_else(|| CrmError::Refused("no page of SuperOffice's begins there".to_owned()))
    }
}

/// Whether it can stand in a path.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

impl SuperOffice {
    pub(super) async fn read_members(
        &self,
        kind: ListKind,
        list: &str,
        after: Option<&str>,
    ) -> Result<Page<Member>, CrmError> {
        let list = parse_id(list)?;
        let first;
        let after = if let Some(after) = after {
            after
        } else {
            first = format!("{}:0", self.archive_of(kind, list).await?);
            &first
        };
        let place = Place::parse(after)?;
        match kind {
            ListKind::Selection => selection_members(&self.client, list, &place).await,
            ListKind::Project => project_members(&self.client, list, &place).await,
        }
    }

    /// The archive that holds the members; an error where there is no such list.
    async fn archive_of(&self, kind: ListKind, list: i64) -> Result<String, CrmError> {
        match kind {
            ListKind::Selection => {
                let entity = self.client.json(&Call::get(format!("Selection/{list}"))).await?;
                let named = Row(&entity).text("MainProviderName").filter(|name| is_name(name));
                Ok(named.unwrap_or_else(|| PROVIDER.to_owned()))
            }
            ListKind::Project => {
                self.client.json(&Call::get(format!("Project/{list}"))).await?;
                Ok("dynamic".to_owned())
            }
        }
    }

    pub(super) async fn write_members(&self, kind: ListKind, list: &str, members: &[Member]) -> Result<(), CrmError> {
        let list = parse_id(list)?;
        let mut pairs = pairs(members)?;
        let call = match kind {
            ListKind::Selection => Call::post(format!("Selection/{list}/Members/AddPerson"), Value::Array(pairs)),
            ListKind::Project => {
                for pair in pairs.iter_mut().filter_map(Value::as_object_mut) {
                    pair.insert("ProjectId".to_owned(), list.into());
                }
                let body = json!({ "ProjectEntityId": list, "ProjectMembers": pairs });
                Call::post("Agents/Project/AddProjectMembers", body)
            }
        };
        self.client.send(&call).await.map(drop)
    }

    pub(super) async fn write_no_members(
        &self,
        kind: ListKind,
        list: &str,
        members: &[Member],
    ) -> Result<(), CrmError> {
        let list = parse_id(list)?;
        let pairs = pairs(members)?;
        let call = match kind {
            ListKind::Selection => Call::post(format!("Selection/{list}/Members/RemovePerson"), Value::Array(pairs)),
            ListKind::Project => {
                let ids = project_member_ids(&self.client, list, members).await?;
                if ids.is_empty() {
                    return Ok(());
                }
                Call::post("Agents/Project/DeleteProjectMemberByIds", json!({ "ProjectMemberIds": ids }))
            }
        };
        self.client.send(&call.repeatable()).await.map(drop)
    }
}

/// Persons with their companies. To be verified on a tenant: the documents' example has both ids, while the text of the type says that
/// one of them is zero.
fn pairs(members: &[Member]) -> Result<Vec<Value>, CrmError> {
    if members.len() > MAX_MEMBERS {
        return Err(CrmError::Refused(format!("more than {MAX_MEMBERS} members at once")));
    }
    let pair = |member: &Member| {
        let company = member.company.as_deref().map_or(Ok(0), parse_id)?;
        Ok(json!({ "PersonId": parse_id(&member.person)?, "ContactId": company }))
    };
    members.iter().map(pair).collect()
}

/// Members of a selection in the order of persons: who is there twice is read once, and companies without a person not at all. To be
/// verified on a tenant: that the archive can be restricted and ordered by `personId`.
async fn selection_members(client: &Client, list: i64, place: &Place<'_>) -> Result<Page<Member>, CrmError> {
    let path = format!("Archive/{}", place.archive);
    let filter = Filter::default().equal("selectionId", list).above("personId", place.last);
    let columns = ["personId", "contactId"];
    let listing =
        Listing { path: &path, columns: &columns, key: "personId", filter, entities: Some(ENTITIES), top: PAGE };
    page(client, listing, "personId", "contactId", place).await
}

async fn project_members(client: &Client, list: i64, place: &Place<'_>) -> Result<Page<Member>, CrmError> {
    let filter = Filter::default().equal(PROJECT, list).above(PERSON, place.last);
    let columns = [PERSON, COMPANY];
    let listing =
        Listing { path: "Archive/dynamic", columns: &columns, key: PERSON, filter, entities: None, top: PAGE };
    page(client, listing, PERSON, COMPANY, place).await
}

async fn page(
    client: &Client,
    listing: Listing<'_>,
    person: &str,
    company: &str,
    place: &Place<'_>,
) -> Result<Page<Member>, CrmError> {
    let rows = client.list(&listing).await?;
    let mut seen = BTreeSet::new();
    let mut members = Vec::new();
    for row in rows.iter() {
        let Some(id) = row.id(person).filter(|id| seen.insert(*id)) else { continue };
        members.push(Member { person: id.to_string(), company: row.id(company).map(|company| company.to_string()) });
    }
    let next = rows.next(person).map(|last| format!("{}:{last}", place.archive));
    Ok(Page { rows: members, next })
}

/// The rows by which these persons are members of a project, each as often as they are.
async fn project_member_ids(client: &Client, list: i64, members: &[Member]) -> Result<Vec<i64>, CrmError> {
    /// Their ids must fit into a URL.
    const AT_ONCE: usize = 100;
    let persons = members.iter().map(|member| parse_id(&member.person)).collect::<Result<Vec<_>, _>>()?;
    let mut found = Vec::new();
    for part in persons.chunks(AT_ONCE) {
        let filter = Filter::default().equal(PROJECT, list).one_of(PERSON, part);
        let columns = [MEMBER_ID];
        let listing =
            Listing { path: "Archive/dynamic", columns: &columns, key: MEMBER_ID, filter, entities: None, top: PAGE };
        let rows = client.whole(listing).await?;
        found.extend(rows.iter().filter_map(|row| Row(row).id(MEMBER_ID)));
    }
    Ok(found)
}
