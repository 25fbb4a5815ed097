//! Waking the workers: at once after a commit, and for whatever was forgotten.

use std::sync::Arc;
use std::time::Duration;

use service::Services;
use service::error::Causes;
use service::jobs::{self, Queue};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::queue::{Handler, Pointer, Queues};

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
}

/// How often the database is asked for what is due, whether or not anybody said so.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Pushes lie at least this far apart: appliers go on by themselves while there is work.
const PUSH_EVERY: Duration = Duration::from_millis(20);

impl Relay {
    /// A relay that wakes up to `appliers` workers for the inbox.
    #[must_use]
    pub const fn new(services: Services, queues: Queues, wake: Wake, appliers: usize) -> Self {
        Self { services, queues, wake, appliers, worker: None }
    }

    /// With a worker in this process, which works on these queues.
    #[must_use]
    pub fn with_worker(mut self, queues: Vec<Queue>, handler: Handler) -> Self {
        self.worker = Some((queues, handler));
        self
    }

    /// Relays until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        let mut warned = Instant::now().checked_sub(Duration::from_secs(60));
        loop {
            let told = tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.wake.0.notified() => true,
                _ = look.tick() => false,
            };
            if let Err(error) = self.relay(told).await {
                let due = warned.is_none_or(|at| at.elapsed() > Duration::from_secs(30));
                if due {
                    warned = Some(Instant::now());
                    tracing::warn!(error = %Causes(&error), "the queue cannot be reached: work that is due waits in the database, or is done the slow way");
                }
            }
            tokio::time::sleep(PUSH_EVERY).await;
        }
    }

    async fn relay(&self, told: bool) -> Result<(), crate::WorkerError> {
        // An error of the queue is reported, but must not keep the rest waiting.
        let deliveries = self.relay_deliveries(told).await;
        let jobs = self.relay_jobs().await;
        deliveries.and(jobs)
    }

    async fn relay_deliveries(&self, told: bool) -> Result<(), crate::WorkerError> {
        if told || service::ingest::is_waiting(self.services.db()).await? {
            self.push(Queue::Events, &vec![Pointer::Deliveries; self.appliers]).await?;
        }
        Ok(())
    }

    async fn relay_jobs(&self) -> Result<(), crate::WorkerError> {
        for (queue, id) in jobs::due(self.services.db(), self.services.now(), 100).await? {
            self.push(queue, &[Pointer::Job(id)]).await?;
        }
        Ok(())
    }

    async fn push(&self, queue: Queue, pointers: &[Pointer]) -> Result<(), crate::WorkerError> {
        let Err(error) = self.queues.push(queue, pointers).await else { return Ok(()) };
        match &self.worker {
            Some((queues, handler)) if queues.contains(&queue) => {
                match pointers.first() {
                    // One after the other: the slow way, but it goes on.
                    Some(Pointer::Deliveries) => handler(Pointer::Deliveries).await,
                    // Claimed before it is done, so that starting it twice does no harm.
                    Some(job) => drop(tokio::spawn(handler(*job))),
                    None => {}
                }
                Err(error)
            }
            _ => Err(error),
        }
    }
}
