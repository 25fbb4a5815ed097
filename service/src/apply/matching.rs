//! Whom an event is about: our recipient id in its metadata, else its message id, else campaign and address.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use sea_orm::{ConnectionTrait, DbErr};

use super::pending::{Pending, RecipientKey};
use crate::batch::{Batch, Column};

/// A recipient that an event may be about.
struct Candidate {
    key: RecipientKey,
    recipient_ref: Option<String>,
    email_key: String,
    skipped: bool,
    attempt: i32,
}

impl Candidate {
    /// Makes the event one about this recipient.
    const fn take(&self, event: &mut Pending) {
        event.matched = Some(self.key);
        event.attempt = self.attempt;
    }
}

/// The recipients of a message id. Some providers use one id for a whole transmission and report an event for each recipient, so lookups
/// must not scan the list.
struct Candidates {
    all: Vec<Candidate>,
    /// Indexes by address and by our own id, and those without our id.
    by_email: HashMap<String, Vec<usize>>,
    by_ref: HashMap<String, Vec<usize>>,
    without_ref: Vec<usize>,
}

impl Candidates {
    fn new(all: Vec<Candidate>) -> Self {
        let mut found =
            Self { all: Vec::new(), by_email: HashMap::new(), by_ref: HashMap::new(), without_ref: Vec::new() };
        for (place, candidate) in all.iter().enumerate() {
            found.by_email.entry(candidate.email_key.clone()).or_default().push(place);
            match &candidate.recipient_ref {
                Some(id) => found.by_ref.entry(id.clone()).or_default().push(place),
                None => found.without_ref.push(place),
            }
        }
        Self { all, ..found }
    }

    /// The recipient of the event. Our own id in the metadata outweighs the message id; if they disagree, the next step decides by id.
    fn choose(&self, event: &Pending) -> Option<&Candidate> {
        let single = match &event.recipient_ref {
            None => self.all.first().filter(|_| self.all.len() == 1),
            Some(id) => {
                let named = self.by_ref.get(id).map_or([].as_slice(), Vec::as_slice);
                match (named, self.without_ref.as_slice()) {
                    ([place], []) | ([], [place]) => self.all.get(*place),
                    _ => None,
                }
            }
        };
        let agrees = |candidate: &&Candidate| match (&event.recipient_ref, &candidate.recipient_ref) {
            (Some(reported), Some(known)) => reported == known,
            (Some(_), None) | (None, _) => true,
        };
        single.or_else(|| {
            let places = self.by_email.get(event.email_key.as_ref()?)?;
            let fitting = places.iter().filter_map(|place| self.all.get(*place)).filter(agrees);
            fitting.min_by_key(|candidate| (candidate.skipped, candidate.key))
        })
    }
}

/// Finds the campaign and the recipient of each event that has none yet.
pub async fn match_all<C: ConnectionTrait>(connection: &C, events: &mut [Pending]) -> Result<(), DbErr> {
    find_campaigns(connection, events).await?;
    by_ref_in_campaign(connection, events).await?;
    by_message_id(connection, events).await?;
    by_ref(connection, events).await?;
    by_address(connection, events).await
}

/// Sets the campaign of the events that name one: by the first of their keys that is one's.
pub async fn find_campaigns<C: ConnectionTrait>(connection: &C, events: &mut [Pending]) -> Result<(), DbErr> {
    let lists = events.iter().map(|event| &event.campaign_keys).filter(|keys| !keys.is_empty());
    // Events of one notification share a list.
    let mut lists: Vec<&Arc<[String]>> = lists.collect();
    lists.dedup_by(|left, right| Arc::ptr_eq(left, right));
    let keys: BTreeSet<&str> = lists.into_iter().flat_map(|keys| keys.iter()).map(String::as_str).collect();
    if keys.is_empty() {
        return Ok(());
    }
    let mut batch = Batch::new(&[("key", Column::Text)]);
    keys.into_iter().for_each(|key| batch.push([key.into()]));
    let sql = "SELECT campaign.key, campaign.id FROM {rows} JOIN campaign ON campaign.key = rows.key";
    let mut ids: HashMap<String, i64> = HashMap::new();
    for row in batch.query(connection, sql, []).await? {
        ids.insert(row.try_get_by_index(0)?, row.try_get_by_index(1)?);
    }
    for event in events.iter_mut().filter(|event| event.campaign.is_none()) {
        event.campaign = event.campaign_keys.iter().find_map(|key| ids.get(key)).copied();
    }
    Ok(())
}

