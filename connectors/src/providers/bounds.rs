//! Limits on the content of one body, the same for every provider. They apply before anything is expanded: a few kilobytes of JSON can
//! become megabytes of tree, and a notification about many recipients repeats its common part for each of them.

use domain::Event;
use domain::reading::{BadElement, ReadError, Reading};
use serde_json::Value;

/// Maximum number of events in one body; the largest batches of any provider have about half as many.
pub const MAX_EVENTS: usize = 20_000;
/// Maximum estimated memory of a JSON document, or of one element of a batch, as a tree, in bytes.
pub const MAX_TREE: usize = 16 << 20;
/// Maximum estimated memory of all events of a body, in bytes.
pub const MAX_READING: usize = 32 << 20;
/// Maximum number of fields of a form, and of the outermost object of a body.
pub const MAX_FIELDS: usize = 1_000;
/// Maximum number of tags of an event; further ones are ignored.
pub const MAX_TAGS: usize = 100;
/// Maximum length of a text, in bytes; longer ones are truncated. (Keys longer than 512 bytes are ignored later.)
pub const MAX_TEXT: usize = 4_096;

/// Documents up to this size need no estimate: they take a few megabytes at most.
const SURELY_SMALL: usize = 64 * 1024;

/// Estimates the memory of a JSON document as a [`Value`], in bytes. Objects are expensive: a B-tree node has room for eleven entries.
#[must_use]
pub fn tree_size(json: &[u8]) -> usize {
    const OBJECT: usize = 640;
    const LIST: usize = 64;
    const SEPARATOR: usize = 64;
    const ENTRY: usize = 96;
    let (mut size, mut in_text, mut escaped) = (json.len(), false, false);
    for byte in json {
        size += match byte {
            _ if escaped => {
                escaped = false;
                0
            }
            b'\\' if in_text => {
                escaped = true;
                0
            }
            b'"' => {
                in_text = !in_text;
                0
            }
            _ if in_text => 0,
            b'{' => OBJECT,
            b'[' => LIST,
            b',' => SEPARATOR,
            b':' => ENTRY,
            _ => 0,
        };
    }
    size
}

/// Whether a document is small enough to be parsed into a tree.
#[must_use]
pub fn is_bounded(json: &[u8]) -> bool {
    json.len() <= SURELY_SMALL || tree_size(json) <= MAX_TREE
}

/// Parses an element of a batch.
///
/// # Errors
/// The reason, without content.
pub fn tree(json: &[u8]) -> Result<Value, String> {
    if !is_bounded(json) {
        return Err(format!("the element is too complex: parsed, it would take more than {} MB", MAX_TREE >> 20));
    }
    serde_json::from_slice(json).map_err(|_error| "the element is not valid JSON or is nested too deeply".to_owned())
}

/// Truncates a text to [`MAX_TEXT`].
#[must_use]
pub fn cut(text: String) -> String {
    if text.len() <= MAX_TEXT { text } else { beginning(&text).to_owned() }
}

/// The first [`MAX_TEXT`] bytes of a text.
#[must_use]
pub fn beginning(text: &str) -> &str {
    let end = (0..=text.len().min(MAX_TEXT)).rev().find(|end| text.is_char_boundary(*end));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}

/// Collects what is read from a body, within the limits.
#[derive(Debug, Default)]
pub struct Collector {
    reading: Reading,
    size: usize,
}

impl Collector {
    /// Adds an element's event, or the reason why it has none.
    ///
    /// # Errors
    /// [`ReadError::TooMuch`].
    pub fn add(&mut self, element: Result<Event, String>) -> Result<(), ReadError> {
        let index = self.reading.events.len() + self.reading.failures.len();
        if index >= MAX_EVENTS {
            return Err(too_many());
        }
        match element {
            Ok(event) => {
                self.size = self.size.saturating_add(event.size(self.reading.events.last()));
                self.reading.events.push(event);
            }
            Err(reason) => self.reading.failures.push(BadElement { index, reason }),
        }
        if self.size > MAX_READING {
            let reason = format!("its events would take more than {} MB", MAX_READING >> 20);
            return Err(ReadError::TooMuch(reason));
        }
        Ok(())
    }

    /// The result.
    #[must_use]
    pub fn finish(self) -> Reading {
        self.reading
    }
}

/// The error for a body with more than [`MAX_EVENTS`] events.
#[must_use]
pub fn too_many() -> ReadError {
    ReadError::TooMuch(format!("more than {MAX_EVENTS} events"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_in_strings_do_not_count() {
        let text = br#""{[,:\"{[,:""#;
        assert_eq!(tree_size(text), text.len());
        assert!(tree_size(b"[{},{}]") > 1_000);
    }

    #[test]
    fn small_documents_with_large_trees_are_refused() {
        let objects = format!("[{}{{}}]", r#"{"":0},"#.repeat(40_000));
        let lists = format!("[{}0]", "[],".repeat(200_000));
        for json in [objects, lists] {
            assert!(json.len() < 700_000);
            assert!(tree(json.as_bytes()).is_err());
        }
        let text = format!("\"{}\"", "[{,:".repeat(1_000_000));
        assert!(tree(text.as_bytes()).is_ok());
    }

    #[test]
    fn texts_are_truncated_at_character_boundaries() {
        assert_eq!(cut("ab".to_owned()), "ab");
        let long = cut(format!("a{}", "ä".repeat(MAX_TEXT)));
        assert_eq!(long.len(), MAX_TEXT - 1);
    }
}
