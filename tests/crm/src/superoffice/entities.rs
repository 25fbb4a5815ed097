//! Selections, projects, their members, appointments and users.

use std::collections::BTreeSet;

use domain::crm::{ListKind, SelectionKind};
use serde_json::{Value, json};

use super::answer::{Answer, Fault};
use super::data::{ASSOCIATES, Data, List};
use super::filter::date;

pub(super) fn associates(_: &Data) -> Value {
    let item = |(id, name, deleted): &(i64, &str, bool)| json!({ "Id": id, "Name": name, "Deleted": deleted });
    Value::Array(ASSOCIATES.iter().map(item).collect())
}

/// What may be done with a new row of a table.
pub(super) fn right_to_make(data: &Data, body: &Value) -> Answer {
    let table = body["TableName"].as_str().filter(|name| TABLES.contains(name)).ok_or(Fault::BAD)?;
    Ok(Some(right(data, table)))
}

const TABLES: [&str; 5] = ["selection", "project", "projectmember", "appointment", "person"];

/// A right to a table, in SuperOffice's shape. The reason has what ours must never show.
pub(super) fn right(data: &Data, table: &str) -> Value {
    json!({ "Mask": data.mask(table), "Reason": "Something about hidden@example.com" })
}

/// What a list begins as.
pub(super) fn template(kind: ListKind) -> Value {
    match kind {
        ListKind::Selection => {
            json!({ "SelectionId": 0, "Name": "", "Description": "", "SelectionType": "Dynamic", "TargetTableNumber": 0 })
        }
        ListKind::Project => json!({ "ProjectId": 0, "Name": "", "Description": "", "ProjectMembers": [] }),
    }
}

pub(super) fn make_list(data: &mut Data, kind: ListKind, body: &Value) -> Answer {
    let text = |name: &str| body[name].as_str().map(str::to_owned).ok_or(Fault::BAD);
    let (name, description) = (text("Name")?, text("Description")?);
    let is_right = kind == ListKind::Project
        || (body["SelectionType"] == "Static"
            && body["TargetTableNumber"] == 5
            && body["TargetTableName"] == "contact");
    if name.is_empty() || !is_right {
        return Err(Fault::BAD);
    }
    let id = data.next_id();
    let made = List { name, description, kind: SelectionKind::Static, members: BTreeSet::new() };
    data.lists_mut(kind).insert(id, made);
    list(data, kind, id)
}

pub(super) fn list(data: &Data, kind: ListKind, id: i64) -> Answer {
    let found = data.lists(kind).get(&id).ok_or(Fault::UNKNOWN)?;
    let mut entity = template(kind);
    entity["Name"] = json!(found.name);
    entity["Description"] = json!(found.description);
    match kind {
        ListKind::Selection => {
            entity["SelectionId"] = json!(id);
            entity["SelectionType"] = json!(format!("{:?}", found.kind));
            entity["TargetTableNumber"] = json!(5);
            entity["MainProviderName"] = json!("ContactPersonSelectionV2");
        }
        ListKind::Project => entity["ProjectId"] = json!(id),
    }
    Ok(Some(entity))
}

/// Who is on a list already is on it once more.
pub(super) fn add_members(data: &mut Data, kind: ListKind, list: i64, body: &Value) -> Answer {
    let pairs = body.as_array().ok_or(Fault::BAD)?;
    let mut added = Vec::new();
    if !data.lists(kind).get(&list).ok_or(Fault::UNKNOWN)?.kind.eq(&SelectionKind::Static) {
        return Err(Fault::BAD);
    }
    for pair in pairs {
        let number = |name: &str| pair[name].as_i64().ok_or(Fault::BAD);
        let (id, company) = (number("PersonId")?, number("ContactId")?);
        let person = data.person(id).ok_or(Fault::BAD)?;
        if person.company != company || (kind == ListKind::Project && number("ProjectId")? != list) {
            return Err(Fault::BAD);
        }
        drop(person);
        added.push((id, data.next_id(), company));
    }
    data.lists_mut(kind).get_mut(&list).ok_or(Fault::UNKNOWN)?.members.extend(added);
    Ok(None)
}

pub(super) fn remove_members(data: &mut Data, list: i64, body: &Value) -> Answer {
    let pairs = body.as_array().ok_or(Fault::BAD)?;
    let persons: BTreeSet<i64> = pairs.iter().filter_map(|pair| pair["PersonId"].as_i64()).collect();
    let list = data.lists_mut(ListKind::Selection).get_mut(&list).ok_or(Fault::UNKNOWN)?;
    list.members.retain(|(person, _, _)| !persons.contains(person));
    Ok(None)
}

pub(super) fn remove_project_members(data: &mut Data, body: &Value) -> Answer {
    let ids = body["ProjectMemberIds"].as_array().ok_or(Fault::BAD)?;
    let ids: BTreeSet<i64> = ids.iter().filter_map(Value::as_i64).collect();
    for list in data.lists_mut(ListKind::Project).values_mut() {
        list.members.retain(|(_, member, _)| !ids.contains(member));
    }
    Ok(None)
}

pub(super) fn appointment_template(data: &Data, body: &Value) -> Answer {
    let owner = body["AssociateId"].as_i64().ok_or(Fault::BAD)?;
    if body["Type"] != "ToDo" || !ASSOCIATES.iter().any(|(id, _, _)| *id == owner) {
        return Err(Fault::BAD);
    }
    let now = date(data.now());
    Ok(Some(json!({
        "AppointmentId": 0,
        "Title": "",
        "Description": "",
        "StartDate": now,
        "EndDate": now,
        "Associate": { "AssociateId": owner },
        "Task": { "TaskListItemId": 3 },
        "Type": "inDiary",
    })))
}

pub(super) fn make_appointment(data: &mut Data, mut entity: Value) -> Answer {
    let person = data.person(entity["Person"]["PersonId"].as_i64().ok_or(Fault::BAD)?).ok_or(Fault::BAD)?;
    let company = entity["Contact"]["ContactId"].as_i64().unwrap_or_default();
    let fits = company == 0 || company == person.company;
    drop(person);
    if !fits || entity["Task"]["TaskListItemId"] != 3 || entity["Type"] != "inChecklist" {
        return Err(Fault::BAD);
    }
    let id = data.next_id();
    entity["AppointmentId"] = json!(id);
    data.appointments.insert(id, entity.clone());
    Ok(Some(entity))
}
