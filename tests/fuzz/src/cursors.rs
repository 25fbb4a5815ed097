//! Cursors and global ids.

use std::sync::LazyLock;

use service::cursor::CursorKey;

use crate::input::{line, text};

pub(crate) static KEY: LazyLock<CursorKey> = LazyLock::new(|| CursorKey::derive(&[7; 32]));

/// What the places of our lists look like.
type Place = (Option<String>, i64);

/// The list on the first line, the cursor behind it.
///
/// Nothing that opens can be changed, and what is not a cursor is sealed as a place and must come back.
pub fn cursor(data: &[u8]) {
    let (scope, rest) = line(data);
    let cursor = text(rest);
    if let Ok(place) = KEY.open::<Place>(&scope, &cursor) {
        assert_eq!(KEY.seal(&scope, &place).expect("sealed"), cursor, "two cursors for one place");
    }
    KEY.open::<serde_json::Value>(&scope, &cursor).ok();
    let place: Place = (Some(cursor), i64::try_from(rest.len()).expect("a number"));
    let sealed = KEY.seal(&scope, &place).expect("sealed");
    assert_eq!(KEY.open::<Place>(&scope, &sealed).expect("opened"), place);
    assert!(KEY.open::<Place>(&format!("{scope} "), &sealed).is_err(), "opened for another list");
    let mut changed = sealed.into_bytes();
    let at = usize::from(data.first().copied().unwrap_or_default()) % changed.len();
    changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
    assert!(KEY.open::<Place>(&scope, &text(&changed)).is_err(), "changed, and opened all the same");
}

/// A global id, or what the audit log names.
pub fn global_id(data: &[u8]) {
    let text = text(data);
    assert!(api::fuzzing::global_id_leads_back(&text), "an id stands for something that has another id");
}
