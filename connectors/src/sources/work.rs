//! Work on large bodies, away from the threads that serve HTTP.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::Denied;

/// Smaller bodies are worked on at once: that takes less than a millisecond.
const SMALL: usize = 64 * 1024;

/// Where bodies are verified and read. Few large ones at a time: each takes several times its own size.
#[derive(Clone)]
pub struct Workbench(Arc<Semaphore>);

impl Default for Workbench {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self(Arc::new(Semaphore::new((cores / 2).clamp(1, 4))))
    }
}

impl Workbench {
    /// Does work on a body of so many bytes. Who waits here holds bytes of the total that all requests share, so few do.
    ///
    /// # Errors
    /// [`Denied::Unavailable`] where the work panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        size: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Denied> {
        if size <= SMALL {
            return Ok(work());
        }
        let failed = || Denied::Unavailable("the body could not be looked at".to_owned());
        let permit = self.0.clone().acquire_owned().await.map_err(|_closed| failed())?;
        // The permit goes along: the work goes on where the client hangs up.
        let work = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        });
        work.await.map_err(|error| {
            tracing::error!(panicked = error.is_panic(), "work on a body failed");
            failed()
        })
    }
}
