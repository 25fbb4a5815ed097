//! Texts that a spreadsheet would take for formulas, and how they are kept from being calculated.
//!
//! A file that was written with commas may be opened with semicolons or tabs: then a text is taken apart, and what follows a
//! separator becomes a cell of its own. So a text is guarded at its start and behind everything that may separate cells or lines,
//! whatever it is written between. The guard is an apostrophe, and [`restore`] takes exactly those away again.

use std::borrow::Cow;

/// What a formula begins with: OWASP's characters ("CSV injection") and whatever a spreadsheet may fold into them.
const TRIGGERS: &[char] =
    &['=', '+', '-', '@', '\t', '＝', '﹦', '⁼', '₌', '＋', '﹢', '⁺', '₊', '﬩', '－', '﹣', '＠', '﹫'];

/// What stands before a text that would be a formula.
const GUARD: char = '\'';

/// What a place where a cell may begin stands behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    /// Nothing: it is the start of the text.
    Start,
    /// A comma, which separates cells in the files that are written here: no text is taken apart at it while it is quoted.
    Comma,
    /// Another separator of cells.
    Separator,
    /// The end of a line.
    Line,
}

/// What a character separates, if it does.
const fn separator(character: char) -> Option<Behind> {
    match character {
        ',' => Some(Behind::Comma),
        ';' | '\t' | '|' => Some(Behind::Separator),
        '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}' => {
            Some(Behind::Line)
        }
        _ => None,
    }
}

/// What programs drop before they look whether a cell is a formula: quotation marks, spaces, and what looks like nothing.
fn is_dropped(character: char) -> bool {
    match character {
        '"'
        | GUARD
        | '\u{ad}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}' => true,
        _ => separator(character).is_none() && (character.is_whitespace() || character.is_control()),
    }
}

/// Whether a cell that begins with `rest` may be taken for a formula.
fn is_risky(behind: Behind, rest: &str) -> bool {
    match rest.chars().find(|character| !is_dropped(*character)) {
        // Behind a separator other than the file's own, the next cell's quotation mark would begin a cell over the end of the line.
        None => matches!(behind, Behind::Separator | Behind::Line),
        // An empty line is none, but a cell that begins with a line end is calculated by some programs as if it did not.
        Some('\r' | '\n') => behind != Behind::Line,
        Some(first) => TRIGGERS.contains(&first),
    }
}

/// The places of a text at which a cell may begin, wherever its lines are separated.
fn places(text: &str) -> impl Iterator<Item = (usize, Behind)> {
    // By far the most texts hold nothing that separates: their bytes are quicker to look through than their characters.
    let may_separate = |byte: u8| byte < b' ' || matches!(byte, b',' | b';' | b'|' | 0xC2 | 0xE2);
    let parts = if text.bytes().any(may_separate) { text } else { "" };
    let behind = move |(at, character): (usize, char)| {
        let behind = separator(character)?;
        let next = at + character.len_utf8();
        // A carriage return and a line feed end one line.
        let is_half = character == '\r' && text.get(next..).is_some_and(|rest| rest.starts_with('\n'));
        (!is_half).then_some((next, behind))
    };
    std::iter::once((0, Behind::Start)).chain(parts.char_indices().filter_map(behind))
}

/// Whether a spreadsheet that reads this text from a file may take it for a formula.
#[must_use]
pub fn is_formula(text: &str) -> bool {
    // By far the most texts begin with a letter or a digit.
    !text.starts_with(|first: char| first.is_ascii_alphanumeric()) && is_risky(Behind::Start, text)
}

/// The text in a form of which no spreadsheet takes any part for a formula, wherever it separates cells: an apostrophe stands before
/// what looks like one.
#[must_use]
pub fn defuse(text: &str) -> Cow<'_, str> {
    let mut defused = String::new();
    let mut taken = 0;
    for (at, behind) in places(text) {
        let is_plain = behind == Behind::Start && text.starts_with(|first: char| first.is_ascii_alphanumeric());
        if !is_plain && is_risky(behind, text.get(at..).unwrap_or_default()) {
            defused.push_str(text.get(taken..at).unwrap_or_default());
            defused.push(GUARD);
            taken = at;
        }
    }
    end(text, defused, taken)
}

