//! What holds for all campaigns.

use async_graphql::{InputObject, MaybeUndefined, SimpleObject};
use domain::health::Window;
use service::settings::{self, SettingsChange, WindowChange};

use super::errors::UserError;
use super::scalars::int;
use super::words::BounceClass;

/// What an admin has set for all campaigns. Rates are parts of one: 0.05 is 5 %.
#[derive(SimpleObject)]
pub struct Settings {
    /// As many soft bounces in a row, without a delivery between them, block an address.
    accepted_soft_bounces: i32,
    /// So many soft bounces among the latest mails block an address as well; null: only those in a row do.
    soft_bounce_window: Option<BounceWindow>,
    /// After so many days a bounce is forgotten, and a block that it brought about ends; null: never.
    block_expiry_days: Option<i32>,
    /// The classes of soft bounces that count for an address.
    soft_bounce_classes: Vec<BounceClass>,
    /// More bounces of what was sent raise an alert.
    bounce_rate_alert: f64,
    /// More complaints of what was delivered raise an alert.
    complaint_rate_alert: f64,
    /// More refusals because of the sender of what was sent raise an alert. They harm no address.
    refusal_rate_alert: f64,
    /// A rate of fewer recipients raises no alert.
    alert_minimum_sample: i32,
    /// A campaign of which nothing is heard for so many hours after it was sent raises an alert.
    silent_hours: i32,
    /// Whether opens and clicks of single persons are tracked in mails that nachfass sends.
    tracking: bool,
    /// Whether whoever is responsible for a person gets a task in the CRM when an address of theirs is blocked by a hard bounce or too many soft
    /// ones. Blocks by hand, and refusals because of the sender, make none.
    escalation_tasks: bool,
}

/// So many soft bounces among the latest mails to an address.
#[derive(SimpleObject)]
pub struct BounceWindow {
    /// So many soft bounces …
    bounces: i32,
    /// … among so many mails.
    of_last_sends: i32,
}

impl From<Window> for BounceWindow {
    fn from(window: Window) -> Self {
        Self { bounces: count(window.bounces), of_last_sends: count(window.of_last) }
    }
}

impl From<settings::Settings> for Settings {
    fn from(settings: settings::Settings) -> Self {
        let settings::Settings { policy, alerts, tracking, escalation_tasks } = settings;
        Self {
            accepted_soft_bounces: count(policy.accepted_soft_bounces),
            soft_bounce_window: policy.window.map(Into::into),
            block_expiry_days: policy.expiry_days.map(Into::into),
            soft_bounce_classes: policy.classes.into_iter().map(Into::into).collect(),
            bounce_rate_alert: alerts.bounce_rate,
            complaint_rate_alert: alerts.complaint_rate,
            refusal_rate_alert: alerts.refusal_rate,
            alert_minimum_sample: int(alerts.minimum_sample),
            silent_hours: alerts.silent_hours.into(),
            tracking,
            escalation_tasks,
        }
    }
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// Settings to be changed: each may be left out, and stays as it is then.
#[derive(InputObject)]
pub struct SettingsInput {
    /// As many soft bounces in a row block an address: 1 to 32.
    accepted_soft_bounces: Option<i32>,
    /// So many soft bounces among the latest mails block an address as well; null switches that off.
    soft_bounce_window: MaybeUndefined<BounceWindowInput>,
    /// After so many days bounces and the blocks that they brought about end, 1 to 3,650; null: never.
    block_expiry_days: MaybeUndefined<i32>,
    /// The classes of soft bounces that count for an address, of SOFT, MAILBOX_FULL, DNS and UNKNOWN; with none of them only
    /// hard bounces block.
    soft_bounce_classes: Option<Vec<BounceClass>>,
    /// More bounces of what was sent raise an alert: 0 to 1.
    bounce_rate_alert: Option<f64>,
    /// More complaints of what was delivered raise an alert: 0 to 1.
    complaint_rate_alert: Option<f64>,
    /// More refusals because of the sender of what was sent raise an alert: 0 to 1.
    refusal_rate_alert: Option<f64>,
    /// A rate of fewer recipients raises no alert: 1 to 10,000,000.
    alert_minimum_sample: Option<i32>,
    /// A campaign of which nothing is heard for so many hours after it was sent raises an alert: 1 to 336.
    silent_hours: Option<i32>,
    /// Whether opens and clicks of single persons are tracked in mails that nachfass sends.
    tracking: Option<bool>,
    /// Whether whoever is responsible for a person gets a task in the CRM when an address of theirs is blocked by a hard bounce or too many soft
    /// ones. Blocks by hand, and refusals because of the sender, make none.
    escalation_tasks: Option<bool>,
}

/// So many soft bounces among the latest mails to an address.
#[derive(InputObject)]
pub struct BounceWindowInput {
    /// So many soft bounces, 1 to `ofLastSends` …
    bounces: i32,
    /// … among so many mails, 32 at most.
    of_last_sends: i32,
}

impl From<BounceWindowInput> for WindowChange {
    fn from(window: BounceWindowInput) -> Self {
        Self { bounces: window.bounces.into(), of_last_sends: window.of_last_sends.into() }
    }
}

impl From<SettingsInput> for SettingsChange {
    fn from(input: SettingsInput) -> Self {
        Self {
            accepted_soft_bounces: input.accepted_soft_bounces.map(Into::into),
            soft_bounce_window: nullable(input.soft_bounce_window),
            block_expiry_days: nullable(input.block_expiry_days),
            soft_bounce_classes: input.soft_bounce_classes.map(|classes| classes.into_iter().map(Into::into).collect()),
            bounce_rate_alert: input.bounce_rate_alert,
            complaint_rate_alert: input.complaint_rate_alert,
            refusal_rate_alert: input.refusal_rate_alert,
            alert_minimum_sample: input.alert_minimum_sample.map(Into::into),
            silent_hours: input.silent_hours.map(Into::into),
            tracking: input.tracking,
            escalation_tasks: input.escalation_tasks,
        }
    }
}

/// What is to be changed (`None`: nothing), and to what (`None`: to no value).
fn nullable<T, U: From<T>>(value: MaybeUndefined<T>) -> Option<Option<U>> {
    match value {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => Some(None),
        MaybeUndefined::Value(value) => Some(Some(value.into())),
    }
}

/// The settings after a change.
#[derive(SimpleObject)]
pub struct SettingsPayload {
    /// All settings; null where the change was refused.
    pub(super) settings: Option<Settings>,
    /// Why it was refused; empty where it was not.
    pub(super) user_errors: Vec<UserError>,
}
