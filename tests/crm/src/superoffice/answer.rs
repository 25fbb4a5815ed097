//! Which part of the stand-in answers which request.

use domain::crm::ListKind;
use serde_json::{Value, json};

use super::data::Data;
use super::http::Request;
use super::{archive, entities, person};

/// An answer.
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Option<Value>,
}

impl Response {
    pub(super) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: None }
    }

    pub(super) fn ok(body: Value) -> Self {
        Self { body: Some(body), ..Self::empty(200) }
    }

    /// An error in SuperOffice's shape. The message has what ours must never show.
    pub(super) fn fault(status: u16, kind: &str) -> Self {
        let message = "Something about hidden@example.com";
        let body = json!({ "Error": true, "ErrorType": kind, "ErrorMessage": message, "ErrorSource": "NetServer" });
        Self { body: Some(body), ..Self::empty(status) }
    }
}

/// What is not done, as status and kind of error.
pub(super) struct Fault(pub(super) u16, pub(super) &'static str);

impl Fault {
    pub(super) const BAD: Self = Self(400, "SoInvalidArgumentException");
    pub(super) const UNKNOWN: Self = Self(404, "SoNotFoundException");
    pub(super) const CONFLICT: Self = Self(409, "SoPatchTestException");
    pub(super) const FORBIDDEN: Self = Self(403, "SoSentryException");
    pub(super) const CHANGED: Self = Self(412, "SoPreconditionException");
}

/// A body, or none.
pub(super) type Answer = Result<Option<Value>, Fault>;

/// Answers a request to the tenant's API.
pub(super) fn route(data: &mut Data, request: &Request, path: &str) -> Response {
    match dispatch(data, request, path) {
        Ok(Some(body)) => Response::ok(body),
        Ok(None) => Response::empty(204),
        Err(Fault(status, kind)) => Response::fault(status, kind),
    }
}

fn dispatch(data: &mut Data, request: &Request, path: &str) -> Answer {
    let is_refused = |column: &str| request.query.iter().any(|(_, value)| value.contains(column));
    if data.refused_column.as_deref().is_some_and(is_refused) {
        return Err(Fault::BAD);
    }
    let parts: Vec<&str> = path.split('/').collect();
    let id = |text: &str| text.parse::<i64>().map_err(|_| Fault::UNKNOWN);
    let (selection, project) = (ListKind::Selection, ListKind::Project);
    match (request.method.as_str(), parts.as_slice()) {
        ("GET", ["User", "currentPrincipal"]) => {
            Ok(Some(json!({ "FullName": "Erika Muster", "UserName": "erika@example.com", "AssociateId": 1 })))
        }
        ("POST", ["Agents", "Sentry", "GetNewTableRight"]) => entities::right_to_make(data, &request.json()),
        ("POST", ["Agents", "Sentry", "CanCreateAppointmentInAllDiaries"]) => {
            Ok(Some(json!(data.mask("diary") == "FULL")))
        }
        ("GET", ["MDOList", "associate"]) => Ok(Some(entities::associates(data))),
        ("GET", ["Person"]) => archive::persons(data, request),
        ("GET", ["Selection"]) => archive::lists(data, request, selection),
        ("GET", ["Project"]) => archive::lists(data, request, project),
        ("GET", ["Archive", "dynamic"]) => archive::dynamic(data, request),
        ("GET", ["Archive", "ContactPersonSelectionV2"]) => archive::selection_members(data, request),
        ("GET", ["Person", number]) => person::get(data, id(number)?),
        ("PATCH", ["Person", _]) if !data.may("person", "Update") => Err(Fault::FORBIDDEN),
        ("PATCH", ["Person", number]) => person::patch(data, id(number)?, request),
        ("DELETE", ["Person", number, "Consent", "EMARKETING"]) => person::withdraw(data, id(number)?),
        ("POST", ["Agents", "Person", "AddEmailAddressToPerson"]) => person::add_email(data, &request.json()),
        ("POST", ["Agents", "Person", "AddBounceWithDetails"]) => person::bounce(data, &request.json()),
        ("GET", ["Selection", "default"]) => Ok(Some(entities::template(selection))),
        ("GET", ["Project", "default"]) => Ok(Some(entities::template(project))),
        ("POST", ["Selection"]) if !data.may("selection", "Insert") => Err(Fault::FORBIDDEN),
        ("POST", ["Project"]) if !data.may("project", "Insert") => Err(Fault::FORBIDDEN),
        ("POST", ["Appointment"]) if !data.may("appointment", "Insert") => Err(Fault::FORBIDDEN),
        ("POST", ["Selection"]) => entities::make_list(data, selection, &request.json()),
        ("POST", ["Project"]) => entities::make_list(data, project, &request.json()),
        ("GET", ["Selection", number]) => entities::list(data, selection, id(number)?),
        ("GET", ["Project", number]) => entities::list(data, project, id(number)?),
        ("POST", ["Selection", number, "Members", "AddPerson"]) => {
            entities::add_members(data, selection, id(number)?, &request.json())
        }
        ("POST", ["Selection", number, "Members", "RemovePerson"]) => {
            entities::remove_members(data, id(number)?, &request.json())
        }
        ("POST", ["Agents", "Project", "AddProjectMembers"]) => {
            let body = request.json();
            let list = body["ProjectEntityId"].as_i64().ok_or(Fault::BAD)?;
            entities::add_members(data, project, list, &body["ProjectMembers"])
        }
        ("POST", ["Agents", "Project", "DeleteProjectMemberByIds"]) => {
            entities::remove_project_members(data, &request.json())
        }
        ("POST", ["Agents", "Appointment", "CreateDefaultAppointmentEntityByTypeAndAssociate"]) => {
            entities::appointment_template(data, &request.json())
        }
        ("POST", ["Appointment"]) => entities::make_appointment(data, request.json()),
        ("GET", ["Appointment", number]) => {
            data.appointments.get(&id(number)?).cloned().map(Some).ok_or(Fault::UNKNOWN)
        }
        _ => Err(Fault(404, "NoSuchRoute")),
    }
}
