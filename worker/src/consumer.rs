//! The consumers of the queues.

use std::sync::Arc;

use futures::future::{BoxFuture, try_join_all};
use service::error::Causes;
use service::jobs::Queue;
use service::schedule::Rule;
use tokio_util::sync::CancellationToken;

use crate::queue::{Handler, Pointer, Queues};
use crate::{Deps, Wake, WorkerError, jobs, schedule};

/// What a worker process does.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// The queues that it works on.
    pub queues: Vec<Queue>,
    /// How many jobs of each queue it runs at the same time.
    pub concurrency: usize,
    /// How many transactions apply deliveries at the same time.
    pub appliers: usize,
    /// What it does again and again.
    pub rules: Arc<[Rule]>,
}

/// Works until `shutdown`, then finishes what it is doing.
///
/// # Errors
/// Where a queue cannot be used at all; errors of single jobs, of Redis and of the database end nothing.
pub async fn run(
    deps: Deps,
    queues: Queues,
    wake: Wake,
    options: WorkerOptions,
    shutdown: CancellationToken,
) -> Result<(), WorkerError> {
    let consume = |queue: Queue| {
        let (deps, wake, queues, shutdown) = (deps.clone(), wake.clone(), queues.clone(), shutdown.clone());
        let concurrency = if queue == Queue::Events { options.appliers } else { options.concurrency };
        queues.consume(queue, concurrency, handler(deps, wake, shutdown.clone()), shutdown)
    };
    let sweeper = tokio::spawn(jobs::rematch::sweep(deps.clone(), shutdown.clone()));
    let schedule = tokio::spawn(schedule::run(deps.services.clone(), options.rules.clone(), shutdown.clone()));
    let result = try_join_all(options.queues.iter().copied().map(consume)).await;
    sweeper.abort();
    schedule.abort();
    result.map(|_| ())
}

/// What does the work that pointers point at.
#[must_use]
pub fn handler(deps: Deps, wake: Wake, shutdown: CancellationToken) -> Handler {
    Arc::new(move |pointer| -> BoxFuture<'static, ()> {
        let (deps, wake, shutdown) = (deps.clone(), wake.clone(), shutdown.clone());
        Box::pin(async move {
            match pointer {
                Pointer::Deliveries => apply(&deps, &wake, &shutdown).await,
                Pointer::Job(id) => jobs::run(&deps, id, &shutdown).await,
            }
        })
    })
}

/// As many transactions follow each other before the pointer is given back, so that ending does not wait for an endless stream.
const ROUNDS: usize = 50;

async fn apply(deps: &Deps, wake: &Wake, shutdown: &CancellationToken) {
    for _ in 0..ROUNDS {
        if shutdown.is_cancelled() {
            return;
        }
        match deps.applier.apply_next().await {
            Ok(applied) if applied.deliveries == 0 => return,
            Ok(applied) => tracing::debug!(?applied, "deliveries were applied"),
            Err(error) => {
                tracing::error!(error = %Causes(&error), "deliveries could not be applied; they wait");
                return;
            }
        }
    }
    wake.now();
}
