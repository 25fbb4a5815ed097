//! Deciding what becomes of rows, without I/O: which recipient each one stands for, and what changes about it.
//!
//! A row stands for the recipient with its recipient id, else for one with its address. Every recipient that a row of an import
//! stands for is marked with the import; the next row with the same address then stands for the next recipient with that address
//! in the order of numbers that is not marked. So the n-th occurrence in a file meets what the n-th occurrence made before, in any
//! number of batches and without keeping the file's addresses in memory, and importing a file twice changes nothing. Where none is
//! left, the row is a new recipient: a double, if there is one with its address already.
//!
//! A row that is a person of the CRM stands for nobody who is another person there: two who share an address are doubles.

use std::collections::HashMap;

use domain::Timestamp;
use domain::email::is_simulator;
use domain::facts::Facts;
use domain::status::{RecipientStatus, SkipReason};
use serde_json::{Map, Value};

use super::Issue;
use super::columns::{MAX_ATTRIBUTES, Row, object_weight};

/// A recipient that is there already.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its number in the campaign.
    pub number: i64,
    /// What spellings of its address have in common.
    pub email_key: String,
    /// The domain under which it is counted.
    pub domain: String,
    /// The sender's own id of it.
    pub recipient_id: Option<String>,
    /// Its id in the CRM.
    pub crm_id: Option<String>,
    /// How many bytes its texts have: they are read a few at a time.
    pub texts_size: i64,
    /// Whether it is a provider's simulator.
    pub is_simulator: bool,
    /// What became of it.
    pub status: RecipientStatus,
    /// Whether it was not to be sent to.
    pub is_skipped: bool,
    /// A row of this import stands for it.
    pub is_claimed: bool,
    /// The attempt that is under way.
    pub attempt: i32,
}

/// What a recipient is called, and what else was imported about it.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    /// Its name.
    pub name: Option<String>,
    /// Its company.
    pub company: Option<String>,
    /// Who looks after it.
    pub owner: Option<String>,
    /// Its other columns: a JSON object.
    pub attributes: Option<String>,
}

/// A row that is a recipient of its own.
#[derive(Debug)]
pub struct Fresh<'a> {
    /// What the file says.
    pub row: &'a Row,
    /// Its recipient id, unless another recipient has it.
    pub recipient_id: Option<&'a str>,
    /// There is one with this address in the campaign.
    pub is_double: bool,
}

/// A row that stands for a recipient that is there.
#[derive(Debug)]
pub struct Claimed<'a> {
    /// The recipient.
    pub known: Known,
    /// What the file says.
    pub row: &'a Row,
    /// The recipient had no recipient id, and now has the row's.
    pub gains_id: bool,
}

/// What becomes of rows.
#[derive(Debug, Default)]
pub struct Decided<'a> {
    /// New recipients, in the order of the file.
    pub fresh: Vec<Fresh<'a>>,
    /// Recipients that are there, and the rows that stand for them.
    pub claimed: Vec<Claimed<'a>>,
    /// Rows that can be neither.
    pub issues: Vec<Issue>,
}

/// Decides what becomes of `rows`, given all recipients with their recipient ids, and those with their addresses: of each address as
/// many as there are rows with it, first those that are not claimed, in the order of numbers.
#[must_use]
pub fn decide(rows: &[Row], known: Vec<Known>) -> Decided<'_> {
    let mut campaign = Campaign::new(known);
    let mut decided = Decided::default();
    for row in rows {
        match campaign.place(row) {
            Place::Fresh(fresh) => decided.fresh.push(fresh),
            Place::Known(claimed) => decided.claimed.push(claimed),
            Place::OtherAddress => decided.issues.push(Issue::new(
                row.line,
                &row.text,
                "this recipient id belongs to another address in this campaign",
            )),
        }
    }
    decided
}

