//! Files that people upload: recipients as CSV or JSON Lines, packed or not.

use service::fuzzing::{Read, read_recipients};
use service::import::Format;

/// Longer files only take longer.
const MAX_FILE: usize = 256 << 10;

/// A file whose format is found out; most are CSV.
pub fn csv(data: &[u8]) {
    check(data, None);
}

/// JSON Lines.
pub fn json_lines(data: &[u8]) {
    check(data, Some(Format::JsonLines));
}

fn check(data: &[u8], format: Option<Format>) {
    if data.len() > MAX_FILE {
        return;
    }
    let Some(Read { rows, issues, lines }) = read_recipients(data.to_vec(), format) else { return };
    assert!(lines.is_sorted_by(|one, next| one < next), "records out of order: {lines:?}");
    assert_eq!(lines.len(), rows.len() + issues, "a record was lost");
    for key in rows {
        assert!(!key.is_empty() && key == key.trim(), "a recipient without an address");
    }
}
