//! Texts from outside that are stored: what no database may refuse, and no longer than anybody reads.

use std::borrow::Cow;

/// What stands at the end of a text that was cut off.
const CUT: char = '…';

/// The text without U+0000, which PostgreSQL cannot store.
#[must_use]
pub fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "")) } else { Cow::Borrowed(text) }
}

/// The text without U+0000, and up to `most` characters of it.
#[must_use]
pub fn cut(text: &str, most: usize) -> String {
    let text = without_nul(text);
    // No text has more characters than bytes.
    if text.len() <= most || text.chars().nth(most).is_none() {
        return text.into_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain([CUT]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_short_stays_and_what_is_long_says_that_it_was_cut() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüß", 3), "äö…");
        assert_eq!(cut("a\0b", 2), "ab");
        assert_eq!(cut("ab", 0), "…");
        assert!(matches!(without_nul("plain"), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn every_text_fits(text in any::<String>(), most in 1_usize..20) {
            let kept = cut(&text, most);
            prop_assert!(kept.chars().count() <= most && !kept.contains('\0'));
        }
    }
}
