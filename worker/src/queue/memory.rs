//! The queue within a process.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use apalis::prelude::{
    MemorySink, MemoryStorage, MemoryStorageError, Monitor, Task, TaskSink, WorkerBuilder, WorkerBuilderExt,
};
use futures::channel::mpsc;
use futures::{SinkExt, StreamExt};
use service::jobs::Queue;
use tokio_util::sync::CancellationToken;

use super::{Handler, MOST, Pointer, queue_name, until_shutdown, worker_name};
use crate::error::WorkerError;

/// Queues within this process; clones share them.
#[derive(Clone, Default)]
pub struct MemoryQueues(Arc<Mutex<HashMap<Queue, Ends>>>);

type Sender = mpsc::UnboundedSender<Task<Pointer>>;
type Receiver = mpsc::UnboundedReceiver<Task<Pointer>>;

struct Ends {
    sender: Sender,
    receiver: Option<Receiver>,
    /// Pointers that nobody has taken yet.
    waiting: Arc<AtomicUsize>,
}

impl Default for Ends {
    fn default() -> Self {
        let (sender, receiver) = mpsc::unbounded();
        Self { sender, receiver: Some(receiver), waiting: Arc::default() }
    }
}

fn storage(sender: Sender, receiver: Receiver) -> MemoryStorage<Pointer> {
    let sender = sender.sink_map_err(MemoryStorageError::from);
    let sink = MemorySink::new(Arc::new(futures::lock::Mutex::new(Box::new(sender))));
    MemoryStorage::new_with(sink, receiver.boxed())
}

impl MemoryQueues {
    fn ends(&self, queue: Queue) -> (Sender, Arc<AtomicUsize>) {
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ends = queues.entry(queue).or_default();
        (ends.sender.clone(), ends.waiting.clone())
    }

    pub(super) fn room(&self, queue: Queue) -> usize {
        MOST.saturating_sub(self.ends(queue).1.load(Ordering::Relaxed))
    }

    pub(super) async fn push(&self, queue: Queue, pointers: &[Pointer]) -> Result<usize, WorkerError> {
        let (_unused, receiver) = mpsc::unbounded();
        let (sender, waiting) = self.ends(queue);
        let room = MOST.saturating_sub(waiting.load(Ordering::Relaxed)).min(pointers.len());
        let mut storage = storage(sender, receiver);
        for pointer in pointers.iter().take(room) {
            waiting.fetch_add(1, Ordering::Relaxed);
            storage.push(*pointer).await.map_err(|error| WorkerError::Queue(error.to_string()))?;
        }

        Ok(room)
    }

    pub(super) async fn consume(
        self,
        queue: Queue,
        concurrency: usize,
        handler: Handler,
        shutdown: CancellationToken,
    ) -> Result<(), WorkerError> {
        let receiver = {
            let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            queues.entry(queue).or_default().receiver.take().ok_or(WorkerError::Taken)?
        };
        let (sender, waiting) = self.ends(queue);
        let handler: Handler = Arc::new(move |pointer| {
            waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1)).ok();
            handler(pointer)
        });
        let backend = Mutex::new(Some(storage(sender, receiver)));
        let monitor = Monitor::new().register(move |_restarts| {
            let handler = handler.clone();
            // It is made once: nothing restarts it, because memory does not fail.
            let backend = backend.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
            WorkerBuilder::new(worker_name(queue))
                .backend(backend)
                .concurrency(concurrency)
                .build(move |pointer: Pointer| super::work(&handler, pointer))
        });
        until_shutdown(queue_name(queue), shutdown, monitor).await
    }
}
