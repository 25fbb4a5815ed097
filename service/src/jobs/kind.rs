//! The words of jobs and the numbers that stand for them in the database.

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobKind {
    /// Imports recipients from an upload.
    Import,
    /// Matches kept events with recipients that have arrived.
    Rematch,
}

impl JobKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[Self::Import, Self::Rematch];

    /// The number in the database; never reused.
    #[must_use]
    pub const fn code(self) -> i16 {
        match self {
            Self::Import => 1,
            Self::Rematch => 2,
        }
    }

    /// What the database's number stands for.
    #[must_use]
    pub fn from_code(code: i16) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.code() == code)
    }

    /// The name in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Import => "IMPORT",
            Self::Rematch => "REMATCH",
        }
    }

    /// Where it waits.
    #[must_use]
    pub const fn queue(self) -> Queue {
        match self {
            Self::Import => Queue::Bulk,
            Self::Rematch => Queue::Events,
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