/// By our own id and the campaign, where an event names both: nothing can contradict them, and it is one key to look up.
async fn by_ref_in_campaign<C: ConnectionTrait>(connection: &C, events: &mut [Pending]) -> Result<(), DbErr> {
    let place = |event: &Pending| Some((event.campaign?, event.recipient_ref.clone()?));
    let places: BTreeSet<(i64, String)> =
        events.iter().filter(|event| event.matched.is_none()).filter_map(place).collect();
    if places.is_empty() {
        return Ok(());
    }
    let mut batch = Batch::new(&[("campaign_id", Column::Big), ("ref", Column::Text)]);
    places.into_iter().for_each(|(campaign, id)| batch.push([campaign.into(), id.into()]));
    let sql = "SELECT recipient.campaign_id, recipient.ref, recipient.number, recipient.attempt FROM {rows} \
               JOIN recipient ON recipient.ref = rows.ref AND recipient.campaign_id = rows.campaign_id";
    let mut found: HashMap<(i64, String), (i64, i32)> = HashMap::new();
    for row in batch.query(connection, sql, []).await? {
        let recipient = (row.try_get_by_index(2)?, row.try_get_by_index(3)?);
        found.insert((row.try_get_by_index(0)?, row.try_get_by_index(1)?), recipient);
    }
    for event in events.iter_mut().filter(|event| event.matched.is_none()) {
        let Some(place) = place(event) else { continue };
        if let Some((number, attempt)) = found.get(&place) {
            event.matched = Some(RecipientKey { campaign: place.0, number: *number });
            event.attempt = *attempt;
        }
    }
    Ok(())
}

async fn by_message_id<C: ConnectionTrait>(connection: &C, events: &mut [Pending]) -> Result<(), DbErr> {
    let open = |event: &&Pending| event.matched.is_none();
    let ids: BTreeSet<&str> = events.iter().filter(open).filter_map(|event| event.message_id.as_deref()).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let mut batch = Batch::new(&[("message_id", Column::Text)]);
    ids.into_iter().for_each(|id| batch.push([id.into()]));
    let sql = "SELECT message.message_id, recipient.campaign_id, recipient.number, recipient.ref, recipient.email_key, \
               recipient.skip IS NOT NULL, recipient.attempt \
               FROM {rows} JOIN message ON message.message_id = rows.message_id \
               JOIN recipient ON recipient.campaign_id = message.campaign_id AND recipient.number = message.recipient";
    let candidates = candidates(batch.query(connection, sql, []).await?)?;
    let candidates: HashMap<String, Candidates> =
        candidates.into_iter().map(|(id, found)| (id, Candidates::new(found))).collect();
    for event in events.iter_mut().filter(|event| event.matched.is_none()) {
        let Some(found) = event.message_id.as_ref().and_then(|id| candidates.get(id)) else { continue };
        if let Some(candidate) = found.choose(event) {
            candidate.take(event);
            event.known_message = true;
        }
    }
    Ok(())
}

async fn by_ref<C: ConnectionTrait>(connection: &C, events: &mut [Pending]) -> Result<(), DbErr> {
    let open = |event: &&Pending| event.matched.is_none();
    let refs: BTreeSet<&str> = events.iter().filter(open).filter_map(|event| event.recipient_ref.as_deref()).collect();
    if refs.is_empty() {
        return Ok(());
    }
    let mut batch = Batch::new(&[("ref", Column::Text)]);
    refs.into_iter().for_each(|id| batch.push([id.into()]));
    let sql = "SELECT recipient.ref, recipient.campaign_id, recipient.number, recipient.ref, recipient.email_key, \
               recipient.skip IS NOT NULL, recipient.attempt \
               FROM {rows} JOIN recipient ON recipient.ref = rows.ref";
    let candidates = candidates(batch.query(connection, sql, []).await?)?;
    for event in events.iter_mut().filter(|event| event.matched.is_none()) {
        let Some(found) = event.recipient_ref.as_ref().and_then(|id| candidates.get(id)) else { continue };
        let fits = |candidate: &&Candidate| match (event.campaign, event.names_campaign, &event.email_key) {
            (Some(campaign), ..) => campaign == candidate.key.campaign,
            // The campaign is not known (yet): the id may mean somebody else in another one.
            (None, true, _) => false,
            (None, false, Some(email)) => candidate.email_key == *email,
            (None, false, None) => true,
        };
        let found: Vec<&Candidate> = found.iter().filter(fits).collect();
        if let Some(candidate) = choose(event, &found) {
            candidate.take(event);
        }
    }
    Ok(())
}

