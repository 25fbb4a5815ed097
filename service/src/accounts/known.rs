//! Whom a secret belongs to, remembered for a few seconds: so that a request needs no query to know who is asking.
//!
//! Another process learns of a revoked token or an ended session when what it remembers is over.

use std::sync::LazyLock;
use std::time::Duration;

use domain::Timestamp;
use moka::future::Cache;

use crate::subject::Subject;

/// How long a process may go on honouring what another one has revoked.
const REMEMBERED_FOR: Duration = Duration::from_secs(5);

/// One for the process: the keys are hashes of random secrets, of which no two are the same in any database.
static KNOWN: LazyLock<Cache<String, Known>> =
    LazyLock::new(|| Cache::builder().max_capacity(10_000).time_to_live(REMEMBERED_FOR).build());

/// The owner of a secret, and until when it opens.
#[derive(Clone)]
pub(super) struct Known {
    pub subject: Subject,
    pub expires_at: Option<Timestamp>,
}

impl Known {
    /// The owner, unless the secret is over.
    pub fn subject_at(self, now: Timestamp) -> Option<Subject> {
        self.expires_at.is_none_or(|end| now < end).then_some(self.subject)
    }
}

/// Whom this hash belongs to, if that is remembered.
pub(super) async fn recall(hash: &str) -> Option<Known> {
    KNOWN.get(hash).await
}

/// Remembers whom this hash belongs to.
pub(super) async fn remember(hash: String, known: Known) {
    KNOWN.insert(hash, known).await;
}

/// Forgets it at once.
pub(super) async fn forget(hash: &str) {
    KNOWN.invalidate(hash).await;
}
