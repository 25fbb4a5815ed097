//! Looking for addresses that may be written wrongly: those that mail does not reach because there is no such mailbox or domain, and those
//! of recipients still to be sent to that are no addresses at all.
//!
//! A chunk is looked at first, without a transaction, because the domain name system is asked meanwhile; then what came of it is written in
//! one, together with how far the job is. Each address has one open suggestion at most: the best that has not been rejected.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use domain::campaign::CampaignState;
use domain::correction::{
    self, CorrectionSource, CorrectionState, Evidence, Learned, PushState, Suggestion, SuggestionReason,
    depends_on_exchange,
};
use domain::email::domain_of_key;
use domain::health::{AddressHealth, BlockReason, Outcomes};
use domain::mx::{Exchange, MailExchanges};
use domain::status::{RecipientStatus, SkipReason};
use futures::StreamExt;
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use serde::{Deserialize, Serialize};

use super::row::{self, ADDRESSES, CorrectionRow};
use crate::access::Services;
use crate::batch::{Batch, Column};
use crate::db::{Db, execute, is_postgres, query_all};
use crate::error::Result;
use crate::jobs::{self, ClaimedJob, JobProgress};
use crate::recipients::RecipientKey;
use crate::subject::SYSTEM;

/// As many addresses are looked at together.
const CHUNK: i64 = 500;
/// As many domains are asked about at the same time.
const LOOKUPS: usize = 8;
/// The answers about as many domains are kept during a run.
const KEPT: usize = 100_000;

