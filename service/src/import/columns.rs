//! What the columns of a file mean, and what a record says about a recipient.

use std::collections::{BTreeMap, HashSet};

use domain::email::{EmailAddress, InvalidEmail, domain_of_key, key_of};
use domain::status::SkipReason;
use domain::table::restore;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::records::{Content, MAX_COLUMNS, Record};
use super::report::SHOWN;
use crate::error::{Refusal, RefusalCode};

/// What a column can mean. Any other is kept as an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Field {
    /// The address.
    Email,
    /// The whole name.
    Name,
    /// The first name; used where there is no column with the whole name.
    FirstName,
    /// The last name; used where there is no column with the whole name.
    LastName,
    /// The company.
    Company,
    /// Who looks after the person.
    Owner,
    /// The person's id in the CRM.
    CrmId,
    /// The sender's own id of the recipient.
    RecipientId,
    /// The provider's id of the message.
    MessageId,
}

/// The names of columns, without spaces, hyphens and the like, in lower case.
const NAMES: &[(Field, &[&str])] = &[
    (Field::Email, &["email", "emailaddress", "emailadresse", "mail", "mailaddress", "mailadresse"]),
    (Field::Name, &["name", "fullname", "displayname", "vollername", "vollständigername"]),
    (Field::FirstName, &["firstname", "givenname", "vorname"]),
    (Field::LastName, &["lastname", "surname", "familyname", "nachname", "familienname"]),
    (Field::Company, &["company", "companyname", "organisation", "organization", "firma", "firmenname", "unternehmen"]),
    (Field::Owner, &["owner", "responsible", "betreuer", "verantwortlich", "verantwortlicher"]),
    (Field::CrmId, &["crmid", "personid"]),
    (Field::RecipientId, &["recipientid", "nachfassrecipient", "empfängerid", "empfaengerid"]),
    (Field::MessageId, &["messageid", "nachrichtenid", "nachrichtid"]),
];

/// The longest recipient id, in characters.
const MAX_RECIPIENT_ID: usize = 200;
/// The longest id of a person in the CRM, in characters.
const MAX_CRM_ID: usize = 200;
/// The longest message id, in bytes: that of a line of mail.
const MAX_MESSAGE_ID: usize = 998;
/// The longest name, company and the like, in characters.
const MAX_TEXT: usize = 10_000;
/// The longest name of a column, in characters.
const MAX_COLUMN_NAME: usize = 1_000;
/// As much the columns of a recipient that have no meaning of their own may be together, with their names, in bytes.
pub const MAX_ATTRIBUTES: usize = 64 << 10;
/// As much is kept of a text that is no address.
const MAX_INVALID_EMAIL: usize = 320;

/// Which column means what, where its name does not tell.
pub type Mapping = BTreeMap<Field, String>;

/// What a file says about something: `None` where it does not speak of it, `Some(None)` where it says that there is none.
pub type Said = Option<Option<String>>;

/// What a record says about a recipient.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// The line that it begins on.
    pub line: i64,
    /// The record as it stands in the file: its beginning, where it is long.
    pub text: String,
    /// The address as it is shown.
    pub email: String,
    /// What spellings of the address have in common.
    pub email_key: String,
    /// Whether it is an address at all.
    pub is_valid: bool,
    /// The sender's own id of the recipient.
    pub recipient_id: Option<String>,
    /// The provider's id of the message, without angle brackets.
    pub message_id: Option<String>,
    /// The name.
    pub name: Said,
    /// The company.
    pub company: Said,
    /// Who looks after the person.
    pub owner: Said,
    /// The person's id in the CRM.
    pub crm_id: Said,
    /// All other columns; empty texts and nulls where a column is empty.
    pub attributes: Map<String, Value>,
    /// Where it is not a line of a file but a person of the CRM.
    pub person: Option<OfPerson>,
}

/// What a row says that is a person of the CRM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OfPerson {
    /// Why the CRM does not want the person to be written to, if it does not.
    pub skip: Option<SkipReason>,
}

