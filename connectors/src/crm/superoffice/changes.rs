//! Changing what SuperOffice knows about a person.

use domain::crm::{Bounce, CrmError, EmailChange};
use serde_json::{Value, json};

use super::SuperOffice;
use super::client::Call;
use super::values::{Row, parse_id};

/// How often it is tried to change a person whom somebody else is changing at the same time.
const TRIES: usize = 3;

/// What a person has at the moment in the place of an address.
enum Found {
    /// The address to be changed, in these words, at this place, and the new one, where it is there as well.
    Old { place: usize, address: String, twin: Option<(usize, String)> },
    /// Only the new one.
    New,
    /// Neither.
    Neither,
}

impl SuperOffice {
    pub(super) async fn write_email(&self, change: &EmailChange) -> Result<(), CrmError> {
        let path = format!("Person/{}", parse_id(&change.person)?);
        for _ in 0..TRIES {
            let entity = self.client.json(&Call::get(path.as_str())).await?;
            let Some(old) = &change.old else { return self.add_email(&entity, change).await };
            let (place, address, twin) = match find(&entity, old, &change.new) {
                Found::Old { place, address, twin } => (place, address, twin),
                Found::New => return Ok(()),
                Found::Neither => return Err(CrmError::Conflict),
            };
            let value = format!("/Emails/{place}/Value");
            let mut patch = vec![json!({ "op": "test", "path": value, "value": address })];
            // Both tests come before the changes: removing moves what stands behind.
            if let Some((twin, address)) = &twin {
                patch.push(json!({ "op": "test", "path": format!("/Emails/{twin}/Value"), "value": address }));
            }
            patch.push(json!({ "op": "replace", "path": value, "value": change.new }));
            if let Some((twin, _)) = twin {
                patch.push(json!({ "op": "remove", "path": format!("/Emails/{twin}") }));
            }
            let updated_at = Row(&entity).time("UpdatedDate");
            let call = Call::patch(path.as_str(), Value::Array(patch)).if_unmodified_since(updated_at);
            match self.client.send(&call).await {
                // Something about the person was changed meanwhile: perhaps not the address.
                Err(CrmError::Conflict) => {}
                done => return done.map(drop),
            }
        }
        Err(CrmError::Conflict)
    }

    /// Adds an address to a person who was just read; as the first one, where there is none.
    async fn add_email(&self, entity: &Value, change: &EmailChange) -> Result<(), CrmError> {
        let emails = emails(entity);
        if emails
            .iter()
            .any(|email| Row(email).text("Value").is_some_and(|value| value.eq_ignore_ascii_case(&change.new)))
        {
            return Ok(());
        }
        let body = json!({
            "PersonId": parse_id(&change.person)?,
            "EmailAddress": change.new,
            "SetAsPrimaryEmail": emails.is_empty(),
        });
        self.client.send(&Call::post("Agents/Person/AddEmailAddressToPerson", body)).await.map(drop)
    }

    pub(super) async fn write_retired(&self, person: &str) -> Result<(), CrmError> {
        let path = format!("Person/{}", parse_id(person)?);
        let patch = json!([{ "op": "replace", "path": "/Retired", "value": true }]);
        self.client.send(&Call::patch(path, patch).repeatable()).await.map(drop)
    }

    pub(super) async fn write_no_consent(&self, person: &str) -> Result<(), CrmError> {
        let call = withdrawal(parse_id(person)?);
        self.client.send(&call).await.map(drop)
    }

    pub(super) async fn write_bounce(&self, bounce: &Bounce) -> Result<(), CrmError> {
        self.client.send(&bounced(bounce)).await.map(drop)
    }
}

/// Takes back the consent to marketing by e-mail. To be verified on a tenant: that this keeps a row that says WITHDRAWN, as the
/// documents on consents have it.
fn withdrawal(person: i64) -> Call {
    Call::delete(format!("Person/{person}/Consent/EMARKETING")).repeatable()
}

/// Counts one bounce more. To be verified on a tenant: the types of `Code` and `Reason`, for which the documents have no example.
fn bounced(bounce: &Bounce) -> Call {
    let body = json!({
        "EmailAddress": bounce.email,
        "Counts": 1,
        "Code": bounce.smtp_code.map(|code| code.to_string()).unwrap_or_default(),
        "Reason": bounce.reason,
    });
    Call::post("Agents/Person/AddBounceWithDetails", body)
}

fn emails(entity: &Value) -> &[Value] {
    entity.get("Emails").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn find(entity: &Value, old: &str, new: &str) -> Found {
    let emails = emails(entity);
    let place_of = |address: &str| {
        let mut values = emails.iter().map(|email| Row(email).text("Value").unwrap_or_default()).enumerate();
        values.find(|(_, value)| value.eq_ignore_ascii_case(address))
    };
    // As it stands there, spaces included: the test compares that.
    let words = |place: usize| emails.get(place).and_then(|email| email.get("Value")).and_then(Value::as_str);
    match (place_of(old), place_of(new)) {
        // Only its capitals are to change, or nothing at all.
        (Some((place, _)), twin) if twin.as_ref().is_none_or(|(twin, _)| *twin == place) => {
            let address = words(place).unwrap_or_default().to_owned();
            if address == new { Found::New } else { Found::Old { place, address, twin: None } }
        }
        (Some((place, _)), Some((twin, _))) => Found::Old {
            place,
            address: words(place).unwrap_or_default().to_owned(),
            twin: Some((twin, words(twin).unwrap_or_default().to_owned())),
        },
        (None, Some(_)) => Found::New,
        _ => Found::Neither,
    }
}
