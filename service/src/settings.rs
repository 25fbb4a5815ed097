//! What an admin has set for all campaigns: from how many bounces on an address is blocked, from when on a campaign deserves an
//! alert, who is asked to correct addresses, and whether people are tracked.
//!
//! A setting is a row of the table `setting`: its name as in the API, and its value as JSON. What has no row has its default.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use domain::alerts::AlertPolicy;
use domain::event::BounceClass;
use domain::health::{KEPT, Policy, Window};
use sea_orm::{ConnectionTrait, DbErr};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::access::{Admin, Reader};
use crate::audit;
use crate::db::{execute, query_all};
use crate::error::{Refusal, RefusalCode, Result};
use crate::jobs::{self, JobKind, NewJob};

/// A block may last ten years at most; what is longer is better said by no expiry at all.
const MAX_EXPIRY_DAYS: i64 = 3_650;
/// Campaigns are watched for silence for a month; two weeks leave room for noticing.
const MAX_SILENT_HOURS: i64 = 336;
/// More recipients than this has hardly any campaign: none would ever raise an alert.
const MAX_SAMPLE: i64 = 10_000_000;

/// What holds for all campaigns.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// When an address is blocked.
    pub policy: Policy,
    /// When a campaign deserves an alert.
    pub alerts: AlertPolicy,
    /// Whether opens and clicks of single persons are tracked in mails that nachfass sends.
    pub tracking: bool,
    /// Whether whoever is responsible for a person gets a task in the CRM when bounces block the person's address.
    pub escalation_tasks: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { policy: Policy::default(), alerts: AlertPolicy::default(), tracking: true, escalation_tasks: false }
    }
}

/// What an admin wants to be otherwise. What is absent stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SettingsChange {
    /// [`Policy::accepted_soft_bounces`].
    pub accepted_soft_bounces: Option<i64>,
    /// [`Policy::window`]; nothing within: no window.
    #[serde(deserialize_with = "given")]
    pub soft_bounce_window: Option<Option<WindowChange>>,
    /// [`Policy::expiry_days`]; nothing within: bounces do not expire.
    #[serde(deserialize_with = "given")]
    pub block_expiry_days: Option<Option<i64>>,
    /// [`Policy::classes`].
    pub soft_bounce_classes: Option<Vec<BounceClass>>,
    /// [`AlertPolicy::bounce_rate`].
    pub bounce_rate_alert: Option<f64>,
    /// [`AlertPolicy::complaint_rate`].
    pub complaint_rate_alert: Option<f64>,
    /// [`AlertPolicy::refusal_rate`].
    pub refusal_rate_alert: Option<f64>,
    /// [`AlertPolicy::minimum_sample`].
    pub alert_minimum_sample: Option<i64>,
    /// [`AlertPolicy::silent_hours`].
    pub silent_hours: Option<i64>,
    /// [`Settings::tracking`].
    pub tracking: Option<bool>,
    /// [`Settings::escalation_tasks`].
    pub escalation_tasks: Option<bool>,
}

/// A window of soft bounces, as somebody wishes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WindowChange {
    /// [`Window::bounces`].
    pub bounces: i64,
    /// [`Window::of_last`].
    pub of_last_sends: i64,
}

/// Tells a value that is null from one that is not there.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl SettingsChange {
    /// The settings with this change.
    fn applied_to(self, mut settings: Settings) -> Result<Settings, Refusal> {
        let (policy, alerts) = (&mut settings.policy, &mut settings.alerts);
        let kept = i64::try_from(KEPT).unwrap_or(i64::MAX);
        if let Some(bounces) = self.accepted_soft_bounces {
            policy.accepted_soft_bounces = within(bounces, kept, &["acceptedSoftBounces"])?;
        }
        if let Some(window) = self.soft_bounce_window {
            policy.window = window.map(WindowChange::checked).transpose()?;
        }
        if let Some(days) = self.block_expiry_days {
            policy.expiry_days = days.map(|days| within(days, MAX_EXPIRY_DAYS, &["blockExpiryDays"])).transpose()?;
        }
        if let Some(mut classes) = self.soft_bounce_classes {
            classes.sort_unstable();
            classes.dedup();
            // By default all classes count that a soft bounce may have and that are not the sender's.
            let possible = Policy::default().classes;
            if let Some(other) = classes.iter().find(|class| !possible.contains(class)) {
                let names = possible.iter().map(|class| class.as_str()).collect::<Vec<_>>().join(", ");
                let message = format!("{other} never counts as a soft bounce of an address; there are {names}");
                return Err(invalid(&["softBounceClasses"], message));
            }
            policy.classes = classes;
        }
        for (wanted, rate, field) in [
            (self.bounce_rate_alert, &mut alerts.bounce_rate, "bounceRateAlert"),
            (self.complaint_rate_alert, &mut alerts.complaint_rate, "complaintRateAlert"),
            (self.refusal_rate_alert, &mut alerts.refusal_rate, "refusalRateAlert"),
        ] {
            if let Some(wanted) = wanted {
                if !(0.0..=1.0).contains(&wanted) {
                    return Err(invalid(&[field], "a rate lies between 0 and 1: 0.05 is 5 %"));
                }
                *rate = wanted;
            }
        }
        if let Some(sample) = self.alert_minimum_sample {
            alerts.minimum_sample = within(sample, MAX_SAMPLE, &["alertMinimumSample"])?;
        }
        if let Some(hours) = self.silent_hours {
            alerts.silent_hours = within(hours, MAX_SILENT_HOURS, &["silentHours"])?;
        }
        settings.tracking = self.tracking.unwrap_or(settings.tracking);
        settings.escalation_tasks = self.escalation_tasks.unwrap_or(settings.escalation_tasks);
        Ok(settings)
    }
}

