//! What becomes of requests to sources: counted, and the rejected ones written to the log, once in a while each.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, PoisonError};

use domain::Timestamp;
use domain::source::{RejectionReason, SourceOutcome};
use service::sources::SourceTally;

/// Between two lines about the same source and reason, in seconds.
const PAUSE_SECONDS: i64 = 60;

/// Names of sources that are not configured and have a line of their own. Further ones share one: anybody can think of names.
const MAX_UNKNOWN: usize = 32;

/// What stands for all further names.
const OTHERS: &str = "(others)";

/// The longest name of a source that is not configured, as it is logged.
const MAX_NAME: usize = 64;

/// A line of the log about a source and a reason.
struct Line {
    /// When the last one was written.
    written_at: Timestamp,
    /// Rejected since.
    silent: u64,
}

/// Counts and logs.
pub struct Rejections {
    tally: SourceTally,
    lines: Mutex<HashMap<(String, RejectionReason), Line>>,
}

impl Rejections {
    /// With these counts.
    pub fn new(tally: SourceTally) -> Self {
        Self { tally, lines: Mutex::default() }
    }

    /// A request to a configured source was accepted.
    pub fn accepted(&self, source: &str, at: Timestamp) {
        self.tally.count(Some(source), SourceOutcome::Accepted, at);
    }

    /// A request was rejected, for this reason; `detail` is fit for the log.
    pub fn rejected(&self, source: &str, reason: RejectionReason, detail: &str, at: Timestamp) {
        let is_unknown = reason == RejectionReason::UnknownSource;
        self.tally.count((!is_unknown).then_some(source), SourceOutcome::Rejected(reason), at);
        let name = if is_unknown { sanitised(source) } else { source.to_owned() };
        let Some((source, requests)) = self.due(name, reason, at) else { return };
        tracing::warn!(source, reason = reason.as_str(), detail, requests, "webhook rejected");
    }

    /// The source to log and how many requests the line stands for; `None` where there was a line about it just now.
    fn due(&self, name: String, reason: RejectionReason, at: Timestamp) -> Option<(String, u64)> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = (name, reason);
        if reason == RejectionReason::UnknownSource && !lines.contains_key(&key) {
            let known = lines.keys().filter(|(_, reason)| *reason == RejectionReason::UnknownSource).count();
            if known >= MAX_UNKNOWN {
                key.0 = OTHERS.to_owned();
            }
        }
        let source = key.0.clone();
        let requests = match lines.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(Line { written_at: at, silent: 0 });
                1
            }
            Entry::Occupied(mut entry) => {
                let line = entry.get_mut();
                line.silent += 1;
                if at.since(line.written_at) < PAUSE_SECONDS * 1_000_000 {
                    return None;
                }
                line.written_at = at;
                std::mem::take(&mut line.silent)
            }
        };
        Some((source, requests))
    }
}

/// A name that a stranger chose, fit for the log.
fn sanitised(name: &str) -> String {
    let fit = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_');
    name.chars().take(MAX_NAME).map(|character| if fit(character) { character } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(1_767_225_600_000_000).plus_seconds(seconds)
    }

    fn due(rejections: &Rejections, name: &str, reason: RejectionReason, seconds: i64) -> Option<(String, u64)> {
        rejections.due(name.to_owned(), reason, at(seconds))
    }

    #[test]
    fn each_source_and_reason_has_a_line_a_minute() {
        let rejections = Rejections::new(SourceTally::default());
        let invalid = RejectionReason::SignatureInvalid;
        assert_eq!(due(&rejections, "shop", invalid, 0), Some(("shop".to_owned(), 1)));
        assert_eq!(due(&rejections, "shop", RejectionReason::Topic, 1), Some(("shop".to_owned(), 1)));
        assert_eq!(due(&rejections, "news", invalid, 1), Some(("news".to_owned(), 1)));
        for second in 1..60 {
            assert_eq!(due(&rejections, "shop", invalid, second), None);
        }
        assert_eq!(due(&rejections, "shop", invalid, 60), Some(("shop".to_owned(), 60)));
        assert_eq!(due(&rejections, "shop", invalid, 61), None);
    }

    #[test]
    fn names_that_strangers_choose_are_few_short_and_harmless() {
        let rejections = Rejections::new(SourceTally::default());
        let unknown = RejectionReason::UnknownSource;
        for number in 0..MAX_UNKNOWN {
            assert!(due(&rejections, &number.to_string(), unknown, 0).is_some());
        }
        assert_eq!(due(&rejections, "one more", unknown, 0), Some((OTHERS.to_owned(), 1)));
        assert_eq!(due(&rejections, "and another", unknown, 1), None);
        assert_eq!(due(&rejections, "0", unknown, 61), Some(("0".to_owned(), 1)));
        assert_eq!(rejections.lines.lock().expect("unharmed").len(), MAX_UNKNOWN + 1);
        assert_eq!(sanitised("erika@example.com\n\u{1b}[31m"), "erika?example?com???31m");
        assert_eq!(sanitised(&"x".repeat(1_000)).len(), MAX_NAME);
    }
}
