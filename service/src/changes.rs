//! Telling those who watch a campaign that its figures have changed.

use tokio::sync::broadcast;

/// Within a process: the ids of campaigns whose figures changed. Cheap to clone.
///
/// Who falls behind is told so by the channel and simply looks again: nothing depends on every single message.
#[derive(Clone, Debug)]
pub struct Changes(broadcast::Sender<i64>);

impl Default for Changes {
    fn default() -> Self {
        Self(broadcast::channel(1_024).0)
    }
}

impl Changes {
    /// Tells that the figures of a campaign changed. Nobody listening is fine.
    pub fn publish(&self, campaign: i64) {
        self.0.send(campaign).ok();
    }

    /// Tells `others` whatever is told here; never ends.
    pub async fn forward(&self, others: &Self) {
        let mut changed = self.subscribe();
        loop {
            match changed.recv().await {
                Ok(campaign) => others.publish(campaign),
                // Some were missed; each campaign that goes on changing is told again.
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }

    /// From now on, the campaigns that change.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<i64> {
        self.0.subscribe()
    }
}
