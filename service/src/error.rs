//! What can go wrong in a use case.

use sea_orm::{DbErr, RuntimeErr};

/// A failed use case. A [`Refusal`](ServiceError::Refused) is for the user to read; everything else is a fault, for the log.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The database said no.
    #[error("the database failed")]
    Database(#[from] DbErr),
    /// What was asked for is refused, with a reason that the user can act on.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A file could not be read or written.
    #[error("a file could not be read or written")]
    Io(#[from] std::io::Error),
    /// Stored JSON could not be read or written.
    #[error("stored JSON is broken")]
    Json(#[from] serde_json::Error),
    /// Something that cannot be, was.
    #[error("{0}")]
    Inconsistent(String),
    /// Something outside of nachfass (a mail server, a file store) did not do its part; it may later.
    #[error("{what} failed")]
    Outside {
        /// What it is, for people.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Something outside cannot be asked now, or another job has to be done with something first: the job waits, and loses no try.
    #[error("{why}")]
    Later {
        /// What it waits for, for people.
        why: &'static str,
        /// For so many seconds.
        seconds: i64,
        /// Why, for the log.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The job was given to another worker meanwhile, or called off: who has this in hand stops.
    #[error("the job is no longer this worker's")]
    JobLost,
    /// What several were waiting for failed for all of them.
    #[error(transparent)]
    Shared(std::sync::Arc<Self>),
}

/// A reason for a refusal, stable: programs may rely on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalCode {
    /// There is no such thing.
    NotFound,
    /// It exists already, or its state does not allow this.
    Conflict,
    /// A value cannot be used.
    Invalid,
    /// The subject may not do this.
    Forbidden,
    /// Nobody is signed in.
    Unauthenticated,
}

/// A refusal that a user can bring about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The stable reason.
    pub code: RefusalCode,
    /// The input field that it is about, outermost first; empty where it is about none.
    pub field: Vec<String>,
    /// For people: what is wrong, and what to do.
    pub message: String,
}

impl Refusal {
    /// A refusal about no particular field.
    #[must_use]
    pub fn new(code: RefusalCode, message: impl Into<String>) -> Self {
        Self { code, field: Vec::new(), message: message.into() }
    }

    /// A refusal about an input field.
    #[must_use]
    pub fn field(code: RefusalCode, field: &[&str], message: impl Into<String>) -> Self {
        Self { code, field: field.iter().map(|part| (*part).to_owned()).collect(), message: message.into() }
    }

    /// A refusal of what exceeds a limit: it states the value, the limit and the remedy.
    #[must_use]
    pub fn exceeds(field: &[&str], what: &str, (value, limit, unit): (usize, usize, &str), remedy: &str) -> Self {
        let message = format!("{what} has {value} {unit}, and at most {limit} are allowed: {remedy}");
        Self::field(RefusalCode::Invalid, field, message)
    }

    /// The same about the input field at this path, outermost first.
    #[must_use]
    pub fn about(self, field: &[&str]) -> Self {
        Self { field: field.iter().map(|part| (*part).to_owned()).collect(), ..self }
    }
}

impl ServiceError {
    /// A failure of something outside.
    pub fn outside(what: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Outside { what, source: source.into() }
    }

    /// Whether the same call may succeed if it is simply made again: a deadlock, a lost connection, a busy database.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Database(error) => is_transient(error),
            Self::Shared(error) => error.is_transient(),
            Self::Outside { .. } | Self::Later { .. } => true,
            Self::Refused(_) | Self::Io(_) | Self::Json(_) | Self::Inconsistent(_) | Self::JobLost => false,
        }
    }
}

impl ServiceError {
    /// Whether the database refuses what is to be stored, and will do so again: a text or number that it cannot hold, or one that it is
    /// told not to take. Two that want the same key at the same time are none of these.
    #[must_use]
    pub fn is_refused_data(&self) -> bool {
        match self {
            Self::Database(error) => is_refused_data(error),
            Self::Shared(error) => error.is_refused_data(),
            _ => false,
        }
    }
}

fn is_refused_data(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) = error else {
        return false;
    };
    let sqlx::Error::Database(error) = error.as_ref() else { return false };
    error.code().is_some_and(|code| {
        // PostgreSQL: data exceptions and limits, null, a check; SQLite: too big, mismatch, range, a check, null, a trigger.
        code.len() == 5 && (code.starts_with("22") || code.starts_with("54"))
            || ["23502", "23514", "18", "20", "25", "275", "1299", "1811"].contains(&code.as_ref())
    })
}

fn is_transient(error: &DbErr) -> bool {
    match error {
        DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => true,
        DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => {
            match error.as_ref() {
                sqlx::Error::Io(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed => true,
                sqlx::Error::Database(error) => {
                    // PostgreSQL: serialization failure, deadlock, shutting down, connection failure; SQLite: busy, locked.
                    error.code().is_some_and(|code| {
                        ["40001", "40P01", "57P01", "57P02", "57P03", "5", "6", "517"].contains(&code.as_ref())
                            || code.starts_with("08")
                            || code.starts_with("53")
                    })
                }
                _ => false,
            }
        }
        _ => false,
    }
}

/// An error with its causes, for the log. Not its `Debug` form: PostgreSQL's holds the values that broke a constraint.
pub struct Causes<'a>(pub &'a dyn std::error::Error);

impl std::fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut last = self.0.to_string();
        for cause in std::iter::successors(self.0.source(), |cause| cause.source()) {
            let text = cause.to_string();
            if text != last {
                write!(f, ": {text}")?;
            }
            last = text;
        }
        Ok(())
    }
}

/// Short for the result of a use case.
pub type Result<T, E = ServiceError> = std::result::Result<T, E>;
