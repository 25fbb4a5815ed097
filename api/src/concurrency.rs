//! How much one subject may have under way, so that nobody's requests keep those of others waiting.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use service::Subject;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::errors::ApiError;

/// GraphQL requests of the process; beyond them 503.
const REQUESTS: usize = 512;
/// GraphQL requests of one subject that are executed at once; others of it wait, within their time limit.
const REQUESTS_OF_SUBJECT: usize = 32;
/// Expensive statements of one subject at once: searches, counts, previews.
const HEAVY_OF_SUBJECT: usize = 2;
/// Expensive statements of all subjects at once.
const HEAVY: usize = 4;
/// With more subjects than these, those that have nothing under way are forgotten.
const MANY_SUBJECTS: usize = 1_000;

/// Permits by subject.
struct BySubject {
    each: usize,
    subjects: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl BySubject {
    fn new(each: usize) -> Self {
        Self { each, subjects: Mutex::default() }
    }

    fn of(&self, subject: &Subject) -> Arc<Semaphore> {
        let mut subjects = self.subjects.lock().unwrap_or_else(PoisonError::into_inner);
        if subjects.len() >= MANY_SUBJECTS {
            subjects.retain(|_, permits| Arc::strong_count(permits) > 1);
        }
        subjects.entry(subject.id.clone()).or_insert_with(|| Arc::new(Semaphore::new(self.each))).clone()
    }
}

/// What is under way in this process.
pub struct Concurrency {
    requests: Arc<Semaphore>,
    of_subjects: BySubject,
    heavy: Arc<Semaphore>,
    heavy_of_subjects: BySubject,
    sockets: BySubject,
    subscriptions: BySubject,
}

impl Concurrency {
    /// With as many sockets and subscriptions for each subject.
    #[must_use]
    pub fn new(sockets: usize, subscriptions: usize) -> Self {
        Self {
            sockets: BySubject::new(sockets),
            subscriptions: BySubject::new(subscriptions),
            requests: Arc::new(Semaphore::new(REQUESTS)),
            of_subjects: BySubject::new(REQUESTS_OF_SUBJECT),
            heavy: Arc::new(Semaphore::new(HEAVY)),
            heavy_of_subjects: BySubject::new(HEAVY_OF_SUBJECT),
        }
    }

    /// Admits a request of `subject`, once it has few enough under way.
    ///
    /// # Errors
    /// `Unavailable` where the process has too many requests.
    pub async fn admit(&self, subject: &Subject) -> Result<Admitted, ApiError> {
        let one = self.requests.clone().try_acquire_owned().map_err(|_| ApiError::Unavailable(None))?;
        let own = self.of_subjects.of(subject).acquire_owned().await.map_err(|_| ApiError::Unavailable(None))?;
        Ok(Admitted { _permits: (one, own) })
    }

    /// A socket of `subject`; `None` where it has too many.
    #[must_use]
    pub fn socket(&self, subject: &Subject) -> Option<OwnedSemaphorePermit> {
        self.sockets.of(subject).try_acquire_owned().ok()
    }

    /// A subscription of `subject`, whichever socket it is on; `None` where it has too many.
    #[must_use]
    pub fn subscription(&self, subject: &Subject) -> Option<OwnedSemaphorePermit> {
        self.subscriptions.of(subject).try_acquire_owned().ok()
    }

    /// What one request of `subject` needs for expensive statements.
    #[must_use]
    pub fn heavy(&self, subject: &Subject) -> Heavy {
        Heavy(Arc::new(Line {
            own: self.heavy_of_subjects.of(subject),
            all: self.heavy.clone(),
            turn: Arc::new(Semaphore::new(1)),
        }))
    }
}

/// Held while a request is under way.
pub struct Admitted {
    _permits: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

/// The line in which the expensive statements of a request stand: one at a time, few of its subject, few of all.
#[derive(Clone)]
pub struct Heavy(Arc<Line>);

struct Line {
    turn: Arc<Semaphore>,
    own: Arc<Semaphore>,
    all: Arc<Semaphore>,
}

/// Held while an expensive statement is under way.
pub struct Turn {
    _permits: [OwnedSemaphorePermit; 3],
}

impl Heavy {
    /// Waits for a turn; `None` where the process ends.
    pub async fn turn(&self) -> Option<Turn> {
        let Line { turn, own, all } = self.0.as_ref();
        let turn = turn.clone().acquire_owned().await.ok()?;
        let own = own.clone().acquire_owned().await.ok()?;
        let all = all.clone().acquire_owned().await.ok()?;
        Some(Turn { _permits: [turn, own, all] })
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use service::Role;

    use super::*;

    fn subject(id: &str) -> Subject {
        Subject { id: id.to_owned(), name: id.to_owned(), role: Role::Viewer }
    }

    #[tokio::test]
    async fn who_has_much_under_way_waits_and_others_do_not() {
        let concurrency = Concurrency::new(20, 100);
        let (erika, max) = (subject("user:1"), subject("user:2"));
        let mut held = Vec::new();
        for _ in 0..REQUESTS_OF_SUBJECT {
            held.push(concurrency.admit(&erika).await.ok());
        }
        assert!(concurrency.admit(&erika).now_or_never().is_none());
        assert!(concurrency.admit(&max).now_or_never().is_some_and(|admitted| admitted.is_ok()));
        held.pop();
        assert!(concurrency.admit(&erika).now_or_never().is_some_and(|admitted| admitted.is_ok()));
    }

    #[tokio::test]
    async fn a_process_with_too_many_requests_refuses() {
        let concurrency = Concurrency::new(20, 100);
        let mut held = Vec::new();
        for number in 0..REQUESTS {
            held.push(concurrency.admit(&subject(&format!("token:{number}"))).await.ok());
        }
        let refused = concurrency.admit(&subject("user:1")).now_or_never().expect("no waiting");
        assert!(matches!(refused, Err(ApiError::Unavailable(None))));
    }

    #[tokio::test]
    async fn expensive_statements_stand_in_line() {
        let concurrency = Concurrency::new(20, 100);
        let (erika, max) = (subject("user:1"), subject("user:2"));
        let request = concurrency.heavy(&erika);
        let first = request.turn().await;
        assert!(request.turn().now_or_never().is_none(), "one at a time in a request");
        let _second = concurrency.heavy(&erika).turn().await;
        assert!(concurrency.heavy(&erika).turn().now_or_never().is_none(), "two of a subject");
        assert!(concurrency.heavy(&max).turn().now_or_never().is_some());
        drop(first);
        assert!(request.turn().now_or_never().is_some());
    }

    #[test]
    fn subjects_with_nothing_under_way_are_forgotten() {
        let permits = BySubject::new(1);
        let held = permits.of(&subject("user:1"));
        for number in 0..3 * MANY_SUBJECTS {
            permits.of(&subject(&format!("token:{number}")));
        }
        assert!(permits.subjects.lock().expect("unpoisoned").len() <= MANY_SUBJECTS);
        assert!(Arc::ptr_eq(&held, &permits.of(&subject("user:1"))));
    }
}
