//! The recipients of a campaign with everything that decides whether they are reminded.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use domain::Timestamp;
use domain::campaign::CampaignState;
use domain::facts::Facts;
use domain::health::AddressHealth;
use domain::reminder::{Address, Candidate};
use domain::status::RecipientStatus;
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Value};

use super::mails::{Mails, Means};
use super::rules::Original;
use crate::batch::{Batch, Column};
use crate::crm::people::REFUSED_BY_CRM;
use crate::db::query_all;
use crate::error::Result;
use crate::facts_row;

/// Whether the user of the address `a` withdrew their consent: by a complaint, and has not consented since.
pub(crate) const CONSENT_WITHDRAWN: &str =
    "(a.last_complained_at IS NOT NULL AND (a.consent_given_at IS NULL OR a.consent_given_at < a.last_complained_at))";
/// Whether nothing may be written to the recipient `r` with the address `a`: its user withdrew their consent, or the CRM says so.
pub(super) static NO_CONSENT: LazyLock<String> = LazyLock::new(|| format!("({CONSENT_WITHDRAWN} OR {REFUSED_BY_CRM})"));
/// Whether the user of the address `a` unsubscribed, and has not subscribed since.
pub(crate) const UNSUBSCRIBED: &str =
    "(a.unsubscribed_at IS NOT NULL AND (a.subscribed_at IS NULL OR a.subscribed_at < a.unsubscribed_at))";

/// Somebody who may be reminded.
#[derive(Clone, Debug)]
pub(super) struct Person {
    /// The number in the list that was read: of the campaign, or of the reminder.
    pub number: i64,
    /// The number in the campaign.
    pub recipient: i64,
    pub domain: String,
    pub is_simulator: bool,
    pub address: Address,
    pub mails: Mails,
    /// Which attempt of the recipient is under way.
    attempt: i64,
}

impl Person {
    /// As the domain asks about them before the reminder of a round.
    pub(super) fn candidate(&self, round: i64, campaign_sent_at: Option<Timestamp>) -> Candidate<'_> {
        Candidate {
            facts: &self.mails.facts,
            reminders: self.mails.reminders_before(round),
            other_attempts: &self.mails.other_attempts,
            is_simulator: self.is_simulator,
            address: self.address,
            campaign_sent_at,
            is_canceled: false,
        }
    }
}

/// The rounds of a rule's reminders of a campaign.
#[derive(Clone, Debug, Default)]
pub(super) struct Rounds {
    any: bool,
    canceled: HashSet<i64>,
}

impl Rounds {
    /// Those that there are by now.
    pub(super) async fn of<C: ConnectionTrait>(connection: &C, rule: i64, campaign: i64) -> Result<Self> {
        let sql = "SELECT m.round, c.state FROM reminder m LEFT JOIN campaign c ON c.id = m.child_id \
                   WHERE m.rule_id = $1 AND m.campaign_id = $2";
        let mut rounds = Self::default();
        for row in query_all(connection, sql, [rule.into(), campaign.into()]).await? {
            rounds.any = true;
            if row.try_get_by_index::<Option<i16>>(1)? == Some(CampaignState::Canceled.code()) {
                rounds.canceled.insert(row.try_get_by_index(0)?);
            }
        }
        Ok(rounds)
    }

    /// Whether the reminder of this round was called off.
    pub(super) fn is_canceled(&self, round: i64) -> bool {
        self.canceled.contains(&round)
    }
}

fn columns(number: &str) -> String {
    format!(
        "{number}, r.number, r.domain, r.is_simulator, a.health, a.former_employee_at IS NOT NULL, a.deleted_at IS NOT NULL, \
         {}, {UNSUBSCRIBED}, r.attempt, {}",
        *NO_CONSENT,
        facts_row::columns_of("r")
    )
}

fn read(row: &QueryResult) -> Result<Person, DbErr> {
    Ok(Person {
        number: row.try_get_by_index(0)?,
        recipient: row.try_get_by_index(1)?,
        domain: row.try_get_by_index(2)?,
        is_simulator: row.try_get_by_index(3)?,
        address: Address {
            // A health that this version does not know is none to write to.
            health: AddressHealth::from_code(row.try_get_by_index(4)?).unwrap_or(AddressHealth::Blocked),
            is_former_employee: row.try_get_by_index(5)?,
            is_deleted: row.try_get_by_index(6)?,
            is_consent_withdrawn: row.try_get_by_index(7)?,
            is_unsubscribed: row.try_get_by_index(8)?,
        },
        attempt: row.try_get_by_index::<i32>(9)?.into(),
        mails: Mails { facts: facts_row::read(row, 10)?, ..Mails::default() },
    })
}

