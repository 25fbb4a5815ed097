//! The queue within a process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use apalis::prelude::{
    MemorySink, MemoryStorage, MemoryStorageError, Monitor, Task, TaskSink, WorkerBuilder, WorkerBuilderExt,
};
use futures::channel::mpsc;
use futures::{SinkExt, StreamExt};
use service::jobs::Queue;
use tokio_util::sync::CancellationToken;

use super::{Handler, Pointer, drained, worker_name};
use crate::error::WorkerError;

/// Queues within this process; clones share them.
#[derive(Clone, Default)]
pub struct MemoryQueues(Arc<Mutex<HashMap<Queue, Ends>>>);

type Sender = mpsc::UnboundedSender<Task<Pointer>>;
type Receiver = mpsc::UnboundedReceiver<Task<Pointer>>;

struct Ends {
    sender: Sender,
    receiver: Option<Receiver>,
}

impl Default for Ends {
    fn default() -> Self {
        let (sender, receiver) = mpsc::unbounded();
        Self { sender, receiver: Some(receiver) }
    }
}

fn storage(sender: Sender, receiver: Receiver) -> MemoryStorage<Pointer> {
    let sender = sender.sink_map_err(MemoryStorageError::from);
    let sink = MemorySink::new(Arc::new(futures::lock::Mutex::new(Box::new(sender))));
    MemoryStorage::new_with(sink, receiver.boxed())
}

impl MemoryQueues {
    fn sender(&self, queue: Queue) -> Sender {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(queue).or_default().sender.clone()
    }

    pub(super) async fn push(&self, queue: Queue, pointers: &[Pointer]) -> Result<(), WorkerError> {
        let (_unused, receiver) = mpsc::unbounded();
        let mut storage = storage(self.sender(queue), receiver);
        for pointer in pointers {
            storage.push(*pointer).await.map_err(|error| WorkerError::Queue(error.to_string()))?;
        }
        Ok(())
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
        let backend = Mutex::new(Some(storage(self.sender(queue), receiver)));
        let monitor = Monitor::new().register(move |_restarts| {
            let handler = handler.clone();
            // It is made once: nothing restarts it, because memory does not fail.
            let backend = backend.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
            WorkerBuilder::new(worker_name(queue))
                .backend(backend)
                .concurrency(concurrency)
                .build(move |pointer: Pointer| super::work(&handler, pointer))
        });
        drained(queue, shutdown, monitor).await
    }
}
