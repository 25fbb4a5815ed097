//! Reading rows by their keys for many requests at once.
//!
//! Where many look at the same few things, the time goes into sending small statements. While one is under way, what else is asked
//! for gathers, and the next statement reads all of it. Nobody is answered from a statement that began before the question was
//! asked, so an answer is never older than without this.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::error::{Result, ServiceError};

type Question<K, V> = (K, oneshot::Sender<Answer<V>>);
type Answer<V> = Result<Option<V>, Arc<ServiceError>>;

/// Puts questions together; cheap to clone. One statement is under way at a time (two were no faster).
pub struct Together<K, V>(Arc<Mutex<State<K, V>>>);

struct State<K, V> {
    waiting: Vec<Question<K, V>>,
    is_running: bool,
}

impl<K, V> Clone for Together<K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, V> Default for Together<K, V> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State { waiting: Vec::new(), is_running: false })))
    }
}

impl<K, V> Together<K, V>
where
    K: Copy + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// What `load` finds for `key`, together with the keys of others. All callers must give the same `load`.
    ///
    /// # Errors
    /// Those of `load`, which all who were waiting for it share.
    pub async fn get<F>(&self, key: K, load: impl Fn(Vec<K>) -> F + Send + Sync + 'static) -> Result<Option<V>>
    where
        F: Future<Output = Result<HashMap<K, V>>> + Send,
    {
        let (sender, receiver) = oneshot::channel();
        let run = self.with(|state| {
            state.waiting.push((key, sender));
            let is_first = !std::mem::replace(&mut state.is_running, true);
            is_first.then(|| Run { together: self.clone(), is_over: false })
        });
        if let Some(mut run) = run {
            // On its own: whoever asked first may go away before it has its answer, the others still want theirs.
            tokio::spawn(async move {
                while let Some(waiting) = run.next() {
                    let mut keys: Vec<K> = waiting.iter().map(|(key, _)| *key).collect();
                    let mut seen = std::collections::HashSet::with_capacity(keys.len());
                    keys.retain(|key| seen.insert(*key));
                    let loaded = load(keys).await.map_err(Arc::new);
                    for (key, sender) in waiting {
                        let answer = loaded.as_ref().map(|found| found.get(&key).cloned()).map_err(Clone::clone);
                        // Whoever does not wait any more needs no answer.
                        sender.send(answer).ok();
                    }
                }
            });
        }
        let answer = receiver.await.map_err(|_| ServiceError::Inconsistent("a shared reading broke off".to_owned()))?;
        answer.map_err(ServiceError::Shared)
    }
}

impl<K, V> Together<K, V> {
    fn with<T>(&self, work: impl FnOnce(&mut State<K, V>) -> T) -> T {
        // Nothing in here leaves the state half changed.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A series of statements; ends when nothing waits. Where it breaks off (a panic, the runtime's end), those who wait are let go.
struct Run<K, V> {
    together: Together<K, V>,
    is_over: bool,
}

impl<K, V> Run<K, V> {
    /// The questions that wait; `None` where none does, and this is over.
    fn next(&mut self) -> Option<Vec<Question<K, V>>> {
        let questions = self.together.with(|state| {
            let questions = std::mem::take(&mut state.waiting);
            state.is_running = !questions.is_empty();
            questions
        });
        self.is_over = questions.is_empty();
        (!self.is_over).then_some(questions)
    }
}

impl<K, V> Drop for Run<K, V> {
    fn drop(&mut self) {
        if !self.is_over {
            self.together.with(|state| {
                state.is_running = false;
                state.waiting.clear();
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    /// Loads twice the key, but nothing for odd ones; each loading waits to be let go.
    #[derive(Clone, Default)]
    struct Slow {
        loadings: Arc<AtomicUsize>,
        go: Arc<Notify>,
    }

    impl Slow {
        async fn load(self, keys: Vec<i64>) -> Result<HashMap<i64, i64>> {
            self.loadings.fetch_add(1, Ordering::SeqCst);
            self.go.notified().await;
            if keys.contains(&-1) {
                return Err(ServiceError::Inconsistent("minus one".to_owned()));
            }
            Ok(keys.into_iter().filter(|key| key % 2 == 0).map(|key| (key, key * 2)).collect())
        }
    }

    fn ask(
        together: &Together<i64, i64>,
        slow: &Slow,
        key: i64,
    ) -> tokio::task::JoinHandle<Result<Option<i64>, String>> {
        let (together, slow) = (together.clone(), slow.clone());
        tokio::spawn(async move {
            let answer = together.get(key, move |keys| slow.clone().load(keys)).await;
            answer.map_err(|error| error.to_string())
        })
    }

    async fn until(condition: impl Fn() -> bool) {
        while !condition() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_is_asked_meanwhile_is_read_by_the_next_statement() {
        let (together, slow) = (Together::default(), Slow::default());
        let first = ask(&together, &slow, 2);
        until(|| slow.loadings.load(Ordering::SeqCst) == 1).await;
        let others: Vec<_> = [2, 3, 4, 4].into_iter().map(|key| ask(&together, &slow, key)).collect();
        until(|| together.with(|state| state.waiting.len()) == 4).await;
        slow.go.notify_one();
        assert_eq!(first.await.expect("no panic"), Ok(Some(4)));
        until(|| slow.loadings.load(Ordering::SeqCst) == 2).await;
        slow.go.notify_one();
        let mut answers = Vec::new();
        for other in others {
            answers.push(other.await.expect("no panic").expect("an answer"));
        }
        assert_eq!(answers, [Some(4), None, Some(8), Some(8)]);
        assert_eq!(slow.loadings.load(Ordering::SeqCst), 2);
        // It begins anew afterwards.
        slow.go.notify_one();
        assert_eq!(ask(&together, &slow, 6).await.expect("no panic"), Ok(Some(12)));
    }

    #[tokio::test]
    async fn an_error_reaches_all_and_is_over_then() {
        let (together, slow) = (Together::default(), Slow::default());
        let asked = ask(&together, &slow, -1);
        slow.go.notify_one();
        assert_eq!(asked.await.expect("no panic"), Err("minus one".to_owned()));
        slow.go.notify_one();
        assert_eq!(ask(&together, &slow, 2).await.expect("no panic"), Ok(Some(4)));
    }

    #[tokio::test]
    async fn who_goes_away_takes_no_answer_from_others() {
        let (together, slow) = (Together::default(), Slow::default());
        let first = ask(&together, &slow, 2);
        until(|| slow.loadings.load(Ordering::SeqCst) == 1).await;
        let second = ask(&together, &slow, 4);
        until(|| together.with(|state| state.waiting.len()) == 1).await;
        first.abort();
        slow.go.notify_one();
        until(|| slow.loadings.load(Ordering::SeqCst) == 2).await;
        slow.go.notify_one();
        assert_eq!(second.await.expect("no panic"), Ok(Some(8)));
    }
}
