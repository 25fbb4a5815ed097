//! Lists: the archives of persons, selections, projects and members, and the one over the tables themselves.

use domain::crm::ListKind;

use super::answer::{Answer, Fault};
use super::data::{Data, EMAILS, Email, Person};
use super::filter::{Query, Val};
use super::http::Request;

/// Those of these persons that are there, in the order of their ids.
fn those<'a>(
    data: &'a Data,
    query: &Query,
    column: &str,
) -> Box<dyn Iterator<Item = (i64, std::borrow::Cow<'a, Person>)> + 'a> {
    if let Some(mut ids) = query.one_of(column) {
        ids.sort_unstable();
        return Box::new(ids.into_iter().filter_map(|id| Some((id, data.person(id)?))));
    }
    let (above, up_to) = query.range(column);
    let up_to = up_to.min(data.last_person());
    let ids = std::iter::successors(data.person_after(above), |id| data.person_after(*id));
    Box::new(ids.take_while(move |id| *id <= up_to).filter_map(|id| Some((id, data.person(id)?))))
}

pub(super) fn persons(data: &Data, request: &Request) -> Answer {
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
    let query = Query::read(request, &COLUMNS)?;
    let with_retired = query.has_entity("retiredPerson");
    let rows = those(data, &query, "personId").filter(|(_, person)| with_retired || !person.retired);
    query.page("personId", false, rows, |(id, person), column| {
        let company = || data.company(person.company);
        let name_of = |id: i64| {
            let known = super::data::ASSOCIATES.iter().find(|(known, _, _)| *known == id);
            Val::Text(known.map(|(_, name, _)| (*name).to_owned()).unwrap_or_default())
        };
        match column {
            "personId" => Val::Int(*id),
            "fullName" => Val::Text(person.name.clone()),
            "retired" => Val::Flag(person.retired),
            "personNoMail" => Val::Flag(person.no_mail),
            "personUpdatedDate" => Val::Time(person.updated),
            "contactId" => Val::Int(person.company),
            "personContact/name" => Val::Text(company().map(|row| row.name).unwrap_or_default()),
            "personAssociateId" => Val::Int(person.associate),
            "personAssociate/fullName" => name_of(person.associate),
            "personContact/contactAssociate/associateDbId" => Val::Int(company().map_or(0, |row| row.associate)),
            "personContact/contactAssociate/fullName" => name_of(company().map_or(0, |row| row.associate)),
            "hasEmarketingConsent" => Val::Flag(person.consent),
            _ => Val::Names(person.subscriptions.clone()),
        }
    })
}

pub(super) fn lists(data: &Data, request: &Request, kind: ListKind) -> Answer {
    let (key, columns): (_, &[&str]) = match kind {
        ListKind::Selection => ("selectionId", &["selectionId", "name", "kind", "targetTableNumber"]),
        ListKind::Project => ("projectId", &["projectId", "name"]),
    };
    let query = Query::read(request, columns)?;
    query.page(key, false, data.lists(kind).iter(), |(id, list), column| match column {
        "name" => Val::Text(list.name.clone()),
        "kind" => Val::Text(format!("{:?}", list.kind)),
        "targetTableNumber" => Val::Int(5),
        _ => Val::Int(**id),
    })
}

pub(super) fn selection_members(data: &Data, request: &Request) -> Answer {
    let query = Query::read(request, &["personId", "contactId", "selectionId"])?;
    let list = query.equal("selectionId").ok_or(Fault::BAD)?;
    let members = data.lists(ListKind::Selection).get(&list).map(|list| &list.members);
    let (above, _) = query.range("personId");
    let has_persons = query.has_entity("staticPerson");
    let rows = members.into_iter().flat_map(|members| members.range((above, i64::MAX, i64::MAX)..));
    query.page("personId", false, rows.filter(|_| has_persons), |(person, _, company), column| match column {
        "personId" => Val::Int(*person),
        "contactId" => Val::Int(*company),
        _ => Val::Int(list),
    })
}

/// The archive over the tables: the first column says which one.
pub(super) fn dynamic(data: &Data, request: &Request) -> Answer {
    let table = request.parameter("$select").and_then(|text| text.split('.').next()).unwrap_or_default();
    match table {
        "person" => {
            let query = Query::read(request, &["person.person_id", "person.updated", "person.contact_id.updated"])?;
            let rows = those(data, &query, "person.person_id");
            query.page("person.person_id", true, rows, |(id, person), column| match column {
                "person.updated" => Val::Time(person.updated),
                // By an outer join: who has no company has a row as well.
                "person.contact_id.updated" => {
                    data.company(person.company).map_or(Val::None, |row| Val::Time(row.updated))
                }
                _ => Val::Int(*id),
            })
        }
        "email" => emails(data, request),
        "projectmember" => project_members(data, request),
        "appointment" => appointments(data, request),
        _ => Err(Fault::BAD),
    }
}

fn emails(data: &Data, request: &Request) -> Answer {
    const COLUMNS: [&str; 5] =
        ["email.email_id", "email.person_id", "email.email_address", "email.rank", "email.updated"];
    let query = Query::read(request, &COLUMNS)?;
    let (above, _) = query.range("email.email_id");
    let persons = those(data, &query, "email.person_id").skip_while(move |(id, _)| *id < above / EMAILS);
    let rows = persons.flat_map(|(person, row)| {
        let emails: Vec<(usize, Email)> = row.emails.iter().cloned().enumerate().collect();
        let mut rows: Vec<(i64, usize, Email)> =
            emails.into_iter().map(|(rank, email)| (person, rank, email)).collect();
        rows.sort_by_key(|(_, _, email)| email.id);
        rows
    });
    query.page("email.email_id", true, rows, |(person, rank, email), column| match column {
        "email.email_id" => Val::Int(email.id),
        "email.person_id" => Val::Int(*person),
        "email.email_address" => Val::Text(email.address.clone()),
        "email.updated" => Val::Time(email.updated),
        _ => Val::Int(i64::try_from(*rank).expect("few")),
    })
}

fn project_members(data: &Data, request: &Request) -> Answer {
    const COLUMNS: [&str; 4] = [
        "projectmember.projectmember_id",
        "projectmember.project_id",
        "projectmember.person_id",
        "projectmember.contact_id",
    ];
    let query = Query::read(request, &COLUMNS)?;
    let wanted = query.equal("projectmember.project_id");
    let (above, _) = query.range("projectmember.person_id");
    let projects = data.lists(ListKind::Project).iter().filter(|(id, _)| wanted.is_none_or(|wanted| wanted == **id));
    let rows = projects.flat_map(|(id, list)| {
        list.members
            .range((above, i64::MAX, i64::MAX)..)
            .map(move |(person, member, company)| (*id, *person, *member, *company))
    });
    query.page("projectmember.person_id", true, rows, |(project, person, member, company), column| match column {
        "projectmember.projectmember_id" => Val::Int(*member),
        "projectmember.project_id" => Val::Int(*project),
        "projectmember.person_id" => Val::Int(*person),
        _ => Val::Int(*company),
    })
}

fn appointments(data: &Data, request: &Request) -> Answer {
    let columns = ["appointment.appointment_id", "appointment.person_id", "appointment.associate_id"];
    let query = Query::read(request, &columns)?;
    query.page("appointment.appointment_id", true, data.appointments.iter(), |(id, entity), column| match column {
        "appointment.appointment_id" => Val::Int(**id),
        "appointment.person_id" => Val::Int(entity["Person"]["PersonId"].as_i64().unwrap_or_default()),
        _ => Val::Int(entity["Associate"]["AssociateId"].as_i64().unwrap_or_default()),
    })
}