/// The recipients of a campaign behind number `after`, at most `limit`, in the order of their numbers.
pub(super) async fn page<C: ConnectionTrait>(
    connection: &C,
    rule: i64,
    campaign: &Original,
    rounds: &Rounds,
    after: i64,
    limit: i64,
) -> Result<Vec<Person>> {
    let sql = format!(
        "SELECT {} FROM recipient r CROSS JOIN address a \
         WHERE r.campaign_id = $1 AND r.number > $2 AND a.id = r.address_id ORDER BY r.campaign_id, r.number LIMIT $3",
        columns("r.number")
    );
    let values = [campaign.id.into(), after.into(), limit.into()];
    read_all(connection, &sql, values, rule, campaign.id, rounds.any).await
}

/// A reminder: which rule made it, of which campaign, and for the how manieth time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reminder {
    pub rule: i64,
    pub campaign: i64,
    pub round: i64,
}

/// Those who are still to get a reminder by the campaign `child`, behind number `after` of it: what became of the campaign for them, and
/// how the address is doing that the reminder would go to.
pub(super) async fn waiting_in_child<C: ConnectionTrait>(
    connection: &C,
    reminder: Reminder,
    child: i64,
    after: i64,
    limit: i64,
) -> Result<Vec<Person>> {
    let sql = format!(
        "SELECT {} FROM recipient_status s CROSS JOIN reminder_target t CROSS JOIN recipient r CROSS JOIN recipient c CROSS JOIN address a \
         WHERE s.campaign_id = $1 AND s.status = $2 AND s.number > $3 AND t.child_id = s.campaign_id AND t.child_recipient = s.number \
         AND r.campaign_id = t.campaign_id AND r.number = t.recipient AND c.campaign_id = s.campaign_id AND c.number = s.number \
         AND a.id = c.address_id ORDER BY s.number LIMIT $4",
        columns("s.number")
    );
    let ready = RecipientStatus::Ready.code();
    let values = [child.into(), ready.into(), after.into(), limit.into()];
    // Before the first reminder there is none.
    read_all(connection, &sql, values, reminder.rule, reminder.campaign, reminder.round > 1).await
}

/// Those who are still to get a reminder by another attempt, behind number `after` of the campaign.
pub(super) async fn waiting_for_attempt<C: ConnectionTrait>(
    connection: &C,
    reminder: Reminder,
    after: i64,
    limit: i64,
) -> Result<Vec<Person>> {
    let sql = format!(
        "SELECT {} FROM recipient_status s CROSS JOIN reminder_target t CROSS JOIN recipient r CROSS JOIN address a \
         WHERE s.campaign_id = $1 AND s.status = $2 AND s.number > $3 AND t.rule_id = $5 AND t.campaign_id = s.campaign_id \
         AND t.recipient = s.number AND t.round = $6 AND r.campaign_id = s.campaign_id AND r.number = s.number AND r.attempt = t.attempt \
         AND a.id = r.address_id ORDER BY s.number LIMIT $4",
        columns("s.number")
    );
    let ready = RecipientStatus::Ready.code();
    let Reminder { rule, campaign, round } = reminder;
    let values = [campaign.into(), ready.into(), after.into(), limit.into(), rule.into(), round.into()];
    read_all(connection, &sql, values, rule, campaign, true).await
}

/// The recipients of a campaign that a statement with the [`columns`] finds, with what they were sent.
async fn read_all<C: ConnectionTrait, const N: usize>(
    connection: &C,
    sql: &str,
    values: [Value; N],
    rule: i64,
    campaign: i64,
    with_reminders: bool,
) -> Result<Vec<Person>> {
    let rows = query_all(connection, sql, values).await?;
    let mut people = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    add_mails(connection, rule, campaign, with_reminders, &mut people).await?;
    Ok(people)
}

