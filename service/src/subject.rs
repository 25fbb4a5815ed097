//! Who is asking, and what they may do.

use serde::{Deserialize, Serialize};

use crate::error::{Refusal, RefusalCode};

/// What somebody may do. Each role may do what the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees figures, and no personal data.
    Viewer,
    /// Sees and works with recipients and campaigns.
    Marketer,
    /// Also manages tokens, users and settings, and sees raw deliveries.
    Admin,
}

impl Role {
    /// The number in the database; never reused.
    #[must_use]
    pub const fn code(self) -> i16 {
        match self {
            Self::Viewer => 1,
            Self::Marketer => 2,
            Self::Admin => 3,
        }
    }

    /// What the database's number stands for.
    #[must_use]
    pub const fn from_code(code: i16) -> Option<Self> {
        match code {
            1 => Some(Self::Viewer),
            2 => Some(Self::Marketer),
            3 => Some(Self::Admin),
            _ => None,
        }
    }

    /// The name on the command line and in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Marketer => "marketer",
            Self::Admin => "admin",
        }
    }
}

/// How nachfass itself stands in the audit log, where it acts by its rules.
pub const SYSTEM: &str = "system";
/// How the schedule stands in the audit log, and as who made its jobs.
pub const SCHEDULE: &str = "schedule";

/// Somebody (or something) that acts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    /// How it stands in the audit log: `user:1`, `token:2`, `cli`, `source:name`, [`SYSTEM`].
    pub id: String,
    /// What to call it: the name of the token, the address of the user.
    pub name: String,
    /// What it may do.
    pub role: Role,
}

impl Subject {
    /// The person at the machine's command line: may do everything.
    #[must_use]
    pub fn command_line() -> Self {
        Self { id: "cli".to_owned(), name: "command line".to_owned(), role: Role::Admin }
    }

    /// Somebody who is not signed in: may do nothing, and stands in the audit log where that matters.
    #[must_use]
    pub fn anonymous() -> Self {
        Self { id: "anonymous".to_owned(), name: "anonymous".to_owned(), role: Role::Viewer }
    }

    /// nachfass itself, where it acts by its rules.
    #[must_use]
    pub fn system() -> Self {
        Self { id: SYSTEM.to_owned(), name: SYSTEM.to_owned(), role: Role::Marketer }
    }

    /// Whether it may see addresses, names and other personal data.
    #[must_use]
    pub fn sees_personal_data(&self) -> bool {
        self.role >= Role::Marketer
    }

    /// Lets those through who have at least this role.
    ///
    /// # Errors
    /// A refusal for all others.
    pub fn require(&self, role: Role) -> Result<(), Refusal> {
        if self.role >= role {
            return Ok(());
        }
        let message = format!("this needs the role {}, and you have {}", role.name(), self.role.name());
        Err(Refusal::new(RefusalCode::Forbidden, message))
    }
}