enum Place<'a> {
    Fresh(Fresh<'a>),
    Known(Claimed<'a>),
    OtherAddress,
}

/// The recipients of a campaign that rows may stand for.
struct Campaign {
    recipients: Vec<Known>,
    by_address: HashMap<String, Vec<usize>>,
    /// The address of each recipient id, and where its recipient is; new ones are nowhere.
    by_id: HashMap<String, (String, Option<usize>)>,
}

impl Campaign {
    fn new(mut recipients: Vec<Known>) -> Self {
        recipients.sort_by_key(|known| known.number);
        let mut by_address: HashMap<String, Vec<usize>> = HashMap::new();
        let mut by_id = HashMap::new();
        for (place, known) in recipients.iter().enumerate() {
            by_address.entry(known.email_key.clone()).or_default().push(place);
            if let Some(id) = &known.recipient_id {
                by_id.insert(id.clone(), (known.email_key.clone(), Some(place)));
            }
        }
        Self { recipients, by_address, by_id }
    }

    fn place<'a>(&mut self, row: &'a Row) -> Place<'a> {
        let same_id = row.recipient_id.as_deref().and_then(|id| self.by_id.get(id));
        if same_id.is_some_and(|(email_key, _)| *email_key != row.email_key) {
            return Place::OtherAddress;
        }
        // An id that stands for a recipient of this import cannot stand for a second one.
        let own_id = row.recipient_id.as_deref().filter(|_| same_id.is_none());
        if let Some(known) = same_id.and_then(|(_, place)| *place).and_then(|place| self.claim(place)) {
            return Place::Known(Claimed { known, row, gains_id: false });
        }
        let claimed = self.unclaimed(row).and_then(|place| self.claim(place));
        if let Some(id) = own_id {
            self.by_id.insert(id.to_owned(), (row.email_key.clone(), None));
        }
        if let Some(mut known) = claimed {
            let gains_id = own_id.is_some();
            known.recipient_id = known.recipient_id.or_else(|| own_id.map(str::to_owned));
            return Place::Known(Claimed { known, row, gains_id });
        }
        let is_double = self.by_address.contains_key(&row.email_key);
        self.by_address.entry(row.email_key.clone()).or_default();
        Place::Fresh(Fresh { row, recipient_id: own_id, is_double })
    }

    /// The first recipient with the row's address that no row stands for yet. One with an id of its own is met by rows with that id,
    /// and by rows that have none.
    fn unclaimed(&self, row: &Row) -> Option<usize> {
        let is_other_person = |known: &Known| {
            row.person.is_some() && known.crm_id.is_some() && Some(&known.crm_id) != row.crm_id.as_ref()
        };
        let fits = |place: &usize| {
            let known = self.recipients.get(*place);
            known.is_some_and(|known| {
                let may_be = row.recipient_id.is_none() || known.recipient_id.is_none();
                !known.is_claimed && may_be && !is_other_person(known)
            })
        };
        self.by_address.get(&row.email_key)?.iter().copied().find(fits)
    }

    fn claim(&mut self, place: usize) -> Option<Known> {
        let known = self.recipients.get_mut(place).filter(|known| !known.is_claimed)?;
        known.is_claimed = true;
        Some(known.clone())
    }
}

impl Fresh<'_> {
    /// What is known about the new recipient, to whose address `of_address` applies.
    #[must_use]
    pub fn facts(&self, of_address: Option<SkipReason>, sent_at: Option<Timestamp>) -> Facts {
        let skip = if !self.row.is_valid {
            Some(SkipReason::InvalidAddress)
        } else if self.is_double {
            Some(SkipReason::Duplicate)
        } else {
            // What the CRM says stands, also when the address is well again.
            self.row.person.and_then(|person| person.skip).or(of_address)
        };
        Facts { skip, sent_at: sent_at.filter(|_| skip.is_none()), ..Facts::default() }
    }

    /// Whether it is a provider's simulator.
    #[must_use]
    pub fn is_simulator(&self) -> bool {
        is_simulator(&self.row.email_key)
    }

    /// Its other columns, as they are stored.
    #[must_use]
    pub fn attributes(&self) -> Option<String> {
        merged(None, &self.row.attributes)
    }
}

impl Texts {
    /// Whether what a row says beside what is known is not too long to be stored.
    #[must_use]
    pub fn have_room_for(&self, row: &Row) -> bool {
        const MOST: usize = 2 * MAX_ATTRIBUTES;
        let size = self.attributes.as_ref().map_or(0, String::len);
        // Put together only where they may be too long: what is blank in the row takes away from what is known.
        size.saturating_add(object_weight(&row.attributes)) <= MOST
            || merged(self.attributes.as_deref(), &row.attributes).is_none_or(|all| all.len() <= MOST)
    }
}

impl Known {
    /// Takes over what a row says; tells whether that is anything new. What the file does not speak of stays as it is.
    pub fn take_over(&mut self, texts: &mut Texts, row: &Row) -> bool {
        let attributes = (!row.attributes.is_empty()).then(|| merged(texts.attributes.as_deref(), &row.attributes));
        let pairs = [
            (&mut texts.name, &row.name),
            (&mut texts.company, &row.company),
            (&mut texts.owner, &row.owner),
            (&mut self.crm_id, &row.crm_id),
            (&mut texts.attributes, &attributes),
        ];
        let mut changed = false;
        for (slot, said) in pairs {
            if let Some(said) = said
                && slot != said
            {
                slot.clone_from(said);
                changed = true;
            }
        }
        changed
    }
}

fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// Attributes as they are stored, with the new ones taken over and those taken away that are now empty. Where that changes nothing,
/// the very text that was stored.
fn merged(before: Option<&str>, new: &Map<String, Value>) -> Option<String> {
    let old: Map<String, Value> = before.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let mut merged = old.clone();
    for (name, value) in new {
        if is_blank(value) {
            merged.remove(name);
        } else {
            merged.insert(name.clone(), value.clone());
        }
    }
    if merged == old {
        return before.map(str::to_owned);
    }
    Some(merged).filter(|merged| !merged.is_empty()).map(|merged| Value::Object(merged).to_string())
}
