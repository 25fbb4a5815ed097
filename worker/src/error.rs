//! What can go wrong in the background.

/// A failure of the background work as a whole; single jobs that fail are written down with them.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// A use case failed.
    #[error(transparent)]
    Service(#[from] service::ServiceError),
    /// Redis failed.
    #[error("Redis failed")]
    Redis(#[from] redis::RedisError),
    /// The queue failed.
    #[error("the queue failed: {0}")]
    Queue(String),
    /// The queue in memory is there for one process: another one cannot work on it.
    #[error("the queue in memory has been taken already")]
    Taken,
    /// The board shows what is in Redis.
    #[error("the queue is in memory: there is nothing that the board could show")]
    NoBoard,
    /// An address could not be served.
    #[error("an address could not be served")]
    Io(#[from] std::io::Error),
}
