//! Tasks in the diaries of SuperOffice's users: appointments on the list of things to be done.

use domain::Timestamp;
use domain::crm::{CrmError, NewTask, Trouble};
use serde_json::{Map, Value, json};

use super::SuperOffice;
use super::client::Call;
use super::lists::{holds_key, keyed, no_id};
use super::odata::{Filter, Listing, PAGE};
use super::values::{Row, parse_id};

/// The table of appointments. To be verified on a tenant: that the application may read it.
const APPOINTMENT: &str = "appointment.appointment_id";
const PERSON: &str = "appointment.person_id";
const OWNER: &str = "appointment.associate_id";

impl SuperOffice {
    pub(super) async fn write_task(&self, task: &NewTask, again: bool) -> Result<String, CrmError> {
        let (owner, person) = (parse_id(&task.owner)?, parse_id(&task.person)?);
        if again && let Some(id) = self.task_with_key(owner, person, &task.key).await? {
            return Ok(id);
        }
        let mut entity = self.template(owner).await?;
        fill(&mut entity, task, owner, person)?;
        let made = self.client.json(&Call::post("Appointment", Value::Object(entity))).await?;
        Ok(Row(&made).id("AppointmentId").ok_or_else(no_id)?.to_string())
    }

    /// An appointment as SuperOffice begins one for this user, with the kind of task that is set up for things to be done.
    async fn template(&self, owner: i64) -> Result<Map<String, Value>, CrmError> {
        let call = Call::post(
            "Agents/Appointment/CreateDefaultAppointmentEntityByTypeAndAssociate",
            json!({ "Type": "ToDo", "AssociateId": owner }),
        );
        match self.client.json(&call.reading()).await? {
            Value::Object(entity) => Ok(entity),
            _ => {
                let source = Trouble::Unreadable.because("it gave no template");
                Err(CrmError::Unavailable { source, may_have_happened: false, retry_after: None })
            }
        }
    }

    /// The task that an earlier try made: one of this person for this user with our key in its description, which no list has.
    async fn task_with_key(&self, owner: i64, person: i64, key: &str) -> Result<Option<String>, CrmError> {
        let listing = Listing {
            path: "Archive/dynamic",
            columns: &[APPOINTMENT],
            key: APPOINTMENT,
            filter: Filter::default().equal(PERSON, person).equal(OWNER, owner),
            entities: None,
            top: PAGE,
        };
        let found = self.client.whole(listing).await?;
        for id in found.iter().rev().filter_map(|row| Row(row).id(APPOINTMENT)) {
            let entity = match self.client.json(&Call::get(format!("Appointment/{id}"))).await {
                Err(CrmError::NotFound) => continue,
                entity => entity?,
            };
            if holds_key(&entity, key) {
                return Ok(Some(id.to_string()));
            }
        }
        Ok(None)
    }
}

/// What is to be done, for whom and about whom. To be verified on a tenant: that a person without a company may stand alone.
fn fill(entity: &mut Map<String, Value>, task: &NewTask, owner: i64, person: i64) -> Result<(), CrmError> {
    let mut set = |name: &str, value: Value| entity.insert(name.to_owned(), value);
    set("Title", task.title.as_str().into());
    set("Description", keyed(task.description.as_deref(), &task.key).into());
    set("Type", "inChecklist".into());
    set("Completed", "NotStarted".into());
    set("Associate", json!({ "AssociateId": owner }));
    set("Person", json!({ "PersonId": person }));
    if let Some(company) = &task.company {
        set("Contact", json!({ "ContactId": parse_id(company)? }));
    }
    if let Some(due) = task.due {
        set("StartDate", date(due).into());
        set("EndDate", date(due).into());
    }
    Ok(())
}

/// A day, which has no zone.
fn date(time: Timestamp) -> String {
    time.to_chrono().format("%Y-%m-%dT00:00:00").to_string()
}
