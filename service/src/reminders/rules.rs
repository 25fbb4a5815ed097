//! The rules: whom to remind of which campaigns, and when.

use chrono::{NaiveTime, Weekday};
use domain::Timestamp;
use domain::campaign::CampaignState;
use domain::reminder::{self, NamePattern, ReminderAction, ReminderAudience, SendWindow, Targeting};
use entity::reminder_rule::Column;
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Value};

use crate::access::{Marketer, Reader};
use crate::audit;
use crate::campaigns::{optional, required};
use crate::db::{execute, query_all, query_one};
use crate::error::{Refusal, RefusalCode, Result, ServiceError};
use crate::subject::Subject;

/// The most hours that a rule may wait: a year.
const MAX_HOURS: i32 = 8_760;
/// As often a rule may remind of the same campaign.
const MAX_REMINDERS: i32 = 10;

/// A rule as somebody wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReminderTerms {
    /// What people call it.
    pub name: String,
    /// The campaign to remind of.
    pub campaign: Option<i64>,
    /// Instead: the names of the campaigns to remind of, as [`NamePattern`].
    pub pattern: Option<String>,
    /// Hours since the mail went out, or the reminder before.
    pub after_hours: i32,
    /// Who.
    pub audience: ReminderAudience,
    /// How often at most.
    pub max_reminders: i32,
    /// By the clocks of which time zone `window` is meant: `Europe/Berlin`.
    pub time_zone: String,
    /// From when to when (`08:00`), and on which days; at any time where there is none.
    pub window: Option<(String, String, Vec<Weekday>)>,
    /// What is made of those who are due.
    pub action: ReminderAction,
    /// What stands before the subject and the name.
    pub subject_prefix: Option<String>,
    /// Whether the schedule sees to it.
    pub is_enabled: bool,
}

/// The campaigns that a rule is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// This one.
    Campaign(i64),
    /// All that were sent, remind of no other, and have a name of this pattern.
    Pattern(String),
}

impl Scope {
    /// Whether a campaign with this name, which was sent, is one of them.
    #[must_use]
    pub fn holds(&self, id: i64, name: &str, is_reminder: bool) -> bool {
        match self {
            Self::Campaign(campaign) => *campaign == id,
            Self::Pattern(pattern) => !is_reminder && NamePattern::new(pattern).matches(name),
        }
    }
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReminderRule {
    /// Its key in the database; 0 for one that is not stored.
    pub id: i64,
    /// What people call it.
    pub name: String,
    /// The campaigns to remind of.
    pub scope: Scope,
    /// Whom, after how long, and how often.
    pub targeting: Targeting,
    /// By whose clocks the window is meant.
    pub time_zone: String,
    /// The hours in which reminders are made; at any time where there is none.
    pub window: Option<SendWindow>,
    /// What is made of those who are due.
    pub action: ReminderAction,
    /// What stands before the subject and the name.
    pub subject_prefix: Option<String>,
    /// Whether the schedule sees to it.
    pub is_enabled: bool,
    /// Who made it, as in the audit log.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl ReminderRule {
    /// As this subject may see it.
    fn shown_to(self, subject: &Subject) -> Self {
        let scope = match self.scope {
            Scope::Pattern(pattern) => Scope::Pattern(subject.masked(Column::NamePattern, pattern)),
            of_campaign @ Scope::Campaign(_) => of_campaign,
        };
        Self {
            name: subject.masked(Column::Name, self.name),
            subject_prefix: subject.visible(Column::SubjectPrefix, self.subject_prefix),
            scope,
            ..self
        }
    }
}

impl Reader {
    /// The rules, the oldest first; with `campaign` only those that remind of it.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn reminder_rules(&self, campaign: Option<i64>) -> Result<Vec<ReminderRule>> {
        let db = self.services.db.read();
        let mut rules = all(db).await?;
        if let Some(id) = campaign {
            let found = query_one(db, "SELECT name, parent_id FROM campaign WHERE id = $1", [id.into()]).await?;
            let Some(found) = found else { return Ok(Vec::new()) };
            let (name, parent): (String, Option<i64>) = (found.try_get_by_index(0)?, found.try_get_by_index(1)?);
            rules.retain(|rule| rule.scope.holds(id, &name, parent.is_some()));
        }
        Ok(rules.into_iter().map(|rule| rule.shown_to(&self.subject)).collect())
    }

    /// A rule that was not deleted.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn reminder_rule(&self, id: i64) -> Result<Option<ReminderRule>> {
        Ok(find(self.services.db.read(), id).await?.map(|rule| rule.shown_to(&self.subject)))
    }
}

