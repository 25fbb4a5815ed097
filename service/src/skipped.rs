//! What a job left out, and why: for its result.

use serde::{Deserialize, Serialize};

/// As many examples are kept of each reason.
const EXAMPLES: usize = 5;

/// Things that were left out for the same reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The reason, a word in capitals.
    pub reason: String,
    /// How many they are.
    pub count: i64,
    /// The ids of a few of them.
    #[serde(default)]
    pub examples: Vec<String>,
}

impl Skipped {
    /// How many were left out, for whatever reason.
    #[must_use]
    pub fn total(list: &[Self]) -> i64 {
        list.iter().map(|skipped| skipped.count).sum()
    }

    /// Counts one more, in the order in which the reasons were met first. `example` is its id; empty for none.
    pub fn add(list: &mut Vec<Self>, reason: &str, example: &str) {
        let place = list.iter().position(|skipped| skipped.reason == reason).unwrap_or_else(|| {
            list.push(Self { reason: reason.to_owned(), count: 0, examples: Vec::new() });
            list.len() - 1
        });
        if let Some(skipped) = list.get_mut(place) {
            skipped.count += 1;
            if !example.is_empty() && skipped.examples.len() < EXAMPLES {
                skipped.examples.push(example.to_owned());
            }
        }
    }
}
