//! The threads that execute GraphQL, apart from those that speak HTTP.
//!
//! Validating and resolving a document, and writing a large answer, is work without a pause: on a thread that also serves `/ingest` and
//! `/healthz` it would keep them waiting. Here a request may take its time, and may panic: whoever waits for it gets an error. The
//! stacks are large enough for the deepest input that the limits let through.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::channel::mpsc;
use futures::stream::BoxStream;
use futures::{SinkExt, StreamExt};
use service::Services;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::Instrument;

/// The stack of each thread: several times what 128 levels of nested input need in an unoptimised build.
const STACK_BYTES: usize = 32 * 1024 * 1024;

/// Messages of a subscription that may wait for a slow client; the subscription waits then.
const WAITING: usize = 4;

/// Threads with a runtime and connections of their own each; cheap to clone. They end with the last clone.
#[derive(Clone)]
pub struct GraphqlThreads(Arc<Inner>);

struct Inner {
    threads: Vec<Thread>,
    _stop: DropGuard,
}

struct Thread {
    runtime: Handle,
    services: Services,
    busy: Arc<AtomicUsize>,
}

impl GraphqlThreads {
    /// Starts `count` threads over these services.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub async fn start(services: &Services, count: usize) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let guard = stop.clone().drop_guard();
        let mut threads = Vec::with_capacity(count);
        for number in 0..count.max(1) {
            let (services, stop) = (services.clone(), stop.clone());
            // As many threads speak HTTP, and have connections as well.
            let of = u32::try_from(2 * count).unwrap_or(u32::MAX);
            let (started, wait) = oneshot::channel();
            std::thread::Builder::new().name(format!("graphql-{number}")).stack_size(STACK_BYTES).spawn(move || {
                let runtime = Builder::new_current_thread().enable_all().build();
                let built = runtime.map(|runtime| {
                    let _context = runtime.enter();
                    // Connections belong to the runtime that opens them.
                    let services = services.of_thread(of);
                    (runtime.handle().clone(), services, runtime)
                });
                let (answer, runtime) = match built {
                    Ok((handle, services, runtime)) => (Ok((handle, services)), Some(runtime)),
                    Err(error) => (Err(error), None),
                };
                let is_wanted = started.send(answer).is_ok();
                if let Some(runtime) = runtime.filter(|_| is_wanted) {
                    runtime.block_on(stop.cancelled());
                }
            })?;
            let (runtime, services) = wait.await.map_err(io::Error::other)??;
            threads.push(Thread { runtime, services, busy: Arc::default() });
        }
        Ok(Self(Arc::new(Inner { threads, _stop: guard })))
    }

    /// Executes work on the thread that has least to do. Where the caller goes away, the work is dropped at its next pause.
    ///
    /// # Errors
    /// Where the work panicked, or the threads have ended.
    pub async fn run<T, F>(&self, work: impl FnOnce(Services) -> F) -> Result<T, JoinError>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let Some(thread) = self.idlest() else { std::future::pending().await };
        let busy = Busy::new(&thread.busy);
        let work = work(thread.services.clone());
        let task = thread.runtime.spawn(
            async move {
                let _busy = busy;
                work.await
            }
            .in_current_span(),
        );
        AbortOnDrop(task).join().await
    }

    /// Has a stream made and read on one of the threads.
    pub fn stream<T: Send + 'static>(
        &self,
        make: impl FnOnce(Services) -> BoxStream<'static, T> + Send + 'static,
    ) -> BoxStream<'static, T> {
        let Some(thread) = self.idlest() else { return futures::stream::empty().boxed() };
        let (mut sender, receiver) = mpsc::channel(WAITING);
        let (busy, services) = (Busy::new(&thread.busy), thread.services.clone());
        let task = thread.runtime.spawn(
            async move {
                let _busy = busy;
                let mut stream = make(services);
                while let Some(item) = stream.next().await {
                    if sender.send(item).await.is_err() {
                        return;
                    }
                }
            }
            .in_current_span(),
        );
        let task = AbortOnDrop(task);
        receiver
            .map(move |item| {
                let _until_the_end = &task;
                item
            })
            .boxed()
    }

    fn idlest(&self) -> Option<&Thread> {
        self.0.threads.iter().min_by_key(|thread| thread.busy.load(Ordering::Relaxed))
    }
}

/// Counts work that a thread has.
struct Busy(Arc<AtomicUsize>);

impl Busy {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A task that ends with whoever waits for it.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> AbortOnDrop<T> {
    async fn join(mut self) -> Result<T, JoinError> {
        (&mut self.0).await
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;
    use crate::testing::Installation;

    async fn threads(count: usize) -> (Installation, GraphqlThreads) {
        let it = Installation::new().await;
        let threads = GraphqlThreads::start(&it.services, count).await.expect("threads");
        (it, threads)
    }

    #[tokio::test]
    async fn a_panic_reaches_only_who_asked() {
        let (_it, threads) = threads(1).await;
        let panicked = threads.run(|_| async { panic!("on purpose") }).await;
        assert!(panicked.is_err_and(|error: JoinError| error.is_panic()));
        assert_eq!(threads.run(|_| async { 1 }).await.expect("it goes on"), 1);
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_is_dropped() {
        let (_it, threads) = threads(1).await;
        let (begun, wait) = oneshot::channel();
        let (held, dropped) = oneshot::channel::<()>();
        let threads_of_task = threads.clone();
        let asking = tokio::spawn(async move {
            threads_of_task
                .run(|_| async move {
                    begun.send(()).expect("waited for");
                    pending::<()>().await;
                    drop(held);
                })
                .await
        });
        wait.await.expect("begun");
        asking.abort();
        assert!(dropped.await.is_err());
        while threads.0.threads[0].busy.load(Ordering::Relaxed) > 0 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_busy_thread_leaves_work_to_the_other() {
        let (_it, threads) = threads(2).await;
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let blocked = {
            let threads = threads.clone();
            tokio::spawn(async move { threads.run(|_| async move { wait.recv() }).await })
        };
        while threads.0.threads.iter().all(|thread| thread.busy.load(Ordering::Relaxed) == 0) {
            tokio::task::yield_now().await;
        }
        for number in 0..10 {
            assert_eq!(threads.run(|_| async move { number }).await.expect("done"), number);
        }
        release.send(()).expect("waited for");
        blocked.await.expect("no panic").expect("done").expect("released");
    }

    #[tokio::test]
    async fn a_stream_ends_where_its_source_does() {
        let (_it, threads) = threads(1).await;
        let numbers: Vec<i32> = threads.stream(|_| futures::stream::iter(0..100).boxed()).collect().await;
        assert_eq!(numbers, (0..100).collect::<Vec<_>>());
    }
}