impl Row {
    /// The domain of the address.
    #[must_use]
    pub fn domain(&self) -> &str {
        domain_of_key(&self.email_key)
    }

    /// About how much memory it takes, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        const ROW: usize = size_of::<Row>();
        let said = [&self.name, &self.company, &self.owner, &self.crm_id];
        let said = said.into_iter().flatten().flatten().map(String::len);
        let ids = [&self.recipient_id, &self.message_id].into_iter().flatten().map(String::len);
        let texts: usize = said.chain(ids).sum();
        ROW + self.text.len() + self.email.len() + self.email_key.len() + texts + object_weight(&self.attributes)
    }
}

/// About how much memory a value takes, in bytes.
fn weight(value: &Value) -> usize {
    const VALUE: usize = size_of::<Value>();
    VALUE
        + match value {
            Value::String(text) => text.len(),
            Value::Array(list) => list.iter().map(weight).sum(),
            Value::Object(object) => object_weight(object),
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        }
}

/// About how much memory the values of an object take with their names, in bytes.
#[must_use]
pub fn object_weight(object: &Map<String, Value>) -> usize {
    // A name, and its part of a node of the tree.
    const ENTRY: usize = 2 * size_of::<String>();
    object.iter().map(|(name, value)| ENTRY + name.len() + weight(value)).sum()
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Field(Field),
    Attribute(String),
}

/// What the columns of a file mean.
#[derive(Clone, Debug)]
pub struct Columns {
    mapping: Mapping,
    /// Those of the header; empty for JSON Lines, where each line has its own.
    header: Vec<Target>,
}

impl Columns {
    /// For CSV with this header.
    ///
    /// # Errors
    /// A refusal where no column holds addresses, or the mapping names a column that is not there.
    pub fn of_header(header: &[String], mapping: Mapping) -> Result<Self, Refusal> {
        let names: Vec<&str> = header.iter().map(|name| name.trim()).collect();
        if let Some(missing) = mapping.values().find(|column| !names.iter().any(|name| is_same(name, column))) {
            let message = format!("the mapping names the column \"{missing}\"; the file has {}", listed(&names));
            return Err(Refusal::field(RefusalCode::Invalid, &["mapping"], message));
        }
        if let Err(reason) = check_names(names.iter().copied()) {
            return Err(Refusal::field(RefusalCode::Invalid, &["uploadId"], reason));
        }
        let header = targets(&names, &mapping);
        if !header.contains(&Target::Field(Field::Email)) {
            return Err(no_email_column(&names));
        }
        Ok(Self { mapping, header })
    }

    /// For JSON Lines.
    #[must_use]
    pub const fn of_objects(mapping: Mapping) -> Self {
        Self { mapping, header: Vec::new() }
    }

    /// Whether an object has an e-mail column.
    #[must_use]
    pub fn has_email(&self, object: &Map<String, Value>) -> bool {
        self.of_object(object).contains(&Target::Field(Field::Email))
    }

    fn of_object(&self, object: &Map<String, Value>) -> Vec<Target> {
        targets(&object.keys().map(String::as_str).collect::<Vec<_>>(), &self.mapping)
    }

    /// What a record says about a recipient.
    ///
    /// # Errors
    /// The record and why it says nothing about anybody.
    pub fn read(&self, record: Record) -> Result<Row, (Record, String)> {
        let row = match &record.content {
            Err(reason) => Err(reason.clone()),
            Ok(Content::Cells(cells)) => self.of_cells(cells),
            Ok(Content::Object(object)) => check_names(object.keys().map(String::as_str))
                .and_then(|()| read_values(self.of_object(object).iter().zip(object.values().cloned()))),
        };
        match row {
            Ok(row) => Ok(Row { line: record.line, text: shortened(&record.text, SHOWN), ..row }),
            Err(reason) => Err((record, reason)),
        }
    }

