//! What decides how an address is doing, read under lock, judged and written back, whoever changes it: events, people or the clock.
//!
//! Whatever changes whether an address may be written to is audited here, and has the recipients that are still to be sent to settled
//! by a job (see [`super::settle`]).

use domain::Timestamp;
use domain::health::{AddressHealth, BlockReason, Judgement, Marks, Outcomes, Policy};
use domain::standing::{Consent, Standing};
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Value};

use super::settle;
use crate::batch::{Batch, Column};
use crate::crm::follow_ups::escalations::{self, Escalation};
use crate::crm::reports::{self, ReportKind};
use crate::error::Result;
use crate::recipients::RecipientKey;
use crate::settings::Settings;

/// The columns of a [`State`], as `address`.
pub(crate) const COLUMNS: &str = "address.id, address.outcomes, address.last_reason, address.last_reason_at, address.complained_at, \
    address.health, address.blocked_at, address.block_reason, address.block_event, address.cleared_at, address.blocked_by_hand_at, \
    address.former_employee_at, address.deleted_at, address.block_note, address.last_complained_at, address.consent_given_at, \
    address.unsubscribed_at, address.subscribed_at";

/// An address under lock.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub id: i64,
    pub outcomes: Outcomes,
    /// What a server last said when it bounced.
    pub reason: Option<(Timestamp, String)>,
    /// The first complaint.
    pub complained_at: Option<Timestamp>,
    pub marks: Marks,
    /// Why it was blocked by hand.
    pub note: Option<String>,
    pub consent: Consent,
    pub unsubscribed_at: Option<Timestamp>,
    pub subscribed_at: Option<Timestamp>,
    judgement: Judgement,
    /// The event that the block rests on.
    block_event: Option<i64>,
    /// Whose event that was, where it came in just now.
    block_recipient: Option<RecipientKey>,
    /// As it was found.
    before: Standing,
}

/// An event that may bring about a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cause {
    /// Which one.
    pub event: i64,
    /// Whose it is.
    pub recipient: Option<RecipientKey>,
}

/// Whether a block rests on what was reported, and not on what people did.
const fn is_reported(reason: BlockReason) -> bool {
    matches!(reason, BlockReason::HardBounce | BlockReason::SoftBounces)
}

/// Reads a state from a row in which [`COLUMNS`] begin at column `start`.
pub(crate) fn read(row: &QueryResult, start: usize) -> Result<State, DbErr> {
    let time = |offset: usize| -> Result<Option<Timestamp>, DbErr> {
        Ok(row.try_get_by_index::<Option<i64>>(start + offset)?.map(Timestamp::from_micros))
    };
    let text = |offset: usize| row.try_get_by_index::<Option<String>>(start + offset);
    let reason = row.try_get_by_index::<Option<i16>>(start + 7)?.and_then(BlockReason::from_code);
    let blocked = time(6)?.zip(reason);
    let consent = Consent { complained_at: time(14)?, given_at: time(15)? };
    Ok(State {
        id: row.try_get_by_index(start)?,
        outcomes: Outcomes::decode(&row.try_get_by_index::<String>(start + 1)?),
        reason: time(3)?.zip(text(2)?),
        complained_at: time(4)?,
        marks: Marks {
            cleared_at: time(9)?,
            blocked_at: time(10)?,
            former_employee_at: time(11)?,
            deleted_at: time(12)?,
        },
        note: text(13)?,
        consent,
        unsubscribed_at: time(16)?,
        subscribed_at: time(17)?,
        judgement: Judgement {
            health: AddressHealth::from_code(row.try_get_by_index(start + 5)?).unwrap_or(AddressHealth::Ok),
            consecutive_soft_bounces: 0,
            blocked,
        },
        block_event: row.try_get_by_index(start + 8)?,
        block_recipient: None,
        before: Standing { blocked: blocked.map(|(_, reason)| reason), consent },
    })
}

impl State {
    /// How it is doing, as it was judged last.
    pub(crate) const fn judgement(&self) -> &Judgement {
        &self.judgement
    }

