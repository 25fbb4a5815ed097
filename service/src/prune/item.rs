//! What is removed, and by which rule.

use domain::Timestamp;

use super::table::Table;
use super::{Retention, Run, events, exports, uploads};
use crate::access::Services;
use crate::error::Result;

const DAY: i64 = 24 * 60 * 60;

/// Something that is removed when it is old enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// Requests of providers that have been applied, or cannot be.
    Deliveries,
    /// Events that matched no recipient.
    UnmatchedEvents,
    /// Events, months at a time.
    Events,
    /// Uploaded files.
    Uploads,
    /// Exported files.
    Exports,
    /// Lines of imports that made no recipient.
    ImportReports,
    /// Jobs that are over.
    Jobs,
    /// The audit log.
    Audit,
    /// Sessions that are over.
    Sessions,
    /// Ticks of the schedule.
    ScheduleTicks,
    /// Alerts that are resolved.
    Alerts,
}

impl Item {
    /// Every one, in the order in which they are removed.
    pub const ALL: &'static [Self] = &[
        Self::Deliveries,
        Self::UnmatchedEvents,
        Self::Events,
        Self::Uploads,
        Self::Exports,
        Self::ImportReports,
        Self::Jobs,
        Self::Audit,
        Self::Sessions,
        Self::ScheduleTicks,
        Self::Alerts,
    ];

    /// What it is called in answers: as in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deliveries => "deliveries",
            Self::UnmatchedEvents => "unmatched_events",
            Self::Events => "events",
            Self::Uploads => "uploads",
            Self::Exports => "exports",
            Self::ImportReports => "import_reports",
            Self::Jobs => "jobs",
            Self::Audit => "audit",
            Self::Sessions => "sessions",
            Self::ScheduleTicks => "schedule_ticks",
            Self::Alerts => "alerts",
        }
    }

    /// For how many days it is kept; `None`: for ever, or until it is over by itself.
    #[must_use]
    pub fn kept_days(self, retention: &Retention) -> Option<u32> {
        let days = match self {
            Self::Deliveries => retention.deliveries,
            Self::UnmatchedEvents => retention.unmatched_events,
            Self::Events if retention.events > 0 => retention.events.max(Retention::LEAST_EVENTS),
            Self::Events | Self::Exports | Self::Sessions => 0,
            Self::Uploads => retention.uploads,
            Self::ImportReports => retention.import_reports,
            Self::Jobs => retention.jobs,
            Self::Audit => retention.audit,
            Self::ScheduleTicks => retention.schedule_ticks,
            Self::Alerts => retention.alerts,
        };
        Some(days).filter(|days| *days > 0)
    }

    /// What is older than this is removed; `None`: nothing.
    pub(super) fn cutoff(self, retention: &Retention, now: Timestamp) -> Option<Timestamp> {
        let days_ago = |days: u32| now.plus_seconds(-DAY * i64::from(days));
        match self {
            Self::Exports | Self::Sessions => Some(now),
            Self::Events => self.kept_days(retention).map(days_ago).map(events::beginning_of_month),
            _ => self.kept_days(retention).map(days_ago),
        }
    }

    /// How many are older.
    pub(super) async fn count(self, services: &Services, cutoff: Timestamp) -> Result<u64> {
        match self.table() {
            Some(table) => table.count(services, cutoff).await,
            None if self == Self::Uploads => uploads::count(services, cutoff).await,
            None if self == Self::Exports => exports::count(services, cutoff).await,
            None => events::count(services, cutoff).await,
        }
    }

    /// Removes what is older.
    pub(super) async fn remove(self, run: &mut Run<'_>, cutoff: Timestamp) -> Result<()> {
        match self.table() {
            Some(table) => table.remove(run, self, cutoff).await,
            None if self == Self::Uploads => uploads::remove(run, cutoff).await,
            None if self == Self::Exports => exports::remove(run, cutoff).await,
            None => events::remove(run, cutoff).await,
        }
    }

    /// The table that it stands in, where removing its rows is all there is to do. `$1` is the cutoff.
    const fn table(self) -> Option<Table> {
        let table = match self {
            Self::Deliveries => Table {
                name: "delivery",
                key: "id",
                // Never one that still waits.
                condition: "received_at < $1 AND state <> 1",
                time: Some("received_at"),
            },
            Self::UnmatchedEvents => Table {
                name: "event",
                key: "provider, event_id, occurred_at",
                condition: "recipient IS NULL AND occurred_at < $1",
                time: None,
            },
            Self::ImportReports => Table {
                name: "import_issue",
                key: "import_id, line",
                condition: "import_id IN (SELECT id FROM import WHERE COALESCE(finished_at, created_at) < $1)",
                time: None,
            },
            Self::Jobs => {
                Table { name: "job", key: "id", condition: "finished_at < $1 AND state IN (3, 4, 5)", time: None }
            }
            Self::Audit => Table { name: "audit_entry", key: "id", condition: "at < $1", time: Some("at") },
            Self::Sessions => Table { name: "session", key: "token_hash", condition: "expires_at <= $1", time: None },
            Self::ScheduleTicks => Table {
                name: "schedule_tick",
                key: "rule, due_at",
                condition: "due_at < $1 AND EXISTS (SELECT 1 FROM schedule_tick later \
                            WHERE later.rule = schedule_tick.rule AND later.due_at > schedule_tick.due_at)",
                time: None,
            },
            Self::Alerts => Table { name: "alert", key: "id", condition: "resolved_at < $1", time: None },
            Self::Events | Self::Uploads | Self::Exports => return None,
        };
        Some(table)
    }
}
