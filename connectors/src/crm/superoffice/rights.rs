//! What we may do as the user that we are, as far as SuperOffice says so without doing it.
//!
//! What is read is tried. Of what is changed the sentry, SuperOffice's guard over its tables, says whether a row may be made, and a person
//! as it is read whether it may be changed. The rest shows when it is done.

use domain::Timestamp;
use domain::crm::{CrmError, Right};
use serde_json::{Value, json};

use super::SuperOffice;
use super::client::Call;
use super::odata::{Filter, Listing};
use super::persons::Place;

/// What is read: below `/api/v1/`, by which key.
const READ: [(&str, &str, &str); 6] = [
    ("read persons", "Person", "personId"),
    ("read addresses, and which have changed", "Archive/dynamic", "email.email_id"),
    ("read selections", "Selection", "selectionId"),
    ("read projects", "Project", "projectId"),
    ("read the members of projects", "Archive/dynamic", "projectmember.projectmember_id"),
    ("find tasks again", "Archive/dynamic", "appointment.appointment_id"),
];

/// What only the persons of companies that changed are found by.
const COMPANIES: &str = "see which companies have changed";

/// What is made, and the table that gets a row.
const MADE: [(&str, &str); 4] = [
    ("make selections", "selection"),
    ("make projects", "project"),
    ("add members to projects", "projectmember"),
    ("make tasks", "appointment"),
];

/// What is changed about persons themselves.
const CHANGED: [&str; 2] = ["correct addresses", "mark former employees"];

/// What nothing says before it is done, and why.
const UNTOLD: [(&str, &str); 3] = [
    ("add and remove members of selections", "it depends on the selection"),
    ("withdraw consent", "SuperOffice has no question for it"),
    ("count bounces", "SuperOffice has no question for it"),
];

/// Whether something may be done, and a remark.
type Judgement = (Option<bool>, Option<String>);

impl SuperOffice {
    pub(super) async fn rights(&self) -> Result<Vec<Right>, CrmError> {
        let (mut rights, mut somebody) = (Vec::new(), None);
        let mut add = |what: &str, (allowed, reason): Judgement| {
            rights.push(Right { what: what.to_owned(), allowed, reason });
        };
        for (what, path, key) in READ {
            let columns = [key];
            let filter = Filter::default().above(key, 0);
            let listing = Listing { path, columns: &columns, key, filter, entities: None, top: 1 };
            let judgement = match self.client.list(&listing).await {
                Ok(rows) => {
                    somebody = somebody.or_else(|| rows.iter().next().and_then(|row| row.id("personId")));
                    (Some(true), None)
                }
                Err(error @ CrmError::Unavailable { .. }) => return Err(error),
                Err(error) => (Some(false), Some(error.to_string())),
            };
            add(what, judgement);
        }
        add(COMPANIES, self.right_to_see_companies().await?);
        for (what, table) in MADE {
            let call = Call::post("Agents/Sentry/GetNewTableRight", json!({ "TableName": table })).reading();
            let told = self.client.json(&call).await;
            add(what, judge(told, |right| holds(right.get("Mask"), "Insert"))?);
        }
        let call = Call::post("Agents/Sentry/CanCreateAppointmentInAllDiaries", json!({})).reading();
        let mut diaries = judge(self.client.json(&call).await, Value::as_bool)?;
        if diaries.0 == Some(false) {
            diaries.1 = Some("some diaries are closed to it: tasks for their owners are refused".to_owned());
        }
        add("make tasks in everybody's diary", diaries);
        let person = self.right_to_change(somebody).await?;
        CHANGED.into_iter().for_each(|what| add(what, person.clone()));
        UNTOLD.into_iter().for_each(|(what, why)| add(what, (None, Some(why.to_owned()))));
        Ok(rights)
    }

    async fn right_to_see_companies(&self) -> Result<Judgement, CrmError> {
        match self.changed_rows(Place::Company(0), Timestamp::from_seconds(0), 1).await {
            Ok(_) => Ok((Some(true), None)),
            Err(error @ CrmError::Unavailable { .. }) => Err(error),
            Err(error) => {
                Ok((Some(false), Some(format!("{error}; they are seen by the complete reading of the night"))))
            }
        }
    }

    /// Whether a person may be changed, by the example of one.
    async fn right_to_change(&self, somebody: Option<i64>) -> Result<Judgement, CrmError> {
        let Some(id) = somebody else { return Ok((None, Some("there is no person to ask it for".to_owned()))) };
        let entity = self.client.json(&Call::get(format!("Person/{id}"))).await;
        let judgement = judge(entity, |entity| holds(entity.get("TableRight")?.get("Mask"), "Update"))?;
        Ok(match judgement {
            (Some(true), _) => {
                (Some(true), Some("it may one person; with others it may depend on who is responsible".to_owned()))
            }
            (Some(false), _) => {
                (Some(false), Some("it may not one person; with others it may depend on who is responsible".to_owned()))
            }
            untold => untold,
        })
    }
}

/// What an answer says. That we may not even ask, or that this version has no such question, says nothing.
fn judge(
    answer: Result<Value, CrmError>,
    understand: impl FnOnce(&Value) -> Option<bool>,
) -> Result<Judgement, CrmError> {
    match answer {
        Ok(answer) => Ok(match understand(&answer) {
            Some(true) => (Some(true), None),
            Some(false) => (Some(false), Some("its role does not have this right".to_owned())),
            None => (None, Some("SuperOffice does not say".to_owned())),
        }),
        Err(error @ CrmError::Unavailable { .. }) => Err(error),
        Err(CrmError::NotFound) => Ok((None, Some("SuperOffice does not know the question".to_owned()))),
        Err(error) => Ok((None, Some(error.to_string()))),
    }
}

/// Whether a mask of rights to a table holds this one: `FULL`, names with commas between (`Select, Update`), or the letters of
/// several (`URI`: update, read, insert). To be verified on a tenant: the documents list these values, and do not explain them.
fn holds(mask: Option<&Value>, right: &str) -> Option<bool> {
    let mask = mask?.as_str()?;
    let letter = right.chars().next()?;
    let mut is_known = false;
    for word in mask.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
        if word == right || word == "FULL" {
            return Some(true);
        }
        let is_letters = word.chars().all(|letter| "URIDF".contains(letter));
        if is_letters && word.contains(letter) {
            return Some(true);
        }
        let is_name = ["None", "Select", "Update", "Insert", "Delete", "Filtering", "RestrictedUpdate"].contains(&word);
        is_known |= is_letters || is_name;
    }
    is_known.then_some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_is_a_word_names_or_letters() {
        for (mask, insert, update) in [
            ("FULL", Some(true), Some(true)),
            ("None", Some(false), Some(false)),
            ("Select", Some(false), Some(false)),
            ("Select, Insert", Some(true), Some(false)),
            ("Select,Update", Some(false), Some(true)),
            ("UR", Some(false), Some(true)),
            ("URI", Some(true), Some(true)),
            ("RI", Some(true), Some(false)),
            ("UDR", Some(false), Some(true)),
            ("RestrictedUpdate", Some(false), Some(false)),
            ("Undefined", None, None),
            ("", None, None),
        ] {
            let mask = Value::from(mask);
            assert_eq!((holds(Some(&mask), "Insert"), holds(Some(&mask), "Update")), (insert, update), "{mask}");
        }
        assert_eq!(holds(Some(&Value::from(15)), "Insert"), None);
        assert_eq!(holds(None, "Insert"), None);
    }
}