/// The text that [`defuse`] was given: the apostrophes that it set are taken away, and no others.
#[must_use]
pub fn restore(text: &str) -> Cow<'_, str> {
    if !text.contains(GUARD) {
        return Cow::Borrowed(text);
    }
    let mut restored = String::new();
    let mut taken = 0;
    for (at, behind) in places(text) {
        let guarded = text.get(at..).and_then(|rest| rest.strip_prefix(GUARD));
        if guarded.is_some_and(|rest| is_risky(behind, rest)) {
            restored.push_str(text.get(taken..at).unwrap_or_default());
            taken = at + GUARD.len_utf8();
        }
    }
    end(text, restored, taken)
}

/// What was put together of a text up to `taken`, and the rest of it.
fn end(text: &str, mut made: String, taken: usize) -> Cow<'_, str> {
    if taken == 0 && made.is_empty() {
        return Cow::Borrowed(text);
    }
    made.push_str(text.get(taken..).unwrap_or_default());
    Cow::Owned(made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_spreadsheets_calculate_is_a_formula() {
        for text in [
            "=HYPERLINK(\"http://evil.example\")",
            "+1",
            "-1",
            "@SUM(1)",
            "\t1",
            "\r1",
            "\n1",
            "  =1",
            "＝1",
            "﹦1",
            "\"=1\"",
            "'=1",
            "\u{200b}=1",
        ] {
            assert!(is_formula(text), "{text:?}");
            assert!(defuse(text).starts_with('\''), "{text:?}");
        }
        for text in
            ["", "Erika", "1+1", "a=b", "<script>", "ä", "🙂", "'Quote", "a, b; c", "two\nlines", "two\r\n\r\nlines"]
        {
            assert_eq!(defuse(text), text);
        }
    }

    #[test]
    fn every_separator_may_begin_a_cell() {
        for (text, defused) in [
            ("a;=1+1;b", "a;'=1+1;b"),
            ("a,=1", "a,'=1"),
            ("a\t=1", "a\t'=1"),
            ("a|=1", "a|'=1"),
            ("a\n=1", "a\n'=1"),
            ("a\r\n=1", "a\r\n'=1"),
            ("a\r=1", "a\r'=1"),
            ("a; =1", "a;' =1"),
            ("a;\"=1", "a;'\"=1"),
            ("a;;=1", "a;;'=1"),
            ("a;\u{a0}＝1", "a;'\u{a0}＝1"),
            ("a\u{2028}@x", "a\u{2028}'@x"),
            ("=1;+2", "'=1;'+2"),
            ("'=1", "''=1"),
            ("a;'=1", "a;''=1"),
        ] {
            assert_eq!(defuse(text), defused);
            assert_eq!(restore(defused), text);
        }
    }

    #[test]
    fn an_apostrophe_that_guards_nothing_stays() {
        for text in ["'Quote", "O'Brien, Q'; 'x'", "'", "''", "rock 'n' roll, 'tis"] {
            assert_eq!(defuse(text), text);
            assert_eq!(restore(text), text);
        }
    }

    /// Texts in which the characters that mean something are frequent.
    fn text() -> impl Strategy<Value = String> {
        prop_oneof![any::<String>(), "[ ab=+@;,|\"'\t\r\n＝\u{a0}\u{85}-]{0,12}"]
    }

    proptest! {
        #[test]
        fn what_was_defused_is_restored(text in text()) {
            let defused = defuse(&text);
            prop_assert_eq!(restore(&defused), text.as_str());
            // Also where it passes twice.
            let twice = defuse(&defused).into_owned();
            prop_assert_eq!(restore(&twice), defused);
        }

        #[test]
        fn no_part_is_a_formula_once_a_text_is_defused(text in text()) {
            let defused = defuse(&text).into_owned();
            for part in defused.split([',', ';', '\t', '|', '\n']) {
                let seen = part.trim_start_matches([' ', '"', '\u{a0}', '\u{feff}', '\0']);
                prop_assert!(!seen.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']), "{part:?} of {defused:?}");
            }
        }
    }
}
