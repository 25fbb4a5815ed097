//! How the installation is, for `/readyz` and the start page.

use api::health::{DatabaseHealth, Health, Probe, QueueHealth};
use futures::future::BoxFuture;
use service::Db;
use worker::queue::Queues;

/// Looks at the database and the queue.
pub struct InstallationProbe {
    db: Db,
    queues: Queues,
}

impl InstallationProbe {
    /// Of this database and these queues.
    pub const fn new(db: Db, queues: Queues) -> Self {
        Self { db, queues }
    }

    async fn database(&self) -> DatabaseHealth {
        if self.db.ping().await.is_err() {
            return DatabaseHealth::Unreachable;
        }
        match migration::missing(self.db.read()).await {
            Ok(pending) if pending.is_empty() => DatabaseHealth::Ready,
            Ok(_) => DatabaseHealth::NotMigrated,
            Err(_) => DatabaseHealth::Unreachable,
        }
    }

    async fn queue(&self) -> QueueHealth {
        match &self.queues {
            Queues::Memory(_) => QueueHealth::Memory,
            Queues::Redis(_) if self.queues.is_up().await => QueueHealth::Redis,
            Queues::Redis(_) => QueueHealth::RedisUnreachable,
        }
    }
}

impl Probe for InstallationProbe {
    fn check(&self) -> BoxFuture<'_, Health> {
        Box::pin(async {
            let (database, queue) = futures::join!(self.database(), self.queue());
            Health { database, queue }
        })
    }
}
