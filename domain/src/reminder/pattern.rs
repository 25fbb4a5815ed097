//! The names of campaigns that a rule is for.

/// A pattern of names: `*` stands for any characters, or none; `?` for exactly one. The case of letters does not matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern(Vec<char>);

impl NamePattern {
    /// The pattern that is written so.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.chars().collect())
    }

    /// Whether the whole of `name` fits.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        let (mut at, mut place) = (0, 0);
        // Behind the last star, and the first character that it does not stand for: where to go on when the rest does not fit.
        let mut star: Option<(usize, usize)> = None;
        while let Some(letter) = name.get(place) {
            match self.0.get(at) {
                Some('*') => {
                    at += 1;
                    star = Some((at, place));
                    continue;
                }
                Some(wanted) if *wanted == '?' || is_same(*wanted, *letter) => {
                    at += 1;
                    place += 1;
                    continue;
                }
                _ => {}
            }
            let Some((behind, taken)) = star else { return false };
            (at, place) = (behind, taken + 1);
            star = Some((behind, taken + 1));
        }
        self.0.iter().skip(at).all(|rest| *rest == '*')
    }
}

fn is_same(left: char, right: char) -> bool {
    left == right || left.to_lowercase().eq(right.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, name, fits) in [
            ("Newsletter*", "newsletter 11/2026", true),
            ("Newsletter*", "Newsletter", true),
            ("Newsletter*", "The Newsletter", false),
            ("*news*", "The Newsletter", true),
            ("News?", "News1", true),
            ("News?", "News", false),
            ("News?", "News12", false),
            ("ÜBER*", "über uns", true),
            ("a*b*c", "axxbyybzzc", true),
            ("a*b*c", "axxbyyb", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("100%_", "100%_", true),
            ("100%_", "100xx", false),
        ] {
            assert_eq!(NamePattern::new(pattern).matches(name), fits, "{pattern} {name}");
        }
    }

    /// What the words above say, without any cleverness.
    fn fits(pattern: &[char], name: &[char]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) => (0..=name.len()).any(|taken| fits(rest, &name[taken..])),
            (Some(('?', rest)), Some((_, behind))) => fits(rest, behind),
            (Some((wanted, rest)), Some((letter, behind))) => is_same(*wanted, *letter) && fits(rest, behind),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn it_is_what_the_words_say(pattern in "[abA*?]{0,8}", name in "[abAB]{0,10}") {
            let letters = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(NamePattern::new(&pattern).matches(&name), fits(&letters(&pattern), &letters(&name)));
        }

        #[test]
        fn a_name_without_signs_fits_itself_in_any_case(name in "[^*?]{0,20}") {
            let pattern = NamePattern::new(&name);
            prop_assert!(pattern.matches(&name));
            let anywhere = NamePattern::new(&format!("*{name}*"));
            prop_assert!(anywhere.matches(&name));
        }
    }
}
