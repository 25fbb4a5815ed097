//! The recipients of a campaign with everything that decides whether they are reminded.

use std::collections::{HashMap, HashSet};

use domain::campaign::CampaignState;
use domain::facts::Facts;
use domain::health::AddressHealth;
use domain::reminder::{Address, Candidate};
use domain::{Timestamp, status::RecipientStatus};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};

use super::rules::Original;
use crate::batch::{Batch, Column};
use crate::db::query_all;
use crate::error::Result;
use crate::facts_row::{self, FACT_COLUMNS};

/// Whether the user of the address `a` withdrew their consent: by a complaint, and has not consented since.
pub(crate) const CONSENT_WITHDRAWN: &str =
    "(a.last_complained_at IS NOT NULL AND (a.consent_given_at IS NULL OR a.consent_given_at < a.last_complained_at))";
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
    pub facts: Facts,
    /// The reminders that the rule has made for them, by round.
    pub reminders: Vec<(i64, Facts)>,
}

impl Person {
    /// As the domain asks about them. `reminders` are the facts of the reminders that count.
    pub(super) fn candidate<'a>(
        &'a self,
        reminders: &'a [Facts],
        campaign_sent_at: Option<Timestamp>,
    ) -> Candidate<'a> {
        Candidate {
            facts: &self.facts,
            reminders,
            is_simulator: self.is_simulator,
            address: self.address,
            campaign_sent_at,
            is_canceled: false,
        }
    }

    /// The facts of the reminders before a round.
    pub(super) fn reminders_before(&self, round: i64) -> Vec<Facts> {
        self.reminders.iter().filter(|(of, _)| *of < round).map(|(_, facts)| facts.clone()).collect()
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
        let sql = "SELECT m.round, c.state FROM reminder m JOIN campaign c ON c.id = m.child_id \
                   WHERE m.rule_id = $1 AND m.campaign_id = $2";
        let mut rounds = Self::default();
        for row in query_all(connection, sql, [rule.into(), campaign.into()]).await? {
            rounds.any = true;
            if row.try_get_by_index::<i16>(1)? == CampaignState::Canceled.code() {
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
    let facts = FACT_COLUMNS.split(", ").map(|name| format!("r.{name}")).collect::<Vec<_>>().join(", ");
    format!(
        "{number}, r.number, r.domain, r.is_simulator, a.health, a.former_employee_at IS NOT NULL, a.deleted_at IS NOT NULL, \
         {CONSENT_WITHDRAWN}, {UNSUBSCRIBED}, {facts}"
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
        facts: facts_row::read(row, 9)?,
        reminders: Vec::new(),
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
    let rows = query_all(connection, &sql, [campaign.id.into(), after.into(), limit.into()]).await?;
    let mut people = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    if rounds.any {
        add_reminders(connection, rule, campaign.id, &mut people).await?;
    }
    Ok(people)
}

/// A reminder: which rule made it, of which campaign, and for the how manieth time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reminder {
    pub rule: i64,
    pub campaign: i64,
    pub round: i64,
    pub child: i64,
}

/// Those who are still to get a reminder, behind number `after` of it: what became of the campaign for them, and how the address is
/// doing that the reminder would go to.
pub(super) async fn waiting<C: ConnectionTrait>(
    connection: &C,
    reminder: Reminder,
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
    let values = [reminder.child.into(), ready.into(), after.into(), limit.into()];
    let rows = query_all(connection, &sql, values).await?;
    let mut people = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    if reminder.round > 1 {
        add_reminders(connection, reminder.rule, reminder.campaign, &mut people).await?;
    }
    Ok(people)
}

/// Reads what became of the reminders that a rule has made for these recipients of a campaign.
async fn add_reminders<C: ConnectionTrait>(
    connection: &C,
    rule: i64,
    campaign: i64,
    people: &mut [Person],
) -> Result<()> {
    if people.is_empty() {
        return Ok(());
    }
    let mut batch = Batch::new(&[("rule_id", Column::Big), ("campaign_id", Column::Big), ("recipient", Column::Big)]);
    people.iter().for_each(|person| batch.push([rule.into(), campaign.into(), person.recipient.into()]));
    let facts = FACT_COLUMNS.split(", ").map(|name| format!("c.{name}")).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "SELECT t.recipient, t.round, {facts} FROM {{rows}} CROSS JOIN reminder_target t CROSS JOIN recipient c \
         WHERE t.rule_id = rows.rule_id AND t.campaign_id = rows.campaign_id AND t.recipient = rows.recipient \
         AND c.campaign_id = t.child_id AND c.number = t.child_recipient ORDER BY t.recipient, t.round"
    );
    let mut reminders: HashMap<i64, Vec<(i64, Facts)>> = HashMap::new();
    for row in batch.query(connection, &sql, []).await? {
        let facts = facts_row::read(&row, 2)?;
        reminders.entry(row.try_get_by_index(0)?).or_default().push((row.try_get_by_index(1)?, facts));
    }
    for person in people {
        person.reminders = reminders.remove(&person.recipient).unwrap_or_default();
    }
    Ok(())
}