    fn of_cells(&self, cells: &[String]) -> Result<Row, String> {
        let surplus = cells.iter().skip(self.header.len()).any(|cell| !cell.trim().is_empty());
        if surplus {
            return Err(format!("the line has {} cells, the header has {}", cells.len(), self.header.len()));
        }
        // An apostrophe that keeps spreadsheets from calculating a text is none of it.
        let texts = cells.iter().map(|cell| Value::String(restore(cell).into_owned()));
        read_values(self.header.iter().zip(texts))
    }
}

/// Whether there are not too many columns, nor a name that is too long.
fn check_names<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> Result<(), String> {
    let count = names.len();
    if count > MAX_COLUMNS {
        return Err(format!("there are {count} columns, and {MAX_COLUMNS} are read at most"));
    }
    for (place, name) in names.enumerate() {
        if name.chars().count() > MAX_COLUMN_NAME {
            return Err(format!("the name of column {} is longer than {MAX_COLUMN_NAME} characters", place + 1));
        }
    }
    Ok(())
}

/// What the columns with these names mean: each field is found once, all else is an attribute.
fn targets(names: &[&str], mapping: &Mapping) -> Vec<Target> {
    let mut taken: HashSet<Field> = HashSet::new();
    let mut meaning = |name: &str| {
        let mapped = mapping.iter().find(|(_, column)| is_same(name, column)).map(|(field, _)| *field);
        let field = mapped.or_else(|| known(name).filter(|field| !mapping.contains_key(field)))?;
        taken.insert(field).then_some(field)
    };
    let fields: Vec<Option<Field>> = names.iter().map(|name| meaning(name)).collect();
    let has_name = taken.contains(&Field::Name);
    let is_used = |field: &Field| !(has_name && matches!(field, Field::FirstName | Field::LastName));
    let mut attributes: HashSet<String> = HashSet::new();
    let target = |(place, (field, name)): (usize, (Option<Field>, &&str))| match field.filter(is_used) {
        Some(field) => Target::Field(field),
        None => {
            let mut name = clean(name);
            if name.is_empty() || attributes.contains(&name) {
                name = format!("{name} {}", place + 1).trim_start().to_owned();
            }
            attributes.insert(name.clone());
            Target::Attribute(name)
        }
    };
    fields.into_iter().zip(names).enumerate().map(target).collect()
}

fn known(name: &str) -> Option<Field> {
    let name = simplified(name);
    NAMES.iter().find(|(_, names)| names.contains(&name.as_str())).map(|(field, _)| *field)
}

fn is_same(name: &str, other: &str) -> bool {
    name == other || simplified(name) == simplified(other)
}

fn simplified(name: &str) -> String {
    name.chars().filter(|character| character.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn no_email_column(names: &[&str]) -> Refusal {
    // A first line that holds data is personal: it is not repeated.
    let message = if names.iter().any(|name| name.contains('@')) {
        "the first line seems to hold data, not the names of the columns: put a line with names (such as email;name) before it"
            .to_owned()
    } else {
        let found = listed(names);
        format!(
            "no column holds e-mail addresses; the file has {found}: call one of them email (or E-Mail), or say which it is by a mapping"
        )
    };
    Refusal::field(RefusalCode::Invalid, &["uploadId"], message)
}

/// The refusal of JSON Lines of which none names an address.
#[must_use]
pub fn no_email_key(object: &Map<String, Value>) -> Refusal {
    no_email_column(&object.keys().map(String::as_str).collect::<Vec<_>>())
}

fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 30;
    let names: Vec<String> = names.iter().take(SHOWN).map(|name| format!("\"{}\"", shortened(name, 60))).collect();
    format!("the columns {}", names.join(", "))
}

/// The beginning of a text, up to so many characters.
#[must_use]
pub fn shortened(text: &str, most: usize) -> String {
    // By far the most lines: no text has more characters than bytes.
    if text.len() <= most && !text.contains('\0') {
        return text.to_owned();
    }
    text.chars().filter(|character| *character != '\0').take(most).collect()
}

/// Without surrounding white space, and without NUL, which PostgreSQL cannot store.
fn clean(text: &str) -> String {
    let text = text.trim();
    if text.contains('\0') { text.replace('\0', "") } else { text.to_owned() }
}

fn text_of(value: Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::String(text) => clean(&text),
        other => clean(&other.to_string()),
    };
    Some(text).filter(|text| !text.is_empty())
}

