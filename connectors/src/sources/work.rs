//! Runs CPU-heavy work on large bodies away from the threads that serve HTTP.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::Denied;

/// Bodies up to this size, in bytes, are processed on the calling thread: the usual batches of providers, in one to four milliseconds.
/// Handing them over takes a seventh of the throughput of ingest, and their memory stays with one more thread.
const SMALL: usize = 512 * 1024;

/// A bounded pool for verifying and parsing bodies. Concurrency is low because each large body needs several times its own size.
#[derive(Clone)]
pub struct WorkPool(Arc<Semaphore>);

impl Default for WorkPool {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self(Arc::new(Semaphore::new((cores / 2).clamp(1, 4))))
    }
}

impl WorkPool {
    /// Runs work on a body of `size` bytes. The queue is bounded because every waiting request holds part of the memory budget.
    ///
    /// # Errors
    /// [`Denied::Unavailable`] if the work panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        size: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Denied> {
        if size <= SMALL {
            return Ok(work());
        }
        let failed = || Denied::Unavailable("processing the body failed".to_owned());
        let permit = self.0.clone().acquire_owned().await.map_err(|_closed| failed())?;
        // The closure owns the permit, because the work continues if the client disconnects.
        let work = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        });
        work.await.map_err(|error| {
            tracing::error!(panicked = error.is_panic(), "webhook processing failed");
            failed()
        })
    }
}
