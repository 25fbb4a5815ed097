//! Taking those out of a reminder who no longer need it, or must not get it, before it goes out.

use std::collections::BTreeMap;

use domain::campaign::CampaignState;
use domain::facts::Facts;
use domain::reminder::withdrawal;
use domain::status::SkipReason;
use sea_orm::{ConnectionTrait, DatabaseTransaction};

use super::attempts;
use super::people::{self, Person, Reminder};
use super::rules::{self, ReminderRule};
use crate::access::Services;
use crate::campaigns;
use crate::changes::Change;
use crate::db::{execute, query_all};
use crate::error::Result;
use crate::recipients::RecipientKey;
use crate::resends::again::{self, Target};
use crate::resends::look_again;
use crate::rollup::RollUp;

/// As many recipients are looked at in one transaction.
const CHUNK: i64 = 2_000;

/// Takes those out who are still to get a reminder by this campaign and have responded, complained, unsubscribed or bounced since they
/// were chosen, or whose address may not be written to any more. Recipients of a campaign that reminds of another become `BLOCKED`, with the
/// reason. Of a campaign that is sent again, the new attempt is taken back: they are what they were before; also where that is no reminder and
/// an earlier attempt has reached them after all. Says how many they were. To be done immediately before a campaign, or a part of it, is sent.
///
/// # Errors
/// Those of the database; what was committed by then stays, and the rest is done by the next call.
pub async fn take_out(services: &Services, campaign: i64) -> Result<usize> {
    let mut total = 0;
    for (reminder, rule, child) in find(services.db.read(), campaign).await? {
        // What changes from now on is for the next call to see.
        let began = services.now();
        let mut after = Some(0);
        while let Some(place) = after {
            let taken = page(services, reminder, &rule, child, place).await?;
            total += taken.count;
            after = taken.next;
        }
        let sql = "UPDATE reminder SET checked_at = $4 WHERE rule_id = $1 AND campaign_id = $2 AND round = $3";
        let Reminder { rule, campaign, round } = reminder;
        execute(services.db.write(), sql, [rule, campaign, round, began.micros()].map(Into::into)).await?;
    }
    Ok(total + look_again(services, campaign).await?)
}

/// The reminders that somebody gets by this campaign: the one that it was made for, and those that are attempts of it. With their rules,
/// whether or not these were deleted.
async fn find<C: ConnectionTrait>(connection: &C, campaign: i64) -> Result<Vec<(Reminder, ReminderRule, Option<i64>)>> {
    let sql = "SELECT rule_id, campaign_id, round, child_id FROM reminder WHERE child_id = $1 \
               UNION ALL SELECT rule_id, campaign_id, round, NULL FROM reminder WHERE campaign_id = $1 AND has_attempts";
    let mut found = Vec::new();
    for row in query_all(connection, sql, [campaign.into()]).await? {
        let id: i64 = row.try_get_by_index(0)?;
        let reminder = Reminder { rule: id, campaign: row.try_get_by_index(1)?, round: row.try_get_by_index(2)? };
        if let Some(rule) = rules::ever(connection, id).await? {
            found.push((reminder, rule, row.try_get_by_index(3)?));
        }
    }
    Ok(found)
}

/// What was done with a part of a reminder.
struct Taken {
    count: usize,
    /// Behind which number to go on.
    next: Option<i64>,
}

/// Looks at the next of those who are to get a reminder, in one transaction.
async fn page(
    services: &Services,
    reminder: Reminder,
    rule: &ReminderRule,
    child: Option<i64>,
    after: i64,
) -> Result<Taken> {
    let transaction = services.db.begin_keyed().await?;
    let people = match child {
        Some(child) => people::waiting_in_child(&transaction, reminder, child, after, CHUNK).await?,
        None => people::waiting_for_attempt(&transaction, reminder, after, CHUNK).await?,
    };
    let is_full = i64::try_from(people.len()).unwrap_or(i64::MAX) >= CHUNK;
    let next = people.last().map(|last| last.number).filter(|_| is_full);
    let reason = |person: &Person| {
        let candidate = person.candidate(reminder.round, None);
        Some((person.number, withdrawal(&candidate, rule.targeting.audience)?))
    };
    let out: BTreeMap<i64, SkipReason> = people.iter().filter_map(reason).collect();
    if out.is_empty() {
        return Ok(Taken { count: 0, next });
    }
    let mut rollup = RollUp::default();
    let count = take(&transaction, services.db.is_postgres(), reminder, child, out, &mut rollup).await?;
    rollup.write(&transaction, services.now()).await?;
    transaction.commit().await?;
    services.changes.publish(Change::Campaign(child.unwrap_or(reminder.campaign)));
    Ok(Taken { count, next })
}

/// Takes these out, unless they were sent to meanwhile; says how many they were. Attempts are taken back, except those of which the sender has
/// said something already: they stay, and are skipped, as recipients of a child campaign are.
async fn take(
    transaction: &DatabaseTransaction,
    is_postgres: bool,
    reminder: Reminder,
    child: Option<i64>,
    out: BTreeMap<i64, SkipReason>,
    rollup: &mut RollUp,
) -> Result<usize> {
    let campaign = child.unwrap_or(reminder.campaign);
    let locked = campaigns::lock(transaction, is_postgres, campaign).await?;
    if locked.state == CampaignState::Canceled {
        return Ok(0);
    }
    let keys: Vec<RecipientKey> = out.keys().map(|number| RecipientKey { campaign, number: *number }).collect();
    let targets = again::lock(transaction, &keys).await?;
    let ready = targets.iter().filter(|target| target.is_ready());
    let (untouched, others): (Vec<&Target>, Vec<&Target>) =
        ready.partition(|target| child.is_none() && target.can_be_undone());
    attempts::note_taken_back(transaction, reminder, &untouched).await?;
    again::undo(transaction, &untouched, rollup).await?;
    let skipped = |target: &Target| Facts { skip: out.get(&target.key.number).copied(), ..target.facts.clone() };
    let skipped: Vec<(&Target, Facts)> = others.into_iter().map(|target| (target, skipped(target))).collect();
    again::set(transaction, &skipped, rollup).await?;
    Ok(untouched.len() + skipped.len())
}