fn read_values<'a>(values: impl Iterator<Item = (&'a Target, Value)>) -> Result<Row, String> {
    let mut row = Row::default();
    let (mut email, mut first_name, mut last_name): (Option<String>, Said, Said) = (None, None, None);
    for (target, value) in values {
        match target {
            Target::Attribute(name) => {
                let value = if let Value::String(text) = value { Value::String(clean(&text)) } else { value };
                row.attributes.insert(name.clone(), value);
            }
            Target::Field(field) => {
                let text = text_of(value);
                match field {
                    Field::Email => email = text,
                    Field::Name => row.name = Some(text),
                    Field::FirstName => first_name = Some(text),
                    Field::LastName => last_name = Some(text),
                    Field::Company => row.company = Some(text),
                    Field::Owner => row.owner = Some(text),
                    Field::CrmId => row.crm_id = Some(text),
                    Field::RecipientId => row.recipient_id = text,
                    Field::MessageId => row.message_id = text.map(|id| without_brackets(&id)),
                }
            }
        }
    }
    if row.name.is_none() && (first_name.is_some() || last_name.is_some()) {
        let parts: Vec<String> = [first_name, last_name].into_iter().flatten().flatten().collect();
        row.name = Some(Some(parts.join(" ")).filter(|name| !name.is_empty()));
    }
    require_length("recipient id", row.recipient_id.as_deref(), MAX_RECIPIENT_ID)?;
    if row.message_id.as_ref().is_some_and(|id| id.len() > MAX_MESSAGE_ID) {
        return Err(format!("the message id is longer than {MAX_MESSAGE_ID} bytes"));
    }
    let texts = [
        ("name", &row.name, MAX_TEXT),
        ("company", &row.company, MAX_TEXT),
        ("owner", &row.owner, MAX_TEXT),
        ("CRM id", &row.crm_id, MAX_CRM_ID),
    ];
    for (what, said, most) in texts {
        require_length(what, said.as_ref().and_then(Option::as_deref), most)?;
    }
    if stored_size(&row.attributes) > MAX_ATTRIBUTES {
        return Err(too_many_attributes());
    }
    set_email(&mut row, &email.unwrap_or_default())?;
    Ok(row)
}

fn set_email(row: &mut Row, text: &str) -> Result<(), String> {
    match EmailAddress::parse(text) {
        Ok(address) => {
            row.email = address.as_str().to_owned();
            row.email_key = address.key().to_owned();
            row.is_valid = true;
        }
        Err(InvalidEmail::Empty) => return Err("there is no e-mail address".to_owned()),
        Err(_) => {
            row.email = shortened(text, MAX_INVALID_EMAIL);
            row.email_key = key_of(&row.email);
        }
    }
    Ok(())
}

fn require_length(what: &str, text: Option<&str>, most: usize) -> Result<(), String> {
    if text.is_some_and(|text| text.chars().count() > most) {
        return Err(format!("the {what} is longer than {most} characters"));
    }
    Ok(())
}

/// As long at least the attributes are when they are stored.
fn stored_size(attributes: &Map<String, Value>) -> usize {
    let size = |(name, value): (&String, &Value)| match value {
        // What is blank is not stored.
        Value::Null => 0,
        Value::String(text) if text.is_empty() => 0,
        Value::String(text) => name.len() + text.len(),
        other => name.len() + other.to_string().len(),
    };
    attributes.iter().map(size).sum()
}

/// Why a row is rejected whose columns are too long together, or would be with those that the recipient has.
#[must_use]
pub fn too_many_attributes() -> String {
    format!("the columns of this recipient are longer than {MAX_ATTRIBUTES} bytes together")
}

fn without_brackets(id: &str) -> String {
    id.strip_prefix('<').and_then(|id| id.strip_suffix('>')).unwrap_or(id).trim().to_owned()
}
