//! One person: the entity, changing it, and what hangs on it.

use serde_json::{Value, json};

use super::answer::{Answer, Fault};
use super::data::{Data, EMAILS, Email, Person};
use super::entities::right;
use super::filter::date;
use super::http::Request;

fn entity(data: &Data, id: i64) -> Option<Value> {
    let person = data.person(id)?;
    let emails: Vec<Value> = person
        .emails
        .iter()
        .map(|email| json!({ "Value": email.address, "StrippedValue": email.address, "Description": "" }))
        .collect();
    Some(json!({
        "PersonId": id,
        "Firstname": "",
        "Lastname": person.name,
        "Emails": emails,
        "Retired": person.retired,
        "NoMailing": person.no_mail,
        "UpdatedDate": date(person.updated),
        "TableRight": right(data, "person"),
    }))
}

pub(super) fn get(data: &Data, id: i64) -> Answer {
    entity(data, id).map(Some).ok_or(Fault::UNKNOWN)
}

/// A JSON Patch (RFC 6902), as far as it is needed: all of it, or nothing.
pub(super) fn patch(data: &mut Data, id: i64, request: &Request) -> Answer {
    let mut person = data.person(id).ok_or(Fault::UNKNOWN)?.into_owned();
    if request.header("content-type") != Some("application/json-patch+json") {
        return Err(Fault::BAD);
    }
    if let Some(since) = request.header("if-unmodified-since") {
        let since = chrono::DateTime::parse_from_rfc2822(since).map_err(|_| Fault::BAD)?;
        if person.updated.seconds() > since.timestamp() {
            return Err(Fault::CHANGED);
        }
    }
    let body = request.json();
    let operations = body.as_array().filter(|operations| !operations.is_empty()).ok_or(Fault::BAD)?;
    for operation in operations {
        apply(&mut person, id, operation)?;
    }
    data.change(id, |known| *known = person);
    get(data, id)
}

fn apply(person: &mut Person, id: i64, operation: &Value) -> Result<(), Fault> {
    let text = |name: &str| operation[name].as_str().ok_or(Fault::BAD);
    let (what, path) = (text("op")?, text("path")?);
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let place = |text: &str| text.parse::<usize>().map_err(|_| Fault::BAD);
    match (what, parts.as_slice()) {
        ("test", ["Emails", number, "Value"]) => {
            let email = person.emails.get(place(number)?);
            let is_so = email.is_some_and(|email| operation["value"] == email.address.as_str());
            if is_so { Ok(()) } else { Err(Fault::CONFLICT) }
        }
        ("replace", ["Emails", number, "Value"]) => {
            let email = person.emails.get_mut(place(number)?).ok_or(Fault::BAD)?;
            email.address = text("value")?.to_owned();
            Ok(())
        }
        ("remove", ["Emails", number]) if place(number)? < person.emails.len() => {
            person.emails.remove(place(number)?);
            Ok(())
        }
        ("add", ["Emails", "-"]) => {
            let used = |number: &i64| !person.emails.iter().any(|email| email.id == *number);
            let free = (id * EMAILS..(id + 1) * EMAILS).find(used).ok_or(Fault::BAD)?;
            let address = operation["value"]["Value"].as_str().ok_or(Fault::BAD)?.to_owned();
            person.emails.push(Email { id: free, address, updated: person.updated });
            Ok(())
        }
        ("replace", ["Retired"]) => {
            person.retired = operation["value"].as_bool().ok_or(Fault::BAD)?;
            Ok(())
        }
        _ => Err(Fault::BAD),
    }
}

pub(super) fn withdraw(data: &mut Data, id: i64) -> Answer {
    data.change(id, |person| person.consent = false).ok_or(Fault::UNKNOWN)?;
    Ok(None)
}

/// Adds an address behind the others, or before them; each time.
pub(super) fn add_email(data: &mut Data, body: &Value) -> Answer {
    let id = body["PersonId"].as_i64().ok_or(Fault::BAD)?;
    let is_first = body["SetAsPrimaryEmail"].as_bool().ok_or(Fault::BAD)?;
    let mut person = data.person(id).ok_or(Fault::UNKNOWN)?.into_owned();
    let value = json!({ "Value": body["EmailAddress"] });
    apply(&mut person, id, &json!({ "op": "add", "path": "/Emails/-", "value": value }))?;
    if is_first {
        person.emails.rotate_right(1);
    }
    data.change(id, |known| *known = person);
    Ok(None)
}

/// Counts, for an address that somebody has; each time.
pub(super) fn bounce(data: &mut Data, body: &Value) -> Answer {
    let email = body["EmailAddress"].as_str().ok_or(Fault::BAD)?;
    let counts = u32::try_from(body["Counts"].as_i64().ok_or(Fault::BAD)?).map_err(|_| Fault::BAD)?;
    if !body["Reason"].is_string() || !body["Code"].is_string() {
        return Err(Fault::BAD);
    }
    if data.has_email(email) {
        *data.bounces.entry(email.to_owned()).or_default() += counts;
    }
    Ok(None)
}