/// What came of looking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Suggested {
    /// Addresses that were looked at.
    pub looked_at: i64,
    /// New suggestions.
    pub added: i64,
    /// Suggestions that were there and are others, or otherwise sure, now.
    pub changed: i64,
    /// Suggestions that are over: nothing speaks for them any more.
    pub removed: i64,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Position {
    step: Step,
    /// The last address.
    address: i64,
    /// The last recipient.
    recipient: Option<RecipientKey>,
    suggested: Suggested,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Step {
    /// Addresses that mail does not reach.
    #[default]
    Unreached,
    /// What is no address, of recipients still to be sent to.
    Invalid,
}

/// An address that may be written wrongly.
struct Suspect {
    key: String,
    /// As it is written somewhere.
    email: String,
}

/// Does the job, from where it was left.
///
/// # Errors
/// [`JobLost`](crate::ServiceError::JobLost); those of the database.
pub async fn run(services: &Services, job: &ClaimedJob, exchanges: &Arc<dyn MailExchanges>) -> Result<Suggested> {
    let mut position: Position = job.position.clone().map(serde_json::from_value).transpose()?.unwrap_or_default();
    let mut asked = Asked { exchanges: exchanges.clone(), answers: HashMap::new() };
    loop {
        let (suspects, looked_at) = next(services.db(), &mut position).await?;
        let chosen = choose(services.db(), &suspects, &mut asked).await?;
        let transaction = services.db.begin_keyed().await?;
        write(&transaction, services, &suspects, &chosen, &mut position.suggested).await?;
        position.suggested.looked_at += looked_at;
        let is_last = looked_at == 0 && position.step == Step::Invalid;
        if looked_at == 0 {
            position.step = Step::Invalid;
        }
        let progress = JobProgress { done: position.suggested.looked_at, total: None, skipped: 0 };
        if is_last {
            position.suggested.removed += end_outdated(&transaction, services).await?;
            jobs::finish(&transaction, services, job, progress, &position.suggested).await?;
            transaction.commit().await?;
            return Ok(position.suggested);
        }
        jobs::checkpoint(&transaction, services, job, progress, &position).await?;
        transaction.commit().await?;
    }
}

/// The next addresses, and how many had to be looked at for them; moves the position.
async fn next(db: &Db, position: &mut Position) -> Result<(Vec<Suspect>, i64)> {
    let rows = match position.step {
        Step::Unreached => unreached(db, position.address).await?,
        Step::Invalid => invalid(db, position.recipient).await?,
    };
    let mut suspects: Vec<Suspect> = Vec::with_capacity(rows.len());
    let mut known = HashSet::new();
    for row in &rows {
        match position.step {
            Step::Unreached => position.address = row.try_get_by_index(2)?,
            Step::Invalid => {
                position.recipient =
                    Some(RecipientKey { campaign: row.try_get_by_index(2)?, number: row.try_get_by_index(3)? });
            }
        }
        let key: String = row.try_get_by_index(0)?;
        let is_suspect = match position.step {
            Step::Unreached => Outcomes::decode(&row.try_get_by_index::<String>(3)?).deny_the_address(),
            Step::Invalid => true,
        };
        if is_suspect && known.insert(key.clone()) {
            let written: Option<String> = row.try_get_by_index(1)?;
            suspects.push(Suspect { email: written.unwrap_or_else(|| key.clone()), key });
        }
    }
    Ok((suspects, i64::try_from(rows.len()).unwrap_or(i64::MAX)))
}

async fn unreached(db: &Db, after: i64) -> Result<Vec<QueryResult>> {
    let reported =
        [BlockReason::HardBounce, BlockReason::SoftBounces].map(|reason| reason.code().to_string()).join(", ");
    let sql = format!(
        "SELECT a.email_key, (SELECT r.email FROM recipient r WHERE r.address_id = a.id AND r.email_key = a.email_key LIMIT 1), \
            a.id, a.outcomes FROM address a \
         WHERE a.health > {} AND a.id > $1 AND (a.block_reason IS NULL OR a.block_reason IN ({reported})) \
         ORDER BY a.id LIMIT {CHUNK}",
        AddressHealth::Ok.code()
    );
    Ok(query_all(db.read(), &sql, [after.into()]).await?)
}

async fn invalid(db: &Db, after: Option<RecipientKey>) -> Result<Vec<QueryResult>> {
    let sql = format!(
        "SELECT r.email_key, r.email, r.campaign_id, r.number FROM campaign c \
            JOIN recipient_status s ON s.campaign_id = c.id AND s.status = {} \
            JOIN recipient r ON r.campaign_id = s.campaign_id AND r.number = s.number \
         WHERE c.state IN ({}, {}) AND r.skip = {} AND (s.campaign_id > $1 OR s.campaign_id = $1 AND s.number > $2) \
         ORDER BY r.campaign_id, r.number LIMIT {CHUNK}",
        RecipientStatus::Blocked.code(),
        CampaignState::Draft.code(),
        CampaignState::Sending.code(),
        SkipReason::InvalidAddress.code(),
    );
    let after = after.unwrap_or(RecipientKey { campaign: 0, number: 0 });
    Ok(query_all(db.read(), &sql, [after.campaign.into(), after.number.into()]).await?)
}

/// What the domain name system said during this run.
struct Asked {
    exchanges: Arc<dyn MailExchanges>,
    answers: HashMap<String, Exchange>,
}

impl Asked {
    async fn ask(&mut self, domains: HashSet<&str>) {
        if self.answers.len() > KEPT {
            self.answers.clear();
        }
        let open = domains.into_iter().filter(|domain| !self.answers.contains_key(*domain)).map(str::to_owned);
        let open: Vec<String> = open.collect();
        let exchanges = &self.exchanges;
        let ask = |domain: String| async move {
            let answer = exchanges.look_up(&domain).await;
            (domain, answer)
        };
        let answers: Vec<_> = futures::stream::iter(open).map(ask).buffer_unordered(LOOKUPS).collect().await;
        self.answers.extend(answers);
    }

    fn of(&self, domain: &str) -> Exchange {
        self.answers.get(domain).copied().unwrap_or_default()
    }
}

/// Decides what is suggested for each of the addresses, by their keys.
async fn choose(db: &Db, suspects: &[Suspect], asked: &mut Asked) -> Result<HashMap<String, Suggestion>> {
    if suspects.is_empty() {
        return Ok(HashMap::new());
    }
    let transaction = db.begin_keyed().await?;
    let known = Known::read(&transaction, suspects).await?;
    transaction.commit().await?;
    let nothing: Vec<Learned> = Vec::new();
    let learned = |suspect: &Suspect| known.learned.get(domain_of_key(&suspect.key)).unwrap_or(&nothing);
    let open: Vec<&Suspect> = suspects.iter().filter(|suspect| !known.corrected.contains(&suspect.key)).collect();
    let mut doubtful: HashSet<&str> = HashSet::new();
    for suspect in &open {
        let domain = domain_of_key(&suspect.key);
        if !doubtful.contains(domain) && depends_on_exchange(&suspect.email, learned(suspect)) {
            doubtful.insert(domain);
        }
    }
    asked.ask(doubtful).await;
    let none: Vec<String> = Vec::new();
    let mut candidates: Vec<(&Suspect, Vec<Suggestion>)> = Vec::with_capacity(open.len());
    for suspect in open {
        let evidence = Evidence {
            email: &suspect.email,
            learned: learned(suspect),
            others: known.others.get(&suspect.key).unwrap_or(&none),
            exchange: asked.of(domain_of_key(&suspect.key)),
        };
        let mut found = correction::suggest(&evidence);
        found.retain(|it| !known.rejected.contains(&(suspect.key.clone(), it.email.key().to_owned())));
        candidates.push((suspect, found));
    }
    let all = candidates.iter().flat_map(|(_, found)| found.iter().map(|it| it.email.key()));
    let blocked = blocked(db, all.collect()).await?;
    let best = |(suspect, found): (&Suspect, Vec<Suggestion>)| {
        let best = found.into_iter().find(|it| !blocked.contains(it.email.key()))?;
        Some((suspect.key.clone(), best))
    };
    Ok(candidates.into_iter().filter_map(best).collect())
}

/// Which of these addresses are blocked: nobody is sent from one to the other.
async fn blocked(db: &Db, keys: HashSet<&str>) -> Result<HashSet<String>> {
    let mut batch = Batch::new(&[("email_key", Column::Text)]);
    keys.into_iter().for_each(|key| batch.push([key.into()]));
    if batch.is_empty() {
        return Ok(HashSet::new());
    }
    let sql = "SELECT a.email_key FROM {rows} JOIN address a ON a.email_key = rows.email_key WHERE a.health = {1}";
    let transaction = db.begin_keyed().await?;
    let rows = batch.query(&transaction, sql, [AddressHealth::Blocked.code().into()]).await?;
    transaction.commit().await?;
    Ok(rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, DbErr>>()?)
}

/// What our own tables know about some addresses.
struct Known {
    /// By domain.
    learned: HashMap<String, Vec<Learned>>,
    /// Other addresses of the same persons, those to write to first.
    others: HashMap<String, Vec<String>>,
    /// Pairs that somebody has said no to.
    rejected: HashSet<(String, String)>,
    /// Addresses that were corrected: whoever still has them is about to follow, or will not.
    corrected: HashSet<String>,
}

impl Known {
    async fn read<C: ConnectionTrait>(connection: &C, suspects: &[Suspect]) -> Result<Self> {
        let mut keys = Batch::new(&[("email_key", Column::Text)]);
        suspects.iter().for_each(|suspect| keys.push([suspect.key.clone().into()]));
        let domains: HashSet<&str> = suspects.iter().map(|suspect| domain_of_key(&suspect.key)).collect();
        let mut known = Self {
            learned: learned(connection, domains).await?,
            others: HashMap::new(),
            rejected: HashSet::new(),
            corrected: HashSet::new(),
        };
        let sql = "SELECT rows.email_key, o.email FROM {rows} JOIN person_email e ON e.email_key = rows.email_key \
                   JOIN person p ON p.id = e.person_id AND p.deleted_at IS NULL AND NOT p.is_former_employee \
                   JOIN person_email o ON o.person_id = e.person_id AND o.email_key <> e.email_key \
                   ORDER BY rows.email_key, p.id, o.rank";
        for row in keys.clone().query(connection, sql, []).await? {
            known.others.entry(row.try_get_by_index(0)?).or_default().push(row.try_get_by_index(1)?);
        }
        let rejected = CorrectionState::Rejected.code();
        let decided = [CorrectionState::Applied.code(), CorrectionState::Conflict.code(), rejected];
        let decided = decided.map(|state| state.to_string()).join(", ");
        // The plus: not by the state. Most rows have it in common, and the planners do not know, or do not know yet.
        let sql = format!(
            "SELECT k.old_key, k.new_key, k.state FROM {{rows}} CROSS JOIN correction k \
             WHERE k.old_key = rows.email_key AND +k.state IN ({decided})"
        );
        for row in keys.query(connection, &sql, []).await? {
            let key: String = row.try_get_by_index(0)?;
            if row.try_get_by_index::<i16>(2)? == rejected {
                known.rejected.insert((key, row.try_get_by_index(1)?));
            } else {
                known.corrected.insert(key);
            }
        }
        Ok(known)
    }
}

/// What people made of addresses of these domains, by hand or by a file.
async fn learned<C: ConnectionTrait>(connection: &C, domains: HashSet<&str>) -> Result<HashMap<String, Vec<Learned>>> {
    let mut batch = Batch::new(&[("domain", Column::Text)]);
    domains.into_iter().for_each(|domain| batch.push([domain.into()]));
    // Left alone, SQLite looks up the state, once for each domain.
    let index = if is_postgres(connection) { "" } else { "INDEXED BY correction_domain" };
    let sql = format!(
        "SELECT k.old_domain, k.new_domain, count(DISTINCT k.old_key) FROM {{rows}} CROSS JOIN correction k {index} \
         WHERE k.old_domain = rows.domain AND k.state = {} AND k.source IN ({}, {}) GROUP BY k.old_domain, k.new_domain ORDER BY k.old_domain, k.new_domain",
        CorrectionState::Applied.code(),
        CorrectionSource::Manual.code(),
        CorrectionSource::File.code(),
    );
    let mut learned: HashMap<String, Vec<Learned>> = HashMap::new();
    for row in batch.query(connection, &sql, []).await? {
        let count = u32::try_from(row.try_get_by_index::<i64>(2)?).unwrap_or(u32::MAX);
        let pair = Learned { domain: row.try_get_by_index(1)?, count };
        learned.entry(row.try_get_by_index(0)?).or_default().push(pair);
    }
    Ok(learned)
}

/// An open suggestion.
struct Open {
    id: i64,
    new_key: String,
    suggestion: Option<i16>,
    confidence: Option<i16>,
}

/// Writes what is suggested for addresses by now, and ends what is not suggested any more.
async fn write<C: ConnectionTrait>(
    connection: &C,
    services: &Services,
    suspects: &[Suspect],
    chosen: &HashMap<String, Suggestion>,
    suggested: &mut Suggested,
) -> Result<()> {
    if suspects.is_empty() {
        return Ok(());
    }
    let mut open = open(connection, suspects).await?;
    let (mut fresh, mut other, mut over) = (row::batch(), row::batch(), Batch::new(&[("id", Column::Big)]));
    for suspect in suspects {
        let known = open.remove(&suspect.key);
        let Some(best) = chosen.get(&suspect.key) else {
            if let Some(known) = known {
                over.push([known.id.into()]);
            }
            continue;
        };
        let (reason, confidence) = (best.reason.code(), i16::from(best.confidence));
        let row = CorrectionRow {
            id: known.as_ref().map(|known| known.id),
            old_email: &suspect.email,
            old_key: &suspect.key,
            new: &best.email,
            person: None,
            reason: None,
            push: PushState::None,
            suggestion: Some((best.reason, best.confidence)),
        };
        match known {
            None => row.push_to(&mut fresh),
            Some(known) => {
                let is_same = known.new_key == best.email.key()
                    && known.suggestion == Some(reason)
                    && known.confidence == Some(confidence);
                if !is_same {
                    row.push_to(&mut other);
                }
            }
        }
    }
    let now = services.now().micros();
    let state = CorrectionState::Suggested.code();
    if !fresh.is_empty() {
        let source = CorrectionSource::Suggestion.code();
        let sql = format!(
            "INSERT INTO correction ({ADDRESSES}, suggestion, confidence, state, source, created_by, created_at) \
             SELECT {ADDRESSES}, suggestion, confidence, {state}, {source}, {{1}}, {{2}} FROM {{rows}} WHERE true ON CONFLICT DO NOTHING"
        );
        suggested.added += count(fresh.execute(connection, &sql, [SYSTEM.into(), now.into()]).await?);
    }
    if !other.is_empty() {
        let sql = format!(
            "UPDATE correction SET new_email = rows.new_email, new_key = rows.new_key, new_domain = rows.new_domain, \
                suggestion = rows.suggestion, confidence = rows.confidence FROM {{rows}} \
             WHERE correction.id = rows.id AND correction.state = {state}"
        );
        suggested.changed += count(other.execute(connection, &sql, []).await?);
    }
    if !over.is_empty() {
        let sql = format!(
            "UPDATE correction SET state = {}, decided_by = {{1}}, decided_at = {{2}} FROM {{rows}} \
             WHERE correction.id = rows.id AND correction.state = {state}",
            CorrectionState::Superseded.code()
        );
        suggested.removed += count(over.execute(connection, &sql, [SYSTEM.into(), now.into()]).await?);
    }
    Ok(())
}

fn count(rows: u64) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// The open suggestions for addresses, the first of each, under lock.
async fn open<C: ConnectionTrait>(connection: &C, suspects: &[Suspect]) -> Result<HashMap<String, Open>> {
    let mut keys = Batch::new(&[("email_key", Column::Text)]);
    suspects.iter().for_each(|suspect| keys.push([suspect.key.clone().into()]));
    let lock = if is_postgres(connection) { "FOR UPDATE OF k" } else { "" };
    let sql = format!(
        "SELECT k.old_key, k.id, k.new_key, k.suggestion, k.confidence FROM {{rows}} CROSS JOIN correction k \
         WHERE k.old_key = rows.email_key AND +k.state = {} ORDER BY +k.id {lock}",
        CorrectionState::Suggested.code()
    );
    let mut open = HashMap::new();
    for row in keys.query(connection, &sql, []).await? {
        let suggestion = Open {
            id: row.try_get_by_index(1)?,
            new_key: row.try_get_by_index(2)?,
            suggestion: row.try_get_by_index(3)?,
            confidence: row.try_get_by_index(4)?,
        };
        open.entry(row.try_get_by_index(0)?).or_insert(suggestion);
    }
    Ok(open)
}

/// Ends the suggestions for addresses that are well by now; says how many.
async fn end_outdated<C: ConnectionTrait>(connection: &C, services: &Services) -> Result<i64> {
    // What is no address never bounced, and is as well as it ever was.
    let sql = "UPDATE correction SET state = $1, decided_by = $2, decided_at = $3 WHERE state = $4 AND suggestion <> $5 \
               AND EXISTS (SELECT 1 FROM address a WHERE a.email_key = correction.old_key AND a.health = $6 AND a.outcomes <> '')";
    let values = [
        CorrectionState::Superseded.code().into(),
        SYSTEM.into(),
        services.now().micros().into(),
        CorrectionState::Suggested.code().into(),
        SuggestionReason::Malformed.code().into(),
        AddressHealth::Ok.code().into(),
    ];
    Ok(count(execute(connection, sql, values).await?.rows_affected()))
}
