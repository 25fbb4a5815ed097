//! What was left out, and why.

use async_graphql::{ID, SimpleObject};
use service::skipped::Skipped;

use super::node::Key;
use super::scalars::int;

/// Things that were left out for the same reason.
#[derive(SimpleObject)]
pub struct SkippedCount {
    /// Why: a word in capitals, such as RESPONDED. Which ones there are is said where they come from.
    reason: String,
    /// How many.
    count: i32,
    /// The global ids of a few of them, for `node`.
    examples: Vec<ID>,
}

impl SkippedCount {
    /// So many for this reason, among them `examples`.
    pub(super) fn new(reason: impl Into<String>, count: i64, examples: impl IntoIterator<Item = Key>) -> Self {
        Self { reason: reason.into(), count: int(count), examples: examples.into_iter().map(Key::id).collect() }
    }

    /// As a job has counted them; `key` says what an example stands for.
    pub(super) fn of_job(skipped: Skipped, key: impl Fn(&str) -> Option<Key>) -> Self {
        let examples: Vec<Key> = skipped.examples.iter().filter_map(|example| key(example)).collect();
        Self::new(skipped.reason, skipped.count, examples)
    }
}