impl WindowChange {
    fn checked(self) -> Result<Window, Refusal> {
        let kept = i64::try_from(KEPT).unwrap_or(i64::MAX);
        let of_last = within(self.of_last_sends, kept, &["softBounceWindow", "ofLastSends"])?;
        let bounces = within(self.bounces, self.of_last_sends, &["softBounceWindow", "bounces"])?;
        Ok(Window { bounces, of_last })
    }
}

/// A whole number from 1 to `most`, as the kind of number that it is kept as.
fn within<T: TryFrom<i64>>(number: i64, most: i64, field: &[&str]) -> Result<T, Refusal> {
    let fitting = (1..=most).contains(&number).then(|| T::try_from(number).ok()).flatten();
    fitting.ok_or_else(|| invalid(field, format!("must be a whole number from 1 to {most}, and is {number}")))
}

fn invalid(field: &[&str], message: impl Into<String>) -> Refusal {
    Refusal::field(RefusalCode::Invalid, field, message)
}

impl Settings {
    /// Every setting by its name, as it is stored and audited.
    fn entries(&self) -> BTreeMap<&'static str, Value> {
        let Self { policy, alerts, tracking, escalation_tasks } = self;
        let window = policy.window.map(|window| json!({ "bounces": window.bounces, "ofLastSends": window.of_last }));
        BTreeMap::from([
            ("acceptedSoftBounces", json!(policy.accepted_soft_bounces)),
            ("softBounceWindow", json!(window)),
            ("blockExpiryDays", json!(policy.expiry_days)),
            ("softBounceClasses", json!(policy.classes)),
            ("bounceRateAlert", json!(alerts.bounce_rate)),
            ("complaintRateAlert", json!(alerts.complaint_rate)),
            ("refusalRateAlert", json!(alerts.refusal_rate)),
            ("alertMinimumSample", json!(alerts.minimum_sample)),
            ("silentHours", json!(alerts.silent_hours)),
            ("tracking", json!(tracking)),
            ("escalationTasks", json!(escalation_tasks)),
        ])
    }

    /// The settings with one that is stored; what cannot be used (of a newer version, or changed by hand) says why.
    fn with_stored(self, name: &str, value: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(value).map_err(|error| error.to_string())?;
        let change: SettingsChange =
            serde_json::from_value(json!({ name: value })).map_err(|error| error.to_string())?;
        change.applied_to(self).map_err(|refusal| refusal.message)
    }
}

/// The settings as they are now: of a transaction, as it sees them. One small statement.
///
/// # Errors
/// Those of the database.
pub async fn load<C: ConnectionTrait>(connection: &C) -> Result<Settings, DbErr> {
    // Names with a dot are marks that jobs keep for themselves.
    let rows =
        query_all(connection, "SELECT name, value FROM setting WHERE name NOT LIKE '%.%' ORDER BY name", []).await?;
    let mut settings = Settings::default();
    for row in rows {
        let (name, value): (String, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        match settings.clone().with_stored(&name, &value) {
            Ok(with) => settings = with,
            Err(reason) => tracing::warn!(setting = name, reason, "a stored setting cannot be used: its default holds"),
        }
    }
    Ok(settings)
}

impl Reader {
    /// The settings.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn settings(&self) -> Result<Settings> {
        Ok(load(self.services.db.read()).await?)
    }
}

impl Admin {
    /// Changes settings, and answers all of them. Where the rules for bounces change, a job judges the addresses anew.
    ///
    /// # Errors
    /// A refusal that names the field of a value out of its range; those of the database.
    pub async fn update_settings(&self, change: SettingsChange) -> Result<Settings> {
        let now = self.services.now();
        let transaction = self.services.db.begin().await?;
        if self.services.db.is_postgres() {
            // Two changes at the same time would each be audited against what the other has replaced. Readers do not wait.
            transaction.execute_unprepared("LOCK TABLE setting IN SHARE ROW EXCLUSIVE MODE").await?;
        }
        let old = load(&transaction).await?;
        let new = change.applied_to(old.clone())?;
        let (before, mut after) = (old.entries(), new.entries());
        after.retain(|name, value| before.get(name) != Some(value));
        if after.is_empty() {
            return Ok(old);
        }
        for (name, value) in &after {
            let sql = "INSERT INTO setting (name, value, updated_by, updated_at) VALUES ($1, $2, $3, $4) \
                ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_by = excluded.updated_by, \
                updated_at = excluded.updated_at";
            let by = self.subject.id.clone();
            let values = [(*name).into(), value.to_string().into(), by.into(), now.micros().into()];
            execute(&transaction, sql, values).await?;
        }
        let replaced: BTreeMap<_, _> = before.into_iter().filter(|(name, _)| after.contains_key(name)).collect();
        let detail = json!({ "old": replaced, "new": after });
        let object = "settings:installation".to_owned();
        audit::record(&transaction, now, &self.subject, "settings.updated", object, Some(detail)).await?;
        let is_reviewed = old.policy != new.policy;
        if is_reviewed {
            let review = NewJob::new(JobKind::ReviewAddresses, json!({ "all": true }), &self.subject.id, now);
            jobs::enqueue(&transaction, review, now).await?;
        }
        transaction.commit().await?;
        if is_reviewed {
            self.services.jobs_were_added();
        }
        Ok(new)
    }
}