/// Reads what these recipients of a campaign were sent besides what is under way: earlier attempts and, `with_reminders`, the reminders
/// that a rule has made for them.
async fn add_mails<C: ConnectionTrait>(
    connection: &C,
    rule: i64,
    campaign: i64,
    with_reminders: bool,
    people: &mut [Person],
) -> Result<()> {
    let sent_again: Vec<i64> =
        people.iter().filter(|person| person.attempt > 1).map(|person| person.recipient).collect();
    let mut attempts = earlier_attempts(connection, campaign, &sent_again).await?;
    let mut reminders = HashMap::new();
    if with_reminders {
        let everybody: Vec<i64> = people.iter().map(|person| person.recipient).collect();
        reminders = reminders_of(connection, rule, campaign, &everybody).await?;
    }
    for person in people {
        let mut own = attempts.remove(&person.recipient).unwrap_or_default();
        let reminders = reminders.remove(&person.recipient).unwrap_or_default();
        own.push((person.attempt, std::mem::take(&mut person.mails.facts)));
        person.mails = Mails::new(own, reminders);
    }
    Ok(())
}

/// The attempts of these recipients that were followed by another, the first one first.
async fn earlier_attempts<C: ConnectionTrait>(
    connection: &C,
    campaign: i64,
    recipients: &[i64],
) -> Result<HashMap<i64, Vec<(i64, Facts)>>> {
    let mut attempts: HashMap<i64, Vec<(i64, Facts)>> = HashMap::new();
    if recipients.is_empty() {
        return Ok(attempts);
    }
    let mut batch = Batch::new(&[("campaign_id", Column::Big), ("recipient", Column::Big)]);
    recipients.iter().for_each(|recipient| batch.push([campaign.into(), (*recipient).into()]));
    let sql = format!(
        "SELECT e.number, e.attempt, {} FROM {{rows}} CROSS JOIN attempt e \
         WHERE e.campaign_id = rows.campaign_id AND e.number = rows.recipient ORDER BY e.number, e.attempt",
        facts_row::columns_of("e")
    );
    for row in batch.query(connection, &sql, []).await? {
        let facts = facts_row::read(&row, 2)?;
        attempts.entry(row.try_get_by_index(0)?).or_default().push((row.try_get_by_index(1)?, facts));
    }
    Ok(attempts)
}

/// The reminders that a rule has made for these recipients of a campaign, in the order of their rounds.
async fn reminders_of<C: ConnectionTrait>(
    connection: &C,
    rule: i64,
    campaign: i64,
    recipients: &[i64],
) -> Result<HashMap<i64, Vec<(i64, Means)>>> {
    let mut reminders: HashMap<i64, Vec<(i64, Means)>> = HashMap::new();
    if recipients.is_empty() {
        return Ok(reminders);
    }
    let mut batch = Batch::new(&[("rule_id", Column::Big), ("campaign_id", Column::Big), ("recipient", Column::Big)]);
    recipients.iter().for_each(|recipient| batch.push([rule.into(), campaign.into(), (*recipient).into()]));
    let sql = format!(
        "SELECT t.recipient, t.round, t.attempt, t.is_taken_back, t.created_at, t.child_id, c.number, {} \
         FROM {{rows}} CROSS JOIN reminder_target t \
         LEFT JOIN recipient c ON c.campaign_id = t.child_id AND c.number = t.child_recipient \
         WHERE t.rule_id = rows.rule_id AND t.campaign_id = rows.campaign_id AND t.recipient = rows.recipient \
         ORDER BY t.recipient, t.round",
        facts_row::columns_of("c")
    );
    for row in batch.query(connection, &sql, []).await? {
        let means = match (row.try_get_by_index(2)?, row.try_get_by_index(3)?) {
            (Some(attempt), _) => Means::Attempt(attempt),
            (None, true) => Means::TakenBack,
            (None, false) if row.try_get_by_index::<Option<i64>>(5)?.is_none() => {
                Means::Selection(Timestamp::from_micros(row.try_get_by_index(4)?))
            }
            (None, false) if row.try_get_by_index::<Option<i64>>(6)?.is_none() => continue,
            (None, false) => Means::Campaign(Box::new(facts_row::read(&row, 7)?)),
        };
        reminders.entry(row.try_get_by_index(0)?).or_default().push((row.try_get_by_index(1)?, means));
    }
    Ok(reminders)
}