    /// Judges it anew. `cause` is the event that may have brought about a block that there was not before.
    pub(crate) fn judge(&mut self, policy: &Policy, now: Timestamp, cause: Option<Cause>) {
        let known = self.judgement.blocked;
        self.judgement = self.outcomes.judge(policy, &self.marks, now);
        if self.judgement.blocked != known {
            let cause = cause.filter(|_| self.judgement.blocked.is_some_and(|(_, reason)| is_reported(reason)));
            self.block_event = cause.map(|cause| cause.event);
            self.block_recipient = cause.and_then(|cause| cause.recipient);
        }
    }

    fn standing(&self) -> Standing {
        Standing { blocked: self.judgement.blocked.map(|(_, reason)| reason), consent: self.consent }
    }
}

const DERIVED: &str = "health = rows.health, consecutive_soft_bounces = rows.consecutive_soft_bounces, blocked_at = rows.blocked_at, \
    block_reason = rows.block_reason, block_event = rows.block_event";

/// The values of the columns that [`DERIVED`] names.
fn derived(state: &State) -> [Value; 5] {
    let Judgement { health, consecutive_soft_bounces, blocked } = state.judgement;
    [
        health.code().into(),
        consecutive_soft_bounces.into(),
        blocked.map(|(at, _)| at.micros()).into(),
        blocked.map(|(_, reason)| reason.code()).into(),
        state.block_event.into(),
    ]
}

fn micros(at: Option<Timestamp>) -> Value {
    at.map(Timestamp::micros).into()
}

/// Writes what was reported about addresses, and what follows from it.
pub(crate) async fn write_reported<C: ConnectionTrait>(connection: &C, states: &[State]) -> Result<(), DbErr> {
    let mut batch = Batch::new(&[
        ("id", Column::Big),
        ("health", Column::Small),
        ("consecutive_soft_bounces", Column::Int),
        ("blocked_at", Column::Big),
        ("block_reason", Column::Small),
        ("block_event", Column::Big),
        ("outcomes", Column::Text),
        ("last_reason", Column::Text),
        ("last_reason_at", Column::Big),
        ("complained_at", Column::Big),
        ("last_complained_at", Column::Big),
        ("unsubscribed_at", Column::Big),
        ("subscribed_at", Column::Big),
    ]);
    for state in states {
        let (reason_at, reason) = state.reason.clone().unzip();
        let reported = [
            state.outcomes.encode().into(),
            reason.into(),
            micros(reason_at),
            micros(state.complained_at),
            micros(state.consent.complained_at),
            micros(state.unsubscribed_at),
            micros(state.subscribed_at),
        ];
        batch.push_row([state.id.into()].into_iter().chain(derived(state)).chain(reported));
    }
    let sql = format!(
        "UPDATE address SET {DERIVED}, outcomes = rows.outcomes, last_reason = rows.last_reason, \
         last_reason_at = rows.last_reason_at, complained_at = rows.complained_at, \
         last_complained_at = rows.last_complained_at, unsubscribed_at = rows.unsubscribed_at, \
         subscribed_at = rows.subscribed_at FROM {{rows}} WHERE address.id = rows.id"
    );
    batch.execute(connection, &sql, []).await.map(|_| ())
}

/// Writes what people did about addresses, and what follows from it.
pub(crate) async fn write_marks<C: ConnectionTrait>(connection: &C, states: &[State]) -> Result<(), DbErr> {
    if states.is_empty() {
        return Ok(());
    }
    let mut batch = Batch::new(&[
        ("id", Column::Big),
        ("health", Column::Small),
        ("consecutive_soft_bounces", Column::Int),
        ("blocked_at", Column::Big),
        ("block_reason", Column::Small),
        ("block_event", Column::Big),
        ("cleared_at", Column::Big),
        ("blocked_by_hand_at", Column::Big),
        ("former_employee_at", Column::Big),
        ("deleted_at", Column::Big),
        ("block_note", Column::Text),
        ("consent_given_at", Column::Big),
    ]);
    for state in states {
        let marks = [
            micros(state.marks.cleared_at),
            micros(state.marks.blocked_at),
            micros(state.marks.former_employee_at),
            micros(state.marks.deleted_at),
            state.note.clone().into(),
            micros(state.consent.given_at),
        ];
        batch.push_row([state.id.into()].into_iter().chain(derived(state)).chain(marks));
    }
    let sql = format!(
        "UPDATE address SET {DERIVED}, cleared_at = rows.cleared_at, blocked_by_hand_at = rows.blocked_by_hand_at, \
         former_employee_at = rows.former_employee_at, deleted_at = rows.deleted_at, block_note = rows.block_note, \
         consent_given_at = rows.consent_given_at FROM {{rows}} WHERE address.id = rows.id"
    );
    batch.execute(connection, &sql, []).await.map(|_| ())
}

