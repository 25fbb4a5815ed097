//! What has changed, told across processes through Redis.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt;
use redis::Client;
use service::changes::Changes;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::error::WorkerError;

const CHANNEL: &str = "nachfass-changes";
/// Changes of one thing are told at most this often.
const GATHER: Duration = Duration::from_millis(200);
const RETRY: Duration = Duration::from_secs(2);

/// Publishes what this process changes, until `shutdown`.
pub async fn publish(url: String, changes: Changes, shutdown: CancellationToken) {
    retried(&shutdown, || publish_once(&url, &changes)).await;
}

/// Hears what other processes change, and tells it within this one, until `shutdown`.
pub async fn listen(url: String, changes: Changes, shutdown: CancellationToken) {
    retried(&shutdown, || listen_once(&url, &changes)).await;
}

async fn retried<F: Future<Output = Result<(), WorkerError>>>(shutdown: &CancellationToken, attempt: impl Fn() -> F) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            result = attempt() => if let Err(error) = result {
                tracing::debug!(error = %error, "changes are not told across processes for now");
            },
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}

async fn publish_once(url: &str, changes: &Changes) -> Result<(), WorkerError> {
    let mut connection = Client::open(url)?.get_multiplexed_async_connection().await?;
    let mut changed = changes.subscribe();
    loop {
        let mut gathered = BTreeSet::new();
        match changed.recv().await {
            Ok(change) => gathered.insert(change),
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return Ok(()),
        };
        tokio::time::sleep(GATHER).await;
        while let Ok(change) = changed.try_recv() {
            gathered.insert(change);
        }
        let mut pipe = redis::pipe();
        gathered.iter().for_each(|change| {
            pipe.publish(CHANNEL, change.to_string()).ignore();
        });
        pipe.query_async::<()>(&mut connection).await?;
    }
}

async fn listen_once(url: &str, changes: &Changes) -> Result<(), WorkerError> {
    let mut subscription = Client::open(url)?.get_async_pubsub().await?;
    subscription.subscribe(CHANNEL).await?;
    let mut messages = subscription.on_message();
    while let Some(message) = messages.next().await {
        // A version beside this one may tell of things that this one does not know.
        if let Some(change) = message.get_payload::<String>().ok().and_then(|text| text.parse().ok()) {
            changes.publish(change);
        }
    }
    Ok(())
}
