//! The words of jobs and the numbers that stand for them in the database.

use domain::coded_enum;

coded_enum! {
    /// What a job does.
    JobKind {
        /// Imports recipients from an upload.
        Import = 1 "IMPORT",
        /// Matches kept events with recipients that have arrived.
        Rematch = 2 "REMATCH",
        /// Skips the recipients still to be sent to whose address was blocked, and takes those back whose address is well again.
        SettleRecipients = 3 "SETTLE_RECIPIENTS",
        /// Judges addresses again: bounces have expired, or the rules have changed.
        ReviewAddresses = 4 "REVIEW_ADDRESSES",
        /// Forgets the bounces of addresses and lifts their blocks.
        ClearBounces = 5 "CLEAR_BOUNCES",
        /// Blocks addresses.
        BlockAddresses = 6 "BLOCK_ADDRESSES",
        /// Takes addresses out of use.
        DeleteAddresses = 7 "DELETE_ADDRESSES",
        /// Marks addresses as those of people who have left their company.
        MarkFormerEmployees = 8 "MARK_FORMER_EMPLOYEES",
        /// Notes that the users of addresses have consented anew after a complaint.
        RestoreConsent = 9 "RESTORE_CONSENT",
        /// Writes a list into a file.
        Export = 10 "EXPORT",
        /// Makes the reminders of a rule.
        Remind = 11 "REMIND",
        /// Sees which reminders are due, and takes those out who have responded meanwhile.
        CheckReminders = 12 "CHECK_REMINDERS",
        /// Sees whether something is wrong with a campaign.
        CheckAlerts = 13 "CHECK_ALERTS",
        /// Tells somebody about an alert, by mail or webhook.
        Notify = 14 "NOTIFY",
        /// Removes what is older than it is kept.
        Prune = 15 "PRUNE",
        /// Reads persons, selections and projects from the CRM.
        SyncCrm = 16 "SYNC_CRM",
        /// Adds persons to a selection.
        AddToSelection = 17 "ADD_TO_SELECTION",
        /// Removes persons from a selection.
        RemoveFromSelection = 18 "REMOVE_FROM_SELECTION",
        /// Adds persons to a project.
        AddToProject = 19 "ADD_TO_PROJECT",
        /// Makes tasks for those who are responsible for persons.
        CreateFollowUps = 20 "CREATE_FOLLOW_UPS",
        /// Tells the CRM of bounces, withdrawn consent and who has left.
        ReportToCrm = 21 "REPORT_TO_CRM",
        /// Imports the members of selections and projects as recipients.
        ImportMembers = 22 "IMPORT_MEMBERS",
        /// Reads the recipients of a campaign from its selections and projects again.
        ReloadRecipients = 23 "RELOAD_RECIPIENTS",
        /// Corrects addresses as a file says.
        ImportCorrections = 24 "IMPORT_CORRECTIONS",
        /// Has recipients take the corrected address.
        ApplyCorrection = 25 "APPLY_CORRECTION",
        /// Looks for addresses that may be written wrongly.
        SuggestCorrections = 26 "SUGGEST_CORRECTIONS",
        /// Has a campaign sent again to those who have not got it.
        Resend = 27 "RESEND",
        /// Tells the CRM of corrected addresses.
        PushCorrections = 28 "PUSH_CORRECTIONS",
    }
}

impl JobKind {
    /// Whether it is done every minute, and of interest only where it fails.
    #[must_use]
    pub const fn is_routine(self) -> bool {
        matches!(self, Self::CheckAlerts | Self::CheckReminders)
    }

    /// Where it waits, unless it is known to be short.
    #[must_use]
    pub const fn queue(self) -> Queue {
        match self {
            Self::Import
            | Self::ReviewAddresses
            | Self::ClearBounces
            | Self::BlockAddresses
            | Self::DeleteAddresses
            | Self::MarkFormerEmployees
            | Self::RestoreConsent
            | Self::Export
            | Self::Remind
            | Self::Prune
            | Self::SyncCrm
            | Self::AddToSelection
            | Self::RemoveFromSelection
            | Self::AddToProject
            | Self::CreateFollowUps
            | Self::ImportCorrections
            | Self::SuggestCorrections
            | Self::ImportMembers
            | Self::ReloadRecipients
            | Self::Resend
            // A CRM that does not answer must not hold up what providers report.
            | Self::ReportToCrm
            | Self::PushCorrections => Queue::Bulk,
            Self::Rematch | Self::SettleRecipients | Self::ApplyCorrection => Queue::Events,
            Self::CheckReminders | Self::CheckAlerts | Self::Notify => Queue::Interactive,
        }
    }
}

/// Where jobs wait, apart from each other so that long ones starve nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Queue {
    /// What providers reported.
    Events,
    /// What somebody waits for.
    Interactive,
    /// What takes long.
    Bulk,
}

impl Queue {
    /// What the database's number stands for.
    #[must_use]
    pub fn from_code(code: i16) -> Option<Self> {
        Self::ALL.iter().copied().find(|queue| queue.code() == code)
    }

    /// Every queue.
    pub const ALL: &'static [Self] = &[Self::Events, Self::Interactive, Self::Bulk];

    /// The number in the database; never reused.
    #[must_use]
    pub const fn code(self) -> i16 {
        match self {
            Self::Events => 1,
            Self::Interactive => 2,
            Self::Bulk => 3,
        }
    }

    /// The name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Interactive => "interactive",
            Self::Bulk => "bulk",
        }
    }
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobState {
    /// Waits for its time and a worker.
    Queued,
    /// A worker has it, for as long as its lease lasts.
    Running,
    /// Done.
    Succeeded,
    /// Given up.
    Failed,
    /// Called off.
    Canceled,
}

impl JobState {
    /// Every state.
    pub const ALL: &'static [Self] = &[Self::Queued, Self::Running, Self::Succeeded, Self::Failed, Self::Canceled];

    /// The number in the database; never reused.
    #[must_use]
    pub const fn code(self) -> i16 {
        match self {
            Self::Queued => 1,
            Self::Running => 2,
            Self::Succeeded => 3,
            Self::Failed => 4,
            Self::Canceled => 5,
        }
    }

    /// What the database's number stands for.
    #[must_use]
    pub fn from_code(code: i16) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.code() == code)
    }

    /// The name in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::Running => "RUNNING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Canceled => "CANCELED",
        }
    }
}
