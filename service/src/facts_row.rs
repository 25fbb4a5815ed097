//! The facts of a recipient as columns of its row, and back.

use domain::Timestamp;
use domain::event::BounceClass;
use domain::facts::{Facts, Failure, Gravity};
use domain::status::{SkipReason, status};
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Value};

use crate::batch::{Batch, Column};
use crate::rollup::smtp_code;

/// The columns of the facts, in the order in which [`read`] expects them.
pub const FACT_COLUMNS: &str = "skip, canceled, queued_at, sent_at, delivered_at, last_delivered_at, last_soft_bounced_at, \
    hard_bounced_at, refused_at, failure_gravity, failure_at, failure_class, failure_smtp_code, failure_enhanced_code, \
    failure_diagnostic, first_opened_at, last_opened_at, opens, machine_opens, first_clicked_at, last_clicked_at, clicks, \
    machine_clicks, complained_at, unsubscribed_at";

/// How many columns [`FACT_COLUMNS`] has.
pub const FACT_COLUMN_COUNT: usize = 25;

/// The columns that change when facts change, behind the row's key: for [`batch_row`].
pub const CHANGE_COLUMNS: &[(&str, Column)] = &[
    ("campaign_id", Column::Big),
    ("number", Column::Big),
    ("status", Column::Small),
    ("skip_reason", Column::Small),
    ("skip", Column::Small),
    ("canceled", Column::Bool),
    ("queued_at", Column::Big),
    ("sent_at", Column::Big),
    ("delivered_at", Column::Big),
    ("last_delivered_at", Column::Big),
    ("last_soft_bounced_at", Column::Big),
    ("hard_bounced_at", Column::Big),
    ("refused_at", Column::Big),
    ("failure_gravity", Column::Small),
    ("failure_at", Column::Big),
    ("failure_class", Column::Small),
    ("failure_smtp_code", Column::Small),
    ("failure_enhanced_code", Column::Text),
    ("failure_diagnostic", Column::Text),
    ("first_opened_at", Column::Big),
    ("last_opened_at", Column::Big),
    ("opens", Column::Int),
    ("machine_opens", Column::Int),
    ("first_clicked_at", Column::Big),
    ("last_clicked_at", Column::Big),
    ("clicks", Column::Int),
    ("machine_clicks", Column::Int),
    ("complained_at", Column::Big),
    ("unsubscribed_at", Column::Big),
];

const fn gravity_code(gravity: Gravity) -> i16 {
    match gravity {
        Gravity::Refused => 1,
        Gravity::Soft => 2,
        Gravity::Hard => 3,
    }
}

const fn gravity_from_code(code: i16) -> Option<Gravity> {
    match code {
        1 => Some(Gravity::Refused),
        2 => Some(Gravity::Soft),
        3 => Some(Gravity::Hard),
        _ => None,
    }
}

/// Reads the facts from a row in which [`FACT_COLUMNS`] begin at column `start`.
///
/// # Errors
/// Where a column is missing or of another type.
pub fn read(row: &QueryResult, start: usize) -> Result<Facts, DbErr> {
    let time = |offset: usize| -> Result<Option<Timestamp>, DbErr> {
        Ok(row.try_get_by_index::<Option<i64>>(start + offset)?.map(Timestamp::from_micros))
    };
    let small = |offset: usize| row.try_get_by_index::<Option<i16>>(start + offset);
    let text = |offset: usize| row.try_get_by_index::<Option<String>>(start + offset);
    let count = |offset: usize| row.try_get_by_index::<i32>(start + offset);
    let failure = match (small(9)?.and_then(gravity_from_code), time(10)?) {
        (Some(gravity), Some(at)) => Some(Failure {
            gravity,
            at,
            class: small(11)?.and_then(BounceClass::from_code),
            smtp_code: small(12)?.and_then(|code| u16::try_from(code).ok()),
            enhanced_code: text(13)?.and_then(|code| code.parse().ok()),
            diagnostic: text(14)?,
        }),
        _ => None,
    };
    Ok(Facts {
        skip: small(0)?.and_then(SkipReason::from_code),
        canceled: row.try_get_by_index(start + 1)?,
        queued_at: time(2)?,
        sent_at: time(3)?,
        delivered_at: time(4)?,
        last_delivered_at: time(5)?,
        last_soft_bounced_at: time(6)?,
        hard_bounced_at: time(7)?,
        refused_at: time(8)?,
        failure,
        first_opened_at: time(15)?,
        last_opened_at: time(16)?,
        opens: count(17)?,
        machine_opens: count(18)?,
        first_clicked_at: time(19)?,
        last_clicked_at: time(20)?,
        clicks: count(21)?,
        machine_clicks: count(22)?,
        complained_at: time(23)?,
        unsubscribed_at: time(24)?,
    })
}

/// A row for [`CHANGE_COLUMNS`]: the key, the derived status and the facts.
pub fn batch_row(campaign: i64, number: i64, facts: &Facts) -> impl Iterator<Item = Value> {
    let (status, skip_reason) = status(facts);
    let time = |at: Option<Timestamp>| Value::BigInt(at.map(Timestamp::micros));
    let failure = facts.failure.as_ref();
    [
        campaign.into(),
        number.into(),
        status.code().into(),
        skip_reason.map(SkipReason::code).into(),
        facts.skip.map(SkipReason::code).into(),
        facts.canceled.into(),
        time(facts.queued_at),
        time(facts.sent_at),
        time(facts.delivered_at),
        time(facts.last_delivered_at),
        time(facts.last_soft_bounced_at),
        time(facts.hard_bounced_at),
        time(facts.refused_at),
        failure.map(|failure| gravity_code(failure.gravity)).into(),
        time(failure.map(|failure| failure.at)),
        failure.and_then(|failure| failure.class).map(BounceClass::code).into(),
        smtp_code(failure.and_then(|failure| failure.smtp_code)).into(),
        failure.and_then(|failure| failure.enhanced_code).map(|code| code.to_string()).into(),
        failure.and_then(|failure| failure.diagnostic.clone()).into(),
        time(facts.first_opened_at),
        time(facts.last_opened_at),
        facts.opens.into(),
        facts.machine_opens.into(),
        time(facts.first_clicked_at),
        time(facts.last_clicked_at),
        facts.clicks.into(),
        facts.machine_clicks.into(),
        time(facts.complained_at),
        time(facts.unsubscribed_at),
    ]
    .into_iter()
}

/// The columns of the facts of a table, by its name or alias.
#[must_use]
pub fn columns_of(table: &str) -> String {
    FACT_COLUMNS.split(", ").map(|name| format!("{table}.{name}")).collect::<Vec<_>>().join(", ")
}

/// Writes what is known of recipients, as rows of [`batch_row`]; with it `also`, further assignments that begin with a comma.
///
/// # Errors
/// Those of the database.
pub async fn write_recipients<C: ConnectionTrait>(connection: &C, rows: Batch, also: &str) -> Result<(), DbErr> {
    let sql = format!(
        "UPDATE recipient SET {}{also} FROM {{rows}} WHERE recipient.campaign_id = rows.campaign_id AND recipient.number = rows.number",
        assignments()
    );
    rows.execute(connection, &sql, []).await.map(|_| ())
}

/// `column = rows.column` for all columns of [`CHANGE_COLUMNS`] behind the key.
#[must_use]
pub fn assignments() -> String {
    let assignment = |(name, _): &(&str, Column)| format!("{name} = rows.{name}");
    CHANGE_COLUMNS.iter().skip(2).map(assignment).collect::<Vec<_>>().join(", ")
}