impl Marketer {
    /// Makes a rule, or changes the one with this id.
    ///
    /// # Errors
    /// A refusal where there is no such rule or campaign, or a value cannot be used.
    pub async fn save_reminder_rule(&self, id: Option<i64>, terms: ReminderTerms) -> Result<ReminderRule> {
        let now = self.services.now();
        let transaction = self.services.db.begin().await?;
        let known = known(&transaction, id).await?;
        let rule = ReminderRule {
            id: known.as_ref().map_or(0, |rule| rule.id),
            created_by: known.as_ref().map_or_else(|| self.subject.id.clone(), |rule| rule.created_by.clone()),
            created_at: known.as_ref().map_or(now, |rule| rule.created_at),
            ..checked(&transaction, terms, now).await?
        };
        let rule = write(&transaction, rule).await?;
        let action = if known.is_some() { "reminder_rule.changed" } else { "reminder_rule.created" };
        audit::record(&transaction, now, &self.subject, action, object(rule.id), Some(detail(&rule))).await?;
        transaction.commit().await?;
        Ok(rule)
    }

    /// Deletes a rule. What it has made stays.
    ///
    /// # Errors
    /// A refusal where there is no such rule.
    pub async fn delete_reminder_rule(&self, id: i64) -> Result<()> {
        let now = self.services.now();
        let transaction = self.services.db.begin().await?;
        let sql = "UPDATE reminder_rule SET deleted_at = $2 WHERE id = $1 AND deleted_at IS NULL";
        let deleted = execute(&transaction, sql, [id.into(), now.micros().into()]).await?;
        if deleted.rows_affected() == 0 {
            return Err(not_found("id").into());
        }
        audit::record(&transaction, now, &self.subject, "reminder_rule.deleted", object(id), None).await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// The rule that a changed one replaces.
pub(super) async fn known<C: ConnectionTrait>(connection: &C, id: Option<i64>) -> Result<Option<ReminderRule>> {
    match id {
        Some(id) => Ok(Some(find(connection, id).await?.ok_or_else(|| not_found("id"))?)),
        None => Ok(None),
    }
}

/// The rule that terms stand for, as one that is not stored.
pub(super) async fn checked<C: ConnectionTrait>(
    connection: &C,
    terms: ReminderTerms,
    now: Timestamp,
) -> Result<ReminderRule> {
    let pattern = optional("campaignNamePattern", terms.pattern.as_deref())?;
    let scope = match (terms.campaign, pattern, terms.pattern.is_some()) {
        (Some(campaign), None, false) => {
            let found = query_one(connection, "SELECT id FROM campaign WHERE id = $1", [campaign.into()]).await?;
            if found.is_none() {
                return Err(Refusal::field(RefusalCode::NotFound, &["campaignId"], "there is no such campaign").into());
            }
            Scope::Campaign(campaign)
        }
        (None, Some(pattern), _) => Scope::Pattern(pattern),
        (None, None, true) => return Err(invalid("campaignNamePattern", "campaignNamePattern is empty").into()),
        _ => {
            let message =
                "a rule is for one campaign or for a pattern of names: give campaignId or campaignNamePattern";
            return Err(invalid("campaignId", message).into());
        }
    };
    let within = |field: &'static str, value: i32, least: i32, most: i32| {
        let number = u32::try_from(value).ok().filter(|_| (least..=most).contains(&value));
        number.ok_or_else(|| invalid(field, format!("{field} is a number from {least} to {most}")))
    };
    let subject_prefix = optional("subjectPrefix", terms.subject_prefix.as_deref())?;
    if terms.action == ReminderAction::Resend && subject_prefix.is_some() {
        let message = "RESEND sends the campaign as it is: leave subjectPrefix away, or use NEW_CAMPAIGN";
        return Err(invalid("subjectPrefix", message).into());
    }
    if !reminder::is_time_zone(&terms.time_zone) {
        let message = "there is no such time zone; one is called Europe/Berlin, for example";
        return Err(invalid("timeZone", message).into());
    }
    Ok(ReminderRule {
        id: 0,
        name: required("name", &terms.name)?,
        scope,
        targeting: Targeting {
            after_hours: within("afterHours", terms.after_hours, 0, MAX_HOURS)?,
            audience: terms.audience,
            max_reminders: within("maxReminders", terms.max_reminders, 1, MAX_REMINDERS)?,
        },
        window: terms.window.map(window).transpose()?,
        time_zone: terms.time_zone,
        action: terms.action,
        subject_prefix,
        is_enabled: terms.is_enabled,
        created_by: String::new(),
        created_at: now,
        updated_at: now,
    })
}

fn window((from, to, days): (String, String, Vec<Weekday>)) -> Result<SendWindow, Refusal> {
    let clock = |field: &str, text: &str| {
        let refuse = |_| {
            let message = format!("{field} is a time of day such as 08:00");
            Refusal::field(RefusalCode::Invalid, &["sendBetween", field], message)
        };
        NaiveTime::parse_from_str(text.trim(), CLOCK).map_err(refuse)
    };
    let window = SendWindow { from: clock("from", &from)?, to: clock("to", &to)?, days };
    if window.to <= window.from {
        let message = "the window ends before it begins; one over midnight is not possible";
        return Err(Refusal::field(RefusalCode::Invalid, &["sendBetween", "to"], message));
    }
    if window.days.is_empty() {
        let message = "a window without days is never open; leave days away for all of them";
        return Err(Refusal::field(RefusalCode::Invalid, &["sendBetween", "days"], message));
    }
    Ok(window)
}

const CLOCK: &str = "%H:%M";

fn invalid(field: &str, message: impl Into<String>) -> Refusal {
    Refusal::field(RefusalCode::Invalid, &[field], message)
}

/// The refusal where there is no such rule.
pub(super) fn not_found(field: &str) -> Refusal {
    Refusal::field(RefusalCode::NotFound, &[field], "there is no such rule")
}

/// A rule in the audit log.
pub(super) fn object(id: i64) -> String {
    format!("reminder_rule:{id}")
}

fn detail(rule: &ReminderRule) -> serde_json::Value {
    let (campaign, pattern) = match &rule.scope {
        Scope::Campaign(campaign) => (Some(campaign), None),
        Scope::Pattern(pattern) => (None, Some(pattern)),
    };
    serde_json::json!({
        "campaign": campaign,
        "pattern": pattern,
        "afterHours": rule.targeting.after_hours,
        "audience": rule.targeting.audience,
        "maxReminders": rule.targeting.max_reminders,
        "action": rule.action,
        "enabled": rule.is_enabled,
    })
}

const COLUMNS: &str = "id, name, campaign_id, name_pattern, after_hours, audience, max_reminders, time_zone, send_from, send_to, \
    send_days, action, subject_prefix, enabled, created_by, created_at, updated_at";

/// All rules that were not deleted, the oldest first.
pub(super) async fn all<C: ConnectionTrait>(connection: &C) -> Result<Vec<ReminderRule>> {
    let sql = format!("SELECT {COLUMNS} FROM reminder_rule WHERE deleted_at IS NULL ORDER BY id");
    query_all(connection, &sql, []).await?.iter().map(read).collect()
}

/// A rule that was not deleted.
pub(super) async fn find<C: ConnectionTrait>(connection: &C, id: i64) -> Result<Option<ReminderRule>> {
    let sql = format!("SELECT {COLUMNS} FROM reminder_rule WHERE id = $1 AND deleted_at IS NULL");
    query_one(connection, &sql, [id.into()]).await?.as_ref().map(read).transpose()
}

/// A rule, also one that was deleted.
pub(super) async fn ever<C: ConnectionTrait>(connection: &C, id: i64) -> Result<Option<ReminderRule>> {
    let sql = format!("SELECT {COLUMNS} FROM reminder_rule WHERE id = $1");
    query_one(connection, &sql, [id.into()]).await?.as_ref().map(read).transpose()
}

/// Inserts a rule without id, or changes the one with its id.
async fn write<C: ConnectionTrait>(connection: &C, rule: ReminderRule) -> Result<ReminderRule> {
    let (campaign, pattern) = match &rule.scope {
        Scope::Campaign(campaign) => (Some(*campaign), None),
        Scope::Pattern(pattern) => (None, Some(pattern.clone())),
    };
    let clock =
        |time: fn(&SendWindow) -> NaiveTime| rule.window.as_ref().map(|open| time(open).format(CLOCK).to_string());
    let days = |window: &SendWindow| window.days.iter().map(Weekday::to_string).collect::<Vec<_>>().join(",");
    let mut values: Vec<Value> = vec![
        rule.name.clone().into(),
        campaign.into(),
        pattern.into(),
        int(rule.targeting.after_hours).into(),
        rule.targeting.audience.code().into(),
        int(rule.targeting.max_reminders).into(),
        rule.time_zone.clone().into(),
        clock(|window| window.from).into(),
        clock(|window| window.to).into(),
        rule.window.as_ref().map(|window| days(window).to_uppercase()).into(),
        rule.action.code().into(),
        rule.subject_prefix.clone().into(),
        rule.is_enabled.into(),
        rule.updated_at.micros().into(),
    ];
    let row = if rule.id == 0 {
        values.push(rule.created_by.into());
        let sql = format!(
            "INSERT INTO reminder_rule (name, campaign_id, name_pattern, after_hours, audience, max_reminders, time_zone, send_from, \
                send_to, send_days, action, subject_prefix, enabled, updated_at, created_at, created_by) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14, $15) RETURNING {COLUMNS}"
        );
        query_one(connection, &sql, values).await?
    } else {
        values.push(rule.id.into());
        let sql = format!(
            "UPDATE reminder_rule SET name = $1, campaign_id = $2, name_pattern = $3, after_hours = $4, audience = $5, \
                max_reminders = $6, time_zone = $7, send_from = $8, send_to = $9, send_days = $10, action = $11, \
                subject_prefix = $12, enabled = $13, updated_at = $14 WHERE id = $15 RETURNING {COLUMNS}"
        );
        query_one(connection, &sql, values).await?
    };
    read(&row.ok_or_else(|| ServiceError::Inconsistent("a rule was not stored".to_owned()))?)
}

fn int(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn read(row: &QueryResult) -> Result<ReminderRule> {
    let unknown = |what: &str| ServiceError::Inconsistent(format!("a reminder rule has an unknown {what}"));
    let number = |index: usize| -> Result<u32> {
        let stored: i32 = row.try_get_by_index(index)?;
        u32::try_from(stored).map_err(|_| unknown("number"))
    };
    let time = |index| -> Result<Timestamp, DbErr> { Ok(Timestamp::from_micros(row.try_get_by_index(index)?)) };
    let scope = match (row.try_get_by_index(2)?, row.try_get_by_index(3)?) {
        (Some(campaign), _) => Scope::Campaign(campaign),
        (None, Some(pattern)) => Scope::Pattern(pattern),
        (None, None) => return Err(unknown("scope")),
    };
    let audience = ReminderAudience::from_code(row.try_get_by_index(5)?).ok_or_else(|| unknown("audience"))?;
    let text = |index| row.try_get_by_index::<Option<String>>(index);
    let window = match (text(8)?, text(9)?, text(10)?) {
        (Some(from), Some(to), Some(days)) => {
            let days = days.split(',').map(str::parse).collect::<Result<Vec<Weekday>, _>>();
            Some(window((from, to, days.map_err(|_| unknown("day"))?))?)
        }
        _ => None,
    };
    Ok(ReminderRule {
        id: row.try_get_by_index(0)?,
        name: row.try_get_by_index(1)?,
        scope,
        targeting: Targeting { after_hours: number(4)?, audience, max_reminders: number(6)? },
        time_zone: row.try_get_by_index(7)?,
        window,
        action: ReminderAction::from_code(row.try_get_by_index(11)?).ok_or_else(|| unknown("action"))?,
        subject_prefix: row.try_get_by_index(12)?,
        is_enabled: row.try_get_by_index(13)?,
        created_by: row.try_get_by_index(14)?,
        created_at: time(15)?,
        updated_at: time(16)?,
    })
}

/// Whether the campaign `c` was sent, also where it was taken up again since: for some of its recipients.
pub(super) fn was_sent() -> String {
    let (sent, sending) = (CampaignState::Sent.code(), CampaignState::Sending.code());
    format!("(c.state = {sent} OR c.state = {sending} AND c.reopened_at IS NOT NULL)")
}

/// A campaign that a rule is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Original {
    pub id: i64,
    pub name: String,
    pub subject: Option<String>,
    pub from_address: Option<String>,
    pub sent_at: Option<Timestamp>,
    /// The highest number of a recipient.
    pub last_recipient: i64,
}

/// The campaigns that were sent and that a rule is for, behind the one with the id `after`: at most `limit`, in the order of their ids.
pub(super) async fn originals<C: ConnectionTrait>(
    connection: &C,
    scope: &Scope,
    after: i64,
    limit: usize,
) -> Result<Vec<Original>> {
    /// As many campaigns are looked at in one statement.
    const PAGE: usize = 1_000;
    let (only, values): (_, Vec<Value>) = match scope {
        Scope::Campaign(campaign) => ("c.id = $2", vec![after.into(), (*campaign).into()]),
        Scope::Pattern(_) => ("c.parent_id IS NULL", vec![after.into()]),
    };
    let sql = format!(
        "SELECT c.id, c.name, c.subject, c.from_address, c.sent_at, c.last_recipient FROM campaign c \
         WHERE c.id > $1 AND {} AND {only} ORDER BY c.id LIMIT {PAGE}",
        was_sent()
    );
    let (mut found, mut values) = (Vec::new(), values);
    loop {
        let rows = query_all(connection, &sql, values.clone()).await?;
        let is_last = rows.len() < PAGE;
        for row in &rows {
            let (id, name): (i64, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            if let Some(first) = values.first_mut() {
                *first = id.into();
            }
            if scope.holds(id, &name, false) && found.len() < limit {
                found.push(Original {
                    id,
                    name,
                    subject: row.try_get_by_index(2)?,
                    from_address: row.try_get_by_index(3)?,
                    sent_at: row.try_get_by_index::<Option<i64>>(4)?.map(Timestamp::from_micros),
                    last_recipient: row.try_get_by_index(5)?,
                });
            }
        }
        if is_last || found.len() >= limit {
            return Ok(found);
        }
    }
}