/// Audits every change of whether these addresses may be written to, has their recipients settled and, where the settings say so, tasks
/// made for those that bounces have blocked. The audit log names the `job` that brought it about; where there is none, the event behind a
/// block.
pub(crate) async fn follow_up<C: ConnectionTrait>(
    connection: &C,
    states: &[State],
    settings: &Settings,
    subject: &str,
    job: Option<i64>,
    now: Timestamp,
) -> Result<()> {
    let changed: Vec<&State> = states.iter().filter(|state| state.standing() != state.before).collect();
    if changed.is_empty() {
        return Ok(());
    }
    let mut batch = Batch::new(&[("action", Column::Text), ("object", Column::Text), ("detail", Column::Text)]);
    for state in &changed {
        for (action, detail) in changes(state, job) {
            batch.push([action.into(), format!("address:{}", state.id).into(), detail.to_string().into()]);
        }
    }
    if !batch.is_empty() {
        let sql = "INSERT INTO audit_entry (at, subject, action, object, detail) \
                   SELECT {1}, {2}, action, object, detail FROM {rows}";
        batch.execute(connection, sql, [now.micros().into(), subject.to_owned().into()]).await?;
    }
    let reports: Vec<_> = changed.iter().flat_map(|state| state.reports()).collect();
    reports::note(connection, &reports, subject, now).await?;
    if settings.escalation_tasks {
        escalations::order(connection, changed.iter().filter_map(|state| state.escalation()).collect(), now).await?;
    }
    let ids: Vec<i64> = changed.iter().filter(|state| state.skips_differ()).map(|state| state.id).collect();
    settle::request(connection, ids, subject, now).await
}

/// What changed, in the words of the audit log.
fn changes(state: &State, job: Option<i64>) -> Vec<(&'static str, serde_json::Value)> {
    let (before, after) = (state.before, state.standing());
    let was = before.blocked.map(BlockReason::as_str);
    let mut changes = Vec::new();
    match after.blocked {
        Some(reason) if before.blocked != Some(reason) => {
            let detail = serde_json::json!({
                "reason": reason.as_str(), "was": was, "event": state.block_event, "job": job,
            });
            changes.push(("address.blocked", detail));
        }
        None if was.is_some() => changes.push(("address.unblocked", serde_json::json!({ "was": was, "job": job }))),
        _ => {}
    }
    match (before.consent.is_withdrawn(), after.consent.is_withdrawn()) {
        (false, true) => changes.push(("address.consent_withdrawn", serde_json::json!({ "job": job }))),
        (true, false) => changes.push(("address.consent_given", serde_json::json!({ "job": job }))),
        _ => {}
    }
    changes
}

impl State {
    /// What the CRM is to be told of the change.
    fn reports(&self) -> Vec<(i64, ReportKind)> {
        let (before, after) = (self.before, self.standing());
        let block = after.blocked.filter(|reason| before.blocked != Some(*reason)).and_then(reports::of_block);
        let consent = !before.consent.is_withdrawn() && after.consent.is_withdrawn();
        let kinds = block.into_iter().chain(consent.then_some(ReportKind::ConsentWithdrawn));
        kinds.map(|kind| (self.id, kind)).collect()
    }

    /// The block, where bounces have brought it about and there was none before.
    fn escalation(&self) -> Option<Escalation> {
        let (blocked_at, reason) = self.judgement.blocked.filter(|(_, reason)| is_reported(*reason))?;
        let (address, event, recipient) = (self.id, self.block_event, self.block_recipient);
        self.before.blocked.is_none().then_some(Escalation { address, blocked_at, reason, event, recipient })
    }

    fn skips_differ(&self) -> bool {
        self.standing().skip_reason() != self.before.skip_reason()
    }
}
