//! Whom a secret belongs to, remembered for a moment: so that a request needs no query to know who is asking.
//!
//! Another process learns of a revoked token or an ended session when what it remembers is over.

use std::sync::LazyLock;
use std::time::Duration;

use domain::Timestamp;
use moka::future::Cache;

use crate::subject::Subject;

/// How long a process may go on honouring what another one has revoked. A socket asks every two seconds, so it ends within three.
pub const REMEMBERED_FOR: Duration = Duration::from_secs(1);

/// One for the process: the keys are hashes of random secrets, of which no two are the same in any database.
static KNOWN: LazyLock<Cache<String, Known>> =
    LazyLock::new(|| Cache::builder().max_capacity(10_000).time_to_live(REMEMBERED_FOR).build());

/// The owner of a secret, and until when it opens.
#[derive(Clone)]
pub(super) struct Known {
    pub subject: Subject,
    /// When it ends, whatever happens.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, where that matters.
    pub seen_at: Option<Timestamp>,
    /// When it ends unless it is used again.
    pub idle_at: Option<Timestamp>,
}

impl Known {
    /// Whether it opens at this moment.
    pub fn is_alive(&self, now: Timestamp) -> bool {
        [self.expires_at, self.idle_at].into_iter().flatten().all(|end| now < end)
    }

    /// The owner, unless the secret is over.
    pub fn subject_at(self, now: Timestamp) -> Option<Subject> {
        self.is_alive(now).then_some(self.subject)
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

/// Forgets everything at once: after a change that may concern several secrets. Such changes are rare, and remembering anew costs a
/// query for each secret that is in use.
pub(super) fn forget_all() {
    KNOWN.invalidate_all();
}