/// By campaign and address: of several (doubles), the one that was sent to.
pub async fn by_address<C: ConnectionTrait>(connection: &C, events: &mut [Pending]) -> Result<(), DbErr> {
    let place = |event: &Pending| Some((event.campaign?, event.email_key.clone()?));
    let places: BTreeSet<(i64, String)> =
        events.iter().filter(|event| event.matched.is_none()).filter_map(place).collect();
    if places.is_empty() {
        return Ok(());
    }
    let mut batch = Batch::new(&[("campaign_id", Column::Big), ("email_key", Column::Text)]);
    places.iter().for_each(|(campaign, email)| batch.push([(*campaign).into(), email.clone().into()]));
    let sql = "SELECT recipient.email_key, recipient.campaign_id, recipient.number, recipient.ref, recipient.email_key, \
               recipient.skip IS NOT NULL, recipient.attempt \
               FROM {rows} JOIN recipient ON recipient.campaign_id = rows.campaign_id AND recipient.email_key = rows.email_key";
    let mut found: HashMap<(i64, String), Candidate> = HashMap::new();
    for (email, candidates) in candidates(batch.query(connection, sql, []).await?)? {
        for candidate in candidates {
            let place = (candidate.key.campaign, email.clone());
            let rank = |candidate: &Candidate| (candidate.skipped, candidate.key.number);
            if found.get(&place).is_none_or(|known| rank(&candidate) < rank(known)) {
                found.insert(place, candidate);
            }
        }
    }
    let missing = places.into_iter().filter(|place| !found.contains_key(place));
    found.extend(corrected(connection, missing).await?);
    for event in events.iter_mut().filter(|event| event.matched.is_none()) {
        // An event that names another recipient by our own id is about that one, who is not known yet.
        let agrees = |candidate: &&Candidate| match (&event.recipient_ref, &candidate.recipient_ref) {
            (Some(reported), Some(known)) => reported == known,
            _ => true,
        };
        if let Some(candidate) = place(event).and_then(|place| found.get(&place)).filter(agrees) {
            candidate.take(event);
        }
    }
    Ok(())
}

/// Those whose address was corrected since it was written to: what is reported late about the old one is theirs.
async fn corrected<C: ConnectionTrait>(
    connection: &C,
    places: impl Iterator<Item = (i64, String)>,
) -> Result<HashMap<(i64, String), Candidate>, DbErr> {
    let mut batch = Batch::new(&[("campaign_id", Column::Big), ("email_key", Column::Text)]);
    places.for_each(|(campaign, email)| batch.push([campaign.into(), email.into()]));
    if batch.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = "SELECT rows.email_key, recipient.campaign_id, recipient.number, recipient.ref, recipient.email_key, \
               recipient.skip IS NOT NULL, recipient.attempt \
               FROM {rows} CROSS JOIN correction CROSS JOIN recipient \
               WHERE correction.old_key = rows.email_key AND correction.state IN (2, 4) AND recipient.campaign_id = rows.campaign_id \
                  AND recipient.email_key = correction.new_key AND recipient.corrected_at IS NOT NULL";
    let found = candidates(batch.query(connection, sql, []).await?)?;
    let first = |candidates: Vec<Candidate>| candidates.into_iter().min_by_key(|candidate| candidate.key.number);
    let mut corrected = HashMap::new();
    for (email, candidates) in found {
        let mut by_campaign: HashMap<i64, Vec<Candidate>> = HashMap::new();
        candidates.into_iter().for_each(|it| by_campaign.entry(it.key.campaign).or_default().push(it));
        corrected
            .extend(by_campaign.into_iter().filter_map(|(id, several)| Some(((id, email.clone()), first(several)?))));
    }
    Ok(corrected)
}

fn candidates(rows: Vec<sea_orm::QueryResult>) -> Result<HashMap<String, Vec<Candidate>>, DbErr> {
    let mut found: HashMap<String, Vec<Candidate>> = HashMap::new();
    for row in rows {
        let candidate = Candidate {
            key: RecipientKey { campaign: row.try_get_by_index(1)?, number: row.try_get_by_index(2)? },
            recipient_ref: row.try_get_by_index(3)?,
            email_key: row.try_get_by_index(4)?,
            skipped: row.try_get_by_index(5)?,
            attempt: row.try_get_by_index(6)?,
        };
        found.entry(row.try_get_by_index(0)?).or_default().push(candidate);
    }
    Ok(found)
}

/// The one candidate; of several the one with the event's address (some providers give one message id to a whole transmission).
fn choose<'a>(event: &Pending, candidates: &[&'a Candidate]) -> Option<&'a Candidate> {
    match candidates {
        [] => None,
        [only] => Some(only),
        several => {
            let email = event.email_key.as_ref()?;
            let fitting = several.iter().copied().filter(|candidate| candidate.email_key == *email);
            fitting.min_by_key(|candidate| (candidate.skipped, candidate.key))
        }
    }
}
