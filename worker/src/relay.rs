//! Waking the workers: at once after a commit, and for whatever was forgotten.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use service::Services;
use service::error::Causes;
use service::jobs::{self, Queue};
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::WorkerError;
use crate::queue::{Handler, MOST, Pointer, Queues};

/// Tells the relay that something was committed. Cheap to clone and to call; calls that come close together are one.
#[derive(Clone, Debug, Default)]
pub struct Wake(Arc<Notify>);

impl Wake {
    /// Something waits.
    pub fn now(&self) {
        self.0.notify_one();
    }
}

/// Pushes pointers to what is due. While the queue cannot be reached, it hands them to the worker of its own process, if there is one.
pub struct Relay {
    services: Services,
    queues: Queues,
    wake: Wake,
    appliers: usize,
    worker: Option<(Vec<Queue>, Handler)>,
    /// The jobs that were pushed and are still due, and when.
    pushed: HashMap<i64, Instant>,
    /// Keeps what is done without the queue from being done all at once.
    slow: HashMap<Queue, Arc<Semaphore>>,
}

/// As many jobs of each queue are pushed ahead: enough for all workers until the next look, few enough for what Redis holds, and each
/// queue has its own, so that long jobs keep nobody waiting.
const AHEAD: i64 = 500;
/// A pointer that came to nothing (Redis lost it) is pushed again after so long …
const PUSH_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// … and if no more than so many pointers wait in its queue: else it may still be among them.
const FEW: usize = 20;
/// While the queue cannot be reached, a worker does so many jobs of each queue at the same time.
const SLOWLY: usize = 4;

/// How often the database is asked for what is due, whether or not anybody said so …
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// … and how soon again where more was due than is pushed ahead: short jobs are done long before the next look.
const LOOK_SOON: Duration = Duration::from_millis(50);
/// Pushes lie at least this far apart: appliers go on by themselves while there is work.
const PUSH_EVERY: Duration = Duration::from_millis(20);

impl Relay {
    /// A relay that wakes up to `appliers` workers for the inbox.
    #[must_use]
    pub fn new(services: Services, queues: Queues, wake: Wake, appliers: usize) -> Self {
        Self { services, queues, wake, appliers, worker: None, pushed: HashMap::new(), slow: HashMap::new() }
    }

    /// With a worker in this process, which works on these queues.
    #[must_use]
    pub fn with_worker(mut self, queues: Vec<Queue>, handler: Handler) -> Self {
        self.worker = Some((queues, handler));
        self
    }

    /// Relays until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        let mut warned = Instant::now().checked_sub(Duration::from_secs(60));
        loop {
            let told = tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.wake.0.notified() => true,
                () = self.services.jobs_added() => false,
                _ = look.tick() => false,
            };
            let looked = self.relay(told).await;
            if looked.as_ref().is_ok_and(|more| *more) {
                look.reset_after(LOOK_SOON);
            }
            if let Err(error) = looked {
                let due = warned.is_none_or(|at| at.elapsed() > Duration::from_secs(30));
                if due {
                    warned = Some(Instant::now());
                    tracing::warn!(error = %Causes(&error), "the queue cannot be reached: work that is due waits in the database, or is done the slow way");
                }
            }
            tokio::time::sleep(PUSH_EVERY).await;
        }
    }

    /// Whether more is due than was pushed ahead.
    async fn relay(&mut self, told: bool) -> Result<bool, WorkerError> {
        // An error of the queue is reported, but must not keep the rest waiting.
        let deliveries = self.relay_deliveries(told).await;
        let jobs = self.relay_jobs().await;
        deliveries.and(jobs)
    }

    async fn relay_deliveries(&self, told: bool) -> Result<(), WorkerError> {
        if !told && !service::ingest::is_waiting(self.services.db()).await? {
            return Ok(());
        }
        let pushed = self.queues.push(Queue::Events, &vec![Pointer::Deliveries; self.appliers]).await;
        if pushed.is_err()
            && let Some(handler) = self.handler(Queue::Events)
        {
            // One after the other: the slow way, but it goes on.
            handler(Pointer::Deliveries).await;
        }
        pushed.map(|_| ())
    }

    async fn relay_jobs(&mut self) -> Result<bool, WorkerError> {
        let (mut result, mut more) = (Ok(()), false);
        let mut still_due = HashMap::new();
        for queue in Queue::ALL.iter().copied() {
            let due = jobs::due(self.services.db(), queue, self.services.now(), AHEAD).await?;
            more |= i64::try_from(due.len()).is_ok_and(|due| due >= AHEAD);
            let pushed = if due.is_empty() { Ok(()) } else { self.relay_queue(queue, &due).await };
            result = result.and(pushed);
            still_due.extend(due.into_iter().filter_map(|id| Some((id, *self.pushed.get(&id)?))));
        }
        // Whoever was claimed is forgotten, and pushed at once when it is due again.
        self.pushed = still_due;
        result.map(|()| more)
    }

    /// Pushes those of `due` that were not pushed lately.
    async fn relay_queue(&mut self, queue: Queue, due: &[i64]) -> Result<(), WorkerError> {
        let room = match self.queues.room(queue).await {
            Ok(room) => room,
            Err(error) => {
                self.do_slowly(queue, due);
                return Err(error);
            }
        };
        let few_wait = room + FEW >= MOST;
        let is_new = |id: &i64| self.pushed.get(id).is_none_or(|at| few_wait && at.elapsed() > PUSH_AGAIN_AFTER);
        let new: Vec<i64> = due.iter().copied().filter(is_new).collect();
        let pointers: Vec<Pointer> = new.iter().copied().map(Pointer::Job).collect();
        let pushed = if pointers.is_empty() { 0 } else { self.queues.push(queue, &pointers).await? };
        let now = Instant::now();
        self.pushed.extend(new.into_iter().take(pushed).map(|id| (id, now)));
        Ok(())
    }

    /// Has the worker of this process do a few of the jobs. Each is claimed before it is done: beginning it twice does no harm.
    fn do_slowly(&mut self, queue: Queue, due: &[i64]) {
        let Some(handler) = self.handler(queue) else { return };
        let places = self.slow.entry(queue).or_insert_with(|| Arc::new(Semaphore::new(SLOWLY)));
        for id in due {
            let Ok(place) = places.clone().try_acquire_owned() else { return };
            let work = handler(Pointer::Job(*id));
            tokio::spawn(async move {
                work.await;
                drop(place);
            });
        }
    }

    /// The worker of this process, if it works on this queue.
    fn handler(&self, queue: Queue) -> Option<Handler> {
        self.worker.as_ref().filter(|(queues, _)| queues.contains(&queue)).map(|(_, handler)| handler.clone())
    }
}
