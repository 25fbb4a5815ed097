//! How much one body may hold. The limits are the same for every provider, and hold before anything is expanded: a few kilobytes of
//! JSON can be a tree of megabytes, and one notification about many recipients repeats for each what it says once.

use domain::Event;
use domain::reading::{BadElement, ReadError, Reading};
use serde_json::Value;

/// As many events may be in one body: twice as many as the largest batch of any provider.
pub const MAX_EVENTS: usize = 20_000;
/// As much memory may a JSON document, or an element of a batch, take as a tree.
pub const MAX_TREE: usize = 16 << 20;
/// As much memory may the events of a body take.
pub const MAX_READING: usize = 32 << 20;
/// As many fields may a form, or the outermost object of a body, have.
pub const MAX_FIELDS: usize = 1_000;
/// As many tags of an event are looked at.
pub const MAX_TAGS: usize = 100;
/// Longer texts are cut: keys of more than 512 bytes are passed over, and of answers and links 4 KB are kept.
pub const MAX_TEXT: usize = 4_096;

/// A smaller document cannot take more than a few megabytes, whatever is in it.
const SURELY_SMALL: usize = 64 * 1024;

/// About how many bytes a JSON document takes as a [`Value`]: an object has nodes of eleven entries each, whatever it holds.
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

/// Whether a document may be made a tree.
#[must_use]
pub fn is_bounded(json: &[u8]) -> bool {
    json.len() <= SURELY_SMALL || tree_size(json) <= MAX_TREE
}

/// An element of a batch as a tree, or why it cannot be one.
///
/// # Errors
/// The reason, without content.
pub fn tree(json: &[u8]) -> Result<Value, String> {
    if !is_bounded(json) {
        return Err(format!("the element would take more than {} MB of memory", MAX_TREE >> 20));
    }
    serde_json::from_slice(json).map_err(|_error| "the element is not JSON, or is nested too deeply".to_owned())
}

/// A text, cut where it is too long.
#[must_use]
pub fn cut(text: String) -> String {
    if text.len() <= MAX_TEXT { text } else { beginning(&text).to_owned() }
}

/// The beginning of a text: all of it, unless it is too long.
#[must_use]
pub fn beginning(text: &str) -> &str {
    let end = (0..=text.len().min(MAX_TEXT)).rev().find(|end| text.is_char_boundary(*end));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}

/// What is read of a body, as far as it may go.
#[derive(Debug, Default)]
pub struct Bounded {
    reading: Reading,
    size: usize,
}

impl Bounded {
    /// Adds what an element holds, or why it holds nothing.
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
            let reason = format!("its events would take more than {} MB of memory", MAX_READING >> 20);
            return Err(ReadError::TooMuch(reason));
        }
        Ok(())
    }

    /// What was read.
    #[must_use]
    pub fn finish(self) -> Reading {
        self.reading
    }
}

/// The body holds too many events.
#[must_use]
pub fn too_many() -> ReadError {
    ReadError::TooMuch(format!("more than {MAX_EVENTS} events"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_texts_makes_no_tree() {
        let text = br#""{[,:\"{[,:""#;
        assert_eq!(tree_size(text), text.len());
        assert!(tree_size(b"[{},{}]") > 1_000);
    }

    #[test]
    fn a_small_document_that_makes_a_large_tree_is_refused() {
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
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("ab".to_owned()), "ab");
        let long = cut(format!("a{}", "ä".repeat(MAX_TEXT)));
        assert_eq!(long.len(), MAX_TEXT - 1);
    }
}
