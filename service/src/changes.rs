//! Telling those who watch something that it has changed.

use std::fmt;
use std::future::ready;
use std::str::FromStr;

use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// The figures of the campaign with this id.
    Campaign(i64),
    /// State or progress of the job with this id.
    Job(i64),
}

/// As it is told to other processes: `campaign 1`.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Campaign(id) => write!(f, "campaign {id}"),
            Self::Job(id) => write!(f, "job {id}"),
        }
    }
}

/// A change of a kind that this version does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a change that this version knows")]
pub struct UnknownChange;

impl FromStr for Change {
    type Err = UnknownChange;

    fn from_str(text: &str) -> Result<Self, UnknownChange> {
        let (kind, id) = text.split_once(' ').ok_or(UnknownChange)?;
        let id = id.parse().map_err(|_| UnknownChange)?;
        match kind {
            "campaign" => Ok(Self::Campaign(id)),
            "job" => Ok(Self::Job(id)),
            _ => Err(UnknownChange),
        }
    }
}

/// Within a process: what changed. Cheap to clone.
///
/// Who falls behind is told so by the channel and simply looks again: nothing depends on every single message.
#[derive(Clone, Debug)]
pub struct Changes(broadcast::Sender<Change>);

impl Default for Changes {
    fn default() -> Self {
        Self(broadcast::channel(1_024).0)
    }
}

impl Changes {
    /// Tells that something changed. Nobody listening is fine.
    pub fn publish(&self, change: Change) {
        self.0.send(change).ok();
    }

    /// Tells `others` whatever is told here; never ends.
    pub async fn forward(&self, others: &Self) {
        let mut changed = self.subscribe();
        loop {
            match changed.recv().await {
                Ok(change) => others.publish(change),
                // Some were missed; whatever goes on changing is told again.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// From now on, what changes.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.0.subscribe()
    }

    /// From now on, an item for each change of this one thing; ends when the program does. Several changes may become one item.
    #[must_use]
    pub fn of(&self, one: Change) -> BoxStream<'static, ()> {
        let changes = stream::unfold(self.subscribe(), async |mut changes| match changes.recv().await {
            Ok(changed) => Some((Some(changed), changes)),
            // Some were missed: this one's may be among them.
            Err(RecvError::Lagged(_)) => Some((None, changes)),
            Err(RecvError::Closed) => None,
        });
        let mine = move |changed: &Option<Change>| ready(changed.is_none_or(|changed| changed == one));
        changes.filter(mine).map(|_| ()).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_read_as_they_are_written() {
        for change in [Change::Campaign(1), Change::Job(i64::MAX)] {
            assert_eq!(change.to_string().parse(), Ok(change));
        }
        for other in ["", "1", "campaign", "campaign x", "weather 1"] {
            assert_eq!(other.parse::<Change>(), Err(UnknownChange), "{other}");
        }
    }

    #[tokio::test]
    async fn one_thing_is_watched_among_others() {
        let changes = Changes::default();
        let mut watched = changes.of(Change::Job(1));
        for change in [Change::Campaign(1), Change::Job(2), Change::Job(1)] {
            changes.publish(change);
        }
        drop(changes);
        assert_eq!((watched.next().await, watched.next().await), (Some(()), None));
    }
}
